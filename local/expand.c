/* SPDX-License-Identifier: ISC */
/*
 * expand.c - aliases to their end, level by level: each alias is opened once, each place counts once.
 */
#include "local/expand.h"

#include <string.h>

#include "common/base/text.h"
#include "common/mail/mail_address.h"
#include "local/seen.h"

/* Kinds of keys of the set of what was seen. */
enum {
	SEEN_ALIAS = 'a',
	SEEN_ADDRESS = '@',
	SEEN_TARGET = '|',
	SEEN_USER = 'u',
	SEEN_MAILBOX = 'm'
};

/* A name or address still to be followed. */
struct item {
	STAILQ_ENTRY(item) entry;
	struct judged judged;
	bool is_judged;	     /* from the beginning */
	bool mailbox;	     /* \user */
	struct slice parent; /* the alias that has it as member; empty: none */
	struct slice forward_of;
};
STAILQ_HEAD(item_list, item);

struct expansion {
	struct arena *arena;
	const struct expand_sources *sources;
	struct item_list level; /* what comes next */
	struct place_list places;
	struct seen *seen;
	size_t added;
	bool is_chain; /* each name has led to one name so far */
	struct slice owner;
};

struct local_name local_name_of(struct arena *arena, struct slice address)
{
	struct local_name name = { 0 };
	struct buf local = { 0 };

	local_part_unquote(mail_address_split(address).local, &local);
	text_lower(local.data, local.len);
	name.user = name.local = arena_copy(arena, buf_slice(&local));
	name.extension = SLICE("");
	buf_clear(&local);
	(void)local_part_split(name.local, local_settings.recipient_delimiter, &name.user,
	    &name.extension);
	return name;
}

static struct item *add_item(struct expansion *e, struct slice address)
{
	struct item *item = arena_alloc(e->arena, sizeof(*item));

	item->judged.address = address;
	item->parent = item->forward_of = SLICE("");
	STAILQ_INSERT_TAIL(&e->level, item, entry);
	e->added++;
	return item;
}

struct expansion *expand_new(struct arena *arena, const struct expand_sources *sources,
    struct slice recipient)
{
	struct expansion *e = arena_alloc(arena, sizeof(*e));
	struct item *item;

	e->arena = arena;
	e->sources = sources;
	e->is_chain = true;
	e->owner = SLICE("");
	STAILQ_INIT(&e->level);
	STAILQ_INIT(&e->places);
	e->seen = seen_new(arena);
	item = add_item(e, recipient);
	item->is_judged = item->judged.is_ours = true;
	return e;
}

void expand_add(struct expansion *e, struct slice address, struct slice forward_of)
{
	add_item(e, address)->forward_of = forward_of;
	e->is_chain = false;
}

static struct place *add_place(struct expansion *e, enum place_kind kind, struct slice address)
{
	struct place *place = arena_alloc(e->arena, sizeof(*place));

	place->kind = kind;
	place->address = address;
	STAILQ_INSERT_TAIL(&e->places, place, entry);
	return place;
}

/* The local part is the next server's own affair, the domain is not. */
static void found_address(struct expansion *e, struct slice address)
{
	struct slice key = arena_copy(e->arena, address);
	size_t domain = mail_address_split(key).domain.len;

	text_lower((char *)key.data + key.len - domain, domain);
	if (seen_first(e->seen, SEEN_ADDRESS, key))
		add_place(e, PLACE_ADDRESS, address);
}

static void found_target(struct expansion *e, const struct target *target)
{
	struct slice key = slice_of(arena_printf(e->arena, "%d %.*s", (int)target->kind,
	    (int)target->text.len, target->text.data));

	if (seen_first(e->seen, SEEN_TARGET, key))
		add_place(e, PLACE_TARGET, SLICE(""))->target = target;
}

static void found_name(struct expansion *e, const struct item *item, struct local_name name,
    bool is_own_member)
{
	bool is_mailbox = item->mailbox;
	struct place *place;

	if (!is_mailbox && !seen_first(e->seen, SEEN_USER, name.local)) {
		/* His .forward leads back to him. */
		if (item->forward_of.len == 0 || !slice_equal(item->forward_of, name.user))
			return;
		is_mailbox = true;
	}
	if (is_mailbox && !seen_first(e->seen, SEEN_MAILBOX, name.local))
		return;
	place = add_place(e, is_mailbox ? PLACE_MAILBOX : PLACE_USER, item->judged.address);
	place->name = name;
	place->is_own_member = is_own_member;
}

