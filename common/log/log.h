/* SPDX-License-Identifier: ISC */
/*
 * log.h - what happened, said once: an event is a kind and its named values; the Postfix line
 * (and later the JSON line and the counters) are made from it.
 *
 * Levels mean what they mean in Postfix: info, warning, error (this work fails), fatal (this
 * process ends, master starts it again later), panic (a bug; see base/mem.h).
 */
#ifndef GP_LOG_H
#define GP_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

enum log_level {
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL,
	LOG_LEVEL_PANIC
};

/* Where lines go until log_to_socket: standard error, "name: text", as commands do.
 * name is the tag's last part ("smtpd", or "submission/smtpd"); both strings are copied. */
void log_open(const char *syslog_name, const char *name);
/* From now on lines go to postlogd: datagrams on this descriptor (which stays the caller's), many
 * lines in each. Never blocks: up to 1 MiB waits, then lines are dropped, counted, and the count
 * is logged as soon as there is room. */
void log_to_socket(int fd);
/* Sends what waits, without blocking; true when nothing is left. The task loop calls it before it
 * sleeps, and again when the socket takes more. */
bool log_flush(void);
/* At exit: waits up to a second for what is left. */
void log_close(void);

/* One line; control bytes and invalid UTF-8 are replaced by '?'. At most 2,000 bytes. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line under another tag than ours: "postfix/postlog". */
void log_as(enum log_level, const char *as_tag, struct slice text);
/* Says it and ends the process with status 1. Never for bad input, only at start. */
_Noreturn void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An event: its row in the table of log/event.c names its level and its text, a template with
 * {member} and [ optional parts ] that vanish when a member in them was not given. */
enum log_kind {
	LOG_CONNECT,	/* connect from {client} */
	LOG_DISCONNECT, /* disconnect from {client}{commands} */
	LOG_CLIENT,	/* {id}: client={client} ... */
	LOG_REJECT,	/* {id}: reject: {stage} from {client}: {reply}; ... (from: with its < >) */
	LOG_SESSION_LOST,  /* lost connection|timeout|too many errors after {stage} ... */
	LOG_MESSAGE_ID,	   /* {id}: [{resent}]message-id={message_id} */
	LOG_QUEUE_ACTIVE,  /* {id}: from=<{sender}>, size={size}, nrcpt={nrcpt} (queue active) */
	LOG_DELIVERY,	   /* {id}: to=<{to}>[, orig_to=<{orig_to}>], relay={relay}... */
	LOG_EXPIRED,	   /* {id}: from=<{sender}>, status={status}, returned to sender */
	LOG_REMOVED,	   /* {id}: removed */
	LOG_HELD,	   /* {id}: placed on hold[: {why}] */
	LOG_RELEASED,	   /* {id}: released from hold */
	LOG_REQUEUED,	   /* {id}: requeued */
	LOG_FORCE_EXPIRED, /* {id}: expired */
	LOG_NOTIFICATION,  /* {id}: {what} notification: {notice} */
	LOG_PICKUP,	   /* {id}: uid={uid} from=<{sender}>[ orig_id={orig_id}] */
	LOG_KINDS
};

struct log_member {
	const char *name;
	struct slice value;
};

/* Members that the kind's template does not name are for the JSON line only. */
void log_event_members(enum log_kind, const struct log_member *, size_t count);

/* log_event(LOG_REMOVED, { "id", id }, ...): values are slices. */
#define log_event(kind, ...)                                                                       \
	log_event_members((kind), (const struct log_member[]){ __VA_ARGS__ },                      \
	    sizeof((const struct log_member[]){ __VA_ARGS__ }) / sizeof(struct log_member))

/* delay= and delays= (CONTRACTS of Postfix): seconds with 2 significant digits, at most 2
 * decimals, no trailing zeros. Writes at most 24 bytes; returns out. */
const char *log_delay(char out[24], int64_t microseconds);

#endif
