/* SPDX-License-Identifier: ISC */
/*
 * mem.c - allocation that can't be forgotten to be checked, and panic().
 */
#include "common/base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*hook)(const char *text);

void panic_hook(void (*new_hook)(const char *text))
{
	hook = new_hook;
}

void panic(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (hook != NULL)
		hook(text);
	else
		fprintf(stderr, "panic: %s\n", text);
	abort();
}

void *mem_try_alloc(size_t size)
{
	return calloc(1, size == 0 ? 1 : size);
}

void *mem_alloc(size_t size)
{
	void *memory = mem_try_alloc(size);

	if (memory == NULL)
		panic("out of memory: %zu bytes wanted", size);
	return memory;
}

void *mem_alloc_array(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		panic("array too large: %zu times %zu bytes", count, size);
	return mem_alloc(total);
}

void *mem_resize_array(void *old, size_t count, size_t size)
{
	size_t total;
	void *memory;

	if (__builtin_mul_overflow(count, size, &total))
		panic("array too large: %zu times %zu bytes", count, size);
	memory = realloc(old, total == 0 ? 1 : total);
	if (memory == NULL)
		panic("out of memory: %zu bytes wanted", total);
	return memory;
}

char *mem_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(mem_alloc(size), text, size);
}

char *mem_printf(const char *format, ...)
{
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len == -1)
		panic("out of memory for a text");
	return text;
}