static void add_members(struct expansion *e, const struct item *item, struct slice alias,
    struct target *targets)
{
	for (struct target *t = targets; t != NULL; t = t->next) {
		struct item *member;

		if (t->kind != TARGET_ADDRESS && t->kind != TARGET_USER) {
			e->is_chain = false;
			found_target(e, t);
			continue;
		}
		member = add_item(e, t->text);
		member->mailbox = t->kind == TARGET_USER;
		member->parent = alias;
		member->forward_of = item->forward_of;
	}
	e->is_chain = e->is_chain && targets->next == NULL;
}

/* An alias is opened once. One beside others becomes a message of its own when it has an owner, that
 * is another envelope sender, or no members, which its sender hears then. */
static bool open_alias(struct expansion *e, const struct item *item, struct slice alias,
    struct target *targets, struct slice owner, struct verdict *v)
{
	if (!seen_first(e->seen, SEEN_ALIAS, alias))
		return true;
	if (!e->is_chain && (owner.len > 0 || targets == NULL)) {
		found_address(e, item->judged.address);
		return true;
	}
	if (targets == NULL) {
		verdict_set(v, OUTCOME_BOUNCED, "5.1.1", "alias %.*s has no members",
		    (int)alias.len, alias.data);
		return false;
	}
	if (owner.len > 0)
		e->owner = owner;
	add_members(e, item, alias, targets);
	return true;
}

static bool follow(struct expansion *e, const struct item *item, struct verdict *v)
{
	struct local_name name;
	struct target *targets = NULL;
	struct slice alias, owner;
	int found;

	if (!item->judged.is_ours) {
		found_address(e, item->judged.address);
		return true;
	}
	name = local_name_of(e->arena, item->judged.address);
	if (item->mailbox) {
		found_name(e, item, name, false);
		return true;
	}
	found = e->sources->find(name.local, name.user, e->arena, &targets, &alias, &owner, v);
	if (found == -1)
		return false;
	/* "root: root, admin": the member is the user. */
	if (found == 0 || slice_equal(alias, item->parent)) {
		found_name(e, item, name, found == 1);
		return true;
	}
	return open_alias(e, item, alias, targets, owner, v);
}

static bool judge(struct expansion *e, struct judged *const *items, size_t count, struct verdict *v)
{
	for (size_t i = 0; i < count; i++)
		if (items[i]->address.len > ADDRESS_LIMIT) {
			verdict_set(v, OUTCOME_DEFERRED, "4.3.5",
			    "a member of a list is longer than %d bytes", ADDRESS_LIMIT);
			return false;
		}
	return count == 0 || e->sources->judge(e->sources->arg, items, count, v);
}

static bool judge_level(struct expansion *e, struct item_list *level, struct verdict *v)
{
	struct judged *batch[RCPTS_PER_FRAME];
	struct item *item;
	size_t count = 0;

	STAILQ_FOREACH(item, level, entry) {
		if (item->is_judged)
			continue;
		batch[count++] = &item->judged;
		if (count < RCPTS_PER_FRAME)
			continue;
		if (!judge(e, batch, count, v))
			return false;
		count = 0;
	}
	return judge(e, batch, count, v);
}

bool expand_run(struct expansion *e, struct verdict *v)
{
	struct item *item;

	for (int depth = 0; !STAILQ_EMPTY(&e->level); depth++) {
		struct item_list level = STAILQ_HEAD_INITIALIZER(level);

		if (depth == EXPAND_DEPTH) {
			verdict_set(v, OUTCOME_BOUNCED, "5.4.6", "alias loop: more than %d steps",
			    EXPAND_DEPTH);
			return false;
		}
		STAILQ_CONCAT(&level, &e->level);
		if (!judge_level(e, &level, v))
			return false;
		STAILQ_FOREACH(item, &level, entry) {
			if (!follow(e, item, v))
				return false;
			if (e->added > EXPAND_COUNT) {
				verdict_set(v, OUTCOME_DEFERRED, "4.3.5",
				    "aliases lead to more than %d members", EXPAND_COUNT);
				return false;
			}
		}
	}
	return true;
}

struct place *expand_next(struct expansion *e)
{
	struct place *place = STAILQ_FIRST(&e->places);

	if (place != NULL)
		STAILQ_REMOVE_HEAD(&e->places, entry);
	return place;
}

bool expand_has_mailbox(const struct expansion *e, struct slice local)
{
	return seen_has(e->seen, SEEN_MAILBOX, local);
}

struct slice expand_owner(const struct expansion *e)
{
	return e->owner;
}
