/* SPDX-License-Identifier: ISC */
/*
 * session.h - a connection to a server that has greeted us and said what it can.
 */
#ifndef GP_SESSION_H
#define GP_SESSION_H

#include <bsd/sys/queue.h>

#include "common/net/stream.h"
#include "common/service/transcript.h"
#include "common/task/task.h"
#include "smtp/reply.h"
#include "smtp/route.h"
#include "smtp/smtp.h"

enum feature {
	FEATURE_PIPELINING = 1,
	FEATURE_SIZE = 2,
	FEATURE_8BITMIME = 4,
	FEATURE_DSN = 8,
	FEATURE_SMTPUTF8 = 16,
};

struct session {
	struct stream *stream;
	struct arena *arena; /* of the texts here */
	struct slice name;   /* of struct host: the name or the path that it was reached by */
	struct slice host;   /* "mx.example": for notices */
	struct slice peer;   /* "mx.example[192.0.2.1]" */
	struct slice relay;  /* the same with the port: for the delivery line */
	struct net_address address;
	uint16_t port;
	unsigned features;   /* enum feature */
	uint64_t size_limit; /* of SIZE; 0: none is known */
	uint64_t uses;	     /* messages, this one included */
	deadline opened;
	bool needs_rset; /* a transaction was left in the middle */
	bool is_broken;	 /* no further command: it is closed without a word */

	struct transcript transcript;
	const char *aborted; /* how it was cut short, or NULL */

	/* In the pool (pool.c). */
	LIST_ENTRY(session) link;
	struct pool *pool;
	deadline given; /* when it was put there */
	struct task_timer idle;
};

/* Connects and greets. NULL with the verdict, in the arena; *connected: it came that far. Waits. */
struct session *session_open(const struct host *, struct arena *, bool *connected,
    struct verdict *);
/* Says QUIT when that makes sense, and frees it. Where quit is waited for (smtp_skip_quit_response = no) a
 * task does so. NULL is fine. Does not wait. */
void session_close(struct session *);

/* Reads a reply, as reply_read; the transcript has it. Waits. */
enum reply_result session_reply(struct session *, struct arena *, deadline, struct reply *);
/* The verdict of a command that the server refused: "host ... said: ... (in reply to MAIL FROM command)". */
void session_refused(const struct session *, const struct reply *, const char *command,
    struct arena *, struct verdict *);
/* Of a reply that did not come, or of what failed to be sent: "lost connection with ... while sending MAIL
 * FROM". The session is broken. */
void session_lost(struct session *, enum reply_result, const struct reply *, const char *doing,
    struct arena *, struct verdict *);
/* The server answers before it was asked: then no reply belongs to its command any more. True with the
 * verdict, and the session is broken. */
bool session_speaks_first(struct session *, const char *doing, struct arena *, struct verdict *);

#endif
