/* SPDX-License-Identifier: ISC */
/*
 * commands.c - SMTP commands: the table of who may come when, and what each does.
 */
#include "smtpd/smtpd.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"
#include "common/mail/mail_address.h"

enum { NEEDS_NOTHING = 0, NEEDS_SENDER = 1, NEEDS_RECIPIENT = 2 };

static uint32_t id_counter;
static struct match_list *forbidden;

bool list_has_word(const char *list, struct slice word)
{
	struct slice rest = slice_of(list), item;

	while (text_next_word(&rest, ", \t\r\n", &item))
		if (slice_equal_nocase(item, word))
			return true;
	return false;
}

/* --- HELO, EHLO ----------------------------------------------------------------------------------- */

static bool take_helo(struct session *s, struct slice args, const char *verb)
{
	struct slice name = args;

	if (name.len == 0 || slice_find(name, ' ') != -1) {
		reply(s, "501 Syntax: %s hostname", verb);
		return false;
	}
	transaction_reset(s);
	name = slice_part(name, 0, sizeof(s->helo) - 1);
	memcpy(s->helo, name.data, name.len);
	text_neuter(s->helo, name.len);
	s->helo[name.len] = '\0';
	return true;
}

static void do_helo(struct session *s, struct slice args)
{
	if (!take_helo(s, args, "HELO"))
		return;
	s->is_esmtp = false;
	reply(s, "250 %s", settings.myhostname);
}

static void do_ehlo(struct session *s, struct slice args)
{
	char size[40];
	const char *const keywords[] = { "PIPELINING", size,
		settings.disable_vrfy_command ? NULL : "VRFY", "ENHANCEDSTATUSCODES", "8BITMIME",
		"DSN" };
	const char *shown[ARRAY_LENGTH(keywords)];
	size_t count = 0;

	if (!take_helo(s, args, "EHLO"))
		return;
	s->is_esmtp = true;
	if (*settings.smtpd_discard_ehlo_keywords != '\0' &&
	    !list_has_word(settings.smtpd_discard_ehlo_keywords, SLICE("silent-discard")))
		log_info("discarding EHLO keywords: %s", settings.smtpd_discard_ehlo_keywords);
	snprintf(size, sizeof(size), "SIZE %lld", (long long)settings.message_size_limit);
	for (size_t i = 0; i < ARRAY_LENGTH(keywords); i++) {
		struct slice word;

		if (keywords[i] == NULL)
			continue;
		word = slice_new(keywords[i], strcspn(keywords[i], " "));
		if (!list_has_word(settings.smtpd_discard_ehlo_keywords, word))
			shown[count++] = keywords[i];
	}
	reply(s, "250%c%s", count == 0 ? ' ' : '-', settings.myhostname);
	for (size_t i = 0; i < count; i++)
		reply(s, "250%c%s", i + 1 == count ? ' ' : '-', shown[i]);
}

/* --- MAIL ----------------------------------------------------------------------------------------- */

static bool starts(struct slice text, const char *prefix, struct slice *rest)
{
	if (!slice_starts_nocase(text, slice_of(prefix)))
		return false;
	*rest = slice_part(text, strlen(prefix), text.len);
	return true;
}

/* False: refused, and said. */
static bool size_option(struct session *s, struct slice value)
{
	uint64_t size;

	if (s->t.has_size || !text_number(value, INT64_MAX, &size)) {
		reply(s, "501 5.5.4 Bad message size syntax");
		return false;
	}
	if (settings.message_size_limit > 0 && size > (uint64_t)settings.message_size_limit) {
		reject(s, "MAIL", SLICE(""), "552 5.3.4 Message size exceeds fixed limit");
		return false;
	}
	s->t.has_size = true;
	s->t.declared_size = size;
	return true;
}

