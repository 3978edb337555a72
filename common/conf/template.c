/* SPDX-License-Identifier: ISC */
/*
 * template.c - the words of notices: built in, or from bounce_template_file.
 *
 * $names are filled in once, at start: no parameter changes before the next one.
 */
#include "common/conf/template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/expand.h"
#include "common/log/log.h"

enum { FILE_LIMIT = 256 * 1024 };

#define FROM "Mail Delivery System <MAILER-DAEMON>"

static const char failure_text[] =
    "This is the mail system at host $myhostname.\n"
    "\n"
    "Your message did not reach the recipients below, and it is not tried\n"
    "again. What the servers said stands behind each of them; your message,\n"
    "or its header, is attached.\n"
    "\n"
    "If you need help, write to postmaster and enclose this report.\n";
static const char delay_text[] =
    "This is the mail system at host $myhostname.\n"
    "\n"
    "This is a warning only: there is no need to send your message again.\n"
    "It has waited for $delay_warning_time_hours hour(s) and could not yet be delivered to the\n"
    "recipients below. It is tried until it is $maximal_queue_lifetime_days day(s) old.\n";
static const char success_text[] =
    "This is the mail system at host $myhostname.\n"
    "\n"
    "You asked to be told: your message was delivered to the recipients\n"
    "below. Where it was passed on to others, no more reports may follow.\n";
static const char verify_text[] =
    "This is the mail system at host $myhostname.\n"
    "\n"
    "You asked what would become of mail for the recipients below. Nothing\n"
    "was delivered to them; what the servers said stands behind each.\n";

static const struct template built_in[] = {
	[NOTICE_FAILURE] = { "us-ascii", FROM, "Undelivered Mail Returned to Sender",
	    "Postmaster Copy: Undelivered Mail", failure_text },
	[NOTICE_DELAY] = { "us-ascii", FROM, "Delayed Mail (still being retried)",
	    "Postmaster Warning: Delayed Mail", delay_text },
	[NOTICE_SUCCESS] = { "us-ascii", FROM, "Successful Mail Delivery Report",
	    "Postmaster Copy: Successful Mail Delivery", success_text },
	[NOTICE_VERIFY] = { "us-ascii", FROM, "Mail Delivery Status Report",
	    "Postmaster Copy: Mail Delivery Status Report", verify_text },
};

/* While one file is read. */
struct reading {
	struct conf *conf;
	struct templates *out;
	const char *path;
	bool expanded;
	conf_report *report;
	void *arg;
};

/* --- $names --------------------------------------------------------------------------------------- */

static const struct {
	const char *suffix;
	int64_t seconds;
} units[] = {
	{ "_seconds", 1 },
	{ "_minutes", 60 },
	{ "_hours", 3600 },
	{ "_days", 86400 },
	{ "_weeks", 604800 },
};

