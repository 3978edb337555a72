/* SPDX-License-Identifier: ISC */
/*
 * inspect.h - the log of a queue that nobody has open, read without changing a byte: for commands, and for
 * copies of a queue.
 *
 * It reads the same segments and frames as an opening (scan.c, recover.c) and comes to the same result, but
 * repairs nothing and tells everything.
 */
#ifndef GP_QUEUE_INSPECT_H
#define GP_QUEUE_INSPECT_H

#include "common/queue/records.h"

/* A file of log/. */
enum inspect_kind {
	INSPECT_USED,	  /* it holds records */
	INSPECT_FREE,	  /* its records were freed; it will be used again */
	INSPECT_BLANK,	  /* never used */
	INSPECT_SET_ASIDE /* damaged-...: bytes that an opening saved */
};
struct inspect_file {
	const char *name; /* "log/00000001" */
	enum inspect_kind kind;
	uint64_t number; /* of its use; 0: none */
	uint64_t size, records;
	uint64_t end; /* of what is valid in it */
};

struct inspect_record {
	const char *file;
	uint64_t segment, offset, len; /* the frame */
	enum record_type type;
	/* The record as its table says; texts hold until the call returns. */
	const struct wire_table *table;
	const void *record;
};

/* Bytes that are not what they should be. */
struct inspect_fault {
	char *file;
	uint64_t segment; /* 0: of none in use */
	uint64_t offset, len;
	char id[RECORD_ID_LIMIT + 1]; /* of the message that is hit; empty: not known */
	char *what;
	const char *advice; /* static; NULL: none */
	bool harmless;	    /* a crash leaves it; the next opening puts it right */
};

struct inspect {
	int directory; /* of the queue */
	void *arg;
	/* Each may be NULL. record: in the order of the log, of all segments in use. progress: bytes so far and in
	 * all. */
	void (*record)(void *arg, const struct inspect_record *);
	void (*progress)(void *arg, uint64_t done, uint64_t total);

	/* The result. */
	struct inspect_file *files;
	size_t file_count;
	struct inspect_fault *faults;
	size_t fault_count;
	uint64_t oldest; /* number of the oldest segment in use */
};

/* Reads the log whole. -1 with errno: there is none, or it can't be listed. */
int inspect_log(struct inspect *);
void inspect_clear(struct inspect *);
/* Appends a fault of the caller's own; the texts are copied. */
struct inspect_fault *inspect_add_fault(struct inspect *, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The message in the bytes of a file damaged-..., whose checksum is not to be trusted. False when there is none
 * that is whole in its form. Texts point into the bytes, lists are in the arena. */
bool inspect_salvage(struct slice bytes, struct record_message *, struct arena *);

/* The record's name ("MESSAGE"); NULL for a type that is none. */
const char *record_name(enum record_type);

#endif
