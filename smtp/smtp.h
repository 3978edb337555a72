/* SPDX-License-Identifier: ISC */
/*
 * smtp.h - what the files of the SMTP and LMTP client share: settings, why something failed, and one
 * delivery with its recipients.
 *
 * A delivery is a task. A session is a connection that has been greeted; it belongs to one delivery at a
 * time, or lies in the pool (pool.c).
 */
#ifndef GP_SMTP_H
#define GP_SMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/slice.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/net/address.h"

/* Of smtp_* or lmtp_*, whichever program runs. Times in nanoseconds. */
struct client_settings {
	const char *myhostname, *inet_interfaces, *inet_protocols;
	const char *helo_name, *tcp_port, *discard_ehlo_keywords, *address_preference;
	const char *bind_address, *bind_address6, *fallback_relay;
	bool always_send_ehlo, never_send_ehlo, skip_5xx_greeting, skip_quit_response;
	bool ignore_mx_lookup_error, defer_if_no_mx_address_found, randomize_addresses;
	bool connection_cache_on_demand;
	int64_t mx_address_limit, mx_session_limit, connection_reuse_count_limit;
	int64_t connection_cache_time_limit, connection_reuse_time_limit;
	int64_t connect_timeout, helo_timeout, mail_timeout, rcpt_timeout, rset_timeout,
	    quit_timeout;
	int64_t data_init_timeout, data_xfer_timeout, data_done_timeout;
	bool is_lmtp;
};
extern struct client_settings client_settings;

/* What a recipient hears when it is not delivered. Texts live in the delivery's arena. */
struct verdict {
	enum outcome outcome;	 /* DEFERRED: another host may be tried */
	struct slice dsn, text;	 /* "4.4.1", the reason in the delivery line */
	struct slice diagnostic; /* "smtp; 550 ...", or empty: no server has said it */
	struct slice remote;	 /* who has said it */
	struct slice relay;	 /* the connection where it happened; empty: there was none */
	uint64_t use;		 /* which message over it this was */
};
/* The text of a format, at most TEXT_MOST bytes of it. dsn is a literal: 5 is for good. */
enum { TEXT_MOST = 1000 };
void verdict_put(struct verdict *, struct arena *, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One recipient. */
struct target {
	bool is_done;	     /* its outcome is known and logged */
	bool accepted;	     /* by the server at hand */
	bool judged;	     /* alone, by the server at hand */
	struct verdict last; /* of the hosts that were tried; outcome 0: none was */
};

struct delivery {
	struct delivery_run *run;
	const struct msg_deliver *m;
	int fd; /* of large content, or -1 */
	struct arena *arena;
	struct target *targets; /* m->index.count */
	struct msg_outcomes out;
	int64_t start_us, connected_us; /* wall clock; the latter of the last connection, or 0 */
	bool greeted;			/* some host took us in */
};

/* The recipient's outcome, kept and logged. */
void delivery_settle(struct delivery *, size_t at, const struct verdict *, enum success);
/* Tries next hops, hosts and sessions until no recipient is open or nobody is left to try. Waits. */
void deliver_run(struct delivery *);

#endif
