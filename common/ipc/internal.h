/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of channels and requests share; nobody else includes it.
 *
 * channel.c has a channel's life, channel_output.c and channel_input.c its frames, request.c what
 * they carry.
 */
#ifndef GP_IPC_INTERNAL_H
#define GP_IPC_INTERNAL_H

#include <bsd/sys/queue.h>

#include "common/base/buf.h"
#include "common/ipc/channel.h"
#include "common/task/task.h"

enum {
	HEADER_SIZE = 12,
	READ_SIZE = 65536,
	PENDING_FDS = 64, /* descriptors that came before their frames */
	BUCKETS = 256
};
enum frame_flag {
	FRAME_LAST = 1, /* the sender's last message in this request */
	FRAME_FROM_OPENER = 2,
	FRAME_FIRST = 4,
	FRAME_HAS_FD = 8,
	FRAME_GIVE_UP = 16, /* no message: the sender wants no more of it */
	FRAME_CREDIT = 32,  /* no message: a u32, bytes that were taken */
	FRAME_DRAIN = 64,   /* no message, no request: open no further ones here */
};
enum { FRAME_FLAGS = 127 };

/* A message that came and was not taken yet. */
struct item {
	TAILQ_ENTRY(item) entry;
	const struct wire_table *table;
	int fd;
	bool last;
	size_t len;
	char bytes[];
};

/* Each end numbers the requests that it opens, so an id means nothing without `mine`. */
struct request {
	struct channel *channel;
	LIST_ENTRY(request) entry;
	uint32_t id;
	bool mine; /* we opened it */
	bool sent_last, got_last, given_up, broken;
	TAILQ_HEAD(, item) inbox;
	struct task_list readers, senders;
	size_t outstanding; /* bytes sent and not known to be taken */
	size_t taken;	    /* bytes taken and not yet told */
	size_t unread;	    /* bytes that came and were not taken */
	struct frame frame;
	struct item *current; /* what frame shows */
	struct arena *arena;
	const struct handler *handler;
};

struct sent_fd {
	size_t at; /* of its frame in out */
	int fd;
};

struct channel {
	int fd;
	enum role peer;
	const struct handler *handlers;
	void (*closed)(struct channel *, void *arg);
	void *arg;
	bool is_closed, writer_runs, is_dirty, is_draining, close_when_idle;
	bool sent_drain, drain_heard;
	unsigned references; /* requests, tasks, the owner */
	struct task *reader;
	LIST_HEAD(, request) requests[BUCKETS];
	size_t request_count;
	uint32_t next_id;
	size_t outstanding, unread;
	struct task_list credit_waiters;
	struct buf out, in;
	struct sent_fd *out_fds;
	size_t out_fds_count, out_fds_size;
	int in_fds[PENDING_FDS];
	size_t in_fds_count;
	TAILQ_ENTRY(channel) dirty_entry;
};

/* channel.c */

/* Gives a reference back; with the last one the memory goes. */
void channel_release(struct channel *);
/* The socket goes; every request hears of it. */
void channel_shut(struct channel *);
/* The peer did: it is logged, and the channel shut. */
void channel_broke_a_rule(struct channel *, const char *why);

/* channel_output.c: what these put leaves before the loop sleeps. */

/* A message of a request; fd (-1: none) is borrowed. -1 with errno: no descriptor for a copy. */
int channel_output_message(struct request *, const struct wire_table *, const void *message, int fd,
    unsigned flags);
/* A frame without message: FRAME_GIVE_UP, or FRAME_CREDIT with its bytes. */
void channel_output_bare(struct request *, unsigned flags, struct slice bytes);
void channel_output_drain(struct channel *);
/* Sends now what the socket takes at once, of this channel and of all others. */
void channel_output_flush(void);
/* From now on the loop does that before it sleeps. */
void channel_output_start(void);
/* The socket is gone: closes the descriptors that were to go, and sends no more. */
void channel_output_forget(struct channel *);

/* channel_input.c */

/* 1 something came, 0 nothing there, -1 the peer is gone, or broke a rule (and the channel is shut). */
int channel_input_read(struct channel *);
/* Closes the descriptors whose frames did not come. */
void channel_input_forget(struct channel *);

/* request.c: those that return text say what is wrong, or NULL. */

void item_free(struct item *);
struct request *request_find(struct channel *, uint32_t id, bool mine);
/* The peer opens a request. Takes the item, unless it says what is wrong. */
const char *request_begin(struct channel *, uint32_t id, struct item *);
/* A further message came. Takes the item. */
const char *request_continue(struct request *, struct item *);
/* The peer took that many bytes; or it wants no more of the request at all. */
void request_return_credit(struct request *, size_t bytes);
void request_heard_give_up(struct request *);
/* The channel is gone. */
void request_break(struct request *);

#endif
