/* SPDX-License-Identifier: ISC */
/*
 * users.c - authorized_submit_users. The list has names, and the kernel tells numbers: so the name service
 * is asked once, for all users that it can list, while it can be reached.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/log/log.h"
#include "postdrop/pickup.h"

static bool anyone, unlisted;
static struct {
	uint32_t uid;
	bool may;
} * users;
static size_t count;

static bool list_has(struct match_list *list, const char *name)
{
	int found = match_list_has(list, slice_of(name));

	if (found == -1)
		log_fatal("authorized_submit_users can't be looked up for user %s", name);
	return found == 1;
}

void users_open(void)
{
	const char *text = pickup_settings.authorized_submit_users;
	struct match_list *list;
	struct passwd *pw;
	char *why;

	anyone = strcmp(text, "static:anyone") == 0;
	if (anyone)
		return;
	list = match_list_open(service_config_directory(), text, MATCH_STRING, false, &why);
	if (list == NULL)
		log_fatal("authorized_submit_users: %s", why);
	unlisted = list_has(list, "unknown");
	setpwent();
	while ((pw = getpwent()) != NULL) {
		users = mem_resize_array(users, count + 1, sizeof(*users));
		users[count].uid = pw->pw_uid;
		users[count++].may = list_has(list, pw->pw_name);
	}
	endpwent();
	match_list_close(list);
}

bool users_may_submit(uint32_t uid)
{
	for (size_t i = 0; i < count; i++)
		if (users[i].uid == uid)
			return users[i].may;
	return anyone || unlisted;
}
