/* SPDX-License-Identifier: ISC */
/*
 * queue_source.h - the queue's list: from showq, or while the mail system is stopped from the store.
 */
#ifndef GP_QUEUE_SOURCE_H
#define GP_QUEUE_SOURCE_H

#include "admin/queue_access.h"
#include "admin/queue_list.h"

/* Hands all messages to the sink. *access is opened when the store is needed, and stays open. What makes it
 * impossible, or an interrupt that was caught, ends the program with a message. In a task. Waits. */
void queue_source_list(struct conf *, struct queue_access **access, const struct queue_sink *);

#endif
