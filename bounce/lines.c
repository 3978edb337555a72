/* SPDX-License-Identifier: ISC */
/*
 * lines.c - text that others wrote, as lines of a mail: no control bytes, no line that is too long, no dot
 * that would end the mail.
 */
#include <string.h>

#include "bounce/bounce.h"
#include "common/base/text.h"

enum { WIDTH = 79, LONGEST = 900 };

bool lines_have_8bit(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] > 127)
			return true;
	return false;
}

/* A dot is doubled where the line begins with it. */
static void put_line(struct buf *out, const char *indent, struct slice line)
{
	size_t start;

	buf_puts(out, indent);
	if (*indent == '\0' && line.len > 0 && line.data[0] == '.')
		buf_putc(out, '.');
	start = out->len;
	buf_put_slice(out, line);
	text_neuter(out->data + start, line.len);
	buf_puts(out, "\r\n");
}

void lines_put(struct buf *out, struct slice text)
{
	while (text.len > 0) {
		ptrdiff_t end = slice_find(text, '\n');
		size_t len = end == -1 ? text.len : (size_t)end;

		put_line(out, "", slice_part(text, 0, len));
		text = slice_part(text, len + 1, text.len);
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* How many bytes of the text make one line. */
static size_t line_length(struct slice text, size_t width)
{
	size_t len = width;

	if (text.len <= width)
		return text.len;
	while (len > 0 && !is_blank(text.data[len]))
		len--;
	if (len > 0)
		return len;
	for (len = width; len < text.len && len < LONGEST && !is_blank(text.data[len]); len++)
		;
	/* Not within a character. */
	while (len < text.len && len > LONGEST - 4 &&
	    ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len--;
	return len;
}

void lines_put_folded(struct buf *out, struct slice text)
{
	static const char indent[] = "    ";
	size_t width = WIDTH;

	for (text = slice_trim(text); text.len > 0; text = slice_trim(text)) {
		size_t len = line_length(text, width);

		put_line(out, width < WIDTH ? indent : "", slice_part(text, 0, len));
		text = slice_part(text, len, text.len);
		width = WIDTH - (sizeof(indent) - 1);
	}
}

void lines_put_whole(struct buf *out, struct slice text)
{
	if (text.len <= LONGEST)
		put_line(out, "", text);
	else
		lines_put_folded(out, text);
}
