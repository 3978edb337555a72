/* SPDX-License-Identifier: ISC */
/*
 * alias.c - looks names up in the alias tables.
 */
#include "local/alias.h"

#include <stdlib.h>

#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { MEMBER_LIMIT = 10000 };

static struct dict_maps *maps;

/* "proxy:type:table" of alias_maps. Waits. */
static int ask_proxymap(void *arg, struct slice table, struct slice key, struct buf *value)
{
	deadline when = deadline_after(conf_time(service_conf(), "ipc_timeout"));
	struct msg_lookup question = { table, key };
	struct request *request = NULL;
	void *reply = NULL;
	int found = -1;

	(void)arg;
	if (service_ask("proxymap", &table_lookup, &question, &table_looked_up, &reply, &request,
		when) == 0) {
		const struct msg_looked_up *answer = reply;

		found = answer->found == FOUND_YES ? 1 : answer->found == FOUND_NO ? 0 : -1;
		if (found == 1)
			buf_put_slice(value, answer->value);
	}
	request_close(request);
	return found;
}

void alias_open(void)
{
	char *why = NULL;

	maps = dict_maps_open(service_config_directory(), local_settings.alias_maps,
	    DICT_FOLD_KEY | DICT_NO_REGSUB | DICT_OR_FAILING, ask_proxymap, NULL, &why);
	if (maps == NULL)
		log_fatal("alias_maps: %s", why);
}

const char *alias_changed(void)
{
	return dict_maps_changed(maps) ? "alias_maps" : NULL;
}

static int find(struct slice name, struct arena *arena, struct slice *value, struct verdict *v)
{
	struct buf text = { 0 };
	int found = dict_maps_lookup(maps, name, &text);

	if (found == 1)
		*value = arena_copy(arena, buf_slice(&text));
	else if (found == -1)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "alias database unavailable: %s",
		    dict_maps_error(maps));
	buf_clear(&text);
	return found;
}

/* The sender for errors is owner-NAME itself, or with expand_owner_alias the address it stands for, if
 * it is one. */
static int find_owner(struct slice name, struct arena *arena, struct slice *owner,
    struct verdict *v)
{
	struct slice key, value;
	struct target *target;
	const char *why;
	int found;

	*owner = SLICE("");
	key = slice_of(arena_printf(arena, "owner-%.*s", (int)name.len, name.data));
	found = find(key, arena, &value, v);
	if (found != 1)
		return found;
	*owner = key;
	if (local_settings.expand_owner_alias) {
		target = targets_parse(value, 1, arena, &why);
		if (target != NULL && target->kind == TARGET_ADDRESS)
			*owner = target->text;
	}
	return found;
}

int alias_find(struct slice local, struct slice user, struct arena *arena, struct target **targets,
    struct slice *name, struct slice *owner, struct verdict *v)
{
	struct slice keys[2] = { local, user }, value;
	const char *why;
	int found = 0;

	for (int i = 0; i < 2 && found == 0; i++) {
		*name = keys[i];
		if (i == 0 || !slice_equal(local, user))
			found = find(keys[i], arena, &value, v);
	}
	if (found != 1)
		return found;
	*targets = targets_parse(value, MEMBER_LIMIT, arena, &why);
	if (why != NULL) {
		verdict_set(v, OUTCOME_DEFERRED, "4.3.5", "alias %.*s: %s", (int)name->len,
		    name->data, why);
		return -1;
	}
	return find_owner(*name, arena, owner, v) == -1 ? -1 : 1;
}
