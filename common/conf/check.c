/* SPDX-License-Identifier: ISC */
/*
 * check.c - what an administrator should hear about main.cf before anything starts.
 */
#include "common/conf/internal.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/expand.h"

/* A parameter whose $names are looked at. */
struct context {
	struct conf *conf;
	struct reporter *reporter;
	const char *name;
	const char *file;
	unsigned line;
};

/* A search goes through all names: a file full of unknown ones must not take minutes. */
enum { SEARCHES_MOST = 200 };

static const char *nearest_name(struct context *c, const char *name)
{
	const char *nearest;
	struct setting *s;

	if (c->reporter->searches++ >= SEARCHES_MOST)
		return NULL;
	nearest = parameter_nearest(name);
	if (nearest != NULL)
		return nearest;
	TAILQ_FOREACH(s, &c->conf->order, in_order)
		if (strcmp(s->name, name) != 0 &&
		    edit_distance(slice_of(name), slice_of(s->name), 2) <= 2)
			return s->name;
	return NULL;
}

static void mark(void *arg, const char *name)
{
	conf_setting_make(arg, name)->used = true;
}

void mark_used(struct conf *conf, const char *text)
{
	expand_names(slice_of(text), mark, conf);
}

static void unknown_reference(void *arg, const char *name)
{
	struct context *c = arg;
	struct setting *missing = conf_setting_make(c->conf, name);
	size_t len;
	const char *nearest;

	if (missing->missed_by == c->reporter->checks)
		return; /* a name may come again and again in one value */
	missing->missed_by = c->reporter->checks;
	if (unsupported_find(name) != NULL || parameter_of_all_transports(name, &len) != NULL) {
		complain(c->reporter, CONF_WARNING, c->file, c->line,
		    "%s: $%s is not set and has no default here, so it gives nothing; set it",
		    c->name, name);
		return;
	}
	nearest = nearest_name(c, name);
	complain(c->reporter, CONF_WARNING, c->file, c->line,
	    "%s: $%s gives nothing, there is no such parameter; %s%s%s", c->name, name,
	    nearest == NULL ? "set it" : "did you mean $", nearest == NULL ? "" : nearest,
	    nearest == NULL ? ", or write $$ for a $" : "?");
}

static void check_typed(struct context *c, const struct parameter *row, const char *value)
{
	char *why = NULL, *problem, *text;
	struct slice idle;

	if (row->kind == KIND_RAW)
		return;
	text = conf_expand_value(c->conf, c->name, value,
	    row->kind == KIND_TABLES ? NULL : unknown_reference, c, &why);
	if (text == NULL) {
		complain(c->reporter, CONF_ERROR, c->file, c->line, "%s = %.200s: %s", c->name,
		    value, why);
		free(why);
		return;
	}
	problem = value_problem(row, text);
	if (problem != NULL)
		complain(c->reporter, CONF_ERROR, c->file, c->line, "%s = %.200s: %s", c->name,
		    value, problem);
	else if (row->kind == KIND_MAPS || row->kind == KIND_LIST || row->kind == KIND_NETWORKS)
		check_tables(c->conf, c->reporter, c->name, text, c->file, c->line);
	idle = value_idle_word(row, text);
	if (problem == NULL && idle.len > 0)
		complain(c->reporter, CONF_WARNING, c->file, c->line,
		    "%s: %.*s allows nobody yet, AUTH and TLS come later; allow relaying by "
		    "mynetworks",
		    c->name, (int)idle.len, idle.data);
	free(problem);
	free(text);
}

/* The value asks for nothing else than what happens here: Postfix's default, mostly. */
static bool is_harmless(const struct unsupported *row, const char *value)
{
	struct slice wanted = slice_trim(slice_of(value)), rest, word;

	if (row->harmless == NULL)
		return false;
	for (rest = slice_of(row->harmless); text_next_word(&rest, ";", &word);)
		if (slice_equal_nocase(word, wanted))
			return true;
	return *row->harmless == '\0' && wanted.len == 0;
}

static void report_unsupported(struct context *c, const struct unsupported *row, const char *value)
{
	static const char *const classes[] = {
		[UNSUPPORTED_NOT_YET] = "has no effect yet",
		[UNSUPPORTED_NOT_NEEDED] = "is not needed here and has no effect",
		[UNSUPPORTED_OBSOLETE] = "is obsolete",
	};

	if (!is_harmless(row, value))
		complain(c->reporter, CONF_WARNING, c->file, c->line, "%s %s: %s", c->name,
		    classes[row->class], row->advice);
}

