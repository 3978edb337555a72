/* SPDX-License-Identifier: ISC */
/*
 * header.c - cuts a header into fields and knows the names that matter.
 *
 * A field ends only where the byte after its line end is no blank, so the last field of a piece is
 * never decided without the piece that follows.
 */
#include "common/mail/header.h"

#include "common/base/mem.h"

/* The line at the start of s with its CRLF (a lone LF is part of it). 0: its end is not there. */
static size_t line_length(struct slice s, size_t from)
{
	while (from < s.len) {
		const char *lf = memchr(s.data + from, '\n', s.len - from);

		if (lf == NULL)
			return 0;
		from = (size_t)(lf - s.data) + 1;
		if (from >= 2 && s.data[from - 2] == '\r')
			return from;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Length of the name, *colon where its colon is. -1: no field; 0: more bytes decide. */
static ptrdiff_t name_length(struct slice s, size_t *colon)
{
	size_t len = 0, at;

	while (len < s.len && s.data[len] > 0x20 && s.data[len] < 0x7f && s.data[len] != ':')
		len++;
	at = len;
	while (at < s.len && is_blank(s.data[at]))
		at++;
	if (at == s.len)
		return 0;
	if (len == 0 || s.data[at] != ':')
		return -1;
	*colon = at;
	return (ptrdiff_t)len;
}

/* Length of the field with its folded lines; 0: more bytes decide. */
static size_t field_length(struct slice s, size_t from, bool at_end)
{
	for (;;) {
		size_t end = line_length(s, from);

		if (end == 0)
			return at_end ? s.len : 0;
		if (end == s.len)
			return at_end ? end : 0;
		if (!is_blank(s.data[end]))
			return end;
		from = end;
	}
}

static bool takes_blank_line(struct slice *rest)
{
	if (rest->len < 2 || rest->data[0] != '\r' || rest->data[1] != '\n')
		return false;
	*rest = slice_part(*rest, 2, rest->len);
	return true;
}

enum header_next header_next(struct slice *rest, bool at_end, struct header *h, bool *blank_line)
{
	ptrdiff_t name;
	size_t colon = 0, len, end;

	*blank_line = takes_blank_line(rest);
	if (*blank_line)
		return HEADER_END;
	if (!at_end && (rest->len == 0 || (rest->len == 1 && rest->data[0] == '\r')))
		return HEADER_MORE;
	name = name_length(*rest, &colon);
	if (name == 0 && !at_end)
		return HEADER_MORE;
	if (name <= 0)
		return HEADER_END;
	len = field_length(*rest, colon, at_end);
	if (len == 0)
		return HEADER_MORE;
	end = len >= 2 && rest->data[len - 2] == '\r' && rest->data[len - 1] == '\n' ? len - 2
										     : len;
	h->name = slice_part(*rest, 0, (size_t)name);
	h->value = slice_part(*rest, colon + 1, end - colon - 1);
	h->whole = slice_part(*rest, 0, len);
	*rest = slice_part(*rest, len, rest->len);
	return HEADER_FIELD;
}

static const struct {
	struct slice name;
	enum header_id id;
} names[] = {
	{ { "From", 4 }, HEADER_FROM },
	{ { "To", 2 }, HEADER_TO },
	{ { "Cc", 2 }, HEADER_CC },
	{ { "Bcc", 3 }, HEADER_BCC },
	{ { "Date", 4 }, HEADER_DATE },
	{ { "Message-ID", 10 }, HEADER_MESSAGE_ID },
	{ { "Received", 8 }, HEADER_RECEIVED },
	{ { "Return-Path", 11 }, HEADER_RETURN_PATH },
	{ { "Delivered-To", 12 }, HEADER_DELIVERED_TO },
	{ { "Sender", 6 }, HEADER_SENDER },
	{ { "Reply-To", 8 }, HEADER_REPLY_TO },
	{ { "Subject", 7 }, HEADER_SUBJECT },
	{ { "Content-Length", 14 }, HEADER_CONTENT_LENGTH },
	{ { "Resent-From", 11 }, HEADER_RESENT_FROM },
	{ { "Resent-To", 9 }, HEADER_RESENT_TO },
	{ { "Resent-Cc", 9 }, HEADER_RESENT_CC },
	{ { "Resent-Bcc", 10 }, HEADER_RESENT_BCC },
	{ { "Resent-Date", 11 }, HEADER_RESENT_DATE },
	{ { "Resent-Message-ID", 17 }, HEADER_RESENT_MESSAGE_ID },
	{ { "Resent-Sender", 13 }, HEADER_RESENT_SENDER },
	{ { "Resent-Reply-To", 15 }, HEADER_RESENT_REPLY_TO },
	{ { "MIME-Version", 12 }, HEADER_MIME_VERSION },
	{ { "Content-Type", 12 }, HEADER_CONTENT_TYPE },
	{ { "Content-Transfer-Encoding", 25 }, HEADER_CONTENT_TRANSFER_ENCODING },
};

enum header_id header_id(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (slice_equal_nocase(name, names[i].name))
			return names[i].id;
	return HEADER_OTHER;
}
