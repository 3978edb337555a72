/* SPDX-License-Identifier: ISC */
/*
 * switch.h - stacks and the jump between them; used by task.c alone.
 */
#ifndef GP_SWITCH_H
#define GP_SWITCH_H

#include <setjmp.h>
#include <stddef.h>
#include <ucontext.h>

/* A place to come back to, and the stack that it is on. */
struct fiber {
	sigjmp_buf place;
	ucontext_t first; /* until it runs for the first time */
	char *stack;	  /* lowest usable byte; NULL for the loop's own stack */
	size_t stack_size;
	const void *asan_bottom; /* for announcing switches */
	size_t asan_size;
	void *asan_fake;
	unsigned valgrind_id;
	int started;
};

/* Makes a guarded stack and sets entry up on it. -1 with errno. entry never returns. */
int fiber_make(struct fiber *, size_t stack_size, void (*entry)(void));
void fiber_unmake(struct fiber *);
/* Goes from the running fiber to another; returns when somebody comes back. */
void fiber_switch(struct fiber *from, struct fiber *to);
/* First thing on a new stack. */
void fiber_arrived(struct fiber *self, struct fiber *from);
/* Deepest use of the stack so far, in bytes. */
size_t fiber_depth(const struct fiber *);

#endif
