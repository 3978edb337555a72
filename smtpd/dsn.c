/* SPDX-License-Identifier: ISC */
/*
 * dsn.c - what a client wants to hear of its mail later (RFC 3461): RET and ENVID at MAIL, NOTIFY and ORCPT
 * at RCPT. They are checked here and then carried as they came, xtext and all.
 */
#include "smtpd/smtpd.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/xtext.h"

enum { ENVID_LIMIT = 100, ORCPT_LIMIT = 500, RET_FULL = 1, RET_HDRS = 2 };

static bool is_announced(struct session *s)
{
	if (!list_has_word(settings.smtpd_discard_ehlo_keywords, SLICE("DSN")))
		return true;
	reply(s, "501 5.7.1 DSN support is disabled");
	return false;
}

/* printable: what it stands for has no control bytes and none above 127. */
static bool is_xtext(struct slice text, bool printable)
{
	struct buf decoded = { 0 };
	bool ok = text.len > 0 && xtext_decode(text, &decoded) &&
	    (!printable || text_is_printable_ascii(buf_slice(&decoded)));

	buf_clear(&decoded);
	return ok;
}

static bool cut(struct slice option, const char *name, struct slice *value)
{
	if (!slice_starts_nocase(option, slice_of(name)))
		return false;
	*value = slice_part(option, strlen(name), option.len);
	return true;
}

enum dsn_option dsn_mail_option(struct session *s, struct slice option)
{
	struct transaction *t = &s->t;
	struct slice value;

	if (cut(option, "RET=", &value)) {
		bool full = slice_equal_nocase(value, SLICE("FULL"));

		if (!is_announced(s))
			return DSN_REFUSED;
		if (t->ret != 0 || !(full || slice_equal_nocase(value, SLICE("HDRS")))) {
			reply(s, "501 5.5.4 Bad RET parameter syntax");
			return DSN_REFUSED;
		}
		t->ret = full ? RET_FULL : RET_HDRS;
		return DSN_TAKEN;
	}
	if (!cut(option, "ENVID=", &value))
		return DSN_UNKNOWN;
	if (!is_announced(s))
		return DSN_REFUSED;
	if (t->envid.len > 0 || value.len > ENVID_LIMIT || !is_xtext(value, true)) {
		reply(s, "501 5.5.4 Bad ENVID parameter syntax");
		return DSN_REFUSED;
	}
	t->envid = arena_copy(s->arena, value);
	return DSN_TAKEN;
}

/* 0: it makes no sense. */
static uint64_t notify_bits(struct slice value)
{
	static const struct {
		struct slice name;
		uint64_t bit;
	} names[] = {
		{ { "NEVER", 5 }, NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, NOTIFY_FAILURE },
		{ { "DELAY", 5 }, NOTIFY_DELAY },
	};
	struct slice word;
	uint64_t bits = 0;

	while (text_next_word(&value, ",", &word)) {
		size_t i = 0;

		while (i < ARRAY_LENGTH(names) && !slice_equal_nocase(names[i].name, word))
			i++;
		if (i == ARRAY_LENGTH(names))
			return 0;
		bits |= names[i].bit;
	}
	return (bits & NOTIFY_NEVER) != 0 && bits != NOTIFY_NEVER ? 0 : bits;
}

/* "rfc822;xtext" */
static bool is_original(struct slice value)
{
	ptrdiff_t semicolon = slice_find(value, ';');

	if (semicolon < 1 || value.len > ORCPT_LIMIT)
		return false;
	for (ptrdiff_t i = 0; i < semicolon; i++) {
		char c = value.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return is_xtext(slice_part(value, (size_t)semicolon + 1, value.len), false);
}

enum dsn_option dsn_rcpt_option(struct session *s, struct slice option, struct dsn_wishes *wishes)
{
	struct slice value;

	if (cut(option, "NOTIFY=", &value)) {
		if (!is_announced(s))
			return DSN_REFUSED;
		if (wishes->notify != 0 || (wishes->notify = notify_bits(value)) == 0) {
			reply(s, "501 5.5.4 Error: Bad NOTIFY parameter syntax");
			return DSN_REFUSED;
		}
		return DSN_TAKEN;
	}
	if (!cut(option, "ORCPT=", &value))
		return DSN_UNKNOWN;
	if (!is_announced(s))
		return DSN_REFUSED;
	if (wishes->orcpt.len > 0 || !is_original(value)) {
		reply(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
		return DSN_REFUSED;
	}
	wishes->orcpt = arena_copy(s->arena, value);
	return DSN_TAKEN;
}
