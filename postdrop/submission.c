/* SPDX-License-Identifier: ISC */
/*
 * submission.c - the recipients of a message: from arguments, from its header.
 */
#include "postdrop/submission.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mail/header.h"
#include "common/mail/mail_address.h"
#include "postdrop/wire_form.h"

enum { PIECE = 65536, HEADER_LIMIT = 16 * 1024 * 1024, RCPTS_LIMIT = 1000000 };

struct adding {
	struct submission *submission;
	const char *why;
};

bool submission_add_address(struct submission *s, struct slice address)
{
	if (s->rcpt_count == RCPTS_LIMIT)
		return false;
	if (s->arena == NULL)
		s->arena = arena_new();
	if (s->rcpt_count == s->rcpts_size) {
		s->rcpts_size = s->rcpts_size == 0 ? 16 : s->rcpts_size * 2;
		s->rcpts = mem_resize_array(s->rcpts, s->rcpts_size, sizeof(*s->rcpts));
	}
	s->rcpts[s->rcpt_count++] = arena_copy(s->arena, address);
	return true;
}

static void add(void *arg, struct slice address)
{
	struct adding *a = arg;

	if (address.len > MAIL_ADDRESS_LIMIT)
		a->why = "an address is too long";
	else if (!submission_add_address(a->submission, address))
		a->why = "too many recipients";
}

bool submission_add(struct submission *s, struct slice list, const char **why)
{
	struct arena *arena = arena_new();
	struct adding a = { .submission = s };
	bool whole;

	whole = header_addresses(list, RCPTS_LIMIT, arena, add, &a);
	arena_free(arena);
	if (!whole)
		a.why = "too many recipients, or comments within comments";
	*why = a.why;
	return a.why == NULL;
}

/* --- the header ----------------------------------------------------------------------------------- */

/* The content's start, up to the empty line or beyond, in wire form. 0, or -1 with errno: EMSGSIZE when the
 * empty line is too far. */
static int read_header(const struct spool *content, struct buf *header)
{
	struct wire_form form = { 0 };
	char *piece = mem_alloc(PIECE);
	uint64_t at = 0;
	size_t seen = 0;
	ssize_t got;

	while ((got = spool_read(content, at, piece, PIECE)) > 0 && header->len <= HEADER_LIMIT) {
		at += (uint64_t)got;
		wire_form_feed(&form, slice_new(piece, (size_t)got), header);
		if (memmem(header->data + seen, header->len - seen, "\r\n\r\n", 4) != NULL)
			break;
		seen = header->len > 3 ? header->len - 3 : 0;
	}
	wire_form_end(&form, header);
	free(piece);
	if (got == -1 || header->len <= HEADER_LIMIT + 2 * PIECE)
		return got == -1 ? -1 : 0;
	errno = EMSGSIZE;
	return -1;
}

/* The line that mailbox files have in front of a message. */
static void skip_mailbox_line(struct slice *rest)
{
	const char *end;

	if (slice_starts_nocase(*rest, SLICE(">From ")))
		*rest = slice_part(*rest, 1, rest->len);
	if (!slice_starts_nocase(*rest, SLICE("From ")))
		return;
	end = memmem(rest->data, rest->len, "\r\n", 2);
	if (end != NULL)
		*rest = slice_part(*rest, (size_t)(end - rest->data) + 2, rest->len);
}

enum kind { NO_RECIPIENTS, RECIPIENTS, RESENT_RECIPIENTS };

static enum kind kind_of(struct slice name)
{
	switch (header_id(name)) {
	case HEADER_TO:
	case HEADER_CC:
	case HEADER_BCC:
		return RECIPIENTS;
	case HEADER_RESENT_TO:
	case HEADER_RESENT_CC:
	case HEADER_RESENT_BCC:
		return RESENT_RECIPIENTS;
	default:
		return NO_RECIPIENTS;
	}
}

/* The addresses of all fields of one kind. *found: there is such a field. */
static bool take_fields(struct submission *s, struct slice header, enum kind kind, bool *found,
    const char **why)
{
	struct header field;
	bool blank_line;

	*found = false;
	while (header_next(&header, true, &field, &blank_line) == HEADER_FIELD) {
		if (kind_of(field.name) != kind)
			continue;
		*found = true;
		if (!submission_add(s, field.value, why))
			return false;
	}
	return true;
}

bool submission_extract(struct submission *s, const char **why)
{
	struct buf text = { 0 };
	struct slice header;
	bool ok = read_header(&s->content, &text) == 0, found;

	*why = NULL;
	header = buf_slice(&text);
	skip_mailbox_line(&header);
	ok = ok && take_fields(s, header, RESENT_RECIPIENTS, &found, why);
	if (ok && !found)
		ok = take_fields(s, header, RECIPIENTS, &found, why);
	buf_clear(&text);
	return ok;
}

void submission_clear(struct submission *s)
{
	free(s->rcpts);
	arena_free(s->arena);
	spool_clear(&s->content);
	*s = (struct submission){ 0 };
}
