/* SPDX-License-Identifier: ISC */
/*
 * session.c - one SMTP client, from greeting to good-bye.
 */
#include "smtpd/smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { GOODBYE_SECONDS = 5, LINGER_SECONDS = 2, LINGER_BYTES = 1 << 20 };

static LIST_HEAD(, session) sessions = LIST_HEAD_INITIALIZER(sessions);

void transaction_reset(struct session *s)
{
	arena_free(s->arena);
	s->arena = arena_new();
	memset(&s->t, 0, sizeof(s->t));
}

/* --- names ---------------------------------------------------------------------------------------- */

/* Without a resolver only the loopback has a name. */
static const char *client_name(const struct net_address *a)
{
	static const struct net_address loopback6 = { .family = AF_INET6, .bytes = { [15] = 1 } };
	bool is_loopback = (a->family == AF_INET && a->bytes[0] == 127) ||
	    net_address_equal(a, &loopback6);

	return is_loopback && settings.smtpd_peername_lookup ? "localhost" : "unknown";
}

static void describe(struct session *s)
{
	const struct service_client *c = s->client;

	s->name = c->is_unix ? "localhost" : client_name(&c->address);
	net_address_text(&c->address, s->address);
	if (settings.smtpd_client_port_logging && !c->is_unix)
		snprintf(s->peer, sizeof(s->peer), "%s[%s]:%u", s->name, s->address, c->port);
	else
		snprintf(s->peer, sizeof(s->peer), "%s[%s]", s->name, s->address);
	s->is_trusted = c->is_unix || policy_is_trusted(&c->address);
}

/* --- the end -------------------------------------------------------------------------------------- */

static size_t put_count(char *out, size_t size, const char *name, unsigned ok, unsigned all)
{
	return (size_t)(ok == all ? snprintf(out, size, " %s=%u", name, ok)
				  : snprintf(out, size, " %s=%u/%u", name, ok, all));
}

static void log_disconnect(const struct session *s)
{
	static const char *const names[VERB_COUNT] = { "helo", "ehlo", "xclient", "xforward",
		"starttls", "auth", "mail", "rcpt", "data", "bdat", "rset", "noop", "vrfy", "etrn",
		"quit", "help", "unknown" };
	char text[512];
	size_t len = 0;
	unsigned ok = 0, all = 0;

	for (int i = 0; i < VERB_COUNT; i++) {
		ok += s->ok[i];
		all += s->all[i];
		if (s->all[i] > 0)
			len += put_count(text + len, sizeof(text) - len, names[i], s->ok[i],
			    s->all[i]);
	}
	if (all == 0)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " commands=0/0");
	else
		len += put_count(text + len, sizeof(text) - len, "commands", ok, all);
	if (s->saw_bare_lf && strcmp(settings.smtpd_forbid_bare_newline, "note") == 0)
		snprintf(text + len, sizeof(text) - len, " notes=bare_lf");
	log_event(LOG_DISCONNECT, { "client", slice_of(s->peer) }, { "commands", slice_of(text) });
}

static void log_end(struct session *s, const char *what)
{
	char bytes[24];
	bool in_data, is_complete;

	if (s->stage == NULL)
		return;
	s->aborted = what;
	in_data = strcmp(s->stage, "DATA") == 0;
	is_complete = strcmp(s->stage, "END-OF-MESSAGE") == 0;
	/* To leave without QUIT once all was said is common. */
	if (is_complete && strcmp(what, "lost connection") == 0) {
		s->aborted = NULL;
		return;
	}
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)s->data_size);
	log_event(LOG_SESSION_LOST, { "what", slice_of(what) }, { "stage", slice_of(s->stage) },
	    { "bytes", in_data ? slice_of(bytes) : SLICE("") }, { "client", slice_of(s->peer) });
}

void session_lost(struct session *s, int rc)
{
	if (rc == -1 && errno == ECANCELED) {
		task_uncancel();
		reply(s, "421 4.3.2 %s Service shutting down", settings.myhostname);
	} else if (rc == -1 && errno == ETIMEDOUT) {
		reply(s, "421 4.4.2 %s Error: timeout exceeded", settings.myhostname);
		log_end(s, "timeout");
	} else {
		log_end(s, "lost connection");
	}
	s->stage = NULL;
	s->ended = s->failed = s->has_left = true;
}

static int flush(struct session *s, deadline when)
{
	int rc = stream_flush(s->stream, when);

	if (rc == -1 && s->unheard[0] != '\0')
		log_info("%s: reply-lost: the message is kept, but %s can't have read so",
		    s->unheard, s->peer);
	s->unheard[0] = '\0';
	return rc;
}

