/* SPDX-License-Identifier: ISC */
/*
 * switch.c - stacks and the jump between them.
 *
 * makecontext(3) prepares a stack once; after that a switch is sigsetjmp and siglongjmp, which make no
 * system call. This file is built without _FORTIFY_SOURCE: glibc's checked longjmp takes a jump to
 * another stack for an attack. Sanitizers and valgrind are told of each switch here and nowhere else.
 */
#include "common/task/switch.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/task/task.h"

#if TASK_WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WITH_VALGRIND 1
#endif
#endif
#ifndef WITH_VALGRIND
#define WITH_VALGRIND 0
#endif

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int fiber_make(struct fiber *f, size_t stack_size, void (*entry)(void))
{
	size_t guard = page_size();
	char *memory = mmap(NULL, guard + stack_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED)
		return -1;
	if (mprotect(memory, guard, PROT_NONE) == -1) {
		int error = errno;

		munmap(memory, guard + stack_size);
		errno = error;
		return -1;
	}
	f->stack = memory + guard;
	f->stack_size = stack_size;
#if WITH_VALGRIND
	f->valgrind_id = VALGRIND_STACK_REGISTER(f->stack, f->stack + stack_size);
#endif
	getcontext(&f->first);
	f->first.uc_stack.ss_sp = f->stack;
	f->first.uc_stack.ss_size = f->stack_size;
	f->first.uc_link = NULL;
	makecontext(&f->first, entry, 0);
	f->asan_bottom = f->stack;
	f->asan_size = f->stack_size;
	f->asan_fake = NULL;
	f->started = 0;
	return 0;
}

void fiber_unmake(struct fiber *f)
{
	size_t guard = page_size();

#if WITH_VALGRIND
	VALGRIND_STACK_DEREGISTER(f->valgrind_id);
#endif
	munmap(f->stack - guard, guard + f->stack_size);
}

void fiber_arrived(struct fiber *self, struct fiber *from)
{
#if TASK_WITH_ASAN
	__sanitizer_finish_switch_fiber(self->asan_fake, &from->asan_bottom, &from->asan_size);
#else
	(void)self;
	(void)from;
#endif
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
#if TASK_WITH_ASAN
	__sanitizer_start_switch_fiber(&from->asan_fake, to->asan_bottom, to->asan_size);
#endif
	if (sigsetjmp(from->place, 0) != 0) {
		fiber_arrived(from, to);
		return;
	}
	if (to->started)
		siglongjmp(to->place, 1);
	to->started = 1;
	setcontext(&to->first);
}

/* Pages that were never touched read as zero. */
__attribute__((no_sanitize("address"))) size_t fiber_depth(const struct fiber *f)
{
	const char *p = f->stack, *end = f->stack + f->stack_size;

	while (p < end && *p == 0)
		p++;
	return (size_t)(end - p);
}
