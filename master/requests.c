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

/* reclaims: the channel is for what the target has in hand, and others follow. */
static const char *join(struct request *r, struct process *asker, struct process *target,
    bool reclaims)
{
	struct msg_accept accept = { (uint64_t)asker->entry->program->role,
		slice_of(asker->entry->name), reclaims };
	struct msg_connected connected = { .role = (uint64_t)target->entry->program->role,
		.service = slice_of(target->entry->name) };
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
	request_send(r, &table_connected, &connected, pair[1], !reclaims,
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
			return join(r, asker, target, false);
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
		struct msg_connected refused = { .why = slice_of(why) };

		request_send(r, &table_connected, &refused, -1, true,
		    deadline_after(WAIT_SECONDS * CLOCK_SECOND));
	}
	free(name);
}

/* The next agent behind this one that may still have deliveries of a queue manager that is gone. */
static struct process *next_agent(uint32_t after)
{
	struct process *p, *best = NULL;
	struct entry *e;

	LIST_FOREACH(e, &master.entries, link)
		LIST_FOREACH(p, &e->processes, link)
			if (e->program->role == ROLE_AGENT && p->ready &&
			    !channel_is_closed(p->channel) && p->number > after &&
			    (best == NULL || p->number < best->number))
				best = p;
	return best;
}

static void agents_came(struct request *r, struct frame *first)
{
	struct msg_connected end = { 0 };
	struct process *asker, *agent;
	uint32_t last = 0;

	(void)first;
	/* Each join waits: the processes are looked for anew. */
	while ((asker = process_of(r)) != NULL && (agent = next_agent(last)) != NULL) {
		last = agent->number;
		join(r, asker, agent, true);
	}
	request_send(r, &table_connected, &end, -1, true,
	    deadline_after(WAIT_SECONDS * CLOCK_SECOND));
}

#define EVERY_SERVICE (~(ROLE_BIT(ROLE_MASTER) | ROLE_BIT(ROLE_NONE) | ROLE_BIT(ROLE_ADMIN)))

const struct handler service_handlers[] = {
	{ &table_ready, EVERY_SERVICE, ready_came },
	{ &table_load, EVERY_SERVICE, load_came },
	{ &table_connect, EVERY_SERVICE, connect_came },
	{ &table_agents, ROLE_BIT(ROLE_QMGR), agents_came },
	{ 0 },
};
