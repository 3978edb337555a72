/* SPDX-License-Identifier: ISC */
/*
 * orders.c - what an administrator wants of messages in the queue: flush, hold, release, requeue, delete,
 * expire. The answer comes when the disk has it.
 *
 * Each order holds for an active message, too. A delivery under way goes on to its end; what waits does
 * not begin. Who asks and may, flush_main.c has looked at.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/mail/queue_order.h"

enum { PATIENCE_SECONDS = 60, PENDING_LIMIT = 1000 };

struct order {
	const struct msg_queue_order *wanted;
	unsigned queues; /* QUEUE_... */
	uint64_t looked_at;
	uint64_t count;
	size_t pending; /* records on their way to the disk */
	int error;	/* of the last one that failed */
	struct task_list recorded;
};

/* --- doing it ------------------------------------------------------------------------------------- */

static void recorded(void *arg, int error)
{
	struct order *o = arg;

	if (error != 0 && error != ENOENT)
		o->error = error;
	o->pending--;
	task_list_wake_all(&o->recorded);
}

static void wait_until_recorded(struct order *o, size_t rest)
{
	while (o->pending > rest)
		task_list_wait(&o->recorded, DEADLINE_NEVER);
}

static void make_due(struct slice id, int64_t arrival_us)
{
	struct memory memory = { .arrival_boot_us = age_arrival_boot_us(arrival_us, age_now()) };

	if (message_find(id) == NULL && !due_now(id, false))
		due_add(id, 0, memory);
}

static void hold(struct order *o, const struct store_summary *s, struct slice id)
{
	struct message *m = message_find(id);

	(void)s;
	if (m != NULL)
		m->held = true;
	o->pending++;
	store_hold(store, id, recorded, o);
	log_event(LOG_HELD, { "id", id });
}

static void free_from_hold(struct order *o, const struct store_summary *s, struct slice id)
{
	struct message *m = message_find(id);

	if (!s->held)
		return;
	if (m != NULL)
		m->held = false;
	o->pending++;
	store_release(store, id, recorded, o);
	log_event(LOG_RELEASED, { "id", id });
}

static void release(struct order *o, const struct store_summary *s, struct slice id)
{
	free_from_hold(o, s, id);
	make_due(id, s->arrival_us);
}

static void requeue(struct order *o, const struct store_summary *s, struct slice id)
{
	struct message *m = message_find(id);

	free_from_hold(o, s, id);
	if (m != NULL)
		m->memory.requeue = true;
	o->pending++;
	store_mark(store, id, STORE_REQUEUE, recorded, o);
	log_event(LOG_REQUEUED, { "id", id });
	make_due(id, s->arrival_us);
}

static void delete (struct order *o, const struct store_summary *s, struct slice id)
{
	struct message *m = message_find(id);

	(void)s;
	if (m != NULL)
		m->is_deleted = true;
	due_forget(id);
	o->pending++;
	store_delete(store, id, recorded, o);
	log_event(LOG_REMOVED, { "id", id });
}

static void expire(struct order *o, const struct store_summary *s, struct slice id)
{
	struct message *m = message_find(id);
	bool held = s->held;

	if (m != NULL)
		m->is_expired = true;
	if (o->wanted->op == ORDER_EXPIRE_RELEASE) {
		free_from_hold(o, s, id);
		held = false;
	}
	o->pending++;
	store_mark(store, id, STORE_EXPIRE, recorded, o);
	log_event(LOG_FORCE_EXPIRED, { "id", id });
	if (!held)
		make_due(id, s->arrival_us);
}

static void flush(struct order *o, const struct store_summary *s, struct slice id)
{
	(void)o;
	(void)s;
	due_now(id, true);
}

/* 0, or ENOENT when it is in none of the queues that were named. */
static int apply(struct order *o, const struct store_summary *s)
{
	static void (*const orders[])(struct order *, const struct store_summary *,
	    struct slice id) = {
		[ORDER_FLUSH] = flush,
		[ORDER_HOLD] = hold,
		[ORDER_RELEASE] = release,
		[ORDER_REQUEUE] = requeue,
		[ORDER_DELETE] = delete,
		[ORDER_EXPIRE] = expire,
		[ORDER_EXPIRE_RELEASE] = expire,
	};
	char id[ID_LIMIT + 1]; /* that of the summary goes with the message */

	if ((o->queues & queue_order_bit(slice_of(listing_queue(s)))) == 0)
		return ENOENT;
	snprintf(id, sizeof(id), "%s", s->id);
	orders[o->wanted->op](o, s, slice_of(id));
	o->count++;
	return 0;
}

/* --- which messages ------------------------------------------------------------------------------- */

static void order_ids(struct order *o, struct wire_numbers *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		struct store_summary s;

		errors->items[i] = store_summary(store, o->wanted->ids.items[i], &s)
		    ? (uint64_t)apply(o, &s)
		    : ENOENT;
		wait_until_recorded(o, PENDING_LIMIT);
		task_yield_if_long();
	}
}

