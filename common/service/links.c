/* SPDX-License-Identifier: ISC */
/*
 * links.c - channels to other services, made by master when they are first wanted and again after they
 * were lost; and those that others have to us.
 */
#include "common/service/internal.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"

/* To an entry of master.cf. */
struct link {
	LIST_ENTRY(link) entry;
	char *name;
	struct channel *channel;
	bool connecting;
	struct task_list waiters;
};

/* From another process. */
struct incoming {
	LIST_ENTRY(incoming) entry;
	struct channel *channel;
};

static LIST_HEAD(, link) links = LIST_HEAD_INITIALIZER(links);
static LIST_HEAD(, incoming) incomings = LIST_HEAD_INITIALIZER(incomings);

static struct link *link_of(const char *name)
{
	struct link *l;

	LIST_FOREACH(l, &links, entry)
		if (strcmp(l->name, name) == 0)
			return l;
	l = mem_alloc(sizeof(*l));
	l->name = mem_strdup(name);
	LIST_INSERT_HEAD(&links, l, entry);
	return l;
}

static void link_closed(struct channel *c, void *arg)
{
	struct link *l = arg;

	if (l != NULL && l->channel == c)
		l->channel = NULL;
	channel_close(c);
}

static struct channel *connect_to(const char *entry, void (*closed)(struct channel *, void *),
    void *arg, deadline when)
{
	struct msg_connect wish = { slice_of(entry) };
	struct request *r = request_open(running.master, &table_connect, &wish, -1, true, when);
	struct channel *channel = NULL;
	struct msg_connected *answer;
	struct frame *f;

	if (r == NULL)
		return NULL;
	f = request_receive(r, when);
	if (f == NULL || f->table != &table_connected) {
		int saved = f == NULL ? errno : EPROTO;

		request_close(r);
		errno = saved;
		return NULL;
	}
	answer = f->message;
	if (f->fd != -1 && answer->role < ROLE_COUNT) {
		channel = channel_new(f->fd, (enum role)answer->role, running.service->handlers,
		    closed, arg);
		f->fd = -1;
	} else {
		log_warning("no connection to service %s: %.*s", entry, (int)answer->why.len,
		    answer->why.data);
	}
	request_close(r);
	if (channel == NULL)
		errno = ECONNREFUSED;
	return channel;
}

void service_agents(void (*visit)(const char *entry, struct channel *), deadline when)
{
	struct request *r = request_open(running.master, &table_agents, &(struct msg_agents){ 0 },
	    -1, true, when);
	struct frame *f;

	while (r != NULL && (f = request_receive(r, when)) != NULL &&
	    f->table == &table_connected && f->fd != -1) {
		struct msg_connected *m = f->message;
		char *entry = slice_dup(m->service);
		struct channel *c = channel_new(f->fd, ROLE_AGENT, running.service->handlers, NULL,
		    NULL);

		f->fd = -1;
		visit(entry, c);
		free(entry);
	}
	request_close(r);
}

struct channel *service_new_channel(const char *entry, deadline when)
{
	return connect_to(entry, NULL, NULL, when);
}

struct channel *service_channel(const char *entry, deadline when)
{
	struct link *l = link_of(entry);

	if (l->channel != NULL && channel_is_draining(l->channel)) {
		struct channel *old = l->channel;

		l->channel = NULL;
		channel_close_when_idle(old);
	}
	while (l->channel == NULL) {
		if (l->connecting) {
			if (task_list_wait(&l->waiters, when) == -1)
				return NULL;
			if (l->channel == NULL && !l->connecting) {
				errno = ECONNREFUSED;
				return NULL;
			}
			continue;
		}
		l->connecting = true;
		l->channel = connect_to(entry, link_closed, l, when);
		l->connecting = false;
		int saved = errno;
		task_list_wake_all(&l->waiters);
		errno = saved;
		if (l->channel == NULL)
			return NULL;
	}
	return l->channel;
}

int service_ask(const char *entry, const struct wire_table *table, const void *message,
    const struct wire_table *wanted, void **reply, struct request **r, deadline when)
{
	*r = NULL;
	for (int attempt = 0; attempt < 2; attempt++) {
		struct channel *c = service_channel(entry, when);

		if (c == NULL)
			return -1;
		if (request_call(c, table, message, wanted, reply, r, when) == 0)
			return 0;
		if (errno != EPIPE && errno != ECONNABORTED)
			return -1;
	}
	return -1;
}

/* --- from others ---------------------------------------------------------------------------------- */

static void incoming_closed(struct channel *c, void *arg)
{
	struct incoming *in = arg;

	LIST_REMOVE(in, entry);
	free(in);
	channel_close(c);
	load_changed();
}

void links_accept(struct request *r, struct frame *first)
{
	struct msg_accept *m = first->message;
	struct incoming *in;

	(void)r;
	if (first->fd == -1 || m->role >= ROLE_COUNT)
		return;
	in = mem_alloc(sizeof(*in));
	in->channel = channel_new(first->fd, (enum role)m->role, running.service->handlers,
	    incoming_closed, in);
	first->fd = -1;
	LIST_INSERT_HEAD(&incomings, in, entry);
	if (running.draining && !m->reclaims)
		channel_drain(in->channel);
}

void links_drain(void)
{
	struct incoming *in;

	LIST_FOREACH(in, &incomings, entry)
		channel_drain(in->channel);
}

bool links_are_drained(void)
{
	struct incoming *in;

	LIST_FOREACH(in, &incomings, entry)
		if (!channel_is_drained(in->channel))
			return false;
	return true;
}

size_t links_load(void)
{
	struct incoming *in;
	size_t load = 0;

	LIST_FOREACH(in, &incomings, entry)
		load += channel_load(in->channel);
	return load;
}
