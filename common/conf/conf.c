/* SPDX-License-Identifier: ISC */
/*
 * conf.c - main.cf in memory: what was written, and what it comes to when it is asked for.
 */
#include "common/conf/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/expand.h"
#include "common/conf/lines.h"

enum { ORIGIN_FILE_LIMIT = 4096 };

static int compare_names(struct setting *a, struct setting *b)
{
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE_INTERNAL(settings, setting, by_name, compare_names, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(settings, setting, by_name, compare_names, static)

void complain(struct reporter *reporter, enum conf_severity severity, const char *file,
    unsigned line, const char *format, ...)
{
	struct buf text = { 0 };
	char *raw = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&raw, format, args) == -1)
		panic("no memory");
	va_end(args);
	text_neuter(raw, strlen(raw));
	buf_puts(&text, raw);
	reporter->errors += severity == CONF_ERROR;
	if (reporter->report != NULL)
		reporter->report(reporter->arg, severity, file, line, buf_text(&text));
	buf_clear(&text);
	free(raw);
}

struct setting *conf_setting(struct conf *conf, const char *name)
{
	struct setting key = { .name = (char *)(uintptr_t)name };

	return RB_FIND(settings, &conf->settings, &key);
}

struct setting *conf_setting_make(struct conf *conf, const char *name)
{
	struct setting *s = conf_setting(conf, name);

	if (s == NULL) {
		s = mem_alloc(sizeof(*s));
		s->name = mem_strdup(name);
		RB_INSERT(settings, &conf->settings, s);
	}
	return s;
}

/* myorigin = /etc/mailname: Debian's way to say "the first line of that file". When it can't be read,
 * the name of the file stays the value, and conf_check says so. */
static void read_origin(struct conf *conf, const char *path)
{
	struct buf content = { 0 };
	struct slice line;
	ptrdiff_t end;

	free(conf->origin);
	conf->origin = NULL;
	if (*path != '/' || io_read_file(AT_FDCWD, path, ORIGIN_FILE_LIMIT, &content) == -1)
		goto out;
	line = buf_slice(&content);
	end = slice_find(line, '\n');
	conf->origin = slice_dup(slice_trim(end == -1 ? line : slice_part(line, 0, (size_t)end)));
out:
	buf_clear(&content);
}

static void setting_set(struct conf *conf, const char *name, const char *value, const char *file,
    unsigned line)
{
	struct setting *s = conf_setting_make(conf, name);
	char *raw = mem_strdup(value), *where = mem_strdup(file);

	if (s->raw == NULL)
		TAILQ_INSERT_TAIL(&conf->order, s, in_order);
	free(s->raw);
	free(s->file);
	s->raw = raw;
	s->file = where;
	s->line = line;
	if (strcmp(name, "myorigin") == 0)
		read_origin(conf, value);
}

bool conf_split_assignment(struct slice text, char **name, char **value, char **why)
{
	ptrdiff_t equal;
	struct slice left;

	text = slice_trim(text);
	if (text.len > 0 && text.data[0] == '{') {
		if (text.data[text.len - 1] != '}') {
			*why = mem_strdup("the closing } is missing; write { name = value }");
			return false;
		}
		text = slice_trim(slice_part(text, 1, text.len - 2));
	}
	equal = slice_find(text, '=');
	left = slice_trim(slice_part(text, 0, equal == -1 ? text.len : (size_t)equal));
	if (equal == -1 || left.len == 0) {
		*why = mem_printf("\"%.*s\" has no %s; write name = value",
		    (int)(text.len > 60 ? 60 : text.len), text.data, equal == -1 ? "=" : "name");
		return false;
	}
	for (size_t i = 0; i < left.len; i++) {
		if (strchr(" \t\r\n", left.data[i]) != NULL) {
			*why = mem_printf("\"%.*s\" is not one name; write name = value",
			    (int)(left.len > 60 ? 60 : left.len), left.data);
			return false;
		}
	}
	*name = slice_dup(left);
	*value = slice_dup(slice_trim(slice_part(text, (size_t)equal + 1, text.len)));
	return true;
}

