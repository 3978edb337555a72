/* SPDX-License-Identifier: ISC */
/*
 * request.c - requests: opening, sending, receiving, the credit for it, and their end.
 *
 * An open request holds a reference to its channel, so the channel's memory outlives it; its socket
 * need not.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/ipc/internal.h"
#include "common/log/log.h"
#include "common/task/task.h"

enum {
	REQUESTS_LIMIT = 10000, /* open at once on one channel: each is a task */
	CREDIT_STEP = CHANNEL_WINDOW / 2,
	/* What an honest peer can send before it hears of credit: windows let one frame pass. */
	REQUEST_UNREAD = CHANNEL_WINDOW + CHANNEL_FRAME_LIMIT,
	CHANNEL_UNREAD = 4 * CHANNEL_TOTAL
};

void item_free(struct item *item)
{
	if (item == NULL)
		return;
	if (item->fd != -1)
		close(item->fd);
	free(item);
}

static struct request *request_new(struct channel *c, uint32_t id, bool mine)
{
	struct request *r = mem_alloc(sizeof(*r));

	r->channel = c;
	r->id = id;
	r->mine = mine;
	r->frame.fd = -1;
	TAILQ_INIT(&r->inbox);
	LIST_INSERT_HEAD(&c->requests[id % BUCKETS], r, entry);
	c->request_count++;
	c->references++;
	return r;
}

struct request *request_find(struct channel *c, uint32_t id, bool mine)
{
	struct request *r;

	LIST_FOREACH(r, &c->requests[id % BUCKETS], entry)
		if (r->id == id && r->mine == mine)
			return r;
	return NULL;
}

void request_return_credit(struct request *r, size_t bytes)
{
	struct channel *c = r->channel;

	if (bytes > r->outstanding)
		bytes = r->outstanding;
	r->outstanding -= bytes;
	c->outstanding -= bytes;
	task_list_wake_all(&r->senders);
	if (c->outstanding < CHANNEL_TOTAL)
		task_list_wake_all(&c->credit_waiters);
}

static int send_error(struct request *r)
{
	errno = r->broken || r->channel->is_closed ? EPIPE : ECONNABORTED;
	return -1;
}

/* Until the request's window and the channel's total have room. Any amount is allowed to a window
 * that is empty, so that one large frame can't wait for ever. */
static int wait_for_credit(struct request *r, deadline when)
{
	struct channel *c = r->channel;

	for (;;) {
		if (r->broken || r->given_up || c->is_closed)
			return send_error(r);
		if (r->outstanding >= CHANNEL_WINDOW) {
			if (task_list_wait(&r->senders, when) == -1)
				return -1;
		} else if (c->outstanding >= CHANNEL_TOTAL && r->outstanding > 0) {
			if (task_list_wait(&c->credit_waiters, when) == -1)
				return -1;
		} else {
			return 0;
		}
	}
}

int request_send(struct request *r, const struct wire_table *table, const void *message, int fd,
    bool last, deadline when)
{
	if (r->sent_last)
		panic("message %s after the last one of its request", table->name);
	if (wait_for_credit(r, when) == -1)
		return -1;
	return channel_output_message(r, table, message, fd, last ? FRAME_LAST : 0);
}

/* Until the channel takes another request. False with errno: it will not, and may be gone. */
static bool wait_for_room(struct channel *c, deadline when)
{
	int rc = 0;

	c->references++; /* its owner may close it meanwhile */
	while (rc == 0 && !c->is_closed && c->outstanding >= CHANNEL_TOTAL)
		rc = task_list_wait(&c->credit_waiters, when);
	if (rc == 0 && (c->is_closed || channel_is_draining(c))) {
		errno = EPIPE;
		rc = -1;
	}
	channel_release(c);
	return rc == 0;
}

struct request *request_open(struct channel *c, const struct wire_table *table, const void *message,
    int fd, bool last, deadline when)
{
	struct request *r;

	if (!wait_for_room(c, when))
		return NULL;
	r = request_new(c, ++c->next_id, true);
	if (channel_output_message(r, table, message, fd, FRAME_FIRST | (last ? FRAME_LAST : 0)) ==
	    -1) {
		r->sent_last = r->got_last = true;
		request_close(r);
		return NULL;
	}
	return r;
}

static void put_in(struct request *r, struct item *item)
{
	TAILQ_INSERT_TAIL(&r->inbox, item, entry);
	r->got_last = item->last;
	r->unread += item->len;
	r->channel->unread += item->len;
}

static void take_out(struct request *r, struct item *item)
{
	TAILQ_REMOVE(&r->inbox, item, entry);
	r->unread -= item->len;
	r->channel->unread -= item->len;
}

static void drop_current(struct request *r)
{
	if (r->current == NULL)
		return;
	r->current->fd = r->frame.fd; /* -1 when it was taken */
	item_free(r->current);
	r->current = NULL;
	r->frame = (struct frame){ .fd = -1 };
}

/* Decodes what came; it counts as taken from now on. */
static struct frame *show(struct request *r, struct item *item)
{
	const char *why;
	char credit[4];
	uint32_t taken;
	void *message = arena_alloc(request_arena(r), item->table->size);

