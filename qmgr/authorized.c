/* SPDX-License-Identifier: ISC */
/*
 * authorized.c - a client's uid, and the list of names in authorized_..._users. proxymap knows the name:
 * a service must not wait for the name service.
 */
#include "qmgr/authorized.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/dict/dict.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { NAME_SECONDS = 60 };

static const char *parameter_name;
static struct match_list *users;
static bool is_anyone;
static uint32_t owner;

void authorized_open(const char *parameter, const char *list)
{
	char *why = NULL;

	parameter_name = parameter;
	owner = geteuid();
	is_anyone = slice_equal(slice_of(list), SLICE("static:anyone"));
	if (is_anyone)
		return;
	users = match_list_open(service_config_directory(), list, MATCH_STRING, false, &why);
	if (users == NULL)
		log_error("%s: %s; only root and the owner may", parameter, why);
	free(why);
}

bool authorized_is_owner(uint32_t uid)
{
	return uid == 0 || uid == owner;
}

/* False when nobody can say. */
static bool name_of(uint32_t uid, char out[NAME_LIMIT + 1])
{
	struct msg_user_id question = { uid };
	struct msg_user_info *answer;
	struct request *r;
	bool ok;

	if (service_ask("proxymap", &table_user_id, &question, &table_user_info, (void **)&answer,
		&r, deadline_after(NAME_SECONDS * CLOCK_SECOND)) == -1)
		return false;
	ok = answer->found != FOUND_ERROR;
	if (ok)
		snprintf(out, NAME_LIMIT + 1, "%.*s", (int)answer->name.len, answer->name.data);
	if (ok && answer->found != FOUND_YES)
		strcpy(out, "unknown");
	request_close(r);
	return ok;
}

bool authorized_has(uint32_t uid)
{
	char name[NAME_LIMIT + 1];
	int rc;

	if (authorized_is_owner(uid) || is_anyone)
		return true;
	if (users == NULL)
		return false;
	if (!name_of(uid, name)) {
		log_warning("the name of user %u can't be found: he is refused", (unsigned)uid);
		return false;
	}
	rc = match_list_has(users, slice_of(name));
	if (rc == -1)
		log_warning("%s: a table does not answer: user %s is refused", parameter_name,
		    name);
	else if (rc == 0)
		log_warning("user %s is refused: not in %s", name, parameter_name);
	return rc == 1;
}
