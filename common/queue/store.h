/* SPDX-License-Identifier: ISC */
/*
 * store.h - the queue: one append-only log in recycled segments, made durable by group commit.
 *
 * It knows no SMTP, task or socket. Calls that change something return at once; their callback
 * comes out of store_poll, in the caller's thread, when the record is on stable storage (or
 * failed). One thread writes and flushes; others read, copy and zero-fill.
 */
#ifndef GP_STORE_H
#define GP_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/arena.h"
#include "common/base/slice.h"
#include "common/ipc/wire.h"

struct store;

/* Every touch of the disk goes through this table, so that a test can fail, tear, reorder or lose
 * any. store_io_posix is the real one. Descriptors may be the test's own numbers. */
struct store_io {
	void *arg;
	int (*open)(void *arg, int directory, const char *name, int flags, mode_t mode);
	ssize_t (*pread)(void *arg, int fd, void *data, size_t len, off_t at);
	ssize_t (*pwrite)(void *arg, int fd, const void *data, size_t len, off_t at);
	int (*fdatasync)(void *arg, int fd);
	int (*close)(void *arg, int fd);
	int (*rename)(void *arg, int directory, const char *from, const char *to);
	int (*unlink)(void *arg, int directory, const char *name);
	int (*sync_directory)(void *arg, int directory);
	/* Calls visit with each name; -1 with errno. */
	int (*list)(void *arg, int directory, void (*visit)(void *visit_arg, const char *name),
	    void *visit_arg);
	off_t (*size)(void *arg, int fd);
	int (*truncate)(void *arg, int fd, off_t size);
	int64_t (*free_bytes)(void *arg, int directory);
	/* Forgets the cached pages of the file, so that the next read shows what the disk has. */
	int (*drop_cache)(void *arg, int fd);
	int (*mkdir)(void *arg, int directory, const char *name, mode_t mode);
	/* Takes the file for this owner alone until it is closed; -1 with EBUSY when it is taken. */
	int (*lock)(void *arg, int fd);
	/* What kind of network the directory is reached by ("NFS"); NULL for a local disk. */
	const char *(*network)(void *arg, int directory);
};
extern const struct store_io store_io_posix;

struct store_options {
	int directory; /* queue directory, open; the store uses log/ and large/ below it */
	const struct store_io *io;
	uint64_t segment_size; /* 0: 64 MiB, at least 32 KiB; can't change while the log lives */
	uint64_t reserve;      /* bytes of segments set aside for a full disk; 0: 2 segments */
	uint64_t minfree;      /* queue_minfree: new mail is refused below it */
	/* A network file system may say that data is on the disk before it is, and its locks may be
	 * lost: the store is not opened there, unless it is to promise nothing. */
	bool allow_network;
	bool no_threads; /* tests: store_poll does the work of the threads, in order */
	/* Something to tell an administrator: damage set aside, a failed flush. In the caller's
	 * thread, from store_open, store_poll or store_close. */
	void (*report)(void *arg, const char *text);
	void *arg;
};

/* A message as it is put in. Lists run parallel. */
struct store_message {
	struct slice id;
	int64_t arrival_us;
	uint64_t flags;
	struct slice sender;
	struct slice envelope; /* further attributes: opaque here, at most 64 KiB */
	struct wire_texts address, original, orcpt;
	struct wire_numbers notify;
	struct slice content; /* up to 64 KiB; else empty and: */
	uint64_t large_size;  /* size of large/ID */
};

/* One recipient's state, as the last STATUS record says. */
enum rcpt_state { RCPT_QUEUED, RCPT_DEFERRED, RCPT_DELIVERED, RCPT_BOUNCED };
struct store_status {
	uint64_t index; /* of the recipient */
	enum rcpt_state state;
	struct slice dsn, reason;
};

/* What a message can be marked with, for good. At most 8 bits; their values are on disks. */
enum store_mark_bit {
	STORE_WARNED = 1, /* the notice of delay was sent */
	STORE_EXPIRE = 2, /* an administrator wants it returned */
	STORE_REQUEUE = 4 /* ... wants it admitted once more */
};

/* What is known of each message without touching the disk. */
struct store_summary {
	const char *id;
	int64_t arrival_us;
	uint64_t size;			/* of the content */
	uint32_t rcpt_count, rcpt_open; /* open: neither delivered nor bounced */
	int64_t due_us;			/* wall clock: next attempt; 0: at once */
	uint32_t attempts;
	uint32_t deaths; /* agents that died with this message in hand */
	uint64_t marks;	 /* enum store_mark_bit */
	bool held;
};