	take_out(r, item);
	r->current = item;
	r->frame = (struct frame){ item->table, message, item->fd, item->last };
	if (!wire_decode(item->table, slice_new(item->bytes, item->len), message, r->arena, &why)) {
		char text[160];

		snprintf(text, sizeof(text), "bad message %s: %s", item->table->name, why);
		channel_broke_a_rule(r->channel, text);
		errno = EPIPE;
		return NULL;
	}
	r->taken += item->len;
	if (r->taken >= CREDIT_STEP && !r->got_last && !r->channel->is_closed) {
		taken = htole32((uint32_t)r->taken);
		memcpy(credit, &taken, sizeof(credit));
		channel_output_bare(r, FRAME_CREDIT, slice_new(credit, sizeof(credit)));
		r->taken = 0;
	}
	return &r->frame;
}

struct frame *request_receive(struct request *r, deadline when)
{
	bool was_last = r->current != NULL && r->frame.last;
	struct item *item;

	drop_current(r);
	while ((item = TAILQ_FIRST(&r->inbox)) == NULL) {
		errno = was_last || r->got_last		 ? ENODATA
		    : r->broken || r->channel->is_closed ? EPIPE
							 : ECONNABORTED;
		if (errno == ENODATA || errno == EPIPE || r->given_up)
			return NULL;
		if (task_list_wait(&r->readers, when) == -1)
			return NULL;
	}
	return show(r, item);
}

void request_close(struct request *r)
{
	struct channel *c;
	struct item *item;

	if (r == NULL)
		return;
	c = r->channel;
	drop_current(r);
	while ((item = TAILQ_FIRST(&r->inbox)) != NULL) {
		take_out(r, item);
		item_free(item);
	}
	if (!c->is_closed && !r->given_up && !(r->sent_last && r->got_last))
		channel_output_bare(r, FRAME_GIVE_UP, SLICE(""));
	LIST_REMOVE(r, entry);
	c->request_count--;
	request_return_credit(r, r->outstanding);
	arena_free(r->arena);
	free(r);
	if (c->close_when_idle && c->request_count == 0) {
		c->close_when_idle = false;
		channel_close(c);
	}
	channel_release(c); /* NOLINT(clang-analyzer-unix.Malloc): each request holds a reference */
}

struct channel *request_channel(struct request *r)
{
	return r->channel;
}

struct arena *request_arena(struct request *r)
{
	if (r->arena == NULL)
		r->arena = arena_new();
	return r->arena;
}

int request_call(struct channel *c, const struct wire_table *table, const void *message,
    const struct wire_table *wanted, void **reply, struct request **out, deadline when)
{
	struct request *r = request_open(c, table, message, -1, true, when);
	struct frame *f;
	int saved;

	*out = NULL;
	if (r == NULL)
		return -1;
	f = request_receive(r, when);
	if (f != NULL && f->table == wanted) {
		*reply = f->message;
		*out = r;
		return 0;
	}
	saved = f == NULL ? errno : EPROTO;
	request_close(r);
	errno = saved;
	return -1;
}

static void serve(void *arg)
{
	struct request *r = arg;
	struct item *item = TAILQ_FIRST(&r->inbox);
	struct frame *first = show(r, item);

	if (first != NULL) {
		/* The first frame stays while the handler receives more. */
		struct frame kept = *first;
		struct item *kept_item = r->current;

		r->current = NULL;
		r->frame = (struct frame){ .fd = -1 };
		r->handler->run(r, &kept);
		kept_item->fd = kept.fd;
		item_free(kept_item);
	}
	request_close(r);
}

const char *request_begin(struct channel *c, uint32_t id, struct item *item)
{
	const struct handler *h = c->handlers;
	struct request *r;

	while (h != NULL && h->table != NULL &&
	    !(h->table == item->table && (h->roles & ROLE_BIT(c->peer))))
		h++;
	if (h == NULL || h->table == NULL)
		return "it may not open a request with this message";
	if (request_find(c, id, false) != NULL)
		return "it opened a request twice";
	if (c->request_count >= REQUESTS_LIMIT)
		return "too many requests are open";
	r = request_new(c, id, false);
	r->handler = h;
	put_in(r, item);
	if (task_start(h->table->name, serve, r) == NULL) {
		log_error("no task for a request of %s: %zu tasks", role_name(c->peer),
		    task_count());
		request_close(r);
	}
	return NULL;
}

const char *request_continue(struct request *r, struct item *item)
{
	if (r->got_last)
		return "a message after the last one";
	if (r->unread + r->taken + item->len > REQUEST_UNREAD ||
	    r->channel->unread + item->len > CHANNEL_UNREAD)
		return "it sends more than it has credit for";
	put_in(r, item);
	task_list_wake_all(&r->readers);
	return NULL;
}

void request_heard_give_up(struct request *r)
{
	r->given_up = true;
	request_return_credit(r, r->outstanding);
	task_list_wake_all(&r->readers);
	task_list_wake_all(&r->senders);
}

void request_break(struct request *r)
{
	r->broken = true;
	task_list_wake_all(&r->readers);
	task_list_wake_all(&r->senders);
}
