/* SPDX-License-Identifier: ISC */
/*
 * pickup_main.c - the door for local users: clients of public/pickup, and the files of maildrop/.
 */
#include "common/task/task.h"
#include "postdrop/pickup.h"

struct pickup_settings pickup_settings;

#define ROW(member) CONF_SETTING(struct pickup_settings, member, #member)

static const struct conf_setting settings[] = {
	ROW(cleanup_service_name),
	ROW(authorized_submit_users),
	ROW(ipc_timeout),
	{ 0 },
};

static const struct handler handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), requeue_run },
	{ 0 },
};

static void open_all(void)
{
	users_open();
	maildrop_open();
}

static void first_scan(void *arg)
{
	(void)arg;
	maildrop_scan();
}

/* Clients need not wait for it. */
static void start(void)
{
	task_start("maildrop", first_scan, NULL);
}

static const struct service pickup = {
	.name = "pickup",
	.role = ROLE_PICKUP,
	.settings = settings,
	.settings_out = &pickup_settings,
	.handlers = handlers,
	.open = open_all,
	.start = start,
	.session = client_session,
	.wakeup = maildrop_scan,
};

int main(int argc, char **argv)
{
	return service_main(&pickup, argc, argv);
}
