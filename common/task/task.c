/* SPDX-License-Identifier: ISC */
/*
 * task.c - tasks over libev: a ready list, waits with deadlines, timers, signals.
 *
 * Watchers stay armed after they fired, since a session mostly waits for the same socket again; one that
 * fires with nobody waiting is stopped then. A task's timer is lazy too: it is set anew only when it
 * fires too early.
 */
#include "common/task/task.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/task/switch.h"

enum { POOL_LIMIT = 128, HOOK_LIMIT = 8, LONG_TURN_MS = 5 };

struct task {
	struct fiber fiber;
	const char *name;
	void (*run)(void *arg);
	void *arg;
	bool cancelled, parked, queued;
	int ready_events; /* what a descriptor wait got: TASK_READ... or -1: bad */
	deadline when;	  /* of the present wait */
	ev_timer timer;
	TAILQ_ENTRY(task) queue_entry; /* in ready or pool */
	LIST_ENTRY(task) all_entry;
};
TAILQ_HEAD(task_queue, task);

struct task_waiter {
	struct task *task;
	struct task_waiter *next, *previous;
	bool woken;
};

/* One per descriptor number. */
struct watch {
	ev_io io;
	struct task *reader, *writer;
};

struct hook {
	void (*run)(void *arg);
	void *arg;
};

static struct ev_loop *loop;
static struct fiber loop_fiber;
static struct task *running;
static struct task_queue ready = TAILQ_HEAD_INITIALIZER(ready);
static struct task_queue pool = TAILQ_HEAD_INITIALIZER(pool);
static LIST_HEAD(, task) all = LIST_HEAD_INITIALIZER(all);
static size_t pool_count, living;
static struct watch **watches;
static size_t watches_size;
static struct hook hooks[HOOK_LIMIT];
static size_t hook_count;
static bool stopped;
static deadline turn_start;

void task_init(void)
{
	if (loop != NULL)
		panic("task_init was called twice");
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (loop == NULL)
		panic("no event loop: %s", strerror(errno));
	loop_fiber.started = 1;
	ev_ref(loop); /* it sleeps, even while nothing is watched */
}

void task_after_fork(void)
{
	ev_loop_fork(loop);
}

struct task *task_self(void)
{
	return running;
}

size_t task_count(void)
{
	return living;
}

static void make_ready(struct task *t)
{
	t->parked = false;
	if (t->queued)
		return;
	t->queued = true;
	TAILQ_INSERT_TAIL(&ready, t, queue_entry);
}

/* --- life ----------------------------------------------------------------------------------------- */

/* The bottom of each stack: runs one task after the other; between them it lies in the pool. */
static void stack_main(void)
{
	struct task *self = running;

	fiber_arrived(&self->fiber, &loop_fiber);
	for (;;) {
		self->run(self->arg);
		self->run = NULL;
		fiber_switch(&self->fiber, &loop_fiber);
	}
}

static void timer_fired(struct ev_loop *, ev_timer *, int);

static struct task *new_task(void)
{
	struct task *t = TAILQ_FIRST(&pool);

	if (t != NULL) {
		TAILQ_REMOVE(&pool, t, queue_entry);
		pool_count--;
		return t;
	}
	t = mem_alloc(sizeof(*t));
	if (fiber_make(&t->fiber, TASK_STACK_SIZE, stack_main) == -1) {
		free(t);
		return NULL;
	}
	LIST_INSERT_HEAD(&all, t, all_entry);
	return t;
}

struct task *task_start(const char *name, void (*run)(void *arg), void *arg)
{
	struct task *t = new_task();

	if (t == NULL)
		return NULL;
	t->name = name;
	t->run = run;
	t->arg = arg;
	t->cancelled = false;
	t->queued = false;
	t->when = DEADLINE_NEVER;
	ev_init(&t->timer, timer_fired);
	t->timer.data = t;
	living++;
	make_ready(t);
	return t;
}

/* Its run has returned. */
static void retire(struct task *t)
{
	living--;
	ev_timer_stop(loop, &t->timer);
	if (pool_count < POOL_LIMIT) {
		TAILQ_INSERT_HEAD(&pool, t, queue_entry);
		pool_count++;
		return;
	}
	LIST_REMOVE(t, all_entry);
	fiber_unmake(&t->fiber);
	free(t);
}

static void resume(struct task *t)
{
	TAILQ_REMOVE(&ready, t, queue_entry);
	t->queued = false;
	running = t;
	turn_start = clock_now();
	fiber_switch(&loop_fiber, &t->fiber);
	running = NULL;
	if (t->run == NULL)
		retire(t);
}

/* Those that are ready now; who becomes ready meanwhile has his turn after the loop looked round. */
static void run_ready(void)
{
	struct task *last = TAILQ_LAST(&ready, task_queue);
	struct task *t;

	while (last != NULL && (t = TAILQ_FIRST(&ready)) != NULL) {
		bool was_last = t == last;

		resume(t);
		if (was_last)
			return;
	}
}

