/* SPDX-License-Identifier: ISC */
/*
 * queue_ids.h - the ids of a selection: all that a command keeps of many messages, 20 bytes or so for each.
 */
#ifndef GP_QUEUE_IDS_H
#define GP_QUEUE_IDS_H

#include <stdint.h>

#include "admin/queue_list.h"
#include "common/base/buf.h"

struct queue_ids {
	struct buf packed; /* each with its NUL */
	size_t count;
	const char **sorted; /* after queue_ids_sort */
};

/* False when there are too many: more than 256 MiB of them. */
bool queue_ids_add(struct queue_ids *, struct slice id);
/* The next one; *at starts as 0. False at the end. */
bool queue_ids_next(const struct queue_ids *, size_t *at, struct slice *id);
/* Makes a sink that collects the ids of messages. More than that end the program with a message. */
void queue_ids_collect(struct queue_ids *, struct queue_sink *);
/* Needed before queue_ids_has. No more are added afterwards. */
void queue_ids_sort(struct queue_ids *);
bool queue_ids_has(const struct queue_ids *, struct slice id);
void queue_ids_clear(struct queue_ids *);

#endif
