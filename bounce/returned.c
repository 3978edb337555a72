/* SPDX-License-Identifier: ISC */
/*
 * returned.c - the part of the message that goes back with a notice. It is in wire form already, and stays
 * so: what a notice holds has its leading dots doubled once, like the rest of the notice.
 */
#include <stdlib.h>

#include "bounce/bounce.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/header.h"
#include "common/task/task.h"

enum {
	HEADER_LIMIT = 131072, /* of a header that is returned alone */
	THREAD_LIMIT = 4096    /* of a field that is repeated in the notice's own header */
};

/* The bytes of whole fields at its start. Where the message goes on, the last one may be cut. */
static size_t header_size(struct slice start, bool goes_on)
{
	struct slice rest = start;
	size_t size = 0, before = 0;
	struct header h;
	bool blank_line;

	while (header_next(&rest, true, &h, &blank_line) == HEADER_FIELD) {
		before = size;
		size += h.whole.len;
	}
	return size == start.len && goes_on ? before : size;
}

/* As much as the header may have, and perhaps more. */
static bool read_start(const struct message_content *content, char *room, struct buf *start)
{
	struct slice piece;
	bool ok;

	do {
		ok = message_content_read(content, start->len, room, &piece);
		buf_put_slice(start, piece);
	} while (ok && piece.len > 0 && start->len < HEADER_LIMIT);
	return ok;
}

static bool measure_header(const struct message_content *content, char *room, struct returned *r)
{
	struct buf start = { 0 };
	bool ok = read_start(content, room, &start);

	r->size = header_size(buf_slice(&start), start.len < content->size);
	buf_clear(&start);
	return ok;
}

static void look(struct slice piece, struct returned *r)
{
	r->is_8bit = r->is_8bit || lines_have_8bit(piece);
	r->ends = piece.data[piece.len - 1] == '\n';
}

bool returned_measure(const struct notice *n, struct returned *r)
{
	const struct message_content *content = &n->content;
	char *room = content->fd == -1 ? NULL : mem_alloc(CHUNK_LIMIT);
	struct slice piece;
	bool ok = true;

	*r = (struct returned){ .size = content->size, .ends = true };
	if (n->headers_only)
		ok = measure_header(content, room, r);
	for (uint64_t at = 0; ok && at < r->size; at += piece.len) {
		ok = message_content_read(content, at, room, &piece);
		if (!ok || piece.len == 0)
			break;
		look(slice_part(piece, 0, (size_t)(r->size - at)), r);
		task_yield_if_long();
	}
	free(room);
	return ok;
}

static void put_words(struct slice value, struct buf *out)
{
	struct slice word;

	while (text_next_word(&value, " \t\r\n", &word)) {
		if (out->len > 0)
			buf_putc(out, ' ');
		buf_put_slice(out, word);
	}
}

void returned_thread(const struct notice *n, struct buf *message_id, struct buf *references)
{
	char *room = n->content.fd == -1 ? NULL : mem_alloc(CHUNK_LIMIT);
	struct buf start = { 0 };
	struct slice rest;
	struct header h;
	bool blank_line;

	read_start(&n->content, room, &start);
	rest = buf_slice(&start);
	while (header_next(&rest, true, &h, &blank_line) == HEADER_FIELD) {
		if (h.value.len > THREAD_LIMIT)
			continue;
		if (header_id(h.name) == HEADER_MESSAGE_ID && message_id->len == 0)
			put_words(h.value, message_id);
		if (slice_equal_nocase(h.name, SLICE("References")) && references->len == 0)
			put_words(h.value, references);
	}
	if (message_id->len > 0) {
		if (references->len > 0)
			buf_putc(references, ' ');
		buf_put_slice(references, buf_slice(message_id));
	}
	buf_clear(&start);
	free(room);
}