void task_run(void)
{
	stopped = false;
	while (!stopped) {
		run_ready();
		for (size_t i = 0; i < hook_count; i++)
			hooks[i].run(hooks[i].arg);
		if (!stopped)
			ev_run(loop, TAILQ_EMPTY(&ready) ? EVRUN_ONCE : EVRUN_NOWAIT);
	}
}

void task_stop(void)
{
	stopped = true;
}

void task_cancel(struct task *t)
{
	t->cancelled = true;
	if (t->parked)
		make_ready(t);
}

bool task_cancelled(void)
{
	return running->cancelled;
}

void task_uncancel(void)
{
	running->cancelled = false;
}

/* --- waiting -------------------------------------------------------------------------------------- */

static void arm_timer(struct task *t)
{
	int64_t left = t->when - clock_now();

	ev_timer_stop(loop, &t->timer);
	ev_timer_set(&t->timer, left <= 0 ? 0. : (double)left / (double)CLOCK_SECOND, 0.);
	ev_timer_start(loop, &t->timer);
}

static void timer_fired(struct ev_loop *l, ev_timer *timer, int events)
{
	struct task *t = timer->data;

	(void)l;
	(void)events;
	if (!t->parked || t->when == DEADLINE_NEVER)
		return;
	if (clock_now() >= t->when)
		make_ready(t);
	else
		arm_timer(t);
}

/* Leaves the processor until make_ready. 0, or -1 with ECANCELED; the caller finds out whether
 * what it waits for came, or only the deadline. */
static int park(deadline when)
{
	struct task *t = running;

	if (t == NULL)
		panic("a wait outside of tasks");
	if (t->cancelled) {
		errno = ECANCELED;
		return -1;
	}
	t->parked = true;
	t->when = when;
	/* A timer that is set for later than this wait must come earlier. */
	if (when != DEADLINE_NEVER &&
	    (!ev_is_active(&t->timer) ||
		(double)(when - clock_now()) / (double)CLOCK_SECOND <
		    ev_timer_remaining(loop, &t->timer)))
		arm_timer(t);
	fiber_switch(&t->fiber, &loop_fiber);
	t->parked = false;
	t->when = DEADLINE_NEVER;
	if (t->cancelled) {
		errno = ECANCELED;
		return -1;
	}
	return 0;
}

int task_sleep_until(deadline when)
{
	while (clock_now() < when)
		if (park(when) == -1)
			return -1;
	return 0;
}

void task_yield(void)
{
	struct task *t = running;

	make_ready(t);
	fiber_switch(&t->fiber, &loop_fiber);
}

void task_yield_if_long(void)
{
	if (running != NULL && clock_now() - turn_start > LONG_TURN_MS * CLOCK_MS)
		task_yield();
}

/* --- descriptors ---------------------------------------------------------------------------------- */

static void wake_waiter(struct task **waiter, int event)
{
	if (*waiter == NULL)
		return;
	(*waiter)->ready_events |= event;
	make_ready(*waiter);
}

static void fd_ready(struct ev_loop *l, ev_io *io, int events)
{
	struct watch *w = (struct watch *)io;
	int wanted;

	(void)l;
	if (events & EV_ERROR) {
		wake_waiter(&w->reader, -1);
		wake_waiter(&w->writer, -1);
		return;
	}
	if (events & EV_READ)
		wake_waiter(&w->reader, TASK_READ);
	if (events & EV_WRITE)
		wake_waiter(&w->writer, TASK_WRITE);
	wanted = (w->reader != NULL ? EV_READ : 0) | (w->writer != NULL ? EV_WRITE : 0);
	if ((events & ~wanted) == 0)
		return;
	/* Nobody waits for what came: look no further until somebody does. */
	ev_io_stop(loop, io);
	if (wanted != 0) {
		ev_io_set(io, io->fd, wanted);
		ev_io_start(loop, io);
	}
}

static struct watch *watch_of(int fd)
{
	size_t at = (size_t)fd;

	if (at >= watches_size) {
		size_t size = watches_size == 0 ? 64 : watches_size;

		while (size <= at)
			size *= 2;
		watches = mem_resize_array(watches, size, sizeof(struct watch *));
		for (size_t i = watches_size; i < size; i++)
			watches[i] = NULL;
		watches_size = size;
	}
	if (watches[at] == NULL) {
		watches[at] = mem_alloc(sizeof(struct watch));
		ev_io_init(&watches[at]->io, fd_ready, fd, 0);
	}
	return watches[at];
}

static void watch_for(struct watch *w, int events)
{
	int wanted = (events & TASK_READ ? EV_READ : 0) | (events & TASK_WRITE ? EV_WRITE : 0);
	int now = ev_is_active(&w->io) ? w->io.events & (EV_READ | EV_WRITE) : 0;

	if ((now & wanted) == wanted)
		return;
	ev_io_stop(loop, &w->io);
	ev_io_set(&w->io, w->io.fd, now | wanted);
	ev_io_start(loop, &w->io);
}