/* Opens or creates, recovers, and calls visit for each live message in the order of ids. NULL with a
 * reason on the heap. A second opener is refused (EBUSY in the text). */
struct store *store_open(const struct store_options *,
    void (*visit)(void *arg, const struct store_summary *), void *arg, char **why);
/* Waits for what is under way; its callbacks come out of this call. NULL is fine. */
void store_close(struct store *);

/* Readable when store_poll has something to do. */
int store_event_fd(struct store *);
void store_poll(struct store *);

/* The fate of one call. error: 0, or errno: ENOSPC (no room), EIO, ENOENT (no such message), EINVAL,
 * EMSGSIZE (larger than a segment). A change that failed with ENOSPC or EIO holds in memory and is
 * written as soon as the disk takes it; a put that failed is gone. */
typedef void store_done(void *arg, int error);

/* Room for new mail of this size: checked before a reply that invites content. */
bool store_has_room(struct store *, uint64_t size);
/* A new message; everything is copied before it returns. EEXIST for an id that is there. The other
 * calls know it from its callback on. Its large content is the store's from here on: when the message is
 * refused, the store removes it as soon as no crash can bring the record back. */
void store_put(struct store *, const struct store_message *, store_done *, void *arg);
/* A file for large content: a write-only descriptor that the caller passes on and closes; -1 with
 * errno. store_put with large_size then flushes the file, its directory and the record. */
int store_large_create(struct store *, struct slice id);
void store_large_discard(struct store *, struct slice id);

/* The outcome of an attempt for some recipients, and when the rest is due (0: no change). When no
 * recipient is open any more, the message is done and its space free; callback as for the status.
 * done may be NULL. The record may lie a moment (20 ms), to leave with others. */
void store_status(struct store *, struct slice id, const struct store_status *, size_t count,
    int64_t due_us, store_done *, void *arg);
/* An attempt starts: known after a crash as in doubt. Never waited for. */
void store_attempt(struct store *, struct slice id);
/* An agent died with it: counted durably. Returns the new count. */
uint32_t store_death(struct store *, struct slice id, store_done *, void *arg);
void store_hold(struct store *, struct slice id, store_done *, void *arg);
void store_release(struct store *, struct slice id, store_done *, void *arg);
/* Adds these marks to those that it has. EINVAL for bits above the lowest 8. */
void store_mark(struct store *, struct slice id, uint64_t marks, store_done *, void *arg);
/* Removed by an administrator, whatever its state. */
void store_delete(struct store *, struct slice id, store_done *, void *arg);

/* A message read back. Valid until store_loaded_free. */
struct store_loaded {
	struct store_message message; /* content empty when large */
	enum rcpt_state *state;	      /* of each recipient */
	struct slice *dsn, *reason;   /* last one of each; empty when none */
	int64_t due_us;
	uint32_t attempts, deaths;
	uint64_t marks; /* enum store_mark_bit */
	bool held, in_doubt;
	int large_fd; /* read-only, at offset 0; -1: none. Who takes it sets -1 */
	struct arena *arena;
};
/* Reads it on an I/O thread; NULL and an error (ENOENT, EIO, EBADMSG) when it can't be.
 * A message put a moment ago comes from memory. EBADMSG: its record is damaged; what is left of it is set aside,
 * that is reported, and the message is gone soon. */
typedef void store_read_done(void *arg, struct store_loaded *, int error);
void store_read(struct store *, struct slice id, bool with_content, store_read_done *, void *arg);
void store_loaded_free(struct store_loaded *);
/* Reads several at once without content, which costs little for messages that lie together. loaded[i] is NULL
 * for one that is gone or can't be read; the others are the receiver's to free, the array isn't. */
typedef void store_page_done(void *arg, struct store_loaded **loaded, size_t count);
void store_read_page(struct store *, const struct slice *ids, size_t count, store_page_done *,
    void *arg);
/* As store_put, but with the state that it has here: a message that comes from another queue. Which
 * descriptor it has makes no difference. */
void store_put_loaded(struct store *, const struct store_loaded *, store_done *, void *arg);

bool store_summary(struct store *, struct slice id, struct store_summary *);
/* The next message after this id in the order of ids (empty: the first). False at the end. */
bool store_next(struct store *, struct slice after, struct store_summary *);
/* Counters, for status and tests. */
struct store_counters {
	uint64_t messages, live_bytes, segments, flushes, batches, copied_bytes, set_aside;
};
void store_counters(struct store *, struct store_counters *);

#endif