static void report_unused(struct context *c, const char *value)
{
	const char *nearest = nearest_name(c, c->name);

	if (nearest != NULL)
		complain(c->reporter, CONF_WARNING, c->file, c->line,
		    "unused parameter: %s=%.100s; did you mean %s?", c->name, value, nearest);
	else
		complain(c->reporter, CONF_WARNING, c->file, c->line,
		    "unused parameter: %s=%.100s; nothing refers to it, remove it", c->name, value);
}

/* A value that we don't act on may still be written in a way that can't be read. */
static void check_untyped(struct context *c, const char *value)
{
	char *why = NULL,
	     *text = conf_expand_value(c->conf, c->name, value, unknown_reference, c, &why);

	if (text == NULL)
		complain(c->reporter, CONF_ERROR, c->file, c->line, "%s = %.200s: %s", c->name,
		    value, why);
	free(why);
	free(text);
}

void check_setting(struct conf *conf, struct reporter *reporter, const char *name,
    const char *value, const char *file, unsigned line)
{
	struct context c = { conf, reporter, name, file, line };
	const struct parameter *row = parameter_find(name);
	const struct unsupported *other = unsupported_find(name);
	const struct setting *s = conf_setting(conf, name);
	const char *all;
	size_t len;

	reporter->checks++;
	if (row == NULL && other == NULL &&
	    (all = parameter_of_all_transports(name, &len)) != NULL) {
		row = parameter_find(all);
		other = unsupported_find(all);
	}
	if (row != NULL) {
		check_typed(&c, row, value);
	} else if (other != NULL) {
		report_unsupported(&c, other, value);
	} else if (s != NULL && s->used) {
		check_untyped(&c, value);
	} else {
		report_unused(&c, value);
	}
}

/* "ldap:NAME" and its like read NAME_server_host, NAME_query ... from main.cf: the NAMEs. */
struct sources {
	struct slice *names;
	size_t count, size;
};

static void add_source(struct sources *sources, struct slice name)
{
	if (sources->count == sources->size) {
		sources->size = sources->size == 0 ? 16 : sources->size * 2;
		sources->names = mem_resize_array(sources->names, sources->size,
		    sizeof(*sources->names));
	}
	sources->names[sources->count++] = name;
}

static void find_sources(struct conf *conf, struct sources *sources)
{
	static const char *const types[] = { "ldap:", "mysql:", "pgsql:", "sqlite:", "memcache:" };
	const struct setting *s;
	struct slice rest, item;

	TAILQ_FOREACH(s, &conf->order, in_order) {
		rest = slice_of(s->raw);
		while (text_next_item(&rest, &item)) {
			if (slice_starts_nocase(item, SLICE("proxy:")))
				item = slice_part(item, 6, item.len);
			for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
				if (item.len > strlen(types[i]) &&
				    slice_starts_nocase(item, slice_of(types[i])))
					add_source(sources,
					    slice_part(item, strlen(types[i]), item.len));
		}
	}
}

