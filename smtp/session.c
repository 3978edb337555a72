/* SPDX-License-Identifier: ISC */
/*
 * session.c - from the connection to the end of the handshake, and the good-bye.
 */
#include "smtp/session.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "smtp/connect.h"

enum { LOOP_PORT = 25 };

/* What a command may say about itself when it fails. */
struct stage {
	const char *command; /* NULL: only the reply is read */
	const char *doing;
};
static const struct stage greeting = { NULL, "receiving the initial server greeting" };
static const struct stage ehlo = { "EHLO", "performing the EHLO handshake" };
static const struct stage helo = { "HELO", "performing the HELO handshake" };
static const struct stage lhlo = { "LHLO", "performing the LHLO handshake" };

/* --- verdicts ------------------------------------------------------------------------------------- */

static void set_place(const struct session *s, struct arena *arena, struct verdict *v)
{
	v->relay = arena_copy(arena, s->relay);
	v->use = s->uses;
}

void session_refused(const struct session *s, const struct reply *r, const char *command,
    struct arena *arena, struct verdict *v)
{
	struct slice said = reply_flat(r, 600, arena);

	verdict_put(v, arena, r->code >= 500 ? "5.0.0" : "4.0.0",
	    "host %.*s said: %.*s (in reply to %s command)", (int)s->peer.len, s->peer.data,
	    (int)said.len, said.data, command);
	v->dsn = r->enhanced;
	/* A 2xx or 3xx where it does not belong. */
	if (v->dsn.len == 0 || v->dsn.data[0] < '4')
		v->dsn = SLICE("4.0.0");
	v->diagnostic = slice_of(arena_printf(arena, "smtp; %.*s", (int)said.len, said.data));
	v->remote = arena_copy(arena, s->host);
	set_place(s, arena, v);
}

/* Not the recipient or the message, but what we said or they answered has no meaning. */
static bool is_protocol_error(unsigned code)
{
	return code < 200 || code > 599 || (code >= 500 && code < 510) || code == 555;
}

enum reply_result session_reply(struct session *s, struct arena *arena, deadline when,
    struct reply *r)
{
	enum reply_result how = reply_read(s->stream, arena, when, r);

	if (how == REPLY_OK || how == REPLY_BAD)
		transcript_reply(&s->transcript, false, r->text);
	if (how == REPLY_BAD || (how == REPLY_OK && is_protocol_error(r->code)))
		s->transcript.classes |= WRONG_PROTOCOL;
	return how;
}

void session_lost(struct session *s, enum reply_result how, const struct reply *r,
    const char *doing, struct arena *arena, struct verdict *v)
{
	s->is_broken = true;
	s->aborted = how == REPLY_BAD ? "protocol error"
	    : how == REPLY_TIMEOUT    ? "timeout"
				      : "lost connection";
	if (how == REPLY_BAD) {
		struct slice said = reply_flat(r, 200, arena);

		verdict_put(v, arena, "4.5.0", "protocol error with %.*s while %s: got \"%.*s\"",
		    (int)s->peer.len, s->peer.data, doing, (int)said.len, said.data);
		set_place(s, arena, v);
		return;
	}
	verdict_put(v, arena, "4.4.2",
	    how == REPLY_TIMEOUT ? "conversation with %.*s timed out while %s"
				 : "lost connection with %.*s while %s",
	    (int)s->peer.len, s->peer.data, doing);
	set_place(s, arena, v);
}

bool session_speaks_first(struct session *s, const char *doing, struct arena *arena,
    struct verdict *v)
{
	struct reply r = { 0 };
	struct slice piece;

	if (!stream_has_input(s->stream))
		return false;
	stream_peek(s->stream, &piece, DEADLINE_NEVER);
	r.text = slice_part(piece, 0, 100);
	session_lost(s, REPLY_BAD, &r, doing, arena, v);
	return true;
}

