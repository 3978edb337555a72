/* SPDX-License-Identifier: ISC */
/*
 * channel.c - the life of a channel: its owner, its peer, its socket and their end.
 *
 * Memory goes with the last reference: the owner, the tasks and the open requests hold one each.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/internal.h"
#include "common/log/log.h"
#include "common/task/task.h"

const char *role_name(enum role role)
{
	static const char *const names[ROLE_COUNT] = { "nobody", "master", "smtpd", "cleanup",
		"rewrite", "qmgr", "showq", "a delivery agent", "bounce", "pickup", "resolver",
		"tlsmgr", "dialer", "proxymap", "anvil", "verify", "postlogd", "local's monitor",
		"an administrator", "flush" };

	return role < ROLE_COUNT ? names[role] : "an unknown role";
}

void channel_release(struct channel *c)
{
	if (--c->references > 0)
		return;
	buf_clear(&c->out);
	buf_clear(&c->in);
	free(c->out_fds);
	free(c);
}

void channel_shut(struct channel *c)
{
	if (c->is_closed)
		return;
	c->is_closed = true;
	task_forget_fd(c->fd);
	close(c->fd);
	channel_input_forget(c);
	channel_output_forget(c);
	for (size_t i = 0; i < BUCKETS; i++) {
		struct request *r;

		LIST_FOREACH(r, &c->requests[i], entry)
			request_break(r);
	}
	task_list_wake_all(&c->credit_waiters);
}

void channel_broke_a_rule(struct channel *c, const char *why)
{
	if (c->is_closed)
		return;
	log_warning("channel to %s: %s: closing it", role_name(c->peer), why);
	channel_shut(c);
}

void channel_close(struct channel *c)
{
	if (c == NULL)
		return;
	c->closed = NULL;
	if (!c->is_closed && c->is_dirty)
		channel_output_flush(); /* the last words, if the socket takes them at once */
	if (c->reader != NULL && c->reader != task_self())
		task_cancel(c->reader);
	channel_shut(c);
	channel_release(c);
}

bool channel_is_closed(const struct channel *c)
{
	return c->is_closed;
}

void channel_drain(struct channel *c)
{
	if (c->is_closed || c->sent_drain || c->is_draining)
		return;
	c->sent_drain = true;
	channel_output_drain(c);
}

bool channel_is_drained(const struct channel *c)
{
	return c->is_closed || (c->request_count == 0 && (c->drain_heard || !c->sent_drain));
}

bool channel_is_draining(const struct channel *c)
{
	return c->is_draining && !c->sent_drain;
}

void channel_close_when_idle(struct channel *c)
{
	if (c->request_count == 0)
		channel_close(c);
	else
		c->close_when_idle = true;
}

enum role channel_peer(const struct channel *c)
{
	return c->peer;
}

size_t channel_load(const struct channel *c)
{
	return c->request_count;
}

void *channel_arg(const struct channel *c)
{
	return c->arg;
}

static void read_on(void *arg)
{
	struct channel *c = arg;
	int rc = 0;

	while (!c->is_closed && rc != -1) {
		if (task_wait_fd(c->fd, TASK_READ, DEADLINE_NEVER) == -1)
			break;
		rc = channel_input_read(c);
	}
	channel_shut(c);
	c->reader = NULL;
	if (c->closed != NULL)
		c->closed(c, c->arg);
	channel_release(c);
}

struct channel *channel_new(int fd, enum role peer, const struct handler *handlers,
    void (*closed)(struct channel *, void *arg), void *arg)
{
	struct channel *c = mem_alloc(sizeof(*c));

	channel_output_start();
	io_set_nonblocking(fd);
	c->fd = fd;
	c->peer = peer;
	c->handlers = handlers;
	c->closed = closed;
	c->arg = arg;
	c->references = 2; /* the owner and the reader */
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&c->requests[i]);
	c->reader = task_start("channel reader", read_on, c);
	if (c->reader == NULL)
		panic("no task for a channel: %zu tasks", task_count());
	return c;
}
