/* SPDX-License-Identifier: ISC */
/*
 * arena.h - memory that is released all at once: a session's, a message's.
 */
#ifndef GP_ARENA_H
#define GP_ARENA_H

#include <stddef.h>

#include "common/base/slice.h"

struct arena;

struct arena *arena_new(void);
/* Releases all that came from it. NULL is fine. */
void arena_free(struct arena *);
/* Forgets all that came from it, keeps a block for what comes next. */
void arena_reset(struct arena *);
/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *, size_t size);
/* A copy with a NUL behind it that does not count. */
struct slice arena_copy(struct arena *, struct slice);
char *arena_text(struct arena *, struct slice);
char *arena_printf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes handed out since the last reset: what a limit compares with. */
size_t arena_used(const struct arena *);

#endif
