/* SPDX-License-Identifier: ISC */
/*
 * match_list.c - lists of names, addresses and networks: mydestination, mynetworks and the like.
 *
 * The first pattern that fits decides. "!" in front of a /file turns every pattern in it round.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"
#include "common/net/address.h"

enum { FILE_DEPTH = 10 };

struct pattern {
	bool negated;
	struct slice word;
	struct dict *dict;
	bool is_network;
	struct net_network network;
};

struct match_list {
	enum match_kind kind;
	bool subdomains;
	struct arena *arena;
	struct pattern *patterns;
	size_t count;
};

/* A list, or a file in it, that is being read. */
struct level {
	struct source source; /* of a file */
	struct slice rest;    /* of the list's text, or of one entry of the file */
	bool negated;
};

struct reader {
	struct match_list *list;
	int directory;
	struct level levels[FILE_DEPTH];
	size_t depth;
	char **why;
};

static bool looks_like_network(struct slice word)
{
	if (word.data[0] == '[' || slice_find(word, '/') != -1)
		return true;
	for (size_t i = 0; i < word.len; i++)
		if ((word.data[i] < '0' || word.data[i] > '9') && word.data[i] != '.')
			return false;
	return true;
}

static int open_table(struct pattern *p, int directory, struct slice word, char **why)
{
	struct slice proxy = SLICE("proxy:");
	char *text;

	if (slice_starts_nocase(word, proxy))
		word = slice_part(word, proxy.len, word.len);
	text = slice_dup(word);
	p->dict = dict_open(directory, text, DICT_FOLD_KEY, why);
	free(text);
	return p->dict == NULL ? -1 : 0;
}

static int add_pattern(struct reader *r, struct slice word, bool negated)
{
	struct match_list *l = r->list;
	struct pattern p = { .negated = negated };
	const char *reason = "";

	if (l->kind == MATCH_NETWORK)
		p.is_network = net_network_parse(word, &p.network, &reason);
	if (!p.is_network && word.data[0] != '[' && slice_find(word, ':') != -1) {
		if (open_table(&p, r->directory, word, r->why) == -1)
			return -1;
	} else if (!p.is_network && l->kind == MATCH_NETWORK && looks_like_network(word)) {
		return dict_refuse(r->why, "\"%.*s\": %s", (int)(word.len < 100 ? word.len : 100),
		    word.data, reason);
	}
	p.word = arena_copy(l->arena, word);
	l->patterns = mem_resize_array(l->patterns, l->count + 1, sizeof(*l->patterns));
	l->patterns[l->count++] = p;
	return 0;
}

static int open_level(struct reader *r, struct slice name, bool negated)
{
	struct level *level = &r->levels[r->depth];

	if (r->depth == FILE_DEPTH)
		return dict_refuse(r->why, "%.*s: more than %d files name one another",
		    (int)(name.len < 200 ? name.len : 200), name.data, FILE_DEPTH - 1);
	*level = (struct level){ .negated = negated };
	if (source_open(&level->source, NULL, r->directory, arena_text(r->list->arena, name),
		r->why) == -1)
		return -1;
	r->depth++;
	return 0;
}

static int add_word(struct reader *r, struct slice word)
{
	bool negated = r->levels[r->depth - 1].negated;

	while (word.len > 0 && word.data[0] == '!') {
		negated = !negated;
		word = slice_part(word, 1, word.len);
	}
	if (word.len == 0)
		return dict_refuse(r->why, "nothing behind a \"!\"");
	return word.data[0] == '/' ? open_level(r, word, negated) : add_pattern(r, word, negated);
}

/* One step: a word, the next line of a file, or the end of one. */
static int step(struct reader *r)
{
	struct level *level = &r->levels[r->depth - 1];
	struct slice word;

	if (list_next(&level->rest, &word))
		return add_word(r, word);
	if (r->depth > 1 && source_next(&level->source, &level->rest))
		return 0;
	source_close(&level->source);
	r->depth--;
	return 0;
}

struct match_list *match_list_open(int directory, const char *text, enum match_kind kind,
    bool subdomains, char **why)
{
	struct match_list *l = mem_alloc(sizeof(*l));
	struct reader r = { .list = l, .directory = directory, .depth = 1, .why = why };
	int rc = 0;

	l->kind = kind;
	l->subdomains = subdomains;
	l->arena = arena_new();
	r.levels[0].rest = slice_of(text);
	while (rc == 0 && r.depth > 0)
		rc = step(&r);
	if (rc == 0)
		return l;
	while (r.depth > 0)
		source_close(&r.levels[--r.depth].source);
	match_list_close(l);
	return NULL;
}

void match_list_close(struct match_list *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->count; i++)
		dict_close(l->patterns[i].dict);
	free(l->patterns);
	arena_free(l->arena);
	free(l);
}

bool match_list_changed(struct match_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->patterns[i].dict != NULL && dict_changed(l->patterns[i].dict))
			return true;
	return false;
}

static int ask(struct dict *d, struct slice key)
{
	struct buf value = { 0 };
	int rc = dict_lookup(d, key, &value);

	buf_clear(&value);
	return rc;
}

/* The table has the name, or a domain above it: "domain" where parents stand for all below them,
 * else ".domain". */
static int table_has_domain(const struct match_list *l, struct dict *d, struct slice name)
{
	int rc = ask(d, name);

	while (rc == 0 && !dict_is_pattern(d)) {
		ptrdiff_t dot = slice_find(slice_part(name, 1, name.len), '.');

		if (dot == -1)
			return 0;
		name = slice_part(name, (size_t)dot + 1, name.len);
		rc = ask(d, l->subdomains ? slice_part(name, 1, name.len) : name);
	}
	return rc;
}

static bool word_has_domain(const struct match_list *l, struct slice word, struct slice name)
{
	struct slice tail;

	if (slice_equal_nocase(word, name))
		return true;
	if (word.len >= name.len || word.len == 0)
		return false;
	tail = slice_part(name, name.len - word.len, word.len);
	if (!slice_equal_nocase(tail, word))
		return false;
	return l->subdomains ? name.data[name.len - word.len - 1] == '.' : word.data[0] == '.';
}

static int fits(const struct match_list *l, const struct pattern *p, struct slice text,
    const struct net_address *address)
{
	if (p->is_network)
		return address != NULL && net_network_contains(&p->network, address);
	if (l->kind == MATCH_STRING || address != NULL)
		return p->dict != NULL ? ask(p->dict, text) : slice_equal_nocase(p->word, text);
	return p->dict != NULL ? table_has_domain(l, p->dict, text)
			       : word_has_domain(l, p->word, text);
}

int match_list_has(struct match_list *l, struct slice text)
{
	struct net_address parsed;
	bool is_address = l->kind == MATCH_NETWORK && net_address_parse(text, &parsed);

	if (text.len == 0)
		return 0;
	for (size_t i = 0; i < l->count; i++) {
		const struct pattern *p = &l->patterns[i];
		int rc = fits(l, p, text, is_address ? &parsed : NULL);

		if (rc == -1)
			return -1;
		if (rc == 1)
			return !p->negated;
	}
	return 0;
}