int session_flush(struct session *s)
{
	return flush(s, client_deadline());
}

/* --- the dialogue --------------------------------------------------------------------------------- */

static bool is_over(struct session *s)
{
	if (s->ended)
		return true;
	if ((int64_t)s->errors >= settings.smtpd_hard_error_limit) {
		reply(s, "421 4.7.0 %s Error: too many errors", settings.myhostname);
		log_end(s, "too many errors");
		return true;
	}
	if ((service_draining() == DRAIN_STOP ||
		(service_draining() == DRAIN_OUTDATED && !s->t.has_sender)) &&
	    !stream_has_input(s->stream)) {
		reply(s, "421 4.3.2 %s Service shutting down", settings.myhostname);
		return true;
	}
	return false;
}

/* The next command line. False: there is none, and why was said. */
static bool next_line(struct session *s, struct slice *line)
{
	deadline when = client_deadline();
	struct slice input;
	int rc;

	if (!stream_has_input(s->stream)) {
		if (session_flush(s) == -1) {
			session_lost(s, -1);
			return false;
		}
		s->idle = s->t.id[0] == '\0';
	}
	rc = stream_peek(s->stream, &input, when);
	if (rc == 1 && misuse_is_foreign(input.data[0])) {
		misuse_foreign(s, input);
		return false;
	}
	if (rc == 1)
		rc = stream_line(s->stream, line, when);
	s->idle = false;
	/* Too long for the buffer: the caller sees its length. */
	if (rc == 1 || (rc == -1 && errno == EMSGSIZE))
		return true;
	session_lost(s, rc);
	return false;
}

static void take_line(struct session *s, struct slice line)
{
	int rc;

	if ((int64_t)line.len > settings.line_length_limit) {
		rc = misuse_long_line(s, line);
		if (rc != 1)
			session_lost(s, rc);
		return;
	}
	if (line.data[line.len] == '\n') {
		s->saw_bare_lf = true;
		if (policy_rejects_bare_newline(s)) {
			s->all[VERB_UNKNOWN]++;
			s->stage = "UNKNOWN";
			transcript_command(&s->transcript, false, line);
			reply_bare_newline(s, "LF");
			return;
		}
	}
	command_run(s, line);
}

static void serve(struct session *s)
{
	struct slice line = SLICE("");

	if (misuse_before_greeting(s))
		return;
	reply(s, "220 %s", settings.smtpd_banner);
	while (!is_over(s) && next_line(s, &line)) {
		take_line(s, line);
		task_yield_if_long();
	}
}

/* A client that is dismissed may have sent more: to close before that is read would reset the
 * connection, and with it what we said last. */
static void let_it_read(struct session *s)
{
	deadline when = deadline_after(LINGER_SECONDS * CLOCK_SECOND);
	struct slice rest;
	size_t unread = 0;

	if (s->has_left || shutdown(stream_fd(s->stream), SHUT_WR) == -1)
		return;
	while (unread < LINGER_BYTES && stream_peek(s->stream, &rest, when) == 1) {
		unread += rest.len;
		stream_consume(s->stream, rest.len);
	}
}

static size_t sessions_of(const struct net_address *a)
{
	const struct session *s;
	size_t count = 0;

	LIST_FOREACH(s, &sessions, link)
		count += net_address_equal(&s->client->address, a);
	return count;
}

void session_run(struct service_client *client)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->client = client;
	s->task = task_self();
	s->stage = "CONNECT";
	s->stream = stream_new(client->fd, READ_LIMIT);
	describe(s);
	transaction_reset(s);
	LIST_INSERT_HEAD(&sessions, s, link);
	log_event(LOG_CONNECT, { "client", slice_of(s->peer) });
	if (!policy_limits_connections(&client->address) ||
	    !misuse_too_many(s, sessions_of(&client->address)))
		serve(s);
	flush(s, deadline_after(GOODBYE_SECONDS * CLOCK_SECOND));
	log_disconnect(s);
	let_it_read(s);
	LIST_REMOVE(s, link);
	transcript_end(&s->transcript, "SMTP server", slice_of(s->peer), s->aborted);
	stream_free(s->stream);
	arena_free(s->arena);
	free(s);
}

void session_drain(enum drain_reason reason)
{
	struct session *s;

	LIST_FOREACH(s, &sessions, link)
		if (s->idle &&
		    (reason == DRAIN_STOP || (reason == DRAIN_OUTDATED && !s->t.has_sender)))
			task_cancel(s->task);
}
