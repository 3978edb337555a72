/* SPDX-License-Identifier: ISC */
/*
 * names.c - $home, $user and the others in forward_path, luser_relay, command_execution_directory:
 * they belong to a recipient, so they are filled in for each delivery.
 */
#include "local/local.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/conf/expand.h"

struct names {
	const struct act_request *request;
	const struct agent_user *user;
	const char *filter;
	struct arena *arena;
};

static const char *filtered(struct names *n, struct slice value)
{
	char *text = arena_text(n->arena, value);

	for (char *at = text; *at != '\0'; at++)
		if (*at == '/' || strchr(n->filter, *at) == NULL)
			*at = '_';
	return text;
}

/* The byte that really parted user and extension. */
static const char *delimiter(struct names *n)
{
	struct slice local = n->request->local, extension = n->request->extension;

	if (extension.len == 0 || extension.len >= local.len)
		return "";
	return filtered(n, slice_part(local, local.len - extension.len - 1, 1));
}

static const char *find(void *arg, const char *name, bool *raw)
{
	struct names *n = arg;
	const struct {
		const char *name;
		struct slice value;
	} chosen_by_sender[] = {
		{ "local", n->request->local },
		{ "extension", n->request->extension },
		{ "domain", n->request->domain },
		{ "recipient", n->request->recipient },
	};

	*raw = true;
	if (strcmp(name, "home") == 0)
		return n->user == NULL ? "" : n->user->home;
	if (strcmp(name, "shell") == 0)
		return n->user == NULL ? "" : n->user->shell;
	if (strcmp(name, "user") == 0)
		return n->user != NULL ? n->user->name : filtered(n, n->request->local);
	if (strcmp(name, "recipient_delimiter") == 0)
		return delimiter(n);
	for (size_t i = 0; i < sizeof(chosen_by_sender) / sizeof(chosen_by_sender[0]); i++)
		if (strcmp(name, chosen_by_sender[i].name) == 0)
			return filtered(n, chosen_by_sender[i].value);
	return NULL;
}

bool names_expand(struct slice text, const struct act_request *request,
    const struct agent_user *user, const char *filter, struct buf *out, char **why)
{
	struct names names = { request, user, filter, arena_new() };
	struct expand_source source = { .find = find, .arg = &names };
	bool ok = expand(&source, NULL, text, out, why);

	arena_free(names.arena);
	return ok;
}
