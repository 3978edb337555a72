/* SPDX-License-Identifier: ISC */
/*
 * queue_wire.h - the queue in the form that Postfix's showq tells it.
 */
#ifndef GP_QUEUE_WIRE_H
#define GP_QUEUE_WIRE_H

#include "common/base/buf.h"
#include "common/ipc/messages.h"

/* Appends what the list begins with. */
void queue_wire_start(struct buf *);
/* Appends a message, or with `continued` more of its recipients. in_message starts as false. */
void queue_wire_entry(struct buf *, const struct msg_list_entry *, bool *in_message);
/* Appends the end, without which a reader knows that the list was cut short. */
void queue_wire_end(struct buf *, bool in_message);

#endif
