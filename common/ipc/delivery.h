/* SPDX-License-Identifier: ISC */
/*
 * delivery.h - what delivery agents share: the log line of a recipient, and that nothing is delivered
 * again because the queue manager died.
 */
#ifndef GP_DELIVERY_H
#define GP_DELIVERY_H

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"

/* When the parts of an attempt happened (wall clock, microseconds); 0: did not happen. */
struct delivery_times {
	int64_t start_us;     /* the agent took the request */
	int64_t connected_us; /* the connection was there (agents without one: 0) */
	int64_t end_us;
	uint64_t connection_use; /* which message over its connection it was; 0: does not matter */
};

/* soft_bounce, set once at start: what an agent calls bounced is logged as SOFTBOUNCE and told to the queue
 * manager as deferred. Not what is said of recipients that somebody only asks about. */
extern bool delivery_soft_bounce;
/* Makes what failed for good one that failed for now, in outcomes of a message with these flags, if soft_bounce
 * says so. delivery_end does it; who sends outcomes without it calls this after the log lines. */
void delivery_soften(uint64_t flags, struct arena *, struct msg_outcomes *);

/* Logs the delivery line (LOG_DELIVERY) of the recipient at this place of the request's lists. */
void delivery_log(const struct msg_deliver *, size_t at, const struct delivery_times *,
    struct slice relay, enum outcome, struct slice dsn, struct slice text);

/* Begins a delivery that shall be made once. NULL: it was asked for before, by a queue manager that is
 * gone, and the request has its answer. Waits as long as such a delivery runs. */
struct delivery_run *delivery_begin(struct request *, const struct msg_deliver *);
/* Before what can't be undone (the final dot): a queue manager that is there wants the outcome. One that has
 * just gone gets time to be followed by another, which asks for the same. False: none came. Waits. */
bool delivery_is_wanted(struct delivery_run *, deadline);
/* Handler of msg_reclaim: what is under way, or was not heard by a queue manager. */
void delivery_reclaim(struct request *, struct frame *);
/* There are outcomes that no queue manager has recorded: the service is busy. */
bool delivery_is_owed(void);
/* Sends the outcomes, and keeps them for the next who asks for the same until the queue manager says that
 * they are on stable storage. Waits. */
void delivery_end(struct delivery_run *, struct request *, const struct msg_outcomes *);

#endif
