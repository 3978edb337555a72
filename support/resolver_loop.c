/* SPDX-License-Identifier: ISC */
/*
 * resolver_loop.c - the event base that libunbound asks for, on our loop. Its descriptors are in an epoll set
 * of their own, which one task watches; its time-outs are timers of the loop.
 *
 * A callback may free any event, its own too: so one descriptor is asked for at a time, and nothing of
 * an event is touched after its callback.
 */
#include "support/resolver.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unbound-event.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"

enum { AT_ONCE = 64 }; /* callbacks, before others have their turn */

struct event {
	struct ub_event super;
	int fd;
	short bits;
	void (*run)(int fd, short bits, void *arg);
	void *arg;
	bool is_watched;
	struct task_timer timer;
	int64_t pause; /* of its time-out; -1: none */
};

static int set = -1;
static struct task_timer pump_timer;
static struct task_list pumped;

static void fire(struct event *e, short bits);

static void timed_out(void *arg)
{
	fire(arg, UB_EV_TIMEOUT);
}

/* Before the loop runs nothing can happen: that is enough to warm libunbound up. */
static bool is_running(void)
{
	return set != -1;
}

static void set_timer(struct event *e)
{
	if (e->pause != -1 && is_running())
		task_timer_set(&e->timer, deadline_after(e->pause), timed_out, e);
}

static int remove_event(struct ub_event *super)
{
	struct event *e = (struct event *)super;

	if (e->is_watched)
		epoll_ctl(set, EPOLL_CTL_DEL, e->fd, NULL);
	e->is_watched = false;
	task_timer_clear(&e->timer);
	return 0;
}

static int watch(struct event *e)
{
	struct epoll_event wanted = { .data.ptr = e };

	if (!is_running() || e->fd == -1 || !(e->bits & (UB_EV_READ | UB_EV_WRITE)))
		return 0;
	wanted.events = (e->bits & UB_EV_READ ? EPOLLIN : 0U) |
	    (e->bits & UB_EV_WRITE ? EPOLLOUT : 0U);
	if (epoll_ctl(set, EPOLL_CTL_ADD, e->fd, &wanted) == -1) {
		log_error("a socket to a name server can't be watched: %m");
		return -1;
	}
	e->is_watched = true;
	return 0;
}

static int64_t pause_of(const struct timeval *tv)
{
	return tv == NULL ? -1 : (int64_t)tv->tv_sec * CLOCK_SECOND + (int64_t)tv->tv_usec * 1000;
}

static int add_event(struct ub_event *super, struct timeval *tv)
{
	struct event *e = (struct event *)super;

	remove_event(super);
	e->pause = pause_of(tv);
	set_timer(e);
	return watch(e);
}

static void fire(struct event *e, short bits)
{
	if (!(e->bits & UB_EV_PERSIST))
		remove_event(&e->super);
	else
		set_timer(e);
	e->run(e->fd, bits, e->arg);
}

static void add_bits(struct ub_event *super, short bits)
{
	((struct event *)super)->bits |= bits;
}

static void delete_bits(struct ub_event *super, short bits)
{
	((struct event *)super)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *super, int fd)
{
	((struct event *)super)->fd = fd;
}

static void free_event(struct ub_event *super)
{
	if (super != NULL)
		remove_event(super);
	free(super);
}

static int add_timer(struct ub_event *super, struct ub_event_base *base,
    void (*run)(int, short, void *), void *arg, struct timeval *tv)
{
	struct event *e = (struct event *)super;

	(void)base;
	e->run = run;
	e->arg = arg;
	return add_event(super, tv);
}

static struct ub_event_vmt event_calls = {
	.add_bits = add_bits,
	.del_bits = delete_bits,
	.set_fd = set_fd,
	.free = free_event,
	.add = add_event,
	.del = remove_event,
	.add_timer = add_timer,
	.del_timer = remove_event,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits,
    void (*run)(int, short, void *), void *arg)
{
	struct event *e = mem_alloc(sizeof(*e));

	(void)base;
	*e = (struct event){ .super = { UB_EVENT_MAGIC, &event_calls },
		.fd = fd,
		.bits = bits,
		.run = run,
		.arg = arg,
		.pause = -1 };
	return &e->super;
}

static struct ub_event_base_vmt base_calls = { .new_event = new_event };
static struct ub_event_base base_of_all = { UB_EVENT_MAGIC, &base_calls };

struct ub_event_base *resolver_loop_base(void)
{
	return &base_of_all;
}

static void pump(void *arg)
{
	struct epoll_event ready;

	(void)arg;
	for (unsigned i = 0; i < AT_ONCE && epoll_wait(set, &ready, 1, 0) == 1; i++) {
		struct event *e = ready.data.ptr;
		short bits = 0;

		if (ready.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			bits |= UB_EV_READ;
		if (ready.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			bits |= UB_EV_WRITE;
		fire(e, bits & e->bits);
	}
	task_list_wake_all(&pumped);
}

static void watch_all(void *arg)
{
	(void)arg;
	while (task_wait_fd(set, TASK_READ, DEADLINE_NEVER) != -1) {
		task_timer_set(&pump_timer, clock_now(), pump, NULL);
		if (task_list_wait(&pumped, DEADLINE_NEVER) == -1)
			return;
	}
}

void resolver_loop_start(void)
{
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set == -1 || task_start("libunbound", watch_all, NULL) == NULL)
		log_fatal("event loop: %m");
}

struct call {
	struct task_timer timer;
	void (*run)(void *arg);
	void *arg;
	bool is_over;
	struct task_list waiter;
};

static void call_now(void *arg)
{
	struct call *call = arg;

	call->run(call->arg);
	call->is_over = true;
	task_list_wake_all(&call->waiter);
}

void resolver_loop_run(void (*run)(void *arg), void *arg)
{
	struct call call = { .run = run, .arg = arg };

	if (task_self() == NULL) {
		run(arg);
		return;
	}
	task_timer_set(&call.timer, clock_now(), call_now, &call);
	while (!call.is_over)
		if (task_list_wait(&call.waiter, DEADLINE_NEVER) == -1)
			task_uncancel();
}