int task_wait_fd(int fd, int events, deadline when)
{
	struct task *t = running;
	struct watch *w;
	int rc;

	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	w = watch_of(fd);
	if (((events & TASK_READ) && w->reader != NULL) ||
	    ((events & TASK_WRITE) && w->writer != NULL))
		panic("two tasks wait for descriptor %d", fd);
	t->ready_events = 0;
	if (events & TASK_READ)
		w->reader = t;
	if (events & TASK_WRITE)
		w->writer = t;
	watch_for(w, events);
	rc = park(when);
	if (w->reader == t)
		w->reader = NULL;
	if (w->writer == t)
		w->writer = NULL;
	if (rc == -1)
		return -1;
	if (t->ready_events == -1 || t->ready_events == 0) {
		errno = t->ready_events == -1 ? EBADF : ETIMEDOUT;
		return -1;
	}
	return t->ready_events;
}

void task_forget_fd(int fd)
{
	struct watch *w;

	if (fd < 0 || (size_t)fd >= watches_size || watches[fd] == NULL)
		return;
	w = watches[fd];
	ev_io_stop(loop, &w->io);
	ev_io_set(&w->io, fd, 0);
	wake_waiter(&w->reader, -1);
	wake_waiter(&w->writer, -1);
	w->reader = w->writer = NULL;
}

/* --- lists ---------------------------------------------------------------------------------------- */

static void take_off(struct task_list *list, struct task_waiter *w)
{
	if (w->previous != NULL)
		w->previous->next = w->next;
	else
		list->first = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	else
		list->last = w->previous;
}

int task_list_wait(struct task_list *list, deadline when)
{
	struct task_waiter w = { .task = running, .previous = list->last };
	int rc;

	if (list->last != NULL)
		list->last->next = &w;
	else
		list->first = &w;
	list->last = &w;
	do
		rc = park(when);
	while (rc == 0 && !w.woken && clock_now() < when);
	if (!w.woken)
		take_off(list, &w);
	if (rc == -1)
		return -1;
	if (!w.woken) {
		errno = ETIMEDOUT;
		return -1;
	}
	return 0;
}

void task_list_wake_one(struct task_list *list)
{
	struct task_waiter *w = list->first;

	if (w == NULL)
		return;
	take_off(list, w);
	w->woken = true;
	make_ready(w->task);
}

void task_list_wake_all(struct task_list *list)
{
	while (list->first != NULL)
		task_list_wake_one(list);
}

/* --- calls from the loop -------------------------------------------------------------------------- */

struct loop_timer {
	ev_timer timer;
	struct task_timer *owner;
};

static void owned_timer_fired(struct ev_loop *l, ev_timer *timer, int events)
{
	struct task_timer *owner = ((struct loop_timer *)timer)->owner;
	void (*run)(void *) = owner->run;
	void *arg = owner->arg;

	(void)l;
	(void)events;
	task_timer_clear(owner);
	run(arg);
}

void task_timer_set(struct task_timer *t, deadline when, void (*run)(void *arg), void *arg)
{
	struct loop_timer *own;
	int64_t left;

	task_timer_clear(t);
	if (when == DEADLINE_NEVER)
		return;
	own = mem_alloc(sizeof(*own));
	own->owner = t;
	t->run = run;
	t->arg = arg;
	t->loop_state = own;
	left = when - clock_now();
	ev_now_update(loop);
	ev_timer_init(&own->timer, owned_timer_fired,
	    left <= 0 ? 0. : (double)left / (double)CLOCK_SECOND, 0.);
	ev_timer_start(loop, &own->timer);
}

void task_timer_clear(struct task_timer *t)
{
	struct loop_timer *own = t->loop_state;

	if (own == NULL)
		return;
	t->loop_state = NULL;
	ev_timer_stop(loop, &own->timer);
	free(own);
}

void task_before_sleep(void (*run)(void *arg), void *arg)
{
	if (hook_count == HOOK_LIMIT)
		panic("more than %d hooks before sleep", HOOK_LIMIT);
	hooks[hook_count++] = (struct hook){ run, arg };
}

struct loop_signal {
	ev_signal signal;
	void (*run)(int signal, void *arg);
	void *arg;
};

static void signal_came(struct ev_loop *l, ev_signal *w, int events)
{
	struct loop_signal *own = (struct loop_signal *)w;

	(void)l;
	(void)events;
	own->run(w->signum, own->arg);
}

void task_on_signal(int number, void (*run)(int signal, void *arg), void *arg)
{
	struct loop_signal *own = mem_alloc(sizeof(*own)); /* for the life of the process */

	own->run = run;
	own->arg = arg;
	ev_signal_init(&own->signal, signal_came, number);
	ev_signal_start(loop, &own->signal);
}

size_t task_stack_peak(void)
{
	size_t peak = 0;
	struct task *t;

	LIST_FOREACH(t, &all, all_entry) {
		size_t depth = fiber_depth(&t->fiber);

		peak = depth > peak ? depth : peak;
	}
	return peak;
}