static void refused_to_talk(struct session *s, const struct reply *r, struct arena *arena,
    struct verdict *v)
{
	struct slice said = reply_flat(r, 600, arena);

	session_refused(s, r, "", arena, v);
	v->text = slice_of(arena_printf(arena, "host %.*s refused to talk to me: %.*s",
	    (int)s->peer.len, s->peer.data, (int)said.len, said.data));
}

/* --- the handshake -------------------------------------------------------------------------------- */

/* Sends the stage's command and takes its reply. False: the connection is of no use any more. */
static bool exchange(struct session *s, const struct stage *stage, struct reply *r,
    struct arena *arena, struct verdict *v)
{
	deadline when = deadline_after(client_settings.helo_timeout);
	enum reply_result how = REPLY_OK;

	if (stage->command != NULL)
		transcript_command(&s->transcript, true,
		    slice_of(arena_printf(arena, "%s %s", stage->command,
			client_settings.helo_name)));
	if (stage->command != NULL && session_speaks_first(s, stage->doing, arena, v))
		return false;
	if (stage->command != NULL &&
	    (stream_printf(s->stream, when, "%s %s\r\n", stage->command,
		 client_settings.helo_name) == -1 ||
		stream_flush(s->stream, when) == -1))
		how = errno == ETIMEDOUT ? REPLY_TIMEOUT : REPLY_LOST;
	stream_wait_first(s->stream);
	if (how == REPLY_OK)
		how = session_reply(s, arena, when, r);
	if (how == REPLY_OK)
		return true;
	session_lost(s, how, r, stage->doing, arena, v);
	return false;
}

static bool is_discarded(struct slice keyword)
{
	struct slice rest = slice_of(client_settings.discard_ehlo_keywords), word;

	while (text_next_word(&rest, ", \t\r\n", &word))
		if (slice_equal_nocase(word, keyword))
			return true;
	return false;
}

static void take_keyword(struct session *s, struct slice line)
{
	static const struct {
		struct slice keyword;
		unsigned feature;
	} known[] = {
		{ { "PIPELINING", 10 }, FEATURE_PIPELINING },
		{ { "SIZE", 4 }, FEATURE_SIZE },
		{ { "8BITMIME", 8 }, FEATURE_8BITMIME },
		{ { "DSN", 3 }, FEATURE_DSN },
		{ { "SMTPUTF8", 8 }, FEATURE_SMTPUTF8 },
	};
	struct slice word, argument;

	if (!text_next_word(&line, " \t", &word) || is_discarded(word))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (slice_equal_nocase(word, known[i].keyword))
			s->features |= known[i].feature;
	if (slice_equal_nocase(word, SLICE("SIZE")) && text_next_word(&line, " \t", &argument) &&
	    !text_number(argument, UINT64_MAX, &s->size_limit))
		s->size_limit = 0;
}

/* The first line has the server's name: the others are keywords. True: the name is ours. */
static bool take_keywords(struct session *s, const struct reply *r)
{
	struct slice rest = r->text, line, name = SLICE("");
	bool is_first = true;

	while (text_next_word(&rest, "\n", &line)) {
		line = slice_part(line, 4, line.len);
		if (is_first)
			text_next_word(&line, " \t", &name);
		else
			take_keyword(s, line);
		is_first = false;
	}
	return slice_equal_nocase(name, slice_of(client_settings.myhostname));
}

static bool greet(struct session *s, struct reply *r, struct arena *arena, struct verdict *v)
{
	if (!exchange(s, &greeting, r, arena, v))
		return false;
	if (r->code / 100 == 2)
		return true;
	refused_to_talk(s, r, arena, v);
	/* Many servers that are busy say 5xx here. */
	if (r->code >= 500 && client_settings.skip_5xx_greeting) {
		v->outcome = OUTCOME_DEFERRED;
		v->dsn = SLICE("4.0.0");
	}
	return false;
}

