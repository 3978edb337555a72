/* SPDX-License-Identifier: ISC */
/*
 * buf.h - bytes that grow. All zero is an empty buffer; buf_clear releases.
 */
#ifndef GP_BUF_H
#define GP_BUF_H

#include <stddef.h>

#include "common/base/slice.h"

struct buf {
	char *data;
	size_t len;  /* bytes in use */
	size_t size; /* bytes allocated */
};

/* Frees the bytes; the buffer is empty and usable again. */
void buf_clear(struct buf *);
/* Forgets the bytes, keeps the memory. */
void buf_reset(struct buf *);
/* Room for `more` bytes behind the present ones; returns where they start. */
char *buf_reserve(struct buf *, size_t more);
void buf_append(struct buf *, const void *data, size_t len);
void buf_put_slice(struct buf *, struct slice);
void buf_puts(struct buf *, const char *text);
void buf_putc(struct buf *, char);
void buf_printf(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first `count` bytes. */
void buf_consume(struct buf *, size_t count);
/* The bytes as a C string: a NUL behind them that does not count. Valid until the next change. */
const char *buf_text(struct buf *);
/* The bytes; valid until the next change. */
struct slice buf_slice(const struct buf *);
/* Hands the bytes over as a C string on the heap; the buffer is empty afterwards. */
char *buf_take(struct buf *);

#endif
