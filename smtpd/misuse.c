/* SPDX-License-Identifier: ISC */
/*
 * misuse.c - what no SMTP client does: it speaks another protocol, talks before its turn, sends lines
 * without an end, or opens connections without number.
 */
#include "smtpd/smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/log/log.h"

enum { SHOWN = 100, SHOWN_OF_LONG = 30, DRAIN_LIMIT = 1024 * 1024 };

/* The start of what came, for a log line. */
static size_t copy_start(struct slice text, char out[SHOWN], size_t limit)
{
	size_t len = 0;

	for (; len < text.len && len < limit; len++)
		out[len] = text.data[len] == '\0' ? '?' : text.data[len];
	while (len > 0 && (out[len - 1] == '\r' || out[len - 1] == '\n'))
		len--;
	return len;
}

/* --- other protocols ------------------------------------------------------------------------------ */

bool misuse_is_foreign(char first)
{
	return (first >= 0 && first < ' ' && first != '\t' && first != '\r' && first != '\n') ||
	    (unsigned char)first >= 0x7f;
}

void misuse_foreign(struct session *s, struct slice text)
{
	char start[SHOWN];
	size_t len = copy_start(text, start, SHOWN);

	log_warning("non-SMTP command from %s: %.*s", s->peer, (int)len, start);
	s->all[VERB_UNKNOWN]++;
	transcript_reply(&s->transcript, false, slice_new(start, len));
	reply(s, "521 5.5.1 %s Error: this is an SMTP server. Goodbye.", settings.myhostname);
	s->stage = NULL;
	s->ended = true;
}

/* --- out of turn ---------------------------------------------------------------------------------- */

/* As C writes them in a string. */
static size_t put_escaped(struct slice text, char *out, size_t size)
{
	static const char letters[] = "abtnvfr";
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c >= '\a' && c <= '\r')
			len += (size_t)snprintf(out + len, size - len, "\\%c", letters[c - '\a']);
		else if (c == '\\')
			len += (size_t)snprintf(out + len, size - len, "\\\\");
		else if (c < ' ' || c >= 0x7f)
			len += (size_t)snprintf(out + len, size - len, "\\%03o", c);
		else
			out[len++] = (char)c;
	}
	return len;
}

static bool out_of_turn(struct session *s, const char *stage, struct slice input)
{
	char text[SHOWN * 4 + 1];
	size_t len;

	len = put_escaped(slice_part(input, 0, SHOWN), text, sizeof(text));
	if (!s->was_out_of_turn)
		log_info("improper command pipelining after %s from %s: %.*s", stage, s->peer,
		    (int)len, text);
	s->was_out_of_turn = true;
	if (!settings.smtpd_forbid_unauth_pipelining)
		return false;
	reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
	s->stage = NULL;
	s->ended = true;
	return true;
}

bool misuse_before_greeting(struct session *s)
{
	char early[SHOWN];
	ssize_t len = recv(stream_fd(s->stream), early, sizeof(early), MSG_PEEK | MSG_DONTWAIT);

	return len > 0 && out_of_turn(s, "CONNECT", slice_new(early, (size_t)len));
}

bool misuse_before_answer(struct session *s)
{
	struct slice input;

	return stream_has_input(s->stream) &&
	    stream_peek(s->stream, &input, client_deadline()) == 1 &&
	    out_of_turn(s, s->stage, input);
}

/* --- without measure ------------------------------------------------------------------------------ */

int misuse_long_line(struct session *s, struct slice line)
{
	deadline when = client_deadline();
	char start[SHOWN];
	size_t drained = 0, len = copy_start(line, start, SHOWN_OF_LONG);
	int rc = 1;

	log_warning("%s: request longer than %lld: %.*s...", s->peer,
	    (long long)settings.line_length_limit, (int)len, start);
	s->all[VERB_UNKNOWN]++;
	transcript_command(&s->transcript, false, line);
	s->stage = "UNKNOWN";
	/* A full buffer is a line whose end is still to come. */
	for (bool more = line.len == READ_LIMIT; more && drained < DRAIN_LIMIT;
	     drained += line.len) {
		rc = stream_line(s->stream, &line, when);
		if (rc != 1 && !(rc == -1 && errno == EMSGSIZE))
			return rc;
		more = rc == -1;
	}
	if (rc == 1) {
		reply(s, "500 5.5.2 %s Error: command too long", settings.myhostname);
		return 1;
	}
	reply(s, "421 4.7.0 %s Error: command too long", settings.myhostname);
	s->stage = NULL;
	s->ended = true;
	return 1;
}

bool misuse_too_many(struct session *s, size_t sessions)
{
	if (settings.smtpd_client_connection_count_limit == 0 ||
	    (int64_t)sessions <= settings.smtpd_client_connection_count_limit)
		return false;
	log_warning("Connection concurrency limit exceeded: %zu from %s for service %s", sessions,
	    s->peer, service_entry_name());
	reply(s, "421 4.7.0 %s Error: too many connections from %s", settings.myhostname,
	    s->address);
	s->stage = NULL;
	return true;
}
