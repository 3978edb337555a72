/* SPDX-License-Identifier: ISC */
/*
 * queue_orders.h - one order for many messages: several frames of ids are under way at once, so that their
 * records share flushes.
 */
#ifndef GP_QUEUE_ORDERS_H
#define GP_QUEUE_ORDERS_H

#include "admin/queue_access.h"
#include "admin/queue_progress.h"

enum { ORDERS_AT_ONCE = 4 };

struct request;
struct queue_orders {
	struct queue_access *access;
	uint64_t op;
	struct wire_texts queues;
	uint64_t given, answered, done; /* ids; done: those that it concerned */
	struct queue_progress progress;
	/* The frame at hand, and those under way, oldest first. */
	char ids[IDS_PER_ORDER][ID_LIMIT + 1];
	size_t id_count;
	struct order_under_way {
		struct request *request;
		size_t id_count;
	} under_way[ORDERS_AT_ONCE];
	size_t under_way_count;
};

/* total: ids that will be given, for the progress; 0 when nobody knows. The structure is large. */
void queue_orders_start(struct queue_orders *, struct queue_access *, uint64_t op,
    struct wire_texts queues, const char *doing, uint64_t total);
/* At most ID_LIMIT bytes. Ends the program when an order is refused, after a word on what was done. Waits. */
void queue_orders_add(struct queue_orders *, struct slice id);
/* Sends the rest and waits for all answers. Waits. */
void queue_orders_finish(struct queue_orders *);
/* All messages in these queues, in pieces, until none is left or an interrupt was caught. Returns how many it
 * concerned. Waits. */
uint64_t queue_orders_all(struct queue_access *, uint64_t op, struct wire_texts queues,
    const char *doing);

#endif
