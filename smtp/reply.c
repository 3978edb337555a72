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
	struct slice code;

	r->code = (unsigned)(last.data[0] - '0') * 100 + (unsigned)(last.data[1] - '0') * 10 +
	    (unsigned)(last.data[2] - '0');
	code = enhanced_of(slice_part(last, 4, last.len));
	/* "5.1.1" behind 250 or 450 means nothing. */
	if (code.len > 0 && code.data[0] == last.data[0])
		r->enhanced = arena_copy(arena, code);
	else
		r->enhanced = fallback[last.data[0] - '0'];
}

/* One line without what is beyond the limit. As stream_line. */
static int read_line(struct stream *s, struct arena *arena, size_t *budget, deadline when,
    struct slice *line)
{
	struct slice piece;
	int rc = stream_line(s, &piece, when);
	bool cut = rc == -1 && errno == EMSGSIZE;

	if (rc != 1 && !cut)
		return rc;
	*line = arena_copy(arena, piece);
	*budget -= piece.len < *budget ? piece.len : *budget;
	while (cut && *budget > 0) {
		rc = stream_line(s, &piece, when);
		cut = rc == -1 && errno == EMSGSIZE;
		if (rc != 1 && !cut)
			return rc;
		*budget -= piece.len < *budget ? piece.len : *budget;
	}
	return 1;
}

enum reply_result reply_read(struct stream *s, struct arena *arena, deadline when, struct reply *r)
{
	size_t budget = REPLY_BYTES_LIMIT;
	enum reply_result result = REPLY_BAD;
	struct buf text = { 0 };

	*r = (struct reply){ 0 };
	for (int lines = 0; lines < REPLY_LINES_LIMIT && budget > 0; lines++) {
		struct slice line = SLICE("");
		int rc = read_line(s, arena, &budget, when, &line);

		if (rc != 1) {
			result = rc == -1 && (errno == ETIMEDOUT || errno == ECANCELED)
			    ? REPLY_TIMEOUT
			    : REPLY_LOST;
			break;
		}
		text_neuter((char *)(uintptr_t)line.data, line.len);
		if (text.len > 0)
			buf_putc(&text, '\n');
		buf_put_slice(&text, line);
		if (budget == 0 || !is_reply_line(line))
			break;
		if (line.len > 3 && line.data[3] == '-')
			continue;
		finish(r, line, arena);
		result = REPLY_OK;
		break;
	}
	r->text = arena_copy(arena, buf_slice(&text));
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