static int compare_sources(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static bool belongs_to_table(const struct sources *sources, const char *name)
{
	for (const char *at = strchr(name, '_'); at != NULL; at = strchr(at + 1, '_')) {
		struct slice start = slice_new(name, (size_t)(at - name));

		if (start.len > 0 && sources->count > 0 &&
		    bsearch(&start, sources->names, sources->count, sizeof(start),
			compare_sources) != NULL)
			return true;
	}
	return false;
}

static void mark_those_of_tables(struct conf *conf)
{
	struct sources sources = { 0 };
	struct setting *s;

	find_sources(conf, &sources);
	if (sources.count > 0)
		qsort(sources.names, sources.count, sizeof(*sources.names), compare_sources);
	TAILQ_FOREACH(s, &conf->order, in_order)
		s->used = s->used || belongs_to_table(&sources, s->name);
	free(sources.names);
}

void mark_all_used(struct conf *conf)
{
	struct setting *s;
	struct slice rest, item;
	char *class;

	for (size_t i = 0; i < parameters_count; i++)
		if (parameters[i].kind != KIND_RAW)
			mark_used(conf, parameters[i].fallback);
	TAILQ_FOREACH(s, &conf->order, in_order) {
		mark_used(conf, s->raw);
		if (strcmp(s->name, "smtpd_restriction_classes") != 0)
			continue;
		for (rest = slice_of(s->raw); text_next_item(&rest, &item);) {
			class = slice_dup(item);
			mark(conf, class);
			free(class);
		}
	}
	mark_those_of_tables(conf);
}

/* Where the value of a name was written, or main.cf as a whole. */
static unsigned line_of(struct conf *conf, const char *name, const char **file)
{
	const struct setting *s = conf_setting(conf, name);

	*file = s != NULL && s->raw != NULL ? s->file : conf->file;
	return s != NULL && s->raw != NULL ? s->line : 0;
}

/* A value below another's, where 0 is no limit. */
static const struct {
	const char *small, *large;
	bool zero_is_endless;
} ordered[] = {
	{ "message_size_limit", "mailbox_size_limit", true },
	{ "minimal_backoff_time", "maximal_backoff_time", false },
};

static int64_t any_quantity(struct conf *conf, const char *name)
{
	return parameter_find(name)->kind == KIND_TIME ? conf_time(conf, name)
						       : conf_number(conf, name);
}

static void check_order(struct conf *conf, struct reporter *reporter)
{
	for (size_t i = 0; i < ARRAY_LENGTH(ordered); i++) {
		int64_t small = any_quantity(conf, ordered[i].small);
		int64_t large = any_quantity(conf, ordered[i].large);
		bool endless_small = ordered[i].zero_is_endless && small == 0;
		bool endless_large = ordered[i].zero_is_endless && large == 0;
		const char *file;
		unsigned line;

		if (endless_large || (!endless_small && small <= large))
			continue;
		line = line_of(conf, ordered[i].small, &file);
		if (line == 0)
			line = line_of(conf, ordered[i].large, &file);
		complain(reporter, CONF_ERROR, file, line,
		    "%s is above %s; raise the second or lower the first", ordered[i].small,
		    ordered[i].large);
	}
}

/* A plain name that both lists have. */
static bool share_item(const char *list, const char *other, struct slice *item)
{
	struct slice rest = slice_of(list), others, candidate;

	while (text_next_item(&rest, item)) {
		if (item->data[0] == '!' || item->data[0] == '/' || slice_find(*item, ':') != -1)
			continue;
		for (others = slice_of(other); text_next_item(&others, &candidate);)
			if (slice_equal_nocase(*item, candidate))
				return true;
	}
	return false;
}

/* A domain is of one class only; the first list that has it would win, and the other be dead. */
static void check_classes(struct conf *conf, struct reporter *reporter)
{
	static const char *const classes[] = { "mydestination", "virtual_alias_domains",
		"virtual_mailbox_domains", "relay_domains" };
	const char *file;
	unsigned line;

	for (size_t i = 0; i < ARRAY_LENGTH(classes); i++) {
		for (size_t k = i + 1; k < ARRAY_LENGTH(classes); k++) {
			struct slice domain;

			if (!share_item(conf_text(conf, classes[i]), conf_text(conf, classes[k]),
				&domain))
				continue;
			line = line_of(conf, classes[k], &file);
			complain(reporter, CONF_WARNING, file, line,
			    "%.*s is in both %s and %s; the first wins, remove it from one",
			    (int)domain.len, domain.data, classes[i], classes[k]);
		}
	}
}

/* Somewhere a stranger's mail for strangers must be refused. */
static void check_relaying(struct conf *conf, struct reporter *reporter)
{
	static const char *const lists[] = { "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions" };
	static const char *const refusals[] = { "reject_unauth_destination",
		"defer_unauth_destination", "reject", "defer" };
	const char *file;
	unsigned line;

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		struct slice rest = slice_of(conf_text(conf, lists[i])), item;

		/* What stands behind permit is never asked. */
		while (text_next_item(&rest, &item) && !slice_equal_nocase(item, SLICE("permit")))
			for (size_t k = 0; k < ARRAY_LENGTH(refusals); k++)
				if (slice_equal_nocase(item, slice_of(refusals[k])))
					return;
	}
	line = line_of(conf, lists[0], &file);
	complain(reporter, CONF_ERROR, file, line,
	    "neither %s nor %s refuses anything, so everybody could relay; add"
	    " reject_unauth_destination",
	    lists[0], lists[1]);
}

static void check_bare_newline(struct conf *conf, struct reporter *reporter)
{
	const char *file;
	unsigned line = line_of(conf, "smtpd_forbid_bare_newline", &file);
	const char *value = conf_text(conf, "smtpd_forbid_bare_newline");

	if (line != 0 && (strcmp(value, "no") == 0 || strcmp(value, "note") == 0))
		complain(reporter, CONF_WARNING, file, line,
		    "smtpd_forbid_bare_newline = %s: a bare newline never ends a message here and "
		    "is always made a line end; write normalize, or reject to refuse it",
		    value);
}

