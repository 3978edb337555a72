/* SPDX-License-Identifier: ISC */
/*
 * records.c - the tables of the records.
 */
#include "common/queue/records.h"

enum { STATE_LIMIT = RECORD_RCPT_LIMIT };

static const struct wire_member message_members[] = {
	WIRE(struct record_message, 1, put.id, WIRE_REQUIRED, RECORD_ID_LIMIT),
	WIRE(struct record_message, 2, put.arrival_us, WIRE_OPTIONAL, 0),
	WIRE(struct record_message, 3, put.flags, WIRE_OPTIONAL, UINT64_MAX),
	WIRE(struct record_message, 4, put.sender, WIRE_OPTIONAL, 65536),
	WIRE(struct record_message, 5, put.envelope, WIRE_OPTIONAL, 65536),
	WIRE(struct record_message, 6, put.address, WIRE_REQUIRED, RECORD_RCPT_LIMIT),
	WIRE(struct record_message, 7, put.original, WIRE_OPTIONAL, RECORD_RCPT_LIMIT),
	WIRE(struct record_message, 8, put.orcpt, WIRE_OPTIONAL, RECORD_RCPT_LIMIT),
	WIRE(struct record_message, 9, put.notify, WIRE_OPTIONAL, RECORD_RCPT_LIMIT),
	WIRE(struct record_message, RECORD_CONTENT_TAG, put.content, WIRE_OPTIONAL,
	    RECORD_CONTENT_LIMIT),
	WIRE(struct record_message, 11, put.large_size, WIRE_OPTIONAL, INT64_MAX),
	WIRE(struct record_message, 13, state, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_message, 14, dsn, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_message, 15, reason, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_message, 16, due_us, WIRE_OPTIONAL, 0),
	WIRE(struct record_message, 17, attempts, WIRE_OPTIONAL, UINT32_MAX),
	WIRE(struct record_message, 18, deaths, WIRE_OPTIONAL, UINT32_MAX),
	WIRE(struct record_message, 19, open_attempts, WIRE_OPTIONAL, UINT32_MAX),
	WIRE(struct record_message, 20, held, WIRE_OPTIONAL, 1),
	WIRE(struct record_message, 21, marks, WIRE_OPTIONAL, RECORD_MARKS_LIMIT),
};
const struct wire_table record_message_table = WIRE_TABLE("MESSAGE", RECORD_MESSAGE,
    struct record_message, message_members, false);

static const struct wire_member status_members[] = {
	WIRE(struct record_status, 1, id, WIRE_REQUIRED, RECORD_ID_LIMIT),
	WIRE(struct record_status, 2, index, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_status, 3, state, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_status, 4, dsn, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_status, 5, reason, WIRE_OPTIONAL, STATE_LIMIT),
	WIRE(struct record_status, 6, due_us, WIRE_OPTIONAL, 0),
	WIRE(struct record_status, 7, last, WIRE_OPTIONAL, 1),
};
const struct wire_table record_status_table = WIRE_TABLE("STATUS", RECORD_STATUS,
    struct record_status, status_members, false);

static const struct wire_member note_members[] = {
	WIRE(struct record_note, 1, id, WIRE_REQUIRED, RECORD_ID_LIMIT),
};
const struct wire_table record_note_table = WIRE_TABLE("NOTE", RECORD_DONE, struct record_note,
    note_members, false);

static const struct wire_member tail_members[] = {
	WIRE(struct record_tail, 1, oldest, WIRE_REQUIRED, UINT64_MAX),
};
const struct wire_table record_tail_table = WIRE_TABLE("TAIL", RECORD_TAIL, struct record_tail,
    tail_members, false);

static const struct wire_member cut_members[] = {
	WIRE(struct record_cut, 1, from, WIRE_REQUIRED, UINT64_MAX),
};
const struct wire_table record_cut_table = WIRE_TABLE("CUT", RECORD_CUT, struct record_cut,
    cut_members, false);

static const struct wire_member mark_members[] = {
	WIRE(struct record_mark, 1, id, WIRE_REQUIRED, RECORD_ID_LIMIT),
	WIRE(struct record_mark, 2, marks, WIRE_REQUIRED, RECORD_MARKS_LIMIT),
};
const struct wire_table record_mark_table = WIRE_TABLE("MARK", RECORD_MARK, struct record_mark,
    mark_members, false);
