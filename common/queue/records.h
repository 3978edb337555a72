/* SPDX-License-Identifier: ISC */
/*
 * records.h - what the log holds: a struct and a wire table for each record.
 *
 * Tags and types are on disks: never changed, never used again for something else.
 */
#ifndef GP_RECORDS_H
#define GP_RECORDS_H

#include "common/ipc/wire.h"
#include "common/queue/store.h"

enum record_type {
	RECORD_MESSAGE = 1,
	RECORD_STATUS,
	RECORD_ATTEMPT,
	RECORD_HOLD,
	RECORD_RELEASE,
	RECORD_DEATH,
	RECORD_DONE,
	RECORD_TAIL,
	RECORD_CUT,
	RECORD_MARK
};

enum {
	RECORD_ID_LIMIT = 64,
	RECORD_RCPT_LIMIT = 1 << 20,
	RECORD_CONTENT_LIMIT = 65536,
	RECORD_CONTENT_TAG = 10,       /* of the content in MESSAGE */
	RECORD_MARKS_LIMIT = UINT8_MAX /* the index keeps one byte for them */
};

/* A message whole: as it came in, or copied forward with its state folded in. Content that is not
 * here is in large/ID. The lists of recipients and of their state run parallel. */
struct record_message {
	struct store_message put;
	struct wire_numbers state;     /* empty: all RCPT_QUEUED */
	struct wire_texts dsn, reason; /* empty: none */
	int64_t due_us;
	uint64_t attempts, deaths, open_attempts, held, marks;
};
/* The outcome for some recipients; the lists run parallel. */
struct record_status {
	struct slice id;
	struct wire_numbers index, state;
	struct wire_texts dsn, reason;
	int64_t due_us; /* 0: no change */
	uint64_t last;	/* nothing is open after it: the message is done */
};
/* ATTEMPT, HOLD, RELEASE, DEATH, DONE. */
struct record_note {
	struct slice id;
};
/* Marks that the message has from here on, besides those that it had. */
struct record_mark {
	struct slice id;
	uint64_t marks;
};
/* Segments below this number are free. */
struct record_tail {
	uint64_t oldest;
};

/* What lies between this offset and the record itself was cut at an opening. */
struct record_cut {
	uint64_t from;
};

extern const struct wire_table record_message_table, record_status_table, record_note_table,
    record_tail_table, record_cut_table, record_mark_table;

#endif
