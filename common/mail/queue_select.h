/* SPDX-License-Identifier: ISC */
/*
 * queue_select.h - which messages of the queue an administrator means: conditions that must all hold.
 *
 * A condition is an option of the queue's commands with its value. Given several times it holds when one of
 * its values fits; ages and sizes can be given once. Conditions on recipients must hold for one and the
 * same recipient of those that are still open, or with "all-recipients" for each of them.
 */
#ifndef GP_QUEUE_SELECT_H
#define GP_QUEUE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct queue_select;

/* Ages count from now on. Nothing was asked for yet: every message fits. */
struct queue_select *queue_select_new(int64_t now_us);
void queue_select_free(struct queue_select *); /* NULL is fine */
/* option: "from", "to", "domain", "older", "younger", "larger", "smaller", "reason", "queue", "client",
 * "all-recipients" (without value). False with a reason on the heap. */
bool queue_select_add(struct queue_select *, const char *option, struct slice value, char **why);
/* After the last one: whether they make sense together. */
bool queue_select_check(const struct queue_select *, char **why);
/* An age as such: "90s", "30m", "2h", "5d", "1w". False: it is none; why is static. */
bool queue_select_age(struct slice, int64_t *seconds, const char **why);

/* No condition was given. */
bool queue_select_is_empty(const struct queue_select *);
/* QUEUE_... bits of the queues that were named; 0: none was, all are meant. */
unsigned queue_select_queues(const struct queue_select *);
/* What the message itself does not tell. */
bool queue_select_asks_rcpts(const struct queue_select *);
bool queue_select_asks_client(const struct queue_select *);
/* One recipient that does not fit is enough to leave the message out. */
bool queue_select_asks_all(const struct queue_select *);

struct queue_select_head {
	struct slice queue; /* "deferred" */
	int64_t arrival;    /* seconds since 1970 */
	uint64_t size;
	struct slice sender;
};
bool queue_select_has_head(const struct queue_select *, const struct queue_select_head *);
bool queue_select_has_rcpt(const struct queue_select *, struct slice address, struct slice original,
    struct slice reason);
bool queue_select_has_client(const struct queue_select *, struct slice name, struct slice address);

#endif
