/* SPDX-License-Identifier: ISC */
/*
 * queue_filter.c - lets pass what is selected. What the head of a message decides is not kept at all.
 */
#include "admin/queue_filter.h"

#include "common/ipc/messages.h"
#include "common/mail/queue_order.h"

enum { HELD_MOST = RCPTS_PER_FRAME, HELD_BYTES = 4 * 1024 * 1024 };

struct held_rcpt {
	struct held_rcpt *next;
	struct queue_rcpt rcpt;
};
struct held_message {
	struct held_message *next;
	struct queue_head head;
	struct held_rcpt *first, **end;
};

/* --- what is kept --------------------------------------------------------------------------------- */

static void hold_message(struct queue_filter *f, const struct queue_head *m)
{
	struct held_message *h = arena_alloc(f->arena, sizeof(*h));

	h->head = *m;
	h->head.queue = arena_copy(f->arena, m->queue);
	h->head.id = arena_copy(f->arena, m->id);
	h->head.sender = arena_copy(f->arena, m->sender);
	h->end = &h->first;
	if (f->last == NULL)
		f->first = h;
	else
		f->last->next = h;
	f->last = h;
}

static void hold_rcpt(struct queue_filter *f, const struct queue_rcpt *r)
{
	struct held_rcpt *h = arena_alloc(f->arena, sizeof(*h));

	h->rcpt = (struct queue_rcpt){ arena_copy(f->arena, r->address),
		arena_copy(f->arena, r->original), arena_copy(f->arena, r->log_class),
		arena_copy(f->arena, r->reason) };
	*f->last->end = h;
	f->last->end = &h->next;
}

static void tell_held(const struct queue_filter *f, const struct held_message *m)
{
	f->to->message(f->to->arg, &m->head);
	for (const struct held_rcpt *r = m->first; r != NULL; r = r->next)
		f->to->rcpt(f->to->arg, &r->rcpt);
}

static void drop_all(struct queue_filter *f)
{
	f->first = f->last = NULL;
	f->held = 0;
	arena_reset(f->arena);
}

/* The one at hand is not wanted. Those before it still wait. */
static void drop_last(struct queue_filter *f)
{
	struct held_message *m = f->first;

	f->state = FILTER_SKIPS;
	if (f->held == 0) {
		drop_all(f);
		return;
	}
	for (size_t i = 1; i < f->held; i++)
		m = m->next;
	m->next = NULL;
	f->last = m;
}

/* --- clients -------------------------------------------------------------------------------------- */

static void ask_for_clients(struct queue_filter *f)
{
	struct slice *ids = arena_alloc(f->arena, 3 * HELD_MOST * sizeof(*ids));
	struct slice *name = ids + HELD_MOST, *address = ids + 2 * HELD_MOST;
	size_t i = 0;

	for (const struct held_message *m = f->first; m != NULL; m = m->next)
		ids[i++] = m->head.id;
	if (i == 0)
		return;
	f->clients(f->clients_arg, ids, i, name, address);
	i = 0;
	for (const struct held_message *m = f->first; m != NULL; m = m->next, i++) {
		if (!queue_select_has_client(f->select, name[i], address[i]))
			continue;
		tell_held(f, m);
		f->to->end(f->to->arg);
	}
	drop_all(f);
}

/* --- the list ------------------------------------------------------------------------------------- */

/* What the list calls it is no address. */
static struct slice sender_of(const struct queue_head *m)
{
	return slice_equal(m->sender, SLICE("MAILER-DAEMON")) ? SLICE("") : m->sender;
}

static bool head_fits(const struct queue_filter *f, const struct queue_head *m)
{
	struct queue_select_head head = { m->queue, m->arrival, m->size, sender_of(m) };

	return (f->queues == 0 || (f->queues & queue_order_bit(m->queue)) != 0) &&
	    queue_select_has_head(f->select, &head) &&
	    (f->only == NULL || queue_ids_has(f->only, m->id));
}

static void on_message(void *arg, const struct queue_head *m)
{
	struct queue_filter *f = arg;

	f->looked_at++;
	f->one_fits = f->one_differs = false;
	f->state = FILTER_SKIPS;
	if (f->held > 0 && arena_used(f->arena) > HELD_BYTES)
		ask_for_clients(f); /* some of it is of messages that were dropped */
	if (!head_fits(f, m))
		return;
	if (queue_select_asks_rcpts(f->select) || queue_select_asks_client(f->select)) {
		f->state = FILTER_HOLDS;
		hold_message(f, m);
		return;
	}
	f->state = FILTER_PASSES;
	f->to->message(f->to->arg, m);
}

static void on_rcpt(void *arg, const struct queue_rcpt *r)
{
	struct queue_filter *f = arg;
	bool fits;

	if (f->state == FILTER_PASSES)
		f->to->rcpt(f->to->arg, r);
	if (f->state != FILTER_HOLDS)
		return;
	fits = queue_select_has_rcpt(f->select, r->address, r->original, r->reason);
	f->one_fits |= fits;
	f->one_differs |= !fits;
	hold_rcpt(f, r);
	if (f->one_differs && queue_select_asks_all(f->select)) {
		drop_last(f);
	} else if (fits && !queue_select_asks_all(f->select) &&
	    !queue_select_asks_client(f->select)) {
		tell_held(f, f->last);
		drop_all(f);
		f->state = FILTER_PASSES;
	}
}

static void end_held(struct queue_filter *f)
{
	if (queue_select_asks_rcpts(f->select) && !f->one_fits) {
		drop_last(f);
	} else if (!queue_select_asks_client(f->select)) {
		tell_held(f, f->last);
		f->to->end(f->to->arg);
		drop_all(f);
	} else if (++f->held == HELD_MOST || arena_used(f->arena) > HELD_BYTES) {
		ask_for_clients(f);
	}
}

static void on_end(void *arg)
{
	struct queue_filter *f = arg;

	if (f->state == FILTER_PASSES)
		f->to->end(f->to->arg);
	else if (f->state == FILTER_HOLDS)
		end_held(f);
	f->state = FILTER_SKIPS;
}

void queue_filter_init(struct queue_filter *f, const struct queue_select *select,
    const struct queue_sink *to)
{
	*f = (struct queue_filter){ .to = to, .select = select, .arena = arena_new() };
	f->sink = (struct queue_sink){ f, on_message, on_rcpt, on_end };
}

void queue_filter_finish(struct queue_filter *f)
{
	ask_for_clients(f);
	arena_free(f->arena);
}
