/* SPDX-License-Identifier: ISC */
/*
 * slice.h - bytes that somebody else owns: a pointer and a length, any value inside, NUL too.
 */
#ifndef GP_SLICE_H
#define GP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *data;
	size_t len;
};

/* A slice of a string literal, without its NUL. */
#define SLICE(literal) ((struct slice){ (literal), sizeof(literal) - 1 })

/* The bytes of a C string, without its NUL; NULL gives an empty slice. */
static inline struct slice slice_of(const char *text)
{
	return (struct slice){ text, text == NULL ? 0 : strlen(text) };
}

static inline struct slice slice_new(const void *data, size_t len)
{
	return (struct slice){ data, len };
}

/* The part from byte `from` on, at most len bytes; empty past the end. */
struct slice slice_part(struct slice, size_t from, size_t len);

bool slice_equal(struct slice, struct slice);
/* ASCII letters compare without case; other bytes as they are. */
bool slice_equal_nocase(struct slice, struct slice);
bool slice_starts_nocase(struct slice, struct slice prefix);
/* First place of the byte, or -1. */
ptrdiff_t slice_find(struct slice, char);
/* Last place of the byte, or -1. */
ptrdiff_t slice_find_last(struct slice, char);
/* Without blanks (space, TAB, CR, LF) at either end. */
struct slice slice_trim(struct slice);
/* A NUL-terminated copy on the heap; the caller frees it. */
char *slice_dup(struct slice);

#endif
