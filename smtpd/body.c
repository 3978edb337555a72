/* SPDX-License-Identifier: ISC */
/*
 * body.c - the DATA reader as a state machine over bytes; it never looks ahead, so that fragments of any
 * size give the same result.
 */
#include "smtpd/body.h"

#include <string.h>

/* A line "." that does not end the message would end it for whoever reads it next: it is stuffed. */
static void lone_dot(struct buf *out)
{
	buf_puts(out, "..\r\n");
}

/* A NUL becomes a blank: taken out, it could make a lone dot of what was none. */
static void put(char c, struct buf *out)
{
	buf_putc(out, c == '\0' ? ' ' : c);
}

/* The bytes up to the next CR or LF. */
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

static void line_start(struct body *b, char c, struct buf *out)
{
	bool bare = b->place == BODY_BARE_START;

	switch (c) {
	case '.':
		b->place = bare ? BODY_BARE_DOT : BODY_DOT;
		break;
	case '\r':
		b->place = BODY_CR;
		break;
	case '\n':
		b->saw_bare_lf = true;
		buf_puts(out, "\r\n");
		b->place = BODY_BARE_START;
		break;
	default:
		put(c, out);
		b->place = BODY_MIDDLE;
	}
}

static void behind_dot(struct body *b, char c, struct buf *out)
{
	switch (c) {
	case '\r':
		b->place = b->place == BODY_DOT ? BODY_DOT_CR : BODY_BARE_DOT_CR;
		break;
	case '\n':
		b->saw_bare_lf = true;
		lone_dot(out);
		b->place = BODY_BARE_START;
		break;
	default:
		buf_putc(out, '.');
		put(c, out);
		b->place = BODY_MIDDLE;
	}
}

/* Behind a CR in a line (its text, if any, is out already). */
static void behind_cr(struct body *b, char c, struct buf *out)
{
	switch (c) {
	case '\n':
		buf_puts(out, "\r\n");
		b->place = BODY_START;
		break;
	case '\r':
		b->saw_bare_cr = true;
		buf_putc(out, ' ');
		break;
	default:
		b->saw_bare_cr = true;
		buf_putc(out, ' ');
		put(c, out);
		b->place = BODY_MIDDLE;
	}
}

/* Behind dot CR at the start of a line. True: the message has ended. */
static bool behind_dot_cr(struct body *b, char c, struct buf *out)
{
	if (c != '\n') {
		buf_putc(out, '.');
		b->place = BODY_CR;
		behind_cr(b, c, out);
		return false;
	}
	if (b->place == BODY_DOT_CR)
		return true;
	lone_dot(out);
	b->place = BODY_START;
	return false;
}

static void middle(struct body *b, char c, struct buf *out)
{
	if (c == '\r') {
		b->place = BODY_CR;
		return;
	}
	b->saw_bare_lf = true;
	buf_puts(out, "\r\n");
	b->place = BODY_BARE_START;
}

size_t body_feed(struct body *b, struct slice in, struct buf *out, bool *ended)
{
	size_t at = 0;

	*ended = false;
	while (at < in.len && !*ended) {
		if (b->place == BODY_MIDDLE) {
			at += copy_plain(slice_part(in, at, in.len), out);
			if (at == in.len)
				break;
		}
		switch (b->place) {
		case BODY_START:
		case BODY_BARE_START:
			line_start(b, in.data[at], out);
			break;
		case BODY_DOT:
		case BODY_BARE_DOT:
			behind_dot(b, in.data[at], out);
			break;
		case BODY_DOT_CR:
		case BODY_BARE_DOT_CR:
			*ended = behind_dot_cr(b, in.data[at], out);
			break;
		case BODY_MIDDLE:
			middle(b, in.data[at], out);
			break;
		case BODY_CR:
			behind_cr(b, in.data[at], out);
			break;
		}
		at++;
	}
	return at;
}
