/* SPDX-License-Identifier: ISC */
/*
 * transcript.c - the lines of a session, bounded, and the mail that they become.
 *
 * A stranger decides how much is said and how often it goes wrong: so a transcript keeps its first and its last
 * lines, and few of them are mailed at the same time.
 */
#include "common/service/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/mail/header.h"
#include "common/service/service.h"
#include "common/service/submit.h"
#include "common/task/task.h"

enum { START_BYTES = 8192, LATEST_BYTES = 16384, LINE_BYTES = 500, MAILED_AT_ONCE = 10 };

unsigned transcript_wanted;

unsigned transcript_classes(const char *notify_classes)
{
	static const struct {
		struct slice name;
		unsigned class;
	} names[] = {
		{ { "data", 4 }, WRONG_DATA },
		{ { "policy", 6 }, WRONG_POLICY },
		{ { "protocol", 8 }, WRONG_PROTOCOL },
		{ { "resource", 8 }, WRONG_RESOURCE },
		{ { "software", 8 }, WRONG_SOFTWARE },
	};
	struct slice rest = slice_of(notify_classes), word;
	unsigned classes = 0;

	while (text_next_item(&rest, &word))
		for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
			if (slice_equal_nocase(word, names[i].name))
				classes |= names[i].class;
	return classes;
}

/* --- lines ---------------------------------------------------------------------------------------- */

/* The oldest of the latest lines make room. */
static void drop_oldest(struct transcript *t)
{
	while (t->latest.len > LATEST_BYTES) {
		t->dropped++;
		buf_consume(&t->latest, (size_t)slice_find(buf_slice(&t->latest), '\n') + 1);
	}
}

static void put_line(struct transcript *t, bool ours, struct slice line)
{
	struct buf *to = t->start.len < START_BYTES ? &t->start : &t->latest;
	size_t at;

	while (line.len > 0 && strchr("\r\n", line.data[line.len - 1]) != NULL)
		line.len--;
	buf_puts(to, ours ? " Out: " : " In:  ");
	at = to->len;
	buf_put_slice(to, slice_part(line, 0, LINE_BYTES));
	text_neuter(to->data + at, to->len - at);
	buf_puts(to, line.len > LINE_BYTES ? "...\r\n" : "\r\n");
	drop_oldest(t);
}

void transcript_reply(struct transcript *t, bool ours, struct slice text)
{
	struct slice line;

	if (transcript_wanted != 0)
		while (text_next_word(&text, "\r\n", &line))
			put_line(t, ours, line);
}

static bool is_verb(struct slice word)
{
	static const char *const verbs[] = { "BDAT", "DATA", "EHLO", "ETRN", "HELO", "HELP", "LHLO",
		"MAIL", "NOOP", "QUIT", "RCPT", "RSET", "STARTTLS", "VRFY", "XCLIENT", "XFORWARD" };

	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
		if (slice_equal_nocase(word, slice_of(verbs[i])))
			return true;
	return false;
}

/* AUTH and its mechanism may be seen; what stands behind them may not, nor what follows up to the next command,
 * whether or not AUTH was accepted: some clients send the password all the same. */
void transcript_command(struct transcript *t, bool ours, struct slice line)
{
	struct slice rest = line, verb = SLICE(""), mechanism = SLICE("");
	char shown[100];

	if (transcript_wanted == 0)
		return;
	text_next_word(&rest, " \t", &verb);
	if (slice_equal_nocase(verb, SLICE("AUTH"))) {
		t->has_secrets = true;
		text_next_word(&rest, " \t", &mechanism);
		snprintf(shown, sizeof(shown), "AUTH %.*s%s",
		    (int)(mechanism.len > 40 ? 40 : mechanism.len), mechanism.data,
		    rest.len > 0 ? " (not shown)" : "");
		put_line(t, ours, slice_of(shown));
		return;
	}
	if (is_verb(verb))
		t->has_secrets = false;
	put_line(t, ours, t->has_secrets ? SLICE("(not shown)") : line);
}

/* --- the mail ------------------------------------------------------------------------------------- */

void transcript_put_mail(const struct transcript *t, const char *what, struct slice peer,
    const char *why, struct buf *out)
{
	struct conf *conf = service_conf();
	char date[64];

	buf_printf(out,
	    "Date: %s\r\n"
	    "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "To: %s\r\n"
	    "Subject: %s %s: errors from %.*s\r\n"
	    "Auto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"
	    "\r\n"
	    "Transcript of session follows.\r\n"
	    "\r\n",
	    mail_date(date, clock_wall_us()), conf_text(conf, "error_notice_recipient"),
	    conf_text(conf, "mail_name"), what, (int)peer.len, peer.data);
	buf_put_slice(out, buf_slice(&t->start));
	if (t->dropped > 0)
		buf_printf(out, " (%zu lines are left out here)\r\n", t->dropped);
	buf_put_slice(out, buf_slice(&t->latest));
	if (why != NULL)
		buf_printf(out, "\r\nSession aborted, reason: %s\r\n", why);
	buf_puts(out, "\r\nFor other details, see the local mail logfile\r\n");
}

struct mail {
	struct buf text;
	char *peer;
};

static unsigned mailed_now;

static void submit(const struct mail *m)
{
	struct conf *conf = service_conf();
	char *sender = mem_printf("%s@%s", conf_text(conf, "double_bounce_sender"),
	    conf_text(conf, "myorigin"));
	struct slice to = slice_of(conf_text(conf, "error_notice_recipient")), none = SLICE("");
	uint64_t notify = 0;
	struct msg_rcpts rcpts = { { &to, 1 }, { &to, 1 }, { &none, 1 }, { &notify, 1 } };
	struct msg_admit admit = { .sender = slice_of(sender),
		.flags = ADMIT_INTERNAL | ADMIT_LOCAL | ADMIT_8BIT };
	struct submission s;
	const struct msg_reply *reply;

	submit_open(&s, &admit);
	submit_rcpts(&s, &rcpts);
	submit_data(&s, buf_slice(&m->text));
	reply = submit_end(&s);
	if (reply == NULL)
		log_warning("the transcript of the session with %s could not be sent to "
			    "error_notice_recipient: %m",
		    m->peer);
	else if (reply->code != 250)
		log_warning("the transcript of the session with %s could not be sent to "
			    "error_notice_recipient: %.*s",
		    m->peer, (int)reply->text.len, reply->text.data);
	submit_close(&s);
	free(sender);
}

static void run(void *arg)
{
	struct mail *m = arg;

	service_session_begin();
	submit(m);
	service_session_end();
	mailed_now--;
	buf_clear(&m->text);
	free(m->peer);
	free(m);
}

void transcript_end(struct transcript *t, const char *what, struct slice peer, const char *why)
{
	bool is_due = (t->classes & transcript_wanted) != 0;

	if (is_due && mailed_now == MAILED_AT_ONCE)
		log_info("no transcript of the session with %.*s: others are being sent",
		    (int)peer.len, peer.data);
	if (is_due && mailed_now < MAILED_AT_ONCE) {
		struct mail *m = mem_alloc(sizeof(*m));

		m->peer = slice_dup(peer);
		transcript_put_mail(t, what, peer, why, &m->text);
		mailed_now++;
		if (task_start("transcript", run, m) == NULL)
			panic("no task for a transcript: %zu tasks", task_count());
	}
	buf_clear(&t->start);
	buf_clear(&t->latest);
	*t = (struct transcript){ 0 };
}