static void check_level(struct conf *conf, struct reporter *reporter)
{
	const char *file;
	unsigned line = line_of(conf, "compatibility_level", &file);
	char *why = NULL, *old;

	old = conf_expand(conf, "${{$compatibility_level} <level {3.6} ? {old}}", &why);
	if (line != 0 && old != NULL && *old != '\0')
		complain(reporter, CONF_WARNING, file, line,
		    "compatibility_level: defaults are always those of the newest level; set what "
		    "you need of the old ones, such as append_dot_mydomain, then raise this to "
		    "3.6");
	free(why);
	free(old);
}

static void check_origin(struct conf *conf, struct reporter *reporter)
{
	const char *file;
	unsigned line = line_of(conf, "myorigin", &file);

	if (conf_text(conf, "myorigin")[0] == '/')
		complain(reporter, CONF_ERROR, file, line,
		    "myorigin: the file %s can't be read; create it with the domain in its first "
		    "line",
		    conf_text(conf, "myorigin"));
}

/* Only root becomes other users. What main.cf doesn't set is the installation's own. */
static void check_users(struct conf *conf, struct reporter *reporter)
{
	static const char *const names[] = { "mail_owner", "queue_owner", "key_owner" };
	const char *file;

	for (size_t i = 0; geteuid() == 0 && i < ARRAY_LENGTH(names); i++) {
		unsigned line = line_of(conf, names[i], &file);
		const char *user = conf_text(conf, names[i]);

		if (line != 0 && getpwnam(user) == NULL)
			complain(reporter, CONF_ERROR, file, line,
			    "%s = %s: there is no such user; create it (useradd --system %s), or "
			    "name "
			    "one that there is",
			    names[i], user, user);
	}
}

static void check_programs(struct conf *conf, struct reporter *reporter)
{
	const char *file, *named = conf_text(conf, "daemon_directory");
	unsigned line = line_of(conf, "daemon_directory", &file);

	if (line != 0 && !has_our_programs(named))
		complain(reporter, CONF_WARNING, file, line,
		    "daemon_directory = %s: no program of Gatepost is there, so those beside the "
		    "running one are used; remove the line",
		    named);
}

struct culprit {
	struct conf *conf;
	struct setting *setting;
};

static void find_culprit(void *arg, const char *name)
{
	struct culprit *culprit = arg;
	struct setting *s = conf_setting(culprit->conf, name);

	if (culprit->setting == NULL && s != NULL && s->raw != NULL)
		culprit->setting = s;
}

/* A default can be spoilt by what it refers to; the parameter that refers to it directly is named. */
static void check_defaults(struct conf *conf, struct reporter *reporter)
{
	const struct parameter *spoilt = NULL;
	unsigned before = reporter->errors;

	for (size_t i = 0; i < parameters_count; i++) {
		const struct parameter *row = &parameters[i];
		struct culprit culprit = { conf, NULL };
		char *problem = value_problem(row, conf_text(conf, row->name));

		if (problem != NULL && before == 0 && conf_explicit(conf, row->name) == NULL) {
			spoilt = row;
			expand_names(slice_of(row->fallback), find_culprit, &culprit);
		}
		if (culprit.setting != NULL)
			complain(reporter, CONF_ERROR, culprit.setting->file, culprit.setting->line,
			    "%s = %.80s: %s", row->name, row->fallback, problem);
		free(problem);
	}
	if (spoilt != NULL && reporter->errors == before)
		complain(reporter, CONF_ERROR, conf->file, 0,
		    "%s = %.80s: something that it refers to is wrong; set it", spoilt->name,
		    spoilt->fallback);
}

unsigned conf_check(struct conf *conf, conf_report *report, void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct setting *s;

	mark_all_used(conf);
	TAILQ_FOREACH(s, &conf->order, in_order)
		check_setting(conf, &reporter, s->name, s->raw, s->file, s->line);
	check_defaults(conf, &reporter);
	if (reporter.errors > 0)
		return reporter.errors;
	check_order(conf, &reporter);
	check_classes(conf, &reporter);
	check_relaying(conf, &reporter);
	check_bare_newline(conf, &reporter);
	check_level(conf, &reporter);
	check_origin(conf, &reporter);
	check_users(conf, &reporter);
	check_programs(conf, &reporter);
	check_templates(conf, &reporter);
	return reporter.errors;
}
