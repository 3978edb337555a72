/* SPDX-License-Identifier: ISC */
/*
 * smtpd.h - what the parts of the SMTP server share: settings, a client's session, replies.
 *
 * A session is one task. Calls marked "Waits." may run other sessions meanwhile.
 */
#ifndef GP_SMTPD_H
#define GP_SMTPD_H

#include <bsd/sys/queue.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/mail/queue_id.h"
#include "common/net/stream.h"
#include "common/service/service.h"
#include "common/service/transcript.h"
#include "common/task/task.h"
#include "smtpd/body.h"

enum { READ_LIMIT = 65536 }; /* the longest line that is looked at */

struct smtpd_settings {
	const char *myhostname, *local_header_rewrite_clients, *smtpd_banner, *mynetworks,
	    *smtpd_discard_ehlo_keywords, *smtpd_client_event_limit_exceptions,
	    *smtpd_forbid_bare_newline, *smtpd_forbid_bare_newline_exclusions,
	    *smtpd_forbidden_commands, *smtpd_noop_commands, *smtpd_relay_restrictions,
	    *smtpd_recipient_restrictions, *cleanup_service_name, *rewrite_service_name;
	int64_t smtpd_timeout, smtpd_error_sleep_time, smtpd_soft_error_limit,
	    smtpd_hard_error_limit, smtpd_junk_command_limit, smtpd_recipient_limit,
	    smtpd_recipient_overshoot_limit, message_size_limit, line_length_limit,
	    smtpd_forbid_bare_newline_reject_code, reject_code, defer_code,
	    relay_domains_reject_code, smtpd_min_data_rate, smtpd_client_connection_count_limit,
	    unknown_local_recipient_reject_code, unknown_virtual_alias_reject_code,
	    unknown_virtual_mailbox_reject_code, unknown_relay_recipient_reject_code;
	bool smtpd_helo_required, disable_vrfy_command, strict_rfc821_envelopes,
	    smtpd_reject_unlisted_recipient, smtpd_client_port_logging,
	    show_user_unknown_table_name, smtpd_peername_lookup, smtpd_forbid_unauth_pipelining,
	    smtpd_per_request_deadline, soft_bounce;
};
extern struct smtpd_settings settings;

/* Commands in the order of the disconnect line. */
enum verb {
	VERB_HELO,
	VERB_EHLO,
	VERB_XCLIENT,
	VERB_XFORWARD,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_ETRN,
	VERB_QUIT,
	VERB_HELP,
	VERB_UNKNOWN,
	VERB_COUNT
};

struct transaction {
	struct slice sender; /* in the session's arena, as all of this */
	bool has_sender;
	uint64_t declared_size;
	bool has_size, has_body, is_8bit;
	bool had_rcpt;	    /* RCPT was tried */
	struct slice envid; /* empty: not given */
	uint64_t ret;	    /* 0, 1 FULL, 2 HDRS */
	/* Of each recipient. */
	struct slice *rcpts, *orcpts;
	uint64_t *notifies;
	size_t rcpt_count, rcpt_size, refused_for_limit;
	char id[QUEUE_ID_SIZE]; /* "" before the first recipient */
	int64_t arrival_us;
};

struct session {
	LIST_ENTRY(session) link;
	struct task *task;
	struct stream *stream;
	struct arena *arena; /* of the transaction */
	struct service_client *client;
	const char *name; /* "unknown", "localhost" */
	char address[INET6_ADDRSTRLEN];
	char peer[INET6_ADDRSTRLEN + 80]; /* as logged: name[address] */
	char helo[256];
	bool is_esmtp, is_trusted;   /* trusted: in mynetworks */
	bool idle;		     /* waits for a command */
	bool ended, has_left;	     /* has_left: it said QUIT, or the connection is lost */
	const char *stage;	     /* for log lines: CONNECT, EHLO...; NULL: the end was said */
	uint64_t data_size;	     /* of a message whose end did not come */
	char unheard[QUEUE_ID_SIZE]; /* a message of ours whose 250 may not have left yet */
	bool failed;		     /* the command at hand was refused or cut short */
	bool was_out_of_turn, saw_bare_lf;
	unsigned errors, junk;
	unsigned ok[VERB_COUNT], all[VERB_COUNT];
	struct transaction t;
	struct transcript transcript;
	const char *aborted; /* how it was cut short, or NULL */
};

/* reply.c: a reply is written, not flushed. 4xx and 5xx count as errors of the client. Waits. */
void reply(struct session *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A refusal that is logged: NOQUEUE: reject: ... recipient: empty for that of the transaction, if it
 * has one only. Waits. */
void reject(struct session *, const char *stage, struct slice recipient, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What smtpd_forbid_bare_newline = reject says; what: "LF" or "CR". Waits. */
void reply_bare_newline(struct session *, const char *what);
deadline client_deadline(void);

/* session.c */
/* Sends all replies. Waits. */
int session_flush(struct session *);
/* Why no more input comes (rc and errno of a read): to the client and to the log. Waits. */
void session_lost(struct session *, int rc);
void session_run(struct service_client *);
void session_drain(enum drain_reason);
void transaction_reset(struct session *);

/* commands.c: one command line. Waits. */
void command_run(struct session *, struct slice line);
void commands_open(void); /* before rights are given up */

/* policy.c */
void policy_open(void); /* before rights are given up */
bool policy_is_trusted(const struct net_address *);
bool policy_rejects_bare_newline(const struct session *);
bool policy_limits_connections(const struct net_address *);
/* local_header_rewrite_clients: the headers of its mail are completed. */
bool policy_completes_headers(const struct session *);
/* Whether the recipient is taken; says so to the client when it is not. Waits. */
bool policy_recipient(struct session *, struct slice address);

/* misuse.c: what no SMTP client does. Those that return true have dismissed the client. */
bool misuse_is_foreign(char first_byte);
void misuse_foreign(struct session *, struct slice line);
/* Input that came before the client can have read what it must wait for. Waits. */
bool misuse_before_greeting(struct session *);
bool misuse_before_answer(struct session *);
/* A line beyond line_length_limit, read up to its end if that comes soon. As stream_line. Waits. */
int misuse_long_line(struct session *, struct slice start);
/* sessions: of this address, in this process. */
bool misuse_too_many(struct session *, size_t sessions);

/* dsn.c: an option of MAIL or RCPT. REFUSED: said so. Waits. */
enum dsn_option { DSN_UNKNOWN, DSN_TAKEN, DSN_REFUSED };
struct dsn_wishes {
	uint64_t notify; /* enum notify, or 0 */
	struct slice orcpt;
};
enum dsn_option dsn_mail_option(struct session *, struct slice option);
enum dsn_option dsn_rcpt_option(struct session *, struct slice option, struct dsn_wishes *);

/* admission.c: DATA. Waits. */
void admission_run(struct session *);

/* True when the words (blanks, commas) have this one, without case. */
bool list_has_word(const char *list, struct slice word);

#endif
