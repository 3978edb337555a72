/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of the store share.
 *
 * Three kinds of thread: the caller's owns the index and decides; the log thread owns the current
 * segment; I/O threads run jobs. Only what is marked "locked" is touched by more than one, under
 * store.lock. A segment that is in use keeps its number, nonce and descriptor until the caller's
 * thread frees it.
 */
#ifndef GP_QUEUE_INTERNAL_H
#define GP_QUEUE_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <endian.h>
#include <pthread.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/queue/keyhash.h"
#include "common/queue/records.h"
#include "common/queue/store.h"

/* --- numbers on the disk: little-endian ------------------------------------------------------- */

static inline void put64(char *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static inline void put32(char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static inline uint64_t get64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static inline uint32_t get32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

/* --- segments (segment.c) --------------------------------------------------------------------- */

enum {
	BLOCK = 4096,		  /* a batch starts at a multiple of this */
	SEGMENT_DATA = 2 * BLOCK, /* behind two copies of the header */
	SEGMENT_VERSION = 1,
	FRAME_HEADER = 32,
	FRAME_ALIGN = 8,
	IO_THREADS = 3
};
#define SEGMENT_SIZE_DEFAULT (UINT64_C(64) << 20)

enum { PLACE_SEGMENT_BITS = 40, PLACE_DIRECTORY_BITS = 24 };
#define PLACE_DIRECTORY_MAX ((1u << PLACE_DIRECTORY_BITS) - 1)

/* Where a record lies: its frame, header included. A million of them must fit. */
struct place {
	uint64_t segment : PLACE_SEGMENT_BITS;
	uint64_t directory
	    : PLACE_DIRECTORY_BITS; /* its entry there, in units of DIRECTORY_ALIGN; 0: none */
	uint32_t offset, len;
};

/* Where a segment's valid bytes end. What comes behind was cut. */
struct segment_end {
	uint64_t number;
	uint64_t end;
};

struct entry;
TAILQ_HEAD(entry_list, entry);

/* What a segment holds, without content, beside it (directory.c). */
struct segment_directory {
	int fd;		  /* locked; -1: no file yet */
	bool failed;	  /* locked: a write or flush of the file did; not written again */
	bool ready;	  /* of this use, and whole: the caller's thread */
	bool wanted;	  /* it is being collected: by whoever writes or scans the segment */
	struct buf bytes; /* so far */
	uint64_t count;	  /* entries in them */
};

struct segment {
	char name[32]; /* "log/00000001" */
	int fd;
	uint64_t number; /* of this use; 0: spare */
	uint8_t nonce[KEYHASH_KEY];
	struct keyhash key; /* started with nonce and number */
	uint64_t oldest;    /* the tail when this use began */
	uint64_t size;	    /* of the file, as the header tells */
	struct segment_end
	    previous;	/* the last one before it that holds records; those between are void */
	uint64_t end;	/* where the next batch goes */
	uint32_t batch; /* number of the next batch */
	bool failed;	/* a write or flush failed: never used again */
	struct segment_directory directory;
	struct entry_list live; /* messages whose MESSAGE lies here */
};

struct frame {
	uint32_t len; /* of the payload */
	uint16_t type;
	bool last; /* of its batch */
	uint32_t batch;
};

/* A new file of zeros, flushed, with its name; takes long. NULL with errno. */
struct segment *segment_create(struct store *);
void segment_free(struct store *, struct segment *);
/* Starts a use: both headers written and flushed. -1 with errno. */
int segment_begin(struct store *, struct segment *, uint64_t number, uint64_t oldest,
    struct segment_end previous);
/* Fills the segment from the header on its file; false when neither copy is valid. */
bool segment_read_header(struct store *, struct segment *);
/* The version that a header on the file tells which has our magic; 0 when none has. */
uint64_t segment_version(struct store *, const struct segment *);
/* Whether no use of the file ever began: nothing lies behind the place of the first header. */
bool segment_is_blank(struct store *, const struct segment *);
/* Bytes that a payload of this length takes. */
uint64_t frame_size(size_t payload);
/* Whether a segment can hold such a record. */
bool record_fits(const struct store *, uint64_t payload);
/* Appends the frame of this payload, to be written at offset. */
void frame_put(const struct segment *, uint64_t offset, const struct frame *, const char *payload,
    struct buf *out);
/* Takes a frame's header apart; false when it is none of this segment's at this offset. */
bool frame_header(const struct segment *, uint64_t offset, const char *data, struct frame *);
/* Whether the payload behind a valid header is whole. */
bool frame_payload_ok(const struct segment *, const char *frame_data, const struct frame *);
/* All bytes or -1 with errno (EIO at end of file). */
int io_pread_all(struct store *, int fd, void *data, size_t len, uint64_t at);
int io_pwrite_all(struct store *, int fd, const void *data, size_t len, uint64_t at);
/* The segment in use with this number, or NULL. Locks. */
struct segment *segment_find(struct store *, uint64_t number);

/* --- the index (index.c) ---------------------------------------------------------------------- */

/* A million of these must fit: widest members first, and no memory besides for a message with few
 * recipients and one STATUS record. */
struct entry {
	RB_ENTRY(entry) link;
	TAILQ_ENTRY(entry) in_segment; /* while `linked` */
	struct place message;
	union {
		struct place one;
		struct place *many; /* with `has_many` */
	} status;		    /* STATUS records behind it: entry_statuses */
	struct append *hot;	    /* the record of a message put a moment ago */
	union {
		uint64_t word;
		uint64_t *words; /* when one can't hold the states of all */
	} states;		 /* 2 bits for each recipient */
	int64_t arrival_us, due_us;
	uint64_t size;
	uint32_t status_count;
	uint32_t refs;	  /* the index, appends and jobs under way */
	uint32_t pending; /* STATUS records on their way to the log */
	uint32_t version; /* STATUS records so far */
	uint32_t rcpt_count, rcpt_open, attempts, deaths, open_attempts;
	bool arriving : 1, held : 1, large : 1, in_doubt : 1, linked : 1, copying : 1, gone : 1;
	bool has_many : 1, damaged : 1, stays : 1;
	uint8_t marks;
	char id[];
};
RB_HEAD(entry_tree, entry);

struct entry *entry_find(struct store *, struct slice id);
/* The same, but NULL for one whose record is not flushed yet. */
struct entry *entry_living(struct store *, struct slice id);
/* The first one behind this id. */
struct entry *entry_after(struct store *, struct slice id);
/* Adds a message as its record tells it. */
struct entry *entry_add(struct store *, const struct record_message *);
/* Takes it out of the index: it is done or gone. */
void entry_remove(struct store *, struct entry *);
void entry_ref(struct entry *);
void entry_unref(struct entry *);
enum rcpt_state entry_state(const struct entry *, uint64_t index);
void entry_set_state(struct entry *, uint64_t index, enum rcpt_state);
/* Moves it to where its MESSAGE lies now; STATUS records before that count no more. */
void entry_place_message(struct store *, struct entry *, struct place);
void entry_place_status(struct store *, struct entry *, struct place);
/* Where its STATUS records lie: status_count of them. */
const struct place *entry_statuses(const struct entry *);
void entry_summary(const struct entry *, struct store_summary *);

/* --- the log (log.c) -------------------------------------------------------------------------- */

/* One record on its way. Made and finished in the caller's thread. */
struct append {
	STAILQ_ENTRY(append) link;
	TAILQ_ENTRY(append) in_hot;
	struct buf payload;
	enum record_type type;
	bool urgent;  /* may use the reserve */
	bool owed;    /* in memory it already holds: never given up, tried again later */
	bool is_copy; /* copied forward: leaves the last spare alone */
	bool lazy;    /* nobody waits for it */
	bool ends;    /* STATUS: the message is done with it */
	int error;
	struct place place;
	uint64_t oldest;     /* TAIL */
	uint32_t version;    /* copy: what it was made from */
	struct entry *entry; /* a reference, or NULL */
	struct entry *owner; /* no reference: it is the record of this one, in `hot` */
	void (*finish)(struct store *, struct append *); /* NULL: only done is called */
	store_done *done;
	void *arg;
};
STAILQ_HEAD(append_list, append);
TAILQ_HEAD(hot_list, append);

struct append *append_new(enum record_type, struct entry *);
void append_free(struct append *);
/* Encodes the record into it; false for what its table does not allow. */
bool append_encode(struct append *, const struct wire_table *, const void *record);
/* Hands it to the log. */
void log_submit(struct store *, struct append *);
/* From here on until the next call what is submitted waits, so that it goes out as one batch. */
void log_gather(struct store *);
void log_submit_gathered(struct store *);
/* A callback from the next store_poll. */
void log_answer(struct store *, store_done *, void *arg, int error);
/* The log thread's work on what was submitted. */
void log_work(struct store *, struct append_list *);
/* Begins a segment for the records to come. 0 or errno. */
int log_next_segment(struct store *, bool urgent);
/* Goes on in a segment behind its end, which CUT records first; else in a new one. 0 or errno. */
int log_go_on(struct store *, struct segment *);

/* --- directories (directory.c) ---------------------------------------------------------------- */

#define DIRECTORY_SUFFIX ".directory"
enum { DIRECTORY_ALIGN = 8, DIRECTORY_ENTRY_MAX = 64 << 20 };

/* A record as a scan or a directory tells it. */
struct found_record {
	enum record_type type;
	struct place place;
	struct slice payload;
	uint32_t left_out; /* bytes of content that are not in the payload */
};
typedef void scan_seen(void *arg, struct segment *, const struct found_record *);

/* Begins to collect for this use; what was collected is forgotten. */
void directory_start(struct store *, struct segment *);
void directory_drop(struct segment *);
/* Adds a record, and tells its place where. Only in the order of offsets. */
void directory_collect(struct store *, struct segment *, enum record_type, struct place *,
    struct slice payload);
/* The segment is sealed at its end: what was collected is written by an I/O thread. Any thread. */
void directory_write(struct store *, struct segment *);
/* Bytes of the segment are damaged: the next opening is to scan it and to tell all that is. NULL is fine. */
void directory_distrust(struct store *, struct segment *);
/* Opens the file beside the segment when there is one. */
void directory_open(struct store *, struct segment *);
void directory_close(struct store *, struct segment *);
/* The segment's file goes: so does this one. */
void directory_remove(struct store *, struct segment *);
/* Calls seen for each record of the segment that was sealed at this end; false, before any call, when the
 * directory is not to be trusted. */
bool directory_replay(struct store *, struct segment *, uint64_t end, scan_seen *seen, void *arg);

/* Bytes of a directory read ahead. Its buffer is the caller's to clear. */
struct directory_window {
	size_t size; /* what is read at once */
	int fd;	     /* -1 at first */
	uint64_t start;
	struct buf bytes;
};
/* Reads the entry of the record in this place; its payload holds until the next call. False when it is not
 * there any more, or damaged. */
bool directory_entry(struct store *, struct directory_window *, int fd, const struct keyhash *,
    const struct place *, struct found_record *);

/* --- jobs (work.c) ---------------------------------------------------------------------------- */

struct job {
	STAILQ_ENTRY(job) link;
	void (*run)(struct store *, struct job *);    /* in an I/O thread */
	void (*finish)(struct store *, struct job *); /* in the caller's; frees the job */
};
STAILQ_HEAD(job_list, job);

/* A report of a thread that is not the caller's. */
struct report {
	STAILQ_ENTRY(report) link;
	char *text;
};
STAILQ_HEAD(report_list, report);

void job_submit(struct store *, struct job *);
/* One that has nothing to run: finish is called from the next store_poll. */
void job_answer(struct store *, struct job *);
int work_start(struct store *);
/* Ends the threads. */
void work_stop(struct store *);
/* Then, when nothing locks any more. */
void work_clear(struct store *);
/* What the threads did: calls finish and callbacks. Without threads does their work first. */
void work_poll(struct store *);
bool work_idle(struct store *);
/* Makes store_event_fd readable. */
void work_wake(struct store *);

/* --- the whole -------------------------------------------------------------------------------- */

struct store {
	struct store_options options;
	const struct store_io *io;
	int log_dir, large_dir, lock_fd, event_fd;
	uint64_t segment_size;
	size_t reserve; /* spare segments that new mail leaves alone */

	/* The caller's thread. */
	pthread_t caller;
	struct entry_tree index;
	uint64_t messages, live_bytes, copied_bytes;
	size_t hot_bytes;
	struct hot_list hot;	/* records of messages still in memory; oldest first */
	uint64_t drained_below; /* all that lies in segments below it is in the index */
	struct recycling {
		uint32_t copies;   /* under way */
		bool tail_pending; /* TAIL is under way */
		deadline after;	   /* no copy before: one failed */
	} recycling;
	bool refilling, closing, gathering;
	struct append_list gathered; /* submitted since log_gather */
	size_t gathered_count;
	bool gathered_hurry;   /* one of them is waited for */
	deadline refill_after; /* no new segment before: the disk was full */
	deadline space_checked;
	int64_t space; /* free bytes seen then */

	/* Locked. */
	pthread_mutex_t lock;
	pthread_cond_t log_wanted, job_wanted;
	struct segment **used; /* ascending number; the last is current */
	struct segment **spare;
	struct segment **broken; /* a write or flush failed: not touched again */
	size_t used_count, spare_count, broken_count;
	uint64_t oldest; /* the tail that the log tells */
	uint32_t next_name;
	struct append_list submitted, finished;
	struct job_list jobs, jobs_finished;
	struct report_list reports;
	size_t appends_open, jobs_open; /* submitted and not finished */
	size_t owed_count;		/* of them, records that could not be written yet */
	bool hurry;			/* something submitted is waited for */
	bool stopping;
	uint64_t flushes, batches, set_aside;
	struct buf directory_memory; /* for the next directory that is collected */

	/* The log thread. */
	struct segment *current; /* NULL: none can be written */
	uint64_t next_number;
	struct segment_end previous; /* the last segment left that holds records */
	struct append_list owed;
	struct buf out;

	pthread_t log_thread, io_threads[IO_THREADS];
	size_t threads;
};

/* Appends to a list of segments. */
void segment_list_add(struct segment ***list, size_t *count, struct segment *);
/* From any thread; the caller's hears of it at once or from work_poll. Locks. */
void store_report(struct store *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Tells what other threads reported. */
void store_tell_reports(struct store *);

/* read.c: the message with its state. What is needed of a segment is copied, so that the I/O thread
 * needs no lock; a segment that was freed meanwhile shows by its key. */
struct read_part {
	struct place place;
	int fd, directory_fd; /* -1: not read from there */
	struct keyhash key;
};
struct read_job {
	struct job job;
	struct entry *entry;	 /* a reference */
	struct read_part *parts; /* MESSAGE first, then each STATUS */
	size_t count;
	uint32_t version;
	enum read_wish { READ_ENVELOPE, READ_RECORD, READ_ALL } wish;
	struct record_message record; /* the result, in arena */
	struct arena *arena;
	int large_fd;
	int error;
	bool is_damaged; /* MESSAGE was there, and is not whole any more */
	store_read_done *done;
	void *arg;
};
/* Starts to read; finish is called with the result. READ_ALL opens the file of large content. */
struct read_job *read_begin(struct store *, struct entry *, enum read_wish,
    void (*finish)(struct store *, struct job *));
void read_free(struct store *, struct read_job *);
/* What follows from an error that reading met: damage is set aside. */
void read_failed(struct store *, const struct read_job *);
/* Lays the state in the index, which is newer, over what the records told. */
void read_overlay(struct read_job *);
/* The record is what its lists say: parallel, states known. */
bool record_message_is_sound(const struct record_message *);

/* large.c */
enum { LARGE_NAME = RECORD_ID_LIMIT + 16 };
/* The name of the file; false for an id that can't be one. */
bool large_name(char name[LARGE_NAME], struct slice id);
/* Removes it on an I/O thread. */
void large_remove(struct store *, struct slice id);
/* Flushes large/ID and its directory, then hands the record in; the append is taken. */
void large_put(struct store *, struct append *);

/* put.c */
void put_finish(struct store *, struct append *);
/* Forgets the record in memory. */
void hot_drop(struct store *, struct entry *);

/* change.c: what a record does to the index: when it is made, and when it is found at opening. */
bool change_apply_status(struct entry *, const struct record_status *);
void change_apply_note(struct entry *, enum record_type);
/* Ends it by a record that nobody waits for, whatever its state. */
void change_end(struct store *, struct entry *);

/* recover.c: fills the index from the disk. False with a reason on the heap. */
bool recover(struct store *, char **why);

/* scan.c: calls seen for each whole record up to the limit (0: to the torn tail, which it finds);
 * reports and sets aside damage. Sets segment->end, and collects its directory. */
void scan_segment(struct store *, struct segment *, uint64_t limit, scan_seen *, void *arg);
/* Saves damaged bytes as log/damaged-NUMBER-OFFSET and reports them. */
void scan_set_aside(struct store *, const struct segment *, uint64_t offset, uint64_t len,
    const char *why);

/* damage.c: the record of this message was found damaged: what is left of it is saved and reported by an I/O
 * thread, and the message ends. */
void damage_give_up(struct store *, struct entry *);

/* recycle.c: copies forward and frees what the rules ask for; keeps spares. */
void recycle(struct store *);
/* Copies a message forward whose STATUS records have become many. */
void recycle_fold(struct store *, struct entry *);
/* TAIL, to be handed to the log. */
struct append *tail_record(struct store *, uint64_t oldest);

RB_PROTOTYPE(entry_tree, entry, link, entry_compare)

#endif
