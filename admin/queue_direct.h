/* SPDX-License-Identifier: ISC */
/*
 * queue_direct.h - the queue's store, opened by a command while the mail system is stopped. Contracts as
 * in queue_access.h; these calls block.
 */
#ifndef GP_QUEUE_DIRECT_H
#define GP_QUEUE_DIRECT_H

#include "admin/queue_access.h"
#include "common/queue/store.h"

struct queue_direct;

struct queue_direct *queue_direct_open(struct conf *);
void queue_direct_close(struct queue_direct *);
/* some: for an order of all with `most`; may be NULL. */
uint64_t queue_direct_order(struct queue_direct *, const struct msg_queue_order *, uint64_t *error,
    struct queue_ordered_some *some);
void queue_direct_clients(struct queue_direct *, const struct slice *ids, size_t count,
    struct slice *name, struct slice *address, struct arena *);
bool queue_direct_read(struct queue_direct *, struct slice id, const struct queue_reader *,
    const char **why);
void queue_direct_list(struct queue_direct *,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg);

/* For what works on the store itself. As root, becomes queue_owner: before a byte of the queue is read. */
void queue_direct_become_owner(struct conf *);
/* NULL: there never was one. */
struct store *queue_direct_store(struct queue_direct *);
/* NULL with errno; store_loaded_free. */
struct store_loaded *queue_direct_load(struct queue_direct *, struct slice id, bool content);
/* 0 or errno: when the record is durable. */
int queue_direct_put(struct queue_direct *, const struct store_loaded *);
/* The record is on its way; queue_direct_settle waits for all of them, and ends the program when one could not
 * be written. */
void queue_direct_delete(struct queue_direct *, struct slice id);
void queue_direct_settle(struct queue_direct *);

#endif