static bool introduce(struct session *s, struct reply *r, struct arena *arena, struct verdict *v)
{
	bool with_helo = !client_settings.is_lmtp &&
	    (client_settings.never_send_ehlo ||
		(!client_settings.always_send_ehlo && strstr(r->text.data, "ESMTP") == NULL));
	bool is_self = false;

	if (!with_helo) {
		if (!exchange(s, client_settings.is_lmtp ? &lhlo : &ehlo, r, arena, v))
			return false;
		if (r->code / 100 == 2)
			is_self = take_keywords(s, r);
		else if (!client_settings.is_lmtp && r->code >= 500)
			with_helo = true;
	}
	if (with_helo && !exchange(s, &helo, r, arena, v))
		return false;
	if (r->code / 100 != 2) {
		refused_to_talk(s, r, arena, v);
		return false;
	}
	if (is_self && s->port == LOOP_PORT && !client_settings.is_lmtp) {
		verdict_put(v, arena, "5.4.6", "mail for %.*s loops back to myself",
		    (int)s->host.len, s->host.data);
		set_place(s, arena, v);
		return false;
	}
	return true;
}

/* --- the connection ------------------------------------------------------------------------------- */

static void name_peer(struct session *s, const struct host *h)
{
	char text[INET6_ADDRSTRLEN];

	s->name = arena_copy(s->arena, h->name);
	if (h->address.family == AF_UNSPEC) {
		s->host = arena_copy(s->arena, slice_of(client_settings.myhostname));
		s->peer = slice_of(arena_printf(s->arena, "%s[%.*s]", client_settings.myhostname,
		    (int)h->name.len, h->name.data));
		s->relay = s->peer;
		return;
	}
	net_address_text(&h->address, text);
	s->host = s->name;
	s->peer = slice_of(arena_printf(s->arena, "%.*s[%s]", (int)h->name.len, h->name.data,
	    text));
	s->relay = slice_of(arena_printf(s->arena, "%.*s:%u", (int)s->peer.len, s->peer.data,
	    h->port));
	s->address = h->address;
	s->port = h->port;
}

static void session_free(struct session *s)
{
	transcript_end(&s->transcript, client_settings.is_lmtp ? "LMTP client" : "SMTP client",
	    s->peer, s->aborted);
	stream_free(s->stream);
	arena_free(s->arena);
	free(s);
}

struct session *session_open(const struct host *h, struct arena *arena, bool *connected,
    struct verdict *v)
{
	struct session *s = mem_alloc(sizeof(*s));
	struct reply r;
	int fd;

	s->arena = arena_new();
	name_peer(s, h);
	fd = connect_host(h);
	*connected = fd != -1;
	if (fd == -1) {
		verdict_put(v, arena, "4.4.1", "connect to %.*s: %s", (int)s->relay.len,
		    s->relay.data, strerror(errno));
		session_free(s);
		return NULL;
	}
	s->stream = stream_new(fd, REPLY_LINE_LIMIT);
	s->opened = clock_now();
	if (greet(s, &r, arena, v) && introduce(s, &r, arena, v)) {
		return s;
	}
	session_close(s);
	return NULL;
}

static void wait_for_good_bye(void *arg)
{
	struct session *s = arg;
	struct reply r;

	reply_read(s->stream, s->arena, deadline_after(client_settings.quit_timeout), &r);
	session_free(s);
}

void session_close(struct session *s)
{
	if (s == NULL)
		return;
	task_timer_clear(&s->idle);
	if (!s->is_broken)
		transcript_command(&s->transcript, true, SLICE("QUIT"));
	/* A connection that has no room for six bytes is not worth more. */
	if (!s->is_broken && stream_try(s->stream, SLICE("QUIT\r\n")) &&
	    !client_settings.skip_quit_response &&
	    task_start("good-bye", wait_for_good_bye, s) != NULL)
		return;
	session_free(s);
}
