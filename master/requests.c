/* SPDX-License-Identifier: ISC */
/*
 * requests.c - what services tell and ask: that they are ready, how busy they are, and for channels to
 * others. master joins two processes and tells each the other's role; it never reads what they say.
 */
#include "master/master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { WAIT_SECONDS = 30 };

static struct process *process_of(struct request *r)
{
	struct channel *c = request_channel(r);

	return channel_is_closed(c) ? NULL : channel_arg(c);
}

static void ready_came(struct request *r, struct frame *first)
{
	struct msg_ready *m = first->message;
	struct process *p = process_of(r);

	if (p == NULL)
		return;
	p->ready = true;
	p->entry->failed_starts = 0;
	p->sandbox = m->sandbox;
	p->serving_pid = (pid_t)m->pid;
	p->uid = (uid_t)m->uid;
	task_list_wake_all(&p->entry->changed);
}

static void load_came(struct request *r, struct frame *first)
{
	struct msg_load *m = first->message;
	struct process *p = process_of(r);
	struct entry *e;

	if (p == NULL)
		return;
	e = p->entry;
	p->sessions = m->sessions;
	p->served = m->served;
	if (m->retire && p->draining) {
		p->closed = true;
		return;
	}
	if (m->retire) {
		process_drain(p, DRAIN_RELOAD);
		/* Its successor takes new work from now on. */
		if (e->program->kind == PROGRAM_SERVER && m->sessions > 0 && entry_is_runnable(e))
			process_start(e);
		return;
	}
	process_relieve(e);
}

static const char *join(struct request *r, struct process *asker, struct process *target)
{
	struct msg_accept accept = { (uint64_t)asker->entry->program->role,
		slice_of(asker->entry->name) };
	struct msg_connected connected = { (uint64_t)target->entry->program->role, SLICE("") };
	struct request *to_target;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return strerror(errno);
	to_target = request_open(target->channel, &table_accept, &accept, pair[0], true,
	    deadline_after(WAIT_SECONDS * CLOCK_SECOND));
	close(pair[0]);
	if (to_target == NULL) {
		close(pair[1]);
		return "its process is just ending";
	}
	request_close(to_target);
	request_send(r, &table_connected, &connected, pair[1], true,
	    deadline_after(WAIT_SECONDS * CLOCK_SECOND));
	close(pair[1]);
	return NULL;
}

/* Waits while the only process of its kind finishes: its successor follows at once. */
static const char *connect_to(struct request *r, const char *name)
{
	deadline when = deadline_after(WAIT_SECONDS * CLOCK_SECOND);
	struct process *asker, *target;

	for (;;) {
		struct entry *e = entry_find(name);

		if (e == NULL)
			return "master.cf has no such service";
		if (e->program->file == NULL)
			return e->program->note;
		if (e->throttled)
			return "it fails at its start; see the log";
		target = process_choose(e);
		asker = process_of(r);
		if (asker == NULL)
			return "gone";
		if (target != NULL)
			return join(r, asker, target);
		if (master.stopping)
			return "the mail system is stopping";
		if (task_list_wait(&e->changed, when) == -1)
			return "no process of it is free";
	}
}

static void connect_came(struct request *r, struct frame *first)
{
	struct msg_connect *m = first->message;
	char *name = slice_dup(m->service);
	const char *why = connect_to(r, name);

	if (why != NULL) {
		struct msg_connected refused = { 0, slice_of(why) };

		request_send(r, &table_connected, &refused, -1, true,
		    deadline_after(WAIT_SECONDS * CLOCK_SECOND));
	}
	free(name);
}

#define EVERY_SERVICE (~(ROLE_BIT(ROLE_MASTER) | ROLE_BIT(ROLE_NONE) | ROLE_BIT(ROLE_ADMIN)))

const struct handler service_handlers[] = {
	{ &table_ready, EVERY_SERVICE, ready_came },
	{ &table_load, EVERY_SERVICE, load_came },
	{ &table_connect, EVERY_SERVICE, connect_came },
	{ 0 },
};
