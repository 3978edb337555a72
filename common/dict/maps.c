/* SPDX-License-Identifier: ISC */
/*
 * maps.c - several tables, asked in order, and the pieces of a mail address that are asked for.
 */
#include <stdlib.h>

#include "common/base/extension.h"
#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"

struct map {
	struct dict *dict; /* or NULL: another process is asked */
	char *asked;	   /* its type:name without proxy: */
	bool is_pattern;
};

struct dict_maps {
	struct map *maps;
	size_t count;
	dict_ask *ask;
	void *ask_arg;
	struct buf error;
};

static bool is_pattern_type(struct slice table)
{
	static const char *const types[] = { "cidr:", "regexp:", "pcre:" };

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		if (slice_starts_nocase(table, slice_of(types[i])))
			return true;
	return false;
}

static int add_map(struct dict_maps *m, int directory, struct slice word, unsigned flags,
    char **why)
{
	struct slice proxy = SLICE("proxy:");
	struct map *map;
	char *text;

	m->maps = mem_resize_array(m->maps, m->count + 1, sizeof(*m->maps));
	map = &m->maps[m->count];
	*map = (struct map){ 0 };
	if (slice_starts_nocase(word, proxy)) {
		word = slice_part(word, proxy.len, word.len);
		if (m->ask != NULL) {
			map->asked = slice_dup(word);
			map->is_pattern = is_pattern_type(word);
			m->count++;
			return 0;
		}
	}
	text = slice_dup(word);
	map->dict = dict_open(directory, text, flags, why);
	free(text);
	if (map->dict == NULL)
		return -1;
	map->is_pattern = dict_is_pattern(map->dict);
	m->count++;
	return 0;
}

struct dict_maps *dict_maps_open(int directory, const char *text, unsigned flags, dict_ask *ask,
    void *ask_arg, char **why)
{
	struct dict_maps *m = mem_alloc(sizeof(*m));
	struct slice rest = slice_of(text), word;

	m->ask = ask;
	m->ask_arg = ask_arg;
	while (list_next(&rest, &word))
		if (add_map(m, directory, word, flags, why) == -1) {
			dict_maps_close(m);
			return NULL;
		}
	return m;
}

void dict_maps_close(struct dict_maps *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->count; i++) {
		dict_close(m->maps[i].dict);
		free(m->maps[i].asked);
	}
	buf_clear(&m->error);
	free(m->maps);
	free(m);
}

static int fail(struct dict_maps *m, const char *text)
{
	buf_reset(&m->error);
	buf_puts(&m->error, text);
	return -1;
}

static int ask_map(struct dict_maps *m, const struct map *map, struct slice key, struct buf *value)
{
	size_t before = value->len;
	int rc = map->dict != NULL ? dict_lookup(map->dict, key, value)
				   : m->ask(m->ask_arg, slice_of(map->asked), key, value);

	if (rc == -1 && map->dict != NULL)
		return fail(m, dict_error(map->dict));
	if (rc == 1 && value->len == before)
		rc = -1;
	if (rc == -1) {
		buf_reset(&m->error);
		buf_printf(&m->error,
		    map->dict != NULL ? "table %s: empty value for a key"
				      : "table proxy:%s: no answer",
		    map->dict != NULL ? dict_name(map->dict) : map->asked);
	}
	return rc;
}

/* part: only a piece of what is looked for, which patterns are not asked with. */
static int lookup(struct dict_maps *m, struct slice key, bool part, struct buf *value)
{
	for (size_t i = 0; i < m->count; i++) {
		int rc = part && m->maps[i].is_pattern ? 0 : ask_map(m, &m->maps[i], key, value);

		if (rc != 0)
			return rc;
	}
	return 0;
}

int dict_maps_lookup(struct dict_maps *m, struct slice key, struct buf *value)
{
	return lookup(m, key, false, value);
}

int dict_maps_lookup_part(struct dict_maps *m, struct slice key, struct buf *value)
{
	return lookup(m, key, true, value);
}

const char *dict_maps_error(const struct dict_maps *m)
{
	return buf_text((struct buf *)&m->error);
}

bool dict_maps_changed(struct dict_maps *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->maps[i].dict != NULL && dict_changed(m->maps[i].dict))
			return true;
	return false;
}

bool dict_maps_is_empty(const struct dict_maps *m)
{
	return m->count == 0;
}

static int lookup_joined(struct dict_maps *m, struct slice local, struct slice at_domain,
    struct buf *value)
{
	struct buf key = { 0 };
	int rc;

	buf_put_slice(&key, local);
	buf_put_slice(&key, at_domain);
	rc = lookup(m, buf_slice(&key), true, value);
	buf_clear(&key);
	return rc;
}

int dict_maps_lookup_address(struct dict_maps *m, struct slice address, const char *delimiters,
    bool is_local, struct buf *value, struct slice *extension)
{
	/* No domain holds an @, quoted or not, so the last one separates; unless all is one quoted
	 * local part. */
	ptrdiff_t at = address.len > 0 && address.data[address.len - 1] == '"'
	    ? -1
	    : slice_find_last(address, '@');
	struct slice local = slice_part(address, 0, at == -1 ? address.len : (size_t)at);
	struct slice at_domain = slice_part(address, local.len, address.len);
	struct slice user = local, ext = SLICE("");
	bool quoted = local.len > 0 && local.data[0] == '"';
	bool split = !quoted && extension_split(local, delimiters, &user, &ext);
	const struct {
		bool asked, stripped;
		struct slice local, at_domain;
	} keys[] = {
		{ split && at != -1, true, user, at_domain },
		{ is_local && at > 0, false, local, SLICE("") },
		{ split && (is_local || at == -1), true, user, SLICE("") },
		{ at_domain.len > 1 && at > 0, false, SLICE(""), at_domain },
	};
	int rc = address.len == 0 ? 0 : lookup(m, address, false, value);

	*extension = SLICE("");
	for (size_t i = 0; rc == 0 && i < ARRAY_LENGTH(keys); i++) {
		if (!keys[i].asked)
			continue;
		rc = lookup_joined(m, keys[i].local, keys[i].at_domain, value);
		if (rc == 1 && keys[i].stripped)
			*extension = ext;
	}
	return rc;
}
