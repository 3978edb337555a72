/* SPDX-License-Identifier: ISC */
/*
 * queue_orders.c - orders in frames.
 */
#include "admin/queue_orders.h"

#include <stdio.h>

enum { LOOKED_AT_ONCE = 5000 };

void queue_orders_start(struct queue_orders *o, struct queue_access *access, uint64_t op,
    struct wire_texts queues, const char *doing, uint64_t total)
{
	*o = (struct queue_orders){ .access = access, .op = op, .queues = queues };
	queue_progress_start(&o->progress, doing, total);
}

static void take_oldest(struct queue_orders *o)
{
	struct order_under_way oldest = o->under_way[0];

	for (size_t i = 1; i < o->under_way_count; i++)
		o->under_way[i - 1] = o->under_way[i];
	o->under_way_count--;
	o->done += queue_access_ordered(o->access, oldest.request, NULL);
	o->answered += oldest.id_count;
	queue_progress_add(&o->progress, oldest.id_count);
}

static void send_frame(struct queue_orders *o)
{
	static struct slice ids[IDS_PER_ORDER];
	struct msg_queue_order order = {
		.op = o->op, .ids = { ids, o->id_count }, .queues = o->queues
	};

	if (o->id_count == 0)
		return;
	for (size_t i = 0; i < o->id_count; i++)
		ids[i] = slice_of(o->ids[i]);
	if (queue_access_is_direct(o->access)) {
		o->done += queue_access_order(o->access, &order, NULL);
		o->answered += o->id_count;
		queue_progress_add(&o->progress, o->id_count);
	} else {
		if (o->under_way_count == ORDERS_AT_ONCE)
			take_oldest(o);
		o->under_way[o->under_way_count++] = (struct order_under_way){
			queue_access_order_start(o->access, &order), o->id_count
		};
	}
	o->id_count = 0;
}

void queue_orders_add(struct queue_orders *o, struct slice id)
{
	snprintf(o->ids[o->id_count++], sizeof(o->ids[0]), "%.*s", (int)id.len, id.data);
	o->given++;
	if (o->id_count == IDS_PER_ORDER)
		send_frame(o);
}

void queue_orders_finish(struct queue_orders *o)
{
	send_frame(o);
	while (o->under_way_count > 0)
		take_oldest(o);
	queue_progress_end(&o->progress);
}

uint64_t queue_orders_all(struct queue_access *access, uint64_t op, struct wire_texts queues,
    const char *doing)
{
	char after[ID_LIMIT + 1] = "", until[ID_LIMIT + 1] = "";
	struct queue_progress progress;
	struct queue_ordered_some some;
	uint64_t count = 0;

	queue_progress_start(&progress, doing, 0);
	do {
		struct msg_queue_order order = { .op = op,
			.all = 1,
			.queues = queues,
			.most = LOOKED_AT_ONCE,
			.after = slice_of(after),
			.until = slice_of(until) };

		count += queue_access_order_some(access, &order, &some);
		progress.total = some.total;
		queue_progress_add(&progress, some.looked_at);
		snprintf(after, sizeof(after), "%s", some.after);
		snprintf(until, sizeof(until), "%s", some.until);
	} while (after[0] != '\0' && !queue_interrupted());
	queue_progress_end(&progress);
	return count;
}
