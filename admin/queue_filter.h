/* SPDX-License-Identifier: ISC */
/*
 * queue_filter.h - of a list of the queue only the messages that a selection means, on their way from the
 * list to whoever prints, counts or collects them.
 *
 * A message whose recipients decide is kept until they have; of messages that wait for what is known of
 * their clients there are at most 100.
 */
#ifndef GP_QUEUE_FILTER_H
#define GP_QUEUE_FILTER_H

#include "admin/queue_ids.h"
#include "admin/queue_list.h"
#include "common/base/arena.h"
#include "common/mail/queue_select.h"

struct held_message;
struct queue_filter {
	struct queue_sink sink; /* feed this */
	const struct queue_sink *to;
	const struct queue_select *select;
	unsigned queues;	      /* QUEUE_... bits of those that are meant besides; 0: all */
	const struct queue_ids *only; /* these alone; NULL: all */
	/* The name and address of the client that each of these messages came from, empty when it came
	 * from none or has gone. For selections that ask for it. */
	void (*clients)(void *arg, const struct slice *ids, size_t count, struct slice *name,
	    struct slice *address);
	void *clients_arg;

	uint64_t looked_at;
	enum { FILTER_SKIPS, FILTER_PASSES, FILTER_HOLDS } state;
	bool one_fits, one_differs; /* of the recipients so far */
	struct arena *arena;
	struct held_message *first, *last; /* last: the one at hand while it is held */
	size_t held;			   /* before it */
};

/* It must not move afterwards. The members of the first part may be set then. */
void queue_filter_init(struct queue_filter *, const struct queue_select *,
    const struct queue_sink *);
/* After the last message: lets go what waits, and releases what it holds. */
void queue_filter_finish(struct queue_filter *);

#endif
