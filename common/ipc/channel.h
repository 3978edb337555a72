/* SPDX-License-Identifier: ISC */
/*
 * channel.h - many requests at once between two processes, over one socketpair that master made.
 *
 * A request is opened by either end with a first message; then both ends may send further messages
 * in it until each has sent its last. Frames: length u32, type u16, flags u16, request id u32, then
 * the members. Output is gathered and leaves in one write before the loop sleeps.
 * Credit: at most CHANNEL_WINDOW bytes of a request, and CHANNEL_TOTAL of a channel, may wait unread
 * at the receiver; a sender without credit waits. A peer that breaks a rule loses the channel: it
 * is logged, closed, and every request on it fails with EPIPE.
 */
#ifndef GP_CHANNEL_H
#define GP_CHANNEL_H

#include "common/base/clock.h"
#include "common/ipc/wire.h"

/* What a process is, said by master, never by the peer. */
enum role {
	ROLE_NONE,
	ROLE_MASTER,
	ROLE_SMTPD,
	ROLE_CLEANUP,
	ROLE_REWRITE,
	ROLE_QMGR,
	ROLE_SHOWQ,
	ROLE_AGENT, /* smtp, lmtp, local, virtual, pipe, error, retry, discard */
	ROLE_BOUNCE,
	ROLE_PICKUP,
	ROLE_RESOLVER,
	ROLE_TLSMGR,
	ROLE_DIALER,
	ROLE_PROXYMAP,
	ROLE_ANVIL,
	ROLE_VERIFY,
	ROLE_POSTLOGD,
	ROLE_MONITOR,
	ROLE_ADMIN,
	ROLE_FLUSH,
	ROLE_COUNT
};
#define ROLE_BIT(role) (1u << (role))
const char *role_name(enum role);

enum {
	CHANNEL_FRAME_LIMIT = 256 * 1024, /* bytes of one frame, header included */
	CHANNEL_WINDOW = 256 * 1024,	  /* unread bytes of one request */
	CHANNEL_TOTAL = 8 * 1024 * 1024	  /* unread bytes of one channel */
};

struct channel;
struct request;

/* One message as it came. message points to the decoded struct of `table`. */
struct frame {
	const struct wire_table *table;
	void *message;
	int fd;	   /* -1, or the descriptor that came with it: taken by setting -1 */
	bool last; /* the peer sends no more in this request */
};

/* Which peer may open a request with which message, and what answers it: run is called in a task
 * of its own. It ends the request by sending its last message, or by returning: then the
 * opener's wait fails with ECONNABORTED. The frame and the request are freed after run. */
struct handler {
	const struct wire_table *table;
	uint32_t roles; /* ROLE_BIT of those who may */
	void (*run)(struct request *, struct frame *first);
};

/* Takes the descriptor. handlers end with a row without table; both arrays must outlive it. Tables
 * of all messages are known through ipc/messages.h. closed (may be NULL) is called once, from the
 * channel's own task, when the peer is gone. */
struct channel *channel_new(int fd, enum role peer, const struct handler *handlers,
    void (*closed)(struct channel *, void *arg), void *arg);
/* Closes; requests fail with EPIPE. Memory goes when the last request is closed. NULL is fine. */
void channel_close(struct channel *);
bool channel_is_closed(const struct channel *);
/* Asks the peer to open no further requests here; those that it opened before it hears are served. */
void channel_drain(struct channel *);
/* It heard, and none is open any more: closing fails nothing. */
bool channel_is_drained(const struct channel *);
/* The peer asked for that: request_open fails with EPIPE; time for another channel. */
bool channel_is_draining(const struct channel *);
/* channel_close, as soon as no request is open. */
void channel_close_when_idle(struct channel *);
enum role channel_peer(const struct channel *);
/* Requests now open, both directions. */
size_t channel_load(const struct channel *);
/* What the owner keeps with it (starts as arg). */
void *channel_arg(const struct channel *);

/* Opens a request with its first message; fd (-1: none) is borrowed. last: nothing follows from our
 * side. NULL with errno EPIPE or ETIMEDOUT. Waits for credit. */
struct request *request_open(struct channel *, const struct wire_table *, const void *message,
    int fd, bool last, deadline);
/* -1 with errno EPIPE, ETIMEDOUT, ECANCELED; ECONNABORTED when the peer gave the request up. Waits
 * for credit. */
int request_send(struct request *, const struct wire_table *, const void *message, int fd,
    bool last, deadline);
/* The next message of the peer: NULL with errno as above, or ENODATA when the last has come.
 * Valid until the next receive or the close. Waits. */
struct frame *request_receive(struct request *, deadline);
/* Ends our part; an unfinished request is given up, of which the peer hears. For openers: handlers
 * need not call it. NULL is fine. */
void request_close(struct request *);
struct channel *request_channel(struct request *);
/* Memory that lives as long as the request. */
struct arena *request_arena(struct request *);

/* The common case: one message there, one back. The reply (of the wanted table; anything else is an
 * error) is valid until request_close(*request). 0, or -1 with errno as above. Waits. */
int request_call(struct channel *, const struct wire_table *, const void *message,
    const struct wire_table *wanted, void **reply, struct request **, deadline);

#endif
