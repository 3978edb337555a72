/* SPDX-License-Identifier: ISC */
/*
 * task.h - a session as straight-line code: coroutines over one event loop.
 *
 * A call marked "Waits." may run other tasks meanwhile: hold no pointer into shared tables across
 * it. Every wait has a deadline. A cancelled task sees each present and later wait fail with
 * ECANCELED and unwinds by its own error path; nobody frees it from outside.
 */
#ifndef GP_TASK_H
#define GP_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/clock.h"

struct task;

enum { TASK_READ = 1, TASK_WRITE = 2 };

/* Makes the loop. Call it once per process, before anything below; after fork(2) in the child
 * call task_after_fork. */
void task_init(void);
void task_after_fork(void);
/* Runs tasks until task_stop is called, from the stack of the caller. */
void task_run(void);
void task_stop(void);

/* Starts run(arg) in a task of its own; it runs when the caller next waits. name is a literal, for
 * messages. NULL with errno when no stack can be had (ENOMEM: say how many tasks there are). */
struct task *task_start(const char *name, void (*run)(void *arg), void *arg);
/* The running task; NULL outside of tasks. */
struct task *task_self(void);
/* How many tasks live. */
size_t task_count(void);
/* Present and later waits of the task fail with ECANCELED. The pointer must still be valid: a
 * task's end is announced by its own code, not by this interface. */
void task_cancel(struct task *);
/* The running task was cancelled. */
bool task_cancelled(void);
/* In the running task: cancelled is forgotten from here on (for a last, bounded good-bye). */
void task_uncancel(void);

/* Waits until the descriptor can be read or written. Returns the ready events; -1 with errno
 * ETIMEDOUT, ECANCELED or EBADF. One waiter per descriptor and direction. Waits. */
int task_wait_fd(int fd, int events, deadline);
/* Before close(2): forgets what the loop keeps about the descriptor. */
void task_forget_fd(int fd);
/* Waits. -1 with ECANCELED, else 0. */
int task_sleep_until(deadline);
/* Lets others run. After 5 ms of work, task_yield_if_long does it (outside of tasks: nothing). Waits. */
void task_yield(void);
void task_yield_if_long(void);

/* Tasks that wait for something; all zero is an empty list. */
struct task_list {
	struct task_waiter *first, *last;
};
/* Waits until woken: 0, or -1 with ETIMEDOUT or ECANCELED. The cause must be looked at again. */
int task_list_wait(struct task_list *, deadline);
void task_list_wake_one(struct task_list *);
void task_list_wake_all(struct task_list *);

/* A call from the loop, outside of any task: it must not wait. Owned by the caller; all zero
 * is an unset timer. */
struct task_timer {
	void (*run)(void *arg);
	void *arg;
	void *loop_state; /* NULL when unset; belongs to task.c */
};
/* Sets it anew; DEADLINE_NEVER or task_timer_clear unsets. It fires once. */
void task_timer_set(struct task_timer *, deadline, void (*run)(void *arg), void *arg);
void task_timer_clear(struct task_timer *);

/* Calls run(arg) from the loop each time before it goes to sleep: where batched output leaves.
 * At most 8 of them, for the life of the process. They must not wait. */
void task_before_sleep(void (*run)(void *arg), void *arg);

/* Calls run(arg, signal) from the loop when the signal came (the handler itself does nothing else
 * than wake the loop). */
void task_on_signal(int signal, void (*run)(int signal, void *arg), void *arg);

/* Deepest use of any stack that still exists, in bytes: for tests. */
size_t task_stack_peak(void);
/* gcc and clang tell differently that AddressSanitizer is on. */
#if defined(__SANITIZE_ADDRESS__)
#define TASK_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TASK_WITH_ASAN 1
#endif
#endif
#ifndef TASK_WITH_ASAN
#define TASK_WITH_ASAN 0
#endif

/* Of which only touched pages cost memory; sanitizers need more. */
#if TASK_WITH_ASAN
enum { TASK_STACK_SIZE = 262144 };
#else
enum { TASK_STACK_SIZE = 65536 };
#endif

#endif