static void load_line(struct conf *conf, struct slice line, unsigned number,
    struct reporter *reporter)
{
	char *name, *value, *why;
	struct setting *before;

	if (!conf_split_assignment(line, &name, &value, &why)) {
		complain(reporter, CONF_ERROR, conf->file, number, "%s", why);
		free(why);
		return;
	}
	before = conf_setting(conf, name);
	if (before != NULL && before->raw != NULL)
		complain(reporter, CONF_WARNING, conf->file, number,
		    "%s was set in line %u already; this line wins, remove one of them", name,
		    before->line);
	setting_set(conf, name, value, conf->file, number);
	conf_setting(conf, name)->in_main_cf = true;
	free(name);
	free(value);
}

static void load_lines(struct conf *conf, struct slice content, struct reporter *reporter)
{
	struct conf_lines lines = { .rest = content };
	struct buf line = { 0 };

	while (conf_lines_next(&lines, &line)) {
		struct slice text = buf_slice(&line);

		if (lines.stray)
			complain(reporter, CONF_ERROR, conf->file, lines.number,
			    "a line that starts with a blank continues the one before it, but "
			    "there is none; remove the blank");
		else if (slice_find(text, '\0') != -1)
			complain(reporter, CONF_ERROR, conf->file, lines.number,
			    "there is a NUL byte in this line; this file must be text");
		else
			load_line(conf, text, lines.number, reporter);
	}
	buf_clear(&line);
}

struct conf *conf_parse(struct slice content, const char *path, struct reporter *reporter)
{
	struct conf *conf = mem_alloc(sizeof(*conf));
	unsigned before = reporter->errors;

	RB_INIT(&conf->settings);
	TAILQ_INIT(&conf->order);
	conf_ask_system(conf);
	conf->path = mem_strdup(path);
	conf->file = mem_printf("%s/main.cf", path);
	load_lines(conf, content, reporter);
	if (reporter->errors > before) {
		conf_free(conf);
		return NULL;
	}
	return conf;
}

static void explain_unreadable(struct reporter *reporter, const char *file, int error)
{
	if (error == EFBIG)
		complain(reporter, CONF_ERROR, file, 0,
		    "has more than %d MiB; keep long lists in tables, such as hash:/etc/list",
		    CONF_FILE_LIMIT >> 20);
	else if (error == EINVAL)
		complain(reporter, CONF_ERROR, file, 0,
		    "is a pipe, a socket or a device; put a file in its place");
	else
		complain(reporter, CONF_ERROR, file, 0, "can't be read: %s", strerror(error));
}

bool conf_read_file(int directory, const char *path, const char *name, struct buf *content,
    struct reporter *reporter)
{
	char *file = mem_printf("%s/%s", path, name);
	struct stat about;
	bool ok = io_read_file(directory, name, CONF_FILE_LIMIT, content) == 0;

	if (!ok) {
		explain_unreadable(reporter, file, errno);
	} else if (slice_starts_nocase(buf_slice(content), SLICE("\xef\xbb\xbf"))) {
		complain(reporter, CONF_ERROR, file, 1,
		    "the file starts with a byte order mark; save it as UTF-8 without one");
		ok = false;
	}
	if (ok && fstatat(directory, name, &about, 0) == 0 && (about.st_mode & S_IWOTH) != 0)
		complain(reporter, CONF_WARNING, file, 0,
		    "anyone may write to this file; run chmod o-w on it");
	free(file);
	return ok;
}

struct conf *conf_defaults(const char *path)
{
	return conf_parse(slice_of(""), path, &(struct reporter){ 0 });
}

struct conf *conf_load(int directory, const char *path, conf_report *report, void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct buf content = { 0 };
	struct conf *conf = NULL;

	if (conf_read_file(directory, path, "main.cf", &content, &reporter))
		conf = conf_parse(buf_slice(&content), path, &reporter);
	buf_clear(&content);
	return conf;
}

