/* SPDX-License-Identifier: ISC */
/*
 * wire_form.c - a state machine over bytes: pieces of any size give the same result.
 */
#include "postdrop/wire_form.h"

/* The bytes up to the next CR or LF, NULs as blanks. */
static size_t copy_plain(struct slice in, struct buf *out)
{
	size_t len = 0, start = out->len;
	char *nul;

	while (len < in.len && in.data[len] != '\r' && in.data[len] != '\n')
		len++;
	if (len == 0)
		return 0;
	buf_append(out, in.data, len);
	for (; (nul = memchr(out->data + start, '\0', out->len - start)) != NULL; *nul = ' ')
		start = (size_t)(nul - out->data);
	return len;
}

static void take(struct wire_form *w, char c, struct buf *out)
{
	if (c == '\n') {
		buf_puts(out, "\r\n");
		w->place = WIRE_FORM_START;
		return;
	}
	if (w->place == WIRE_FORM_CR)
		buf_putc(out, ' ');
	if (c == '\r') {
		w->place = WIRE_FORM_CR;
		return;
	}
	if (w->place == WIRE_FORM_START && c == '.')
		buf_putc(out, '.');
	buf_putc(out, c == '\0' ? ' ' : c);
	w->place = WIRE_FORM_MIDDLE;
}

void wire_form_feed(struct wire_form *w, struct slice in, struct buf *out)
{
	size_t at = 0;

	while (at < in.len) {
		if (w->place == WIRE_FORM_MIDDLE)
			at += copy_plain(slice_part(in, at, in.len), out);
		if (at < in.len)
			take(w, in.data[at++], out);
	}
}

void wire_form_end(struct wire_form *w, struct buf *out)
{
	if (w->place != WIRE_FORM_START)
		buf_puts(out, "\r\n");
	w->place = WIRE_FORM_START;
}
