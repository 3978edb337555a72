/* SPDX-License-Identifier: ISC */
/*
 * queue_history.h - what the records of a log, taken in their order, tell of each message: its recipients'
 * states, and how it ended.
 */
#ifndef GP_QUEUE_HISTORY_H
#define GP_QUEUE_HISTORY_H

#include <bsd/sys/tree.h>

#include "common/queue/inspect.h"

enum message_fate { FATE_QUEUED, FATE_DONE, FATE_REMOVED };

/* RCPT_QUEUED to RCPT_BOUNCED, and what an administrator removed. */
enum { STATE_REMOVED = RCPT_BOUNCED + 1, STATE_COUNT };

struct history_message {
	RB_ENTRY(history_message) link;
	char id[RECORD_ID_LIMIT + 1];
	enum message_fate fate;
	uint64_t segment; /* that its MESSAGE lies in */
	int64_t arrival_us, due_us;
	uint64_t size, attempts, deaths, marks;
	bool large, held;
	size_t rcpt_count;
	uint8_t *state; /* of each recipient */
};
RB_HEAD(history_tree, history_message);

struct history {
	struct history_tree messages;
	/* Those that have records here, but whose MESSAGE is not in the log any more: they ended. */
	uint64_t records_of_others;
};

/* Takes the next record. A record that contradicts what came before is a reason (static, for a fault of the
 * queue); else NULL. */
const char *history_take(struct history *, const struct inspect_record *);
/* At the end of the log: forgets what lies in segments that were freed. */
void history_settle(struct history *, uint64_t oldest);
struct history_message *history_find(struct history *, struct slice id);
/* How many recipients are in each state. */
void history_count(const struct history_message *, uint64_t count[STATE_COUNT]);
const char *history_state_name(size_t state);
void history_clear(struct history *);

RB_PROTOTYPE(history_tree, history_message, link, history_compare)

#endif