static bool body_option(struct session *s, struct slice value)
{
	bool is_8bit = slice_equal_nocase(value, SLICE("8BITMIME"));

	if (s->t.has_body || !(is_8bit || slice_equal_nocase(value, SLICE("7BIT")))) {
		reply(s, "501 5.5.4 Syntax: BODY=7BIT or BODY=8BITMIME, once");
		return false;
	}
	s->t.has_body = true;
	s->t.is_8bit = is_8bit;
	return true;
}

static bool mail_option(struct session *s, struct slice option)
{
	struct slice value;

	if (starts(option, "SIZE=", &value))
		return size_option(s, value);
	if (starts(option, "BODY=", &value))
		return body_option(s, value);
	switch (dsn_mail_option(s, option)) {
	case DSN_TAKEN:
		return true;
	case DSN_REFUSED:
		return false;
	case DSN_UNKNOWN:
		break;
	}
	reply(s, "555 5.5.4 Unsupported option: %.*s", (int)option.len, option.data);
	return false;
}

static unsigned path_flags(void)
{
	return settings.strict_rfc821_envelopes ? 0 : PATH_BARE_OK | PATH_NO_DOMAIN_OK;
}

static void do_mail(struct session *s, struct slice args)
{
	struct slice path, rest, option, address;
	const char *why;

	if (s->helo[0] == '\0' && settings.smtpd_helo_required) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->t.has_sender) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (service_draining() != 0 && clock_now() >= service_drain_deadline()) {
		reply(s, "421 4.3.2 %s Service is being renewed: connect again",
		    settings.myhostname);
		s->ended = true;
		return;
	}
	if (!starts(args, "FROM:", &path)) {
		reply(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
		return;
	}
	if (!path_parse(path, path_flags() | PATH_NULL_OK | PATH_NO_DOMAIN_OK, s->arena, &address,
		&rest, &why)) {
		log_warning("Illegal address syntax from %s in MAIL command: %.*s", s->peer,
		    (int)(path.len < 200 ? path.len : 200), path.data);
		reply(s, "501 5.1.7 Bad sender address syntax");
		return;
	}
	while (text_next_word(&rest, " ", &option))
		if (!mail_option(s, option)) {
			transaction_reset(s);
			return;
		}
	s->t.sender = address;
	s->t.has_sender = true;
	s->t.arrival_us = clock_wall_us();
	reply(s, "250 2.1.0 Ok");
}

/* --- RCPT ----------------------------------------------------------------------------------------- */

static void *grow(struct session *s, void *old, size_t item)
{
	struct transaction *t = &s->t;
	void *grown = arena_alloc(s->arena, t->rcpt_size * item);

	if (t->rcpt_count > 0)
		memcpy(grown, old, t->rcpt_count * item);
	return grown;
}

static void add_recipient(struct session *s, struct slice address, const struct dsn_wishes *wishes)
{
	struct transaction *t = &s->t;

	if (t->rcpt_count == t->rcpt_size) {
		t->rcpt_size = t->rcpt_size == 0 ? 4 : t->rcpt_size * 2;
		t->rcpts = grow(s, t->rcpts, sizeof(*t->rcpts));
		t->orcpts = grow(s, t->orcpts, sizeof(*t->orcpts));
		t->notifies = grow(s, t->notifies, sizeof(*t->notifies));
	}
	t->orcpts[t->rcpt_count] = wishes->orcpt;
	t->notifies[t->rcpt_count] = wishes->notify;
	t->rcpts[t->rcpt_count++] = address;
	if (t->id[0] == '\0') {
		queue_id_make(t->id, t->arrival_us, service_process_number(), id_counter++);
		log_event(LOG_CLIENT, { "id", slice_of(t->id) }, { "client", slice_of(s->peer) });
	}
}

/* False: refused, and said. */
static bool rcpt_options(struct session *s, struct slice rest, struct dsn_wishes *wishes)
{
	struct slice option;

	while (text_next_word(&rest, " ", &option)) {
		enum dsn_option result = dsn_rcpt_option(s, option, wishes);

		if (result == DSN_UNKNOWN)
			reply(s, "555 5.5.4 Unsupported option: %.*s", (int)option.len,
			    option.data);
		if (result != DSN_TAKEN)
			return false;
	}
	return true;
}