/* Ids grow. "": the queue is empty. */
static void find_last(char last[ID_LIMIT + 1])
{
	struct store_summary s;

	last[0] = '\0';
	while (store_next(store, slice_of(last), &s)) {
		snprintf(last, ID_LIMIT + 1, "%s", s.id);
		task_yield_if_long();
	}
}

/* What comes after `until` is not meant: requeued messages do, and would be requeued again. False: there may
 * be more behind `after`. */
static bool order_all(struct order *o, char after[ID_LIMIT + 1], char until[ID_LIMIT + 1])
{
	struct store_summary s;

	snprintf(after, ID_LIMIT + 1, "%.*s", (int)o->wanted->after.len, o->wanted->after.data);
	snprintf(until, ID_LIMIT + 1, "%.*s", (int)o->wanted->until.len, o->wanted->until.data);
	if (until[0] == '\0')
		find_last(until);
	while (store_next(store, slice_of(after), &s) && strcmp(s.id, until) <= 0) {
		snprintf(after, ID_LIMIT + 1, "%s", s.id);
		apply(o, &s);
		wait_until_recorded(o, PENDING_LIMIT);
		task_yield_if_long();
		if (++o->looked_at == o->wanted->most)
			return false;
	}
	return true;
}

static uint64_t messages_in_queue(void)
{
	struct store_counters c;

	store_counters(store, &c);
	return c.messages;
}

/* --- sites ---------------------------------------------------------------------------------------- */

static bool is_at(struct slice address, struct slice site)
{
	struct slice end = slice_part(address,
	    address.len - (site.len < address.len ? site.len : 0), address.len);

	return address.len > site.len && address.data[address.len - site.len - 1] == '@' &&
	    slice_equal_nocase(end, site);
}

/* Whether a recipient that waits is in the domain. */
static bool goes_to(const struct store_loaded *l, struct slice site)
{
	for (size_t i = 0; i < l->message.address.count; i++)
		if ((l->state[i] == RCPT_QUEUED || l->state[i] == RCPT_DEFERRED) &&
		    is_at(l->message.address.items[i], site))
			return true;
	return false;
}

static void order_some_of_site(struct order *o, const struct slice *ids, size_t count)
{
	struct store_loaded *loaded[DUE_PAGE];
	struct store_summary s;

	store_read_several_wait(ids, loaded, count);
	for (size_t i = 0; i < count; i++) {
		if (loaded[i] == NULL)
			continue;
		due_know_sites(ids[i], sites_of(loaded[i]->message.address));
		if (goes_to(loaded[i], o->wanted->site) && store_summary(store, ids[i], &s))
			apply(o, &s);
		store_loaded_free(loaded[i]);
	}
}

/* One at a time: after the first one since we started the next one knows what need not be read. */
static void order_site(struct order *o)
{
	static struct task_list turn;
	static bool running;
	struct due_page *page = mem_alloc(sizeof(*page));
	uint32_t site = sites_bit(o->wanted->site);

	while (running)
		task_list_wait(&turn, DEADLINE_NEVER);
	running = true;
	while (due_next_page(page, site)) {
		order_some_of_site(o, page->ids, page->count);
		task_yield_if_long();
	}
	running = false;
	task_list_wake_one(&turn);
	free(page);
}

/* --- the request ---------------------------------------------------------------------------------- */

void orders_order(struct request *r, struct frame *first)
{
	struct order o = { .wanted = first->message };
	const struct msg_queue_order *wanted = o.wanted;
	struct msg_queue_ordered answer = { 0 };
	char why[100], after[ID_LIMIT + 1] = "", until[ID_LIMIT + 1] = "";

	o.queues = queue_order_queues(wanted);
	if (wanted->op == ORDER_FLUSH)
		schedule_revive_all();
	answer.error.count = wanted->ids.count;
	answer.error.items = arena_alloc(request_arena(r),
	    (wanted->ids.count + 1) * sizeof(uint64_t));
	if (wanted->ids.count > 0)
		order_ids(&o, &answer.error);
	else if (wanted->site.len > 0)
		order_site(&o);
	else if (wanted->all && wanted->op == ORDER_FLUSH)
		o.count = due_flush();
	else if (wanted->all && !order_all(&o, after, until)) {
		answer.after = slice_of(after);
		answer.until = slice_of(until);
	}
	wait_until_recorded(&o, 0);
	answer.count = o.count;
	answer.looked_at = o.looked_at;
	answer.total = messages_in_queue();
	snprintf(why, sizeof(why), "the queue could not be written: %s", strerror(o.error));
	if (o.error != 0)
		answer.why = slice_of(why);
	request_send(r, &table_queue_ordered, &answer, -1, true,
	    deadline_after(PATIENCE_SECONDS * CLOCK_SECOND));
}
