/* SPDX-License-Identifier: ISC */
/*
 * dict.c - opens a table by its type and name, checks and folds keys, notices changed files.
 */
#include "common/dict/dict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/table.h"
#include "common/log/log.h"

static const deadline RETRY_OPENING = 5 * CLOCK_SECOND;

static const struct dict_type *const types[] = { &dict_type_btree, &dict_type_cidr, &dict_type_fail,
	&dict_type_hash, &dict_type_inline, &dict_type_pcre, &dict_type_regexp, &dict_type_static,
	&dict_type_texthash, &dict_type_unix };

static const char *names[ARRAY_LENGTH(types) + 1];

const char *const *dict_types(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		names[i] = types[i]->name;
	return names;
}

static const struct dict_type *find_type(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		if (slice_equal(name, slice_of(types[i]->name)))
			return types[i];
	return NULL;
}

int dict_refuse(char **why, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_neuter(text, strlen(text));
	*why = mem_strdup(text);
	return -1;
}

int dict_fail(struct dict *d, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_reset(&d->error);
	buf_puts(&d->error, text);
	return -1;
}

int dict_watch(struct dict *d, int fd, bool takes)
{
	d->watch = fd;
	d->owns_watch = takes;
	return fstat(fd, &d->opened);
}

char *dict_path(int directory, const char *name, const char *suffix)
{
	if (directory == AT_FDCWD || name[0] == '/')
		return mem_printf("%s%s", name, suffix);
	return mem_printf("/proc/self/fd/%d/%s%s", directory, name, suffix);
}

static void explain_type(struct slice type, const char *whole, char **why)
{
	struct buf known = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		buf_printf(&known, " %s",
		    types[i]->name); /* NOLINT(clang-analyzer-core.NullDereference) */
	dict_refuse(why, "%s: no table type \"%.*s\" in this build; there are:%s", whole,
	    (int)(type.len < 100 ? type.len : 100), type.data, buf_text(&known));
	buf_clear(&known);
}

static void free_dict(struct dict *d)
{
	if (d->owns_watch && d->watch != -1)
		close(d->watch);
	buf_clear(&d->folded);
	buf_clear(&d->error);
	free(d->name);
	free(d);
}

static int lookup_failing(struct dict *d, struct slice key, struct buf *value)
{
	(void)key;
	(void)value;
	return dict_fail(d, "%s", (const char *)d->state);
}

static void close_failing(struct dict *d)
{
	free(d->state);
}

/* What takes the place of a table that can't be opened. */
static const struct dict_type failing = { .lookup = lookup_failing, .close = close_failing };

/* Takes the reason. */
static struct dict *fail_from_now_on(struct dict *d, char *reason)
{
	log_warning("%s; look-ups in it fail until it can be opened", reason);
	d->type = &failing;
	d->state = reason;
	d->retry = clock_now() + RETRY_OPENING;
	return d;
}

struct dict *dict_open(int directory, const char *type_and_name, unsigned flags, char **why)
{
	struct slice whole = slice_trim(slice_of(type_and_name));
	ptrdiff_t colon = slice_find(whole, ':');
	struct slice type = slice_trim(slice_part(whole, 0, colon == -1 ? 0 : (size_t)colon));
	struct dict *d;

	if (colon == -1 || (size_t)colon + 1 == whole.len) {
		dict_refuse(why, "\"%s\" is no table: write it as type:name", type_and_name);
		return NULL;
	}
	d = mem_alloc(sizeof(*d));
	d->name = slice_dup(whole);
	d->flags = flags;
	d->watch = -1;
	d->type = find_type(type);
	if (d->type == NULL) {
		explain_type(type, d->name, why);
	} else {
		char *reason = NULL, *refusal = NULL;
		char *name = slice_dup(slice_trim(slice_part(whole, (size_t)colon + 1, whole.len)));
		int rc = d->type->open(d, directory, name, &reason);

		free(name);
		if (rc == 0)
			return d;
		dict_refuse(&refusal, "table %s: %s", d->name, reason);
		free(reason);
		if (flags & DICT_OR_FAILING)
			return fail_from_now_on(d, refusal);
		*why = refusal;
	}
	free_dict(d);
	return NULL;
}

void dict_close(struct dict *d)
{
	if (d == NULL)
		return;
	d->type->close(d);
	free_dict(d);
}

const char *dict_name(const struct dict *d)
{
	return d->name;
}

const char *dict_error(const struct dict *d)
{
	return buf_text((struct buf *)&d->error);
}

bool dict_is_pattern(const struct dict *d)
{
	return d->type->is_pattern;
}

static bool key_is_usable(const struct dict *d, struct slice key)
{
	if (key.len == 0 || slice_find(key, '\0') != -1)
		return false;
	if (d->type->is_pattern)
		return key.len <= DICT_PATTERN_KEY_LIMIT;
	return key.len <= DICT_KEY_LIMIT && slice_find(key, '\r') == -1 &&
	    slice_find(key, '\n') == -1;
}

int dict_lookup(struct dict *d, struct slice key, struct buf *value)
{
	if (!key_is_usable(d, key))
		return 0;
	if ((d->flags & DICT_FOLD_KEY) && !d->type->is_pattern) {
		buf_reset(&d->folded);
		buf_put_slice(&d->folded, key);
		text_lower(d->folded.data, d->folded.len);
		key = buf_slice(&d->folded);
	}
	return d->type->lookup(d, key, value);
}

bool dict_changed_in_place(const struct dict *d)
{
	struct stat now;

	return fstat(d->watch, &now) == -1 || now.st_size != d->opened.st_size ||
	    now.st_mtim.tv_sec != d->opened.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != d->opened.st_mtim.tv_nsec;
}

bool dict_changed(struct dict *d)
{
	struct stat now;

	if (d->type == &failing)
		return clock_now() >= d->retry;
	if (d->watch == -1)
		return false;
	return fstat(d->watch, &now) == -1 || now.st_nlink == 0 || dict_changed_in_place(d);
}
