/* SPDX-License-Identifier: ISC */
/*
 * queue_list.h - the queue as showq tells it, and as postqueue prints it.
 *
 * On the wire each attribute is a name and a value, each ended by a NUL; an empty name ends a record.
 * The first record names the protocol, then comes one for each message, then an empty one.
 */
#ifndef GP_QUEUE_LIST_H
#define GP_QUEUE_LIST_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"

enum queue_list_form { LIST_TEXT, LIST_JSON };

struct queue_list {
	enum queue_list_form form;
	FILE *out;
	uint64_t messages, bytes;
	bool started, greeted;	/* the protocol's name came, and its whole record */
	bool ended;		/* the empty record came: the list is whole */
	bool in_value;		/* what the next byte belongs to */
	size_t in_record;	/* attributes of the record at hand so far */
	struct buf name, value; /* the attribute at hand */
	/* The message at hand, and its recipient at hand. */
	struct buf queue, id, original, address, log_class, reason, last_reason;
	int64_t time;
	uint64_t size;
	bool expired, has_head, has_rcpt, rcpt_open;
};

/* Takes what was read from showq, in pieces of any size, and prints what is complete. -1 for bytes
 * that are not of this protocol. */
int queue_list_feed(struct queue_list *, struct slice bytes);
/* After the last piece: the footer, or that the queue is empty. -1 when the list is not whole. */
int queue_list_finish(struct queue_list *);
void queue_list_clear(struct queue_list *);

#endif
