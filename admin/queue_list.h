/* SPDX-License-Identifier: ISC */
/*
 * queue_list.h - the queue as showq tells it, a message at a time.
 *
 * On the wire each attribute is a name and a value, each ended by a NUL; an empty name ends a record.
 * The first record names the protocol, then comes one for each message, then an empty one.
 */
#ifndef GP_QUEUE_LIST_H
#define GP_QUEUE_LIST_H

#include <stdint.h>

#include "common/base/buf.h"

/* Texts are safe to show. */
struct queue_head {
	struct slice queue, id;
	struct slice sender; /* "MAILER-DAEMON": the empty one */
	int64_t arrival;     /* seconds since 1970 */
	uint64_t size;
	bool expired;
};
struct queue_rcpt {
	struct slice address, original, log_class, reason;
};

/* Who takes what was read: message, rcpt..., end for each message. */
struct queue_sink {
	void *arg;
	void (*message)(void *arg, const struct queue_head *);
	void (*rcpt)(void *arg, const struct queue_rcpt *);
	void (*end)(void *arg);
};

/* All zero but `to` is the beginning of a list. */
struct queue_list {
	const struct queue_sink *to;
	bool started, greeted;	/* the protocol's name came, and its whole record */
	bool ended;		/* the empty record came: the list is whole */
	bool in_value;		/* what the next byte belongs to */
	size_t in_record;	/* attributes of the record at hand so far */
	size_t expected;	/* the attribute that follows the last one in the table */
	struct buf name, value; /* the attribute at hand */
	/* The message at hand, and its recipient at hand. */
	struct buf queue, id, original, address, log_class, reason;
	int64_t time;
	uint64_t size;
	bool expired, has_head, rcpt_open;
};

/* Takes what was read from showq, in pieces of any size, and hands on what is complete. -1 for bytes
 * that are not of this protocol. */
int queue_list_feed(struct queue_list *, struct slice bytes);
/* After the last piece: -1 when the list is not whole. */
int queue_list_finish(const struct queue_list *);
void queue_list_clear(struct queue_list *);

#endif
