/* SPDX-License-Identifier: ISC */
/*
 * reply.c - what the client is told, and what the log says of a refusal.
 */
#include "smtpd/smtpd.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/mail/mail_address.h"

enum { REPLY_LIMIT = 500 };

deadline client_deadline(void)
{
	return deadline_after(settings.smtpd_timeout);
}

/* The client's own words come back in a reply: nothing of them may end the line or leave ASCII. What soft_bounce
 * says comes here, too, so that the log has the reply that was sent. */
static size_t make_safe(char *text, int len)
{
	size_t safe = len < 0 ? 0 : len > REPLY_LIMIT ? REPLY_LIMIT : (size_t)len;

	for (size_t i = 0; i < safe; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	/* A client tries again what is refused for now. */
	if (settings.soft_bounce && safe > 0 && text[0] == '5') {
		text[0] = '4';
		if (safe > 4 && text[4] == '5')
			text[4] = '4';
	}
	return safe;
}

/* What the reply says of whom: the first that fits, or the caller's. */
static unsigned wrong_of(struct slice text, unsigned otherwise)
{
	static const struct {
		const char *start; /* behind the first digit of the enhanced code */
		unsigned wrong;
	} known[] = {
		{ ".3.5", WRONG_SOFTWARE },
		{ ".3.0", WRONG_RESOURCE },
		{ ".3.1", WRONG_RESOURCE },
		{ ".3.2", 0 }, /* we are ending */
		{ ".4.2", 0 }, /* the client fell silent */
		{ ".4.6", WRONG_DATA },
		{ ".4.0", WRONG_DATA },
		{ ".6.", WRONG_DATA },
		{ ".5.2", WRONG_PROTOCOL },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(known) && text.len > 5; i++)
		if (slice_starts_nocase(slice_part(text, 5, text.len), slice_of(known[i].start)))
			return known[i].wrong;
	return otherwise;
}

/* wrong: the class of a 4xx or 5xx that does not say it itself. */
static void send_text(struct session *s, char *text, size_t len, unsigned wrong)
{
	transcript_reply(&s->transcript, true, slice_new(text, len));
	if (text[0] == '4' || text[0] == '5')
		s->transcript.classes |= wrong_of(slice_new(text, len), wrong);
	if (text[0] == '4' || text[0] == '5') {
		s->failed = true;
		s->errors++;
		if (s->errors > settings.smtpd_soft_error_limit &&
		    settings.smtpd_error_sleep_time > 0) {
			session_flush(s);
			task_sleep_until(deadline_after(settings.smtpd_error_sleep_time));
		}
	}
	if (stream_write(s->stream, slice_new(text, len), client_deadline()) == -1 ||
	    stream_write(s->stream, SLICE("\r\n"), client_deadline()) == -1)
		s->ended = true;
}

void reply(struct session *s, const char *format, ...)
{
	char text[REPLY_LIMIT + 1];
	va_list args;
	size_t len;

	va_start(args, format);
	len = make_safe(text, vsnprintf(text, sizeof(text), format, args));
	va_end(args);
	send_text(s, text, len, WRONG_PROTOCOL);
}

void reply_bare_newline(struct session *s, const char *what)
{
	int code = (int)settings.smtpd_forbid_bare_newline_reject_code;

	reject(s, s->stage, SLICE(""), "%d 5.5.2 %s Error: bare <%s> received", code,
	    settings.myhostname, what);
	if (code == 521) {
		s->ended = true;
		s->stage = NULL;
	}
}

void reject(struct session *s, const char *stage, struct slice recipient, const char *format, ...)
{
	char text[REPLY_LIMIT + 1], from[MAIL_ADDRESS_LIMIT + 3] = "";
	struct slice said;
	va_list args;

	va_start(args, format);
	said = slice_new(text, make_safe(text, vsnprintf(text, sizeof(text), format, args)));
	va_end(args);
	if (recipient.len == 0 && s->t.rcpt_count == 1)
		recipient = s->t.rcpts[0];
	if (s->t.has_sender)
		snprintf(from, sizeof(from), "<%.*s>", (int)s->t.sender.len, s->t.sender.data);
	log_event(LOG_REJECT, { "id", s->t.id[0] == '\0' ? SLICE("NOQUEUE") : slice_of(s->t.id) },
	    { "verb", SLICE("reject") }, { "stage", slice_of(stage) },
	    { "client", slice_of(s->peer) }, { "reply", said }, { "from", slice_of(from) },
	    { "to", recipient }, { "proto", s->is_esmtp ? SLICE("ESMTP") : SLICE("SMTP") },
	    { "helo", slice_of(s->helo) });
	send_text(s, text, said.len, WRONG_POLICY);
}