void conf_free(struct conf *conf)
{
	struct setting *s, *next;

	if (conf == NULL)
		return;
	RB_FOREACH_SAFE(s, settings, &conf->settings, next) {
		RB_REMOVE(settings, &conf->settings, s);
		free(s->name);
		free(s->raw);
		free(s->expanded);
		free(s->file);
		free(s);
	}
	conf_forget_computed(conf);
	conf_forget_system(conf);
	free(conf->origin);
	free(conf->path);
	free(conf->file);
	free(conf);
}

bool conf_override(struct conf *conf, const char *assignment, const char *file, unsigned line,
    conf_report *report, void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	char *name, *value, *why;
	struct setting *s;

	if (!conf_split_assignment(slice_of(assignment), &name, &value, &why)) {
		complain(&reporter, CONF_ERROR, file, line, "-o %s", why);
		free(why);
		return false;
	}
	setting_set(conf, name, value, file, line);
	RB_FOREACH(s, settings, &conf->settings) {
		free(s->expanded);
		s->expanded = NULL;
	}
	conf_forget_computed(conf);
	free(name);
	free(value);
	return true;
}

const char *conf_raw(struct conf *conf, const char *name, bool *raw)
{
	const struct setting *s = conf_setting(conf, name);
	const struct parameter *row = parameter_find(name);
	const char *computed;

	*raw = row != NULL && row->kind == KIND_RAW;
	if (s != NULL && s->raw != NULL) {
		if (conf->origin != NULL && strcmp(name, "myorigin") == 0)
			return conf->origin;
		return s->raw;
	}
	if (row == NULL)
		return NULL;
	computed = conf_computed(conf, name);
	return computed != NULL ? computed : row->fallback;
}

struct search {
	struct conf *conf;
	void (*unknown)(void *arg, const char *name);
	void *arg;
};

static const char *search_find(void *arg, const char *name, bool *raw)
{
	return conf_raw(((struct search *)arg)->conf, name, raw);
}

static void search_unknown(void *arg, const char *name)
{
	struct search *search = arg;

	if (search->unknown != NULL)
		search->unknown(search->arg, name);
}

char *conf_expand_value(struct conf *conf, const char *name, const char *value,
    void (*unknown)(void *arg, const char *name), void *arg, char **why)
{
	struct search search = { conf, unknown, arg };
	struct expand_source source = { search_find, search_unknown, &search };
	struct buf out = { 0 };

	if (!expand(&source, name, slice_of(value), &out, why)) {
		buf_clear(&out);
		return NULL;
	}
	return buf_take(&out);
}

char *conf_expand(struct conf *conf, const char *text, char **why)
{
	return conf_expand_value(conf, NULL, text, NULL, NULL, why);
}

const char *conf_text(struct conf *conf, const char *name)
{
	struct setting *s;
	bool raw;
	const char *value = conf_raw(conf, name, &raw);
	char *why = NULL, *text;

	if (value == NULL)
		return NULL;
	s = conf_setting_make(conf, name);
	if (s->expanded != NULL)
		return s->expanded;
	text = raw ? mem_strdup(value) : conf_expand_value(conf, name, value, NULL, NULL, &why);
	if (text == NULL) /* conf_check reported it */
		text = mem_strdup("");
	if (s->expanded == NULL)
		s->expanded = text;
	else /* myhostname, which finding out mydomain asked for meanwhile */
		free(text);
	free(why);
	return s->expanded;
}

static const struct parameter *row_of(const char *name, enum parameter_kind kind)
{
	const struct parameter *row = parameter_find(name);

	if (row == NULL || row->kind != kind)
		panic("conf: \"%s\" is not a parameter of this type", name);
	return row;
}

bool conf_bool(struct conf *conf, const char *name)
{
	const struct parameter *row = row_of(name, KIND_BOOL);
	bool value;

	if (!value_bool(slice_of(conf_text(conf, name)), &value) &&
	    !value_bool(slice_of(row->fallback), &value))
		panic("conf: the default of \"%s\"", name);
	return value;
}

static bool parse(const struct parameter *row, struct slice text, int64_t *value)
{
	uint64_t number;

	if (row->kind == KIND_TIME)
		return value_time(text, row->unit, value);
	if (!text_number(text, INT64_MAX, &number))
		return false;
	*value = (int64_t)number;
	return true;
}

