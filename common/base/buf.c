/* SPDX-License-Identifier: ISC */
/*
 * buf.c - bytes that grow by doubling.
 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { FIRST_SIZE = 128 };

void buf_clear(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
}

char *buf_reserve(struct buf *b, size_t more)
{
	size_t need;

	if (__builtin_add_overflow(b->len, more, &need))
		panic("buffer too large: %zu and %zu bytes", b->len, more);
	if (need > b->size) {
		size_t size = b->size < FIRST_SIZE ? FIRST_SIZE : b->size * 2;

		b->size = size < need ? need : size;
		b->data = mem_resize_array(b->data, b->size, 1);
	}
	return b->data + b->len;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_reserve(b, len), data, len);
	b->len += len;
}

void buf_put_slice(struct buf *b, struct slice s)
{
	buf_append(b, s.data, s.len);
}

void buf_puts(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
	*buf_reserve(b, 1) = c;
	b->len++;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		panic("bad format: %s", format);
	buf_reserve(b, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t count)
{
	if (count >= b->len) {
		b->len = 0;
		return;
	}
	b->len -= count;
	memmove(b->data, b->data + count, b->len);
}

const char *buf_text(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
	return b->data;
}

struct slice buf_slice(const struct buf *b)
{
	return slice_new(b->data, b->len);
}

char *buf_take(struct buf *b)
{
	char *text;

	buf_text(b);
	text = b->data;
	*b = (struct buf){ 0 };
	return text;
}
