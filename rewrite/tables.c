/* SPDX-License-Identifier: ISC */
/*
 * tables.c - opens every table that an address may be looked up in, before the service gives up its
 * rights: afterwards no file can be opened any more.
 */
#include "rewrite/rewrite.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define OFFSET(structure, member) offsetof(struct structure, member)

static const struct {
	const char *name;
	size_t setting, table;
} maps[] = {
	{ "transport_maps", OFFSET(rewrite_settings, transport_maps), OFFSET(tables, transport) },
	{ "virtual_alias_maps", OFFSET(rewrite_settings, virtual_alias_maps),
	    OFFSET(tables, virtual_alias) },
	{ "virtual_mailbox_maps", OFFSET(rewrite_settings, virtual_mailbox_maps),
	    OFFSET(tables, virtual_mailbox) },
	{ "local_recipient_maps", OFFSET(rewrite_settings, local_recipient_maps),
	    OFFSET(tables, local_recipient) },
	{ "relay_recipient_maps", OFFSET(rewrite_settings, relay_recipient_maps),
	    OFFSET(tables, relay_recipient) },
};

static const struct {
	const char *name;
	enum match_kind kind;
	size_t setting, table;
} lists[] = {
	{ "mydestination", MATCH_STRING, OFFSET(rewrite_settings, mydestination),
	    OFFSET(tables, mydestination) },
	{ "virtual_alias_domains", MATCH_STRING, OFFSET(rewrite_settings, virtual_alias_domains),
	    OFFSET(tables, virtual_alias_domains) },
	{ "virtual_mailbox_domains", MATCH_STRING,
	    OFFSET(rewrite_settings, virtual_mailbox_domains),
	    OFFSET(tables, virtual_mailbox_domains) },
	{ "relay_domains", MATCH_DOMAIN, OFFSET(rewrite_settings, relay_domains),
	    OFFSET(tables, relay_domains) },
};

static const char *setting(const struct rewrite_settings *s, size_t offset)
{
	const char *text = *(const char *const *)((const char *)s + offset);

	return text == NULL ? "" : text;
}

static void *member(const struct tables *t, size_t offset)
{
	return (char *)t + offset;
}

static bool list_has_word(const char *list, const char *word)
{
	struct slice rest = slice_of(list), item;

	while (text_next_word(&rest, ", \t\r\n", &item))
		if (slice_equal(item, slice_of(word)))
			return true;
	return false;
}

/* The name service can't be reached from a chroot: proxymap asks it for us. */
static char *ask_for_system_users(const char *text)
{
	struct buf out = { 0 };
	const char *at = text;

	while (*at != '\0') {
		bool starts = at == text || strchr(", \t\r\n", at[-1]) != NULL;

		if (starts && strncmp(at, "unix:", 5) == 0)
			buf_puts(&out, "proxy:");
		buf_putc(&out, *at++);
	}
	return buf_take(&out);
}

static void prefix_reason(char **why, const char *name)
{
	char *reason = *why;

	*why = mem_printf("%s: %s", name, reason);
	free(reason);
}

static bool open_maps(struct tables *t, int directory, dict_ask *ask, void *arg, char **why)
{
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		char *text = ask_for_system_users(setting(t->settings, maps[i].setting));
		struct dict_maps *m = dict_maps_open(directory, text,
		    DICT_FOLD_KEY | DICT_OR_FAILING, ask, arg, why);

		free(text);
		if (m == NULL) {
			prefix_reason(why, maps[i].name);
			return false;
		}
		*(struct dict_maps **)member(t, maps[i].table) = m;
	}
	return true;
}

static bool open_lists(struct tables *t, int directory, char **why)
{
	const char *parents = t->settings->parent_domain_matches_subdomains;

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		struct match_list *l = match_list_open(directory,
		    setting(t->settings, lists[i].setting), lists[i].kind,
		    lists[i].kind == MATCH_DOMAIN && list_has_word(parents, lists[i].name), why);

		if (l == NULL) {
			prefix_reason(why, lists[i].name);
			return false;
		}
		*(struct match_list **)member(t, lists[i].table) = l;
	}
	return true;
}

struct tables *tables_open(int directory, const struct rewrite_settings *s, dict_ask *ask,
    void *arg, char **why)
{
	struct tables *t = mem_alloc(sizeof(*t));

	t->settings = s;
	t->transport_subdomains = list_has_word(s->parent_domain_matches_subdomains,
	    "transport_maps");
	t->propagate_extension = list_has_word(s->propagate_unmatched_extensions, "virtual");
	if (!open_maps(t, directory, ask, arg, why) || !open_lists(t, directory, why)) {
		tables_free(t);
		return NULL;
	}
	own_addresses_find(t);
	return t;
}

void tables_free(struct tables *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++)
		dict_maps_close(*(struct dict_maps **)member(t, maps[i].table));
	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
		match_list_close(*(struct match_list **)member(t, lists[i].table));
	free(t->own);
	free(t);
}

const char *tables_changed(const struct tables *t)
{
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++)
		if (dict_maps_changed(*(struct dict_maps **)member(t, maps[i].table)))
			return maps[i].name;
	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
		if (match_list_changed(*(struct match_list **)member(t, lists[i].table)))
			return lists[i].name;
	return NULL;
}

int tables_has_local_domain(const struct tables *t, struct slice domain)
{
	if (domain.len > 2 && domain.data[0] == '[')
		return own_address_is(t, domain);
	return match_list_has(t->mydestination, domain);
}