/* The number or the seconds that the parameter `name` has, by the rules of `row`. */
static int64_t quantity(struct conf *conf, const char *name, const struct parameter *row)
{
	int64_t value;
	char *fallback = NULL, *why = NULL;

	if (!parse(row, slice_of(conf_text(conf, name)), &value)) {
		fallback = conf_expand_value(conf, NULL, row->fallback, NULL, NULL, &why);
		if (fallback == NULL || !parse(row, slice_of(fallback), &value))
			panic("conf: the default of \"%s\"", row->name);
		free(fallback);
	}
	if (value < row->least)
		return row->least;
	return value > row->most ? row->most : value;
}

int64_t conf_number(struct conf *conf, const char *name)
{
	return quantity(conf, name, row_of(name, KIND_NUMBER));
}

int64_t conf_time(struct conf *conf, const char *name)
{
	return quantity(conf, name, row_of(name, KIND_TIME)) * CLOCK_SECOND;
}

static int64_t quantity_for(struct conf *conf, const char *prefix, const char *suffix,
    enum parameter_kind kind)
{
	char *name = mem_printf("%s_%s", prefix, suffix);
	size_t len;
	const char *all = parameter_of_all_transports(name, &len);
	const struct setting *s = conf_setting(conf, name);
	const struct parameter *own = parameter_find(name);
	bool is_own = own != NULL || (s != NULL && s->raw != NULL);
	int64_t value;

	if (all == NULL)
		panic("conf: \"%s\" is no parameter of single transports", suffix);
	value = quantity(conf, is_own ? name : all,
	    own != NULL ? row_of(name, kind) : row_of(all, kind));
	free(name);
	return value;
}

int64_t conf_number_for(struct conf *conf, const char *prefix, const char *suffix)
{
	return quantity_for(conf, prefix, suffix, KIND_NUMBER);
}

int64_t conf_time_for(struct conf *conf, const char *prefix, const char *suffix)
{
	return quantity_for(conf, prefix, suffix, KIND_TIME) * CLOCK_SECOND;
}

const char *conf_text_for(struct conf *conf, const char *prefix, const char *suffix)
{
	char *name = mem_printf("%s_%s", prefix, suffix);
	size_t len;
	const char *all = parameter_of_all_transports(name, &len);
	const struct setting *s = conf_setting(conf, name);
	const char *value;

	if (all == NULL)
		panic("conf: \"%s\" is no parameter of single transports", suffix);
	value = conf_text(conf, s != NULL && s->raw != NULL ? name : all);
	free(name);
	return value;
}

static void fill_member(struct conf *conf, const struct conf_setting *setting, char *member)
{
	const struct parameter *row = parameter_find(setting->name);

	if (row == NULL)
		panic("conf: no parameter \"%s\"", setting->name);
	switch ((enum conf_member)setting->type) {
	case CONF_MEMBER_BOOL:
		*(bool *)member = conf_bool(conf, setting->name);
		return;
	case CONF_MEMBER_NUMBER:
		*(int64_t *)(void *)member = row->kind == KIND_TIME
		    ? conf_time(conf, setting->name)
		    : conf_number(conf, setting->name);
		return;
	case CONF_MEMBER_TEXT:
		*(const char **)(void *)member = conf_text(conf, setting->name);
		return;
	}
	panic("conf: member of type %u", setting->type);
}

void conf_fill(struct conf *conf, const struct conf_setting *settings, void *out)
{
	for (; settings->name != NULL; settings++)
		fill_member(conf, settings, (char *)out + settings->offset);
}

const char *conf_explicit(struct conf *conf, const char *name)
{
	const struct setting *s = conf_setting(conf, name);

	return s == NULL ? NULL : s->raw;
}

void conf_each_explicit(struct conf *conf,
    void (*visit)(void *arg, const char *name, const char *value), void *arg)
{
	struct setting *s;

	TAILQ_FOREACH(s, &conf->order, in_order)
		if (s->in_main_cf)
			visit(arg, s->name, s->raw);
}

bool conf_next_item(struct slice *rest, struct slice *item)
{
	return text_next_item(rest, item);
}
