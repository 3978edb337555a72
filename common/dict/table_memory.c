/* SPDX-License-Identifier: ISC */
/*
 * table_memory.c - texthash: (a text file) and inline: (in the name), sorted in memory.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"

struct entry {
	struct slice key, value;
	unsigned line;
};

struct memory {
	struct arena *arena;
	struct entry *entries;
	size_t count, size;
};

static int compare_keys(struct slice a, struct slice b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *one = a, *two = b;
	int order = compare_keys(one->key, two->key);

	return order != 0 ? order : (one->line > two->line) - (one->line < two->line);
}

static void add(struct memory *m, struct slice key, struct slice value, unsigned line, bool fold)
{
	struct entry *e;

	if (m->count == m->size) {
		m->size = m->size == 0 ? 64 : m->size * 2;
		m->entries = mem_resize_array(m->entries, m->size, sizeof(*m->entries));
	}
	e = &m->entries[m->count++];
	e->key = arena_copy(m->arena, key);
	e->value = arena_copy(m->arena, value);
	e->line = line;
	if (fold)
		text_lower((char *)e->key.data, e->key.len);
}

/* Sorts; of equal keys the first one stays. */
static void finish(struct memory *m, struct source *s)
{
	size_t kept = 0;

	if (m->count > 0)
		qsort(m->entries, m->count, sizeof(*m->entries), compare_entries);
	for (size_t i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];

		if (kept > 0 && compare_keys(m->entries[kept - 1].key, e->key) == 0) {
			s->line = e->line;
			source_warn(s, "\"%.*s\" is in line %u already: entry skipped",
			    (int)(e->key.len < 100 ? e->key.len : 100), e->key.data,
			    m->entries[kept - 1].line);
			continue;
		}
		m->entries[kept++] = *e;
	}
	m->count = kept;
}

static bool split_inline(struct slice entry, struct slice *key, struct slice *value)
{
	ptrdiff_t equals = slice_find(entry, '=');

	if (equals == -1)
		return false;
	*key = slice_trim(slice_part(entry, 0, (size_t)equals));
	*value = slice_trim(slice_part(entry, (size_t)equals + 1, entry.len));
	return key->len > 0 && value->len > 0;
}

static bool sizes_fit(struct slice key, struct slice value)
{
	return key.len <= DICT_KEY_LIMIT && value.len <= DICT_VALUE_LIMIT;
}

static void close_memory(struct dict *d)
{
	struct memory *m = d->state;

	arena_free(m->arena);
	free(m->entries);
	free(m);
}

static int open_memory(struct dict *d, int directory, const char *name, char **why)
{
	bool is_inline = d->type == &dict_type_inline;
	struct slice entry, key, value;
	struct memory *m;
	struct source s;
	int rc = 0;

	if (is_inline && name[0] != '{')
		return dict_refuse(why,
		    "write it as inline:{ key=value, { key = text with blanks } }");
	if (source_open(&s, d, directory, name, why) == -1)
		return -1;
	m = mem_alloc(sizeof(*m));
	m->arena = arena_new();
	d->state = m;
	while (rc == 0 && source_next(&s, &entry)) {
		bool split = is_inline ? split_inline(entry, &key, &value)
				       : source_split(entry, &key, &value);

		if (split && sizes_fit(key, value))
			add(m, key, value, s.line, d->flags & DICT_FOLD_KEY);
		else if (is_inline)
			rc = dict_refuse(why, "entry %u: not of the form key=value", s.line);
		else
			source_warn(&s,
			    "expected: key, blank, value (at most %d and %d bytes): "
			    "line skipped",
			    DICT_KEY_LIMIT, DICT_VALUE_LIMIT);
	}
	if (rc == 0)
		finish(m, &s);
	else
		close_memory(d);
	source_close(&s);
	return rc;
}

static int find(const void *key, const void *entry)
{
	return compare_keys(*(const struct slice *)key, ((const struct entry *)entry)->key);
}

static int lookup_memory(struct dict *d, struct slice key, struct buf *value)
{
	struct memory *m = d->state;
	const struct entry *e = m->count == 0
	    ? NULL
	    : bsearch(&key, m->entries, m->count, sizeof(*m->entries), find);

	if (e == NULL)
		return 0;
	buf_put_slice(value, e->value);
	return 1;
}

const struct dict_type dict_type_texthash = { "texthash", false, open_memory, lookup_memory,
	close_memory };
const struct dict_type dict_type_inline = { "inline", false, open_memory, lookup_memory,
	close_memory };
