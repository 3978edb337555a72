/* SPDX-License-Identifier: ISC */
/*
 * seen.c - a set of texts of several kinds, as a tree: lists have thousands of members.
 */
#include "local/seen.h"

#include <string.h>

#include <bsd/sys/tree.h>

struct key {
	RB_ENTRY(key) by_text;
	char kind;
	struct slice text;
};
RB_HEAD(key_tree, key);

struct seen {
	struct arena *arena;
	struct key_tree keys;
};

static int compare(struct key *a, struct key *b)
{
	size_t shorter = a->text.len < b->text.len ? a->text.len : b->text.len;
	int order = a->kind - b->kind;

	if (order == 0 && shorter > 0)
		order = memcmp(a->text.data, b->text.data, shorter);
	return order != 0 ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_INTERNAL(key_tree, key, by_text, compare, static)
#pragma GCC diagnostic pop

struct seen *seen_new(struct arena *arena)
{
	struct seen *set = arena_alloc(arena, sizeof(*set));

	set->arena = arena;
	RB_INIT(&set->keys);
	return set;
}

bool seen_first(struct seen *set, char kind, struct slice text)
{
	struct key *key;

	if (seen_has(set, kind, text))
		return false;
	key = arena_alloc(set->arena, sizeof(*key));
	key->kind = kind;
	key->text = text;
	RB_INSERT(key_tree, &set->keys, key);
	return true;
}

bool seen_has(struct seen *set, char kind, struct slice text)
{
	struct key key = { .kind = kind, .text = text };

	return RB_FIND(key_tree, &set->keys, &key) != NULL;
}
