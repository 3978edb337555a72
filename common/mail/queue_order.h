/* SPDX-License-Identifier: ISC */
/*
 * queue_order.h - which queues of Postfix's an order for messages means.
 */
#ifndef GP_QUEUE_ORDER_H
#define GP_QUEUE_ORDER_H

#include "common/ipc/messages.h"

enum { QUEUE_INCOMING = 1, QUEUE_ACTIVE = 2, QUEUE_DEFERRED = 4, QUEUE_HOLD = 8 };

/* 0 for a name that is none. */
unsigned queue_order_bit(struct slice name);
/* The queues that the order names, of those where it makes a difference; all of these when it names
 * none. 0: no such order. */
unsigned queue_order_queues(const struct msg_queue_order *);

#endif
