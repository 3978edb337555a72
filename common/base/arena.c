/* SPDX-License-Identifier: ISC */
/*
 * arena.c - blocks that are filled from the front and freed together.
 */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { BLOCK_SIZE = 4096 - 64 };

struct block {
	struct block *next;
	size_t used, size;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block *blocks; /* the one being filled first */
	size_t used;
};

struct arena *arena_new(void)
{
	return mem_alloc(sizeof(struct arena));
}

static void free_blocks(struct block *b)
{
	while (b != NULL) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	free_blocks(a->blocks);
	free(a);
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	if (a->blocks == NULL)
		return;
	free_blocks(a->blocks->next);
	a->blocks->next = NULL;
	if (a->blocks->size > BLOCK_SIZE) {
		free(a->blocks);
		a->blocks = NULL;
		return;
	}
	memset(a->blocks->data, 0, a->blocks->used);
	a->blocks->used = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t align = alignof(max_align_t);
	struct block *b = a->blocks;
	void *memory;

	if (size > SIZE_MAX - BLOCK_SIZE)
		panic("arena: %zu bytes wanted", size);
	size = (size + align - 1) & ~(align - 1);
	if (b == NULL || b->size - b->used < size) {
		size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		b = mem_alloc(sizeof(*b) + block_size);
		b->size = block_size;
		b->next = a->blocks;
		a->blocks = b;
	}
	memory = b->data + b->used;
	b->used += size;
	a->used += size;
	return memory;
}

char *arena_text(struct arena *a, struct slice s)
{
	char *copy = arena_alloc(a, s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return copy;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	return slice_new(arena_text(a, s), s.len);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		panic("bad format: %s", format);
	text = arena_alloc(a, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