/* A time in the unit that the name ends with, rounded up; -1: no such name. */
static int64_t time_in_unit(struct conf *conf, struct slice name)
{
	static const char *const times[] = { "delay_warning_time", "maximal_queue_lifetime" };

	for (size_t i = 0; i < ARRAY_LENGTH(times); i++)
		for (size_t u = 0; u < ARRAY_LENGTH(units); u++) {
			int64_t unit = units[u].seconds * CLOCK_SECOND;
			size_t len = strlen(times[i]);

			if (name.len == len + strlen(units[u].suffix) &&
			    slice_equal(slice_part(name, 0, len), slice_of(times[i])) &&
			    slice_equal(slice_part(name, len, name.len),
				slice_of(units[u].suffix))) {
				int64_t value = conf_time(conf, times[i]);

				return value / unit + (value % unit != 0);
			}
		}
	return -1;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Fills in the names that only templates have. */
static void put_times(struct conf *conf, struct slice text, struct buf *out)
{
	ptrdiff_t dollar;

	while ((dollar = slice_find(text, '$')) != -1) {
		struct slice rest = slice_part(text, (size_t)dollar + 1, text.len);
		size_t bracket = rest.len > 0 && strchr("{(", rest.data[0]) != NULL, len = bracket;
		int64_t value;

		while (len < rest.len && is_name_byte(rest.data[len]))
			len++;
		value = time_in_unit(conf, slice_part(rest, bracket, len - bracket));
		buf_put_slice(out, slice_part(text, 0, (size_t)dollar));
		if (value == -1) {
			len = rest.len > 0 && rest.data[0] == '$' ? 1 : len;
			buf_printf(out, "$%.*s", (int)len, rest.data);
		} else {
			buf_printf(out, "%lld", (long long)value);
			len += bracket;
		}
		text = slice_part(rest, len, rest.len);
	}
	buf_put_slice(out, text);
}

struct unknown {
	struct conf *conf;
	char *why;
};

static void note_unknown(void *arg, const char *name)
{
	struct unknown *u = arg;

	if (u->why == NULL && conf_text(u->conf, name) == NULL)
		u->why = mem_printf("there is no parameter \"%s\"", name);
}

/* The text with its $names filled in, on the heap; NULL with a reason on the heap. */
static char *fill_in(struct conf *conf, const char *text, char **why)
{
	struct unknown unknown = { .conf = conf };
	struct buf timed = { 0 };
	char *filled = NULL;

	put_times(conf, slice_of(text), &timed);
	expand_names(buf_slice(&timed), note_unknown, &unknown);
	*why = unknown.why;
	if (*why == NULL)
		filled = conf_expand(conf, buf_text(&timed), why);
	buf_clear(&timed);
	return filled;
}

/* NULL keeps what is there; false: it can't be filled in. Without expansion it is only looked at. */
static bool take_text(const struct reading *r, const char **slot, const char *text, char **why)
{
	char *filled;

	if (text == NULL)
		return true;
	filled = fill_in(r->conf, text, why);
	if (filled == NULL)
		return false;
	*slot = arena_text(r->out->texts, slice_of(r->expanded ? filled : text));
	free(filled);
	return true;
}

static bool take_draft(const struct reading *r, const struct template_draft *d, char **why)
{
	struct template t = r->out->of[d->kind];

	if (d->charset != NULL)
		t.charset = arena_text(r->out->texts, slice_of(d->charset));
	if (!take_text(r, &t.from, d->from, why) || !take_text(r, &t.subject, d->subject, why) ||
	    !take_text(r, &t.postmaster_subject, d->postmaster_subject, why) ||
	    !take_text(r, &t.text, d->text, why))
		return false;
	r->out->of[d->kind] = t;
	return true;
}

/* Takes the reason. */
static void complain_of(const struct reading *r, unsigned line, char *why)
{
	char *text = mem_printf("%s; the built-in text is used", why);

	if (r->report != NULL)
		r->report(r->arg, CONF_WARNING, r->path, line, text);
	free(text);
	free(why);
}

static void read_file(const struct reading *reading, struct slice file)
{
	struct template_reader r = { .rest = file };
	struct template_draft d;
	enum template_next next;
	char *why;

	while ((next = template_next(&r, &d, &why)) != TEMPLATE_END) {
		if (next == TEMPLATE_WRONG)
			complain_of(reading, r.wrong_line, why);
		if (next == TEMPLATE_FOUND && !take_draft(reading, &d, &why))
			complain_of(reading, d.line, why);
		template_draft_clear(&d);
	}
}

void template_read(struct conf *conf, int directory, const char *path, bool expanded,
    conf_report *report, void *arg, struct templates *out)
{
	struct reading r = { conf, out, path, expanded, report, arg };
	struct buf file = { 0 };
	char *why = NULL;

	out->texts = arena_new();
	for (size_t kind = NOTICE_FAILURE; kind <= NOTICE_VERIFY; kind++) {
		out->of[kind] = built_in[kind];
		if (!take_text(&r, &out->of[kind].text, built_in[kind].text, &why))
			panic("the built-in text of notices: %s", why);
	}
	if (*path == '\0')
		return;
	if (io_read_file(directory, path, FILE_LIMIT, &file) == -1)
		complain_of(&r, 0, mem_strdup(strerror(errno)));
	else
		read_file(&r, buf_slice(&file));
	buf_clear(&file);
}

void template_clear(struct templates *t)
{
	arena_free(t->texts);
	t->texts = NULL;
}
