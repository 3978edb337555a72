/* SPDX-License-Identifier: ISC */
/*
 * queue_access.h - a command's way to the queue: over public/flush while the mail system runs; while it
 * is stopped, root and the owner open the store themselves.
 *
 * All of it runs in a task; what is said to be impossible ends the program with a message and a status of
 * sysexits.
 */
#ifndef GP_QUEUE_ACCESS_H
#define GP_QUEUE_ACCESS_H

#include "common/base/arena.h"
#include "common/conf/conf.h"
#include "common/ipc/messages.h"
#include "common/log/log.h"

/* For what can't be told as a message over a channel alone: a program's main work, as a task. */
void queue_access_run(void (*work)(void *arg), void *arg);

struct queue_access;
/* NULL with errno: the mail system is down (ECONNREFUSED, ENOENT), or others. Never ends the program. */
struct queue_access *queue_access_connect(struct conf *);
/* Opens the store, which needs the mail system to be stopped. As root, first gives up root for
 * queue_owner: what lies in the queue is parsed with his rights. */
struct queue_access *queue_access_direct(struct conf *);
/* The first; when the mail system is down, the second, with a warning. */
struct queue_access *queue_access_open(struct conf *);
void queue_access_close(struct queue_access *);
bool queue_access_is_direct(const struct queue_access *);

/* Carries the order out. error is NULL or has room for one number for each of the ids: 0 or errno.
 * Returns how many messages it concerned. Waits. */
uint64_t queue_access_order(struct queue_access *, const struct msg_queue_order *, uint64_t *error);

/* The same over a channel, in two steps, of which several may be under way. Waits. */
struct request *queue_access_order_start(struct queue_access *, const struct msg_queue_order *);
/* error has room for one number for each id that was named, or is NULL. */
uint64_t queue_access_ordered(struct queue_access *, struct request *, uint64_t *error);
/* An order with `most`: what the next one continues from. Waits. */
struct queue_ordered_some {
	char after[ID_LIMIT + 1], until[ID_LIMIT + 1]; /* after is empty at the end */
	uint64_t looked_at, total;
};
uint64_t queue_access_order_some(struct queue_access *, const struct msg_queue_order *,
    struct queue_ordered_some *);

/* Where at most RCPTS_PER_FRAME messages came from: texts in the arena, empty for none. Waits. */
void queue_access_clients(struct queue_access *, const struct slice *ids, size_t count,
    struct slice *name, struct slice *address, struct arena *);

/* One message. rcpts may come in several pieces; large content is in the descriptor, else fd is -1.
 * False with why (not to be freed) when it can't be read. Waits. */
struct queue_reader {
	void *arg;
	void (*message)(void *arg, const struct msg_queue_message *, int fd);
	void (*rcpts)(void *arg, const struct msg_queue_rcpts *);
};
bool queue_access_read(struct queue_access *, struct slice id, const struct queue_reader *,
    const char **why);
/* Of a store that was opened: each message as showq tells it. Waits. */
void queue_access_list(struct queue_access *,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg);

/* A line into the mail log under the tag: through the log service when a may; else, also without one,
 * through syslog. Waits. */
void queue_access_log(struct queue_access *, enum log_level, const char *tag, struct slice text);

#endif
