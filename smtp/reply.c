/* SPDX-License-Identifier: ISC */
/*
 * reply.c - replies, read with limits. The last line decides about the code, as in Postfix: servers that
 * mix codes mean the last one.
 */
#include "smtp/reply.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/text.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "250", "250 text", "250-text". */
static bool is_reply_line(struct slice line)
{
	return line.len >= 3 && line.data[0] >= '2' && line.data[0] <= '5' &&
	    is_digit(line.data[1]) && is_digit(line.data[2]) &&
	    (line.len == 3 || line.data[3] == ' ' || line.data[3] == '-');
}

/* Digits, at most `most`, from at on; how many. */
static size_t digits(struct slice s, size_t at, size_t most)
{
	size_t n = 0;

	while (at + n < s.len && n <= most && is_digit(s.data[at + n]))
		n++;
	return n <= most ? n : 0;
}

/* RFC 3463: class.subject.detail at the start of the text, or empty. */
static struct slice enhanced_of(struct slice text)
{
	size_t subject = digits(text, 2, 3), detail, end;

	if (text.len < 5 || !is_digit(text.data[0]) || text.data[1] != '.' || subject == 0 ||
	    2 + subject >= text.len || text.data[2 + subject] != '.')
		return SLICE("");
	detail = digits(text, 3 + subject, 3);
	end = 3 + subject + detail;
	if (detail == 0 || (end < text.len && text.data[end] != ' '))
		return SLICE("");
	return slice_part(text, 0, end);
}

static void finish(struct reply *r, struct slice last, struct arena *arena)
{
	static const struct slice fallback[] = { [2] = { "2.0.0", 5 },
		[3] = { "3.0.0", 5 },
		[4] = { "4.0.0", 5 },
		[5] = { "5.0.0", 5 } };
	struct slice code = enhanced_of(slice_part(last, 4, last.len));

	r->code = (unsigned)(last.data[0] - '0') * 100 + (unsigned)(last.data[1] - '0') * 10 +
	    (unsigned)(last.data[2] - '0');
	/* "5.1.1" behind 250 or 450 means nothing. */
	if (code.len > 0 && code.data[0] == last.data[0])
		r->enhanced = arena_copy(arena, code);
	else
		r->enhanced = fallback[last.data[0] - '0'];
}

/* Appends one line, without what is beyond the limit. As stream_line. */
static int read_line(struct stream *s, struct buf *text, size_t *budget, deadline when)
{
	size_t start = text->len;
	struct slice piece;
	bool cut = true;

	while (cut && *budget > 0) {
		int rc = stream_line(s, &piece, when);

		cut = rc == -1 && errno == EMSGSIZE;
		if (rc != 1 && !cut)
			return rc;
		if (text->len == start)
			buf_put_slice(text, piece);
		*budget -= piece.len < *budget ? piece.len : *budget;
	}
	if (text->len > start)
		text_neuter(text->data + start, text->len - start);
	return 1;
}

enum reply_result reply_read(struct stream *s, struct arena *arena, deadline when, struct reply *r)
{
	size_t budget = REPLY_BYTES_LIMIT;
	enum reply_result result = REPLY_BAD;
	struct buf text = { 0 };

	*r = (struct reply){ 0 };
	for (int lines = 0; lines < REPLY_LINES_LIMIT && budget > 0; lines++) {
		size_t start = text.len + (lines > 0);
		struct slice line;
		int rc;

		if (lines > 0)
			buf_putc(&text, '\n');
		rc = read_line(s, &text, &budget, when);
		if (rc != 1) {
			result = rc == -1 && (errno == ETIMEDOUT || errno == ECANCELED)
			    ? REPLY_TIMEOUT
			    : REPLY_LOST;
			break;
		}
		line = slice_part(buf_slice(&text), start, text.len);
		if (budget == 0 || !is_reply_line(line))
			break;
		if (line.len > 3 && line.data[3] == '-')
			continue;
		finish(r, line, arena);
		result = REPLY_OK;
		break;
	}
	r->text = arena_copy(arena, slice_part(buf_slice(&text), 0, REPLY_TEXT_LIMIT));
	buf_clear(&text);
	return result;
}

struct slice reply_flat(const struct reply *r, size_t limit, struct arena *arena)
{
	char *flat = arena_text(arena, slice_part(r->text, 0, limit));
	size_t len = strlen(flat);

	for (size_t i = 0; i < len; i++)
		if (flat[i] == '\n')
			flat[i] = ' ';
	while (len > 0 && flat[len - 1] == ' ')
		len--;
	/* A character that the limit cut must not stay in pieces. */
	text_neuter(flat, len);
	return slice_new(flat, len);
}
