/* SPDX-License-Identifier: ISC */
/*
 * smtp_dialogue.c - sendmail -bs: SMTP with the program that started us, each message submitted as any
 * other. There is no relaying to decide and nobody to keep out: who talks here may run sendmail anyway.
 *
 * A dot ends the message as it does in smtpd: between CRLFs alone; for one who ends his commands by LF,
 * between LFs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/mail_address.h"
#include "postdrop/sendmail.h"

enum { LINE_LIMIT = 2048, PIECE = 8192 };
enum { PATH_FLAGS = PATH_BARE_OK | PATH_NO_DOMAIN_OK | PATH_UTF8_OK };

struct dialogue {
	const struct sendmail *sendmail;
	struct buf line;
	bool bare_lf; /* what the last line ended with */
	bool has_sender, ended, gone;
	struct submission message;
};

static void reply(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void reply(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fputs("\r\n", stdout);
}

static const char *hostname(const struct dialogue *d)
{
	return conf_text(d->sendmail->conf, "myhostname");
}

static uint64_t size_limit(const struct dialogue *d)
{
	return (uint64_t)conf_number(d->sendmail->conf, "message_size_limit");
}

static void forget_message(struct dialogue *d)
{
	submission_clear(&d->message);
	d->has_sender = false;
}

/* --- commands ------------------------------------------------------------------------------------- */

static void do_helo(struct dialogue *d, struct slice args)
{
	forget_message(d);
	if (args.len == 0)
		reply("501 Syntax: HELO hostname");
	else
		reply("250 %s", hostname(d));
}

static void do_ehlo(struct dialogue *d, struct slice args)
{
	forget_message(d);
	if (args.len == 0) {
		reply("501 Syntax: EHLO hostname");
		return;
	}
	reply("250-%s", hostname(d));
	reply("250-PIPELINING");
	reply("250-SIZE %llu", (unsigned long long)size_limit(d));
	reply("250-ENHANCEDSTATUSCODES");
	reply("250 8BITMIME");
}

/* False: refused, and said. */
static bool mail_option(struct dialogue *d, struct slice option)
{
	uint64_t size;

	if (slice_starts_nocase(option, SLICE("SIZE="))) {
		if (!text_number(slice_part(option, 5, option.len), INT64_MAX, &size)) {
			reply("501 5.5.4 Bad message size syntax");
			return false;
		}
		if (size_limit(d) > 0 && size > size_limit(d)) {
			reply("552 5.3.4 Message size exceeds fixed limit");
			return false;
		}
		return true;
	}
	if (slice_equal_nocase(option, SLICE("BODY=8BITMIME"))) {
		d->message.envelope.flags |= SUBMIT_8BIT;
		return true;
	}
	if (slice_equal_nocase(option, SLICE("BODY=7BIT")))
		return true;
	reply("555 5.5.4 Unsupported option: %.*s", (int)option.len, option.data);
	return false;
}

static void do_mail(struct dialogue *d, struct slice args)
{
	struct slice address, rest, option;
	const char *why;

	if (d->has_sender) {
		reply("503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (!slice_starts_nocase(args, SLICE("FROM:"))) {
		reply("501 5.5.4 Syntax: MAIL FROM:<address>");
		return;
	}
	sendmail_begin(d->sendmail, &d->message);
	if (!path_parse(slice_part(args, 5, args.len), PATH_FLAGS | PATH_NULL_OK, d->message.arena,
		&address, &rest, &why)) {
		forget_message(d);
		reply("501 5.1.7 Bad sender address syntax");
		return;
	}
	d->message.envelope.sender = address;
	d->message.envelope
	    .full_name = SLICE(""); /* whose program it is says nothing of the mail */
	while (text_next_word(&rest, " ", &option))
		if (!mail_option(d, option)) {
			forget_message(d);
			return;
		}
	d->has_sender = true;
	reply("250 2.1.0 Ok");
}

static void do_rcpt(struct dialogue *d, struct slice args)
{
	struct slice address, rest;
	const char *why;

	if (!d->has_sender) {
		reply("503 5.5.1 Error: need MAIL command");
		return;
	}
	if (!slice_starts_nocase(args, SLICE("TO:"))) {
		reply("501 5.5.4 Syntax: RCPT TO:<address>");
		return;
	}
	if (!path_parse(slice_part(args, 3, args.len), PATH_FLAGS, d->message.arena, &address,
		&rest, &why)) {
		reply("501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (slice_trim(rest).len > 0) {
		reply("555 5.5.4 Unsupported option: %.*s", (int)rest.len, rest.data);
		return;
	}
	if (!submission_add_address(&d->message, address)) {
		reply("452 4.5.3 Error: too many recipients");
		return;
	}
	reply("250 2.1.5 Ok");
}

/* --- DATA ----------------------------------------------------------------------------------------- */

enum place { LINE_START, BEHIND_DOT, BEHIND_DOT_CR, IN_LINE, BEHIND_CR };

struct content {
	struct dialogue *dialogue;
	bool bare_lf;	 /* a dot between LFs ends it */
	bool after_true; /* the line before ended as such a dot needs it */
	enum place place;
	struct buf out;
	bool failed, ended;
};

/* Kept only as far as it may be; the client hears of it after its dot. */
static void keep(struct content *c)
{
	struct spool *spool = &c->dialogue->message.content;
	uint64_t limit = size_limit(c->dialogue);

	c->failed = c->failed || (limit > 0 && spool->size + c->out.len > limit);
	if (!c->failed && spool_append(spool, buf_slice(&c->out)) == -1)
		fail_now(EXIT_TEMPORARY, "cannot keep the message");
	buf_reset(&c->out);
}

static void line_ended(struct content *c, bool by_crlf)
{
	buf_putc(&c->out, '\n');
	c->after_true = by_crlf || c->bare_lf;
	c->place = LINE_START;
}

/* A byte in a line, behind what it starts with. */
static void take_text(struct content *c, char byte)
{
	if (byte == '\n') {
		line_ended(c, c->place == BEHIND_CR);
		return;
	}
	if (c->place == BEHIND_CR)
		buf_putc(&c->out, '\r');
	c->place = byte == '\r' ? BEHIND_CR : IN_LINE;
	if (byte != '\r')
		buf_putc(&c->out, byte);
}

/* Behind a dot at the start of a line, which the client doubled unless it is the end. */
static void take_behind_dot(struct content *c, char byte)
{
	if (c->place == BEHIND_DOT && byte == '\r') {
		c->place = BEHIND_DOT_CR;
		return;
	}
	if (byte == '\n' && c->after_true && (c->place == BEHIND_DOT_CR || c->bare_lf)) {
		c->ended = true;
		return;
	}
	if (byte == '\n')
		buf_putc(&c->out, '.');
	c->place = c->place == BEHIND_DOT_CR ? BEHIND_CR : IN_LINE;
	take_text(c, byte);
}

static void take(struct content *c, char byte)
{
	if (c->place == LINE_START && byte == '.')
		c->place = BEHIND_DOT;
	else if (c->place == BEHIND_DOT || c->place == BEHIND_DOT_CR)
		take_behind_dot(c, byte);
	else
		take_text(c, byte);
	if (c->out.len >= PIECE)
		keep(c);
}

static void submit(struct dialogue *d)
{
	enum exit_status status;
	char *text;

	status = submission_send(&d->message, d->sendmail->conf, d->sendmail->config_path, &text);
	if (status == EXIT_OK)
		reply("250 %s", text);
	else if (status == EXIT_TEMPORARY || text[0] == '4')
		reply("451 4.3.0 Error: queue file write error");
	else
		reply("554 %s", text);
	free(text);
}

static void do_data(struct dialogue *d, struct slice args)
{
	struct content c = { .dialogue = d, .bare_lf = d->bare_lf, .after_true = true };
	int byte;

	if (args.len > 0) {
		reply("501 5.5.4 Syntax: DATA");
		return;
	}
	if (d->message.rcpt_count == 0) {
		reply("503 5.5.1 Error: need RCPT command");
		return;
	}
	reply("354 End data with <CR><LF>.<CR><LF>");
	fflush(stdout);
	while (!c.ended && (byte = getchar()) != EOF)
		take(&c, (char)byte);
	keep(&c);
	buf_clear(&c.out);
	d->gone = !c.ended;
	if (c.ended && c.failed)
		reply("552 5.3.4 Message size exceeds fixed limit");
	else if (c.ended)
		submit(d);
	forget_message(d);
}

/* --- the others ----------------------------------------------------------------------------------- */

static void do_rset(struct dialogue *d, struct slice args)
{
	if (args.len > 0) {
		reply("501 5.5.4 Syntax: RSET");
		return;
	}
	forget_message(d);
	reply("250 2.0.0 Ok");
}

static void do_noop(struct dialogue *d, struct slice args)
{
	(void)d;
	(void)args;
	reply("250 2.0.0 Ok");
}

static void do_vrfy(struct dialogue *d, struct slice args)
{
	(void)d;
	if (args.len == 0)
		reply("501 5.5.4 Syntax: VRFY address");
	else
		reply("252 2.0.0 %.*s", (int)args.len, args.data);
}

static void do_quit(struct dialogue *d, struct slice args)
{
	(void)args;
	reply("221 2.0.0 Bye");
	d->ended = true;
}

static const struct {
	const char *name;
	void (*run)(struct dialogue *, struct slice args);
} commands[] = {
	{ "HELO", do_helo },
	{ "EHLO", do_ehlo },
	{ "MAIL", do_mail },
	{ "RCPT", do_rcpt },
	{ "DATA", do_data },
	{ "RSET", do_rset },
	{ "NOOP", do_noop },
	{ "VRFY", do_vrfy },
	{ "QUIT", do_quit },
};

static void run_line(struct dialogue *d)
{
	struct slice args = slice_trim(buf_slice(&d->line)), word;

	if (!text_is_utf8(args) || memchr(args.data, '\0', args.len) != NULL ||
	    !text_next_word(&args, " \t", &word)) {
		reply("500 5.5.2 Error: bad syntax");
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (slice_equal_nocase(word, slice_of(commands[i].name))) {
			commands[i].run(d, slice_trim(args));
			return;
		}
	reply("500 5.5.2 Error: command not recognized");
}

/* 1; 0 for one that is too long; -1 at the end of input. */
static int read_line(struct dialogue *d)
{
	bool fits = true;
	int byte;

	buf_reset(&d->line);
	while ((byte = getchar()) != EOF && byte != '\n') {
		fits = fits && d->line.len < LINE_LIMIT;
		if (fits)
			buf_putc(&d->line, (char)byte);
	}
	d->bare_lf = d->line.len == 0 || d->line.data[d->line.len - 1] != '\r';
	if (byte == EOF)
		return -1;
	return fits ? 1 : 0;
}

int smtp_dialogue(const struct sendmail *s)
{
	struct dialogue d = { .sendmail = s };
	int rc;

	reply("220 %s ESMTP %s", hostname(&d), conf_text(s->conf, "mail_name"));
	fflush(stdout);
	while (!d.ended && !d.gone && (rc = read_line(&d)) != -1) {
		if (rc == 0)
			reply("500 5.5.2 %s Error: command too long", hostname(&d));
		else
			run_line(&d);
		/* A pipelined group of commands is answered at once or in parts: both are right. */
		fflush(stdout);
	}
	forget_message(&d);
	buf_clear(&d.line);
	return d.gone ? EXIT_DATA : EXIT_OK;
}