static void do_rcpt(struct session *s, struct slice args)
{
	struct slice path, rest, address;
	struct dsn_wishes wishes = { 0 };
	const char *why;

	s->t.had_rcpt = true;
	if (!starts(args, "TO:", &path)) {
		reply(s, "501 5.5.4 Syntax: RCPT TO:<address>");
		return;
	}
	if (!path_parse(path, path_flags() | PATH_NO_DOMAIN_OK, s->arena, &address, &rest, &why)) {
		log_warning("Illegal address syntax from %s in RCPT command: %.*s", s->peer,
		    (int)(path.len < 200 ? path.len : 200), path.data);
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (!rcpt_options(s, rest, &wishes))
		return;
	if ((int64_t)s->t.rcpt_count >= settings.smtpd_recipient_limit) {
		reply(s, "452 4.5.3 Error: too many recipients");
		/* A sender with a long list is no attacker: only what goes far beyond counts. */
		if ((int64_t)++s->t.refused_for_limit <= settings.smtpd_recipient_overshoot_limit)
			s->errors--;
		return;
	}
	if (!policy_recipient(s, address))
		return;
	add_recipient(s, address, &wishes);
	reply(s, "250 2.1.5 Ok");
}

/* --- the others ----------------------------------------------------------------------------------- */

static void do_data(struct session *s, struct slice args)
{
	if (args.len > 0) {
		reply(s, "501 5.5.4 Syntax: DATA");
		return;
	}
	admission_run(s);
	transaction_reset(s);
}

static void do_rset(struct session *s, struct slice args)
{
	if (args.len > 0) {
		reply(s, "501 5.5.4 Syntax: RSET");
		return;
	}
	transaction_reset(s);
	reply(s, "250 2.0.0 Ok");
}

static void do_noop(struct session *s, struct slice args)
{
	(void)args;
	reply(s, "250 2.0.0 Ok");
}

static void do_vrfy(struct session *s, struct slice args)
{
	struct slice address = args;

	if (settings.disable_vrfy_command)
		reply(s, "502 5.5.1 VRFY command is disabled");
	else if (address.len == 0)
		reply(s, "501 5.5.4 Syntax: VRFY address");
	else
		reply(s, "252 2.0.0 %.*s", (int)address.len, address.data);
}

static void do_help(struct session *s, struct slice args)
{
	(void)args;
	reply(s, "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT; see RFC 5321");
}

static void do_quit(struct session *s, struct slice args)
{
	(void)args;
	reply(s, "221 2.0.0 Bye");
	s->ended = s->has_left = true;
	s->stage = NULL;
}

static void not_here(struct session *s, struct slice args)
{
	(void)args;
	reply(s, "502 5.5.1 Error: command not implemented");
}

static const struct command {
	const char *name;
	enum verb verb;
	void (*run)(struct session *, struct slice args);
	unsigned needs;
	bool is_junk; /* may come often without a purpose */
	bool is_last; /* its answer must be awaited (RFC 2920) */
} commands[] = {
	{ "EHLO", VERB_EHLO, do_ehlo, NEEDS_NOTHING, true, true },
	{ "HELO", VERB_HELO, do_helo, NEEDS_NOTHING, true, true },
	{ "MAIL", VERB_MAIL, do_mail, NEEDS_NOTHING, false, false },
	{ "RCPT", VERB_RCPT, do_rcpt, NEEDS_SENDER, false, false },
	{ "DATA", VERB_DATA, do_data, NEEDS_SENDER | NEEDS_RECIPIENT, false, true },
	{ "RSET", VERB_RSET, do_rset, NEEDS_NOTHING, true, false },
	{ "NOOP", VERB_NOOP, do_noop, NEEDS_NOTHING, true, true },
	{ "VRFY", VERB_VRFY, do_vrfy, NEEDS_NOTHING, true, true },
	{ "HELP", VERB_HELP, do_help, NEEDS_NOTHING, true, true },
	{ "QUIT", VERB_QUIT, do_quit, NEEDS_NOTHING, false, false },
	{ "ETRN", VERB_ETRN, not_here, NEEDS_NOTHING, true, true },
	{ "STARTTLS", VERB_STARTTLS, not_here, NEEDS_NOTHING, true, true },
	{ "AUTH", VERB_AUTH, not_here, NEEDS_NOTHING, true, true },
	{ "BDAT", VERB_BDAT, not_here, NEEDS_NOTHING, true, false },
	{ "XCLIENT", VERB_XCLIENT, not_here, NEEDS_NOTHING, true, false },
	{ "XFORWARD", VERB_XFORWARD, not_here, NEEDS_NOTHING, true, false },
};

static const struct command *command_find(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (slice_equal_nocase(slice_of(commands[i].name), word))
			return &commands[i];
	return NULL;
}

void commands_open(void)
{
	char *why = NULL;

	forbidden = match_list_open(service_config_directory(), settings.smtpd_forbidden_commands,
	    MATCH_STRING, false, &why);
	if (forbidden == NULL)
		log_fatal("smtpd_forbidden_commands: %s", why);
}

static void unknown_command(struct session *s, struct slice word, struct slice line)
{
	if (match_list_has(forbidden, word) == 1) {
		misuse_foreign(s, line);
		return;
	}
	s->all[VERB_UNKNOWN]++;
	s->stage = "UNKNOWN";
	if (list_has_word(settings.smtpd_noop_commands, word)) {
		s->junk++;
		reply(s, "250 2.0.0 Ok");
		return;
	}
	reply(s, "500 5.5.2 Error: command not recognized");
}

static size_t word_length(struct slice line)
{
	size_t len = 0;

	while (len < line.len && line.data[len] != ' ' && line.data[len] != '\t')
		len++;
	return len;
}

static void run(struct session *s, const struct command *c, struct slice args)
{
	if (s->helo[0] == '\0' && settings.smtpd_helo_required && c->needs != NEEDS_NOTHING)
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
	else if ((c->needs & NEEDS_SENDER) && !s->t.has_sender)
		reply(s,
		    c->verb == VERB_DATA ? "503 5.5.1 Error: need RCPT command"
					 : "503 5.5.1 Error: need MAIL command");
	else if ((c->needs & NEEDS_RECIPIENT) && s->t.rcpt_count == 0)
		reply(s,
		    s->t.had_rcpt ? "554 5.5.1 Error: no valid recipients"
				  : "503 5.5.1 Error: need RCPT command");
	else
		c->run(s, args);
}

void command_run(struct session *s, struct slice line)
{
	struct slice trimmed = slice_trim(line);
	struct slice word = slice_part(trimmed, 0, word_length(trimmed));
	struct slice args = slice_trim(slice_part(trimmed, word.len, trimmed.len));
	const struct command *c = command_find(word);

	transcript_command(&s->transcript, false, line);
	if (word.len == 0) {
		s->all[VERB_UNKNOWN]++;
		s->stage = "UNKNOWN";
		reply(s, "500 5.5.2 Error: bad syntax");
		return;
	}
	if (c == NULL) {
		unknown_command(s, word, line);
		return;
	}
	s->stage = c->name;
	s->data_size = 0;
	s->all[c->verb]++;
	if (c->is_junk && (int64_t)++s->junk > settings.smtpd_junk_command_limit)
		s->errors++;
	if ((c->is_last || !s->is_esmtp) && misuse_before_answer(s))
		return;
	s->failed = false;
	run(s, c, args);
	if (!s->failed)
		s->ok[c->verb]++;
}
