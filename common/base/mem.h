/* SPDX-License-Identifier: ISC */
/*
 * mem.h - memory that is there or ends the process, and how a process says that it met a bug.
 */
#ifndef GP_MEM_H
#define GP_MEM_H

#include <stddef.h>

/* A bug or no memory: says so through the panic hook (the log, once it is open; else standard
 * error) and aborts. master starts the service anew. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Who hears of a panic first; NULL: standard error only. */
void panic_hook(void (*hook)(const char *text));

/* Zeroed memory; panics when there is none. For sizes that we choose. free() releases. */
void *mem_alloc(size_t size);
void *mem_alloc_array(size_t count, size_t size);
/* As realloc, checked for overflow; what grows is not zeroed. */
void *mem_resize_array(void *, size_t count, size_t size);
char *mem_strdup(const char *);
/* The text of a format, on the heap. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory of a size that a stranger chose; NULL with ENOMEM when there is none. */
void *mem_try_alloc(size_t size);

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
