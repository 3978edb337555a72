/* SPDX-License-Identifier: ISC */
/*
 * proxymap_main.c - asks tables and the name service for processes that can't. Such a question may block
 * the whole process: only what has no better way comes here.
 */
#include "common/service/service.h"
#include "support/proxymap.h"

static struct proxymap_settings {
	const char *proxy_read_maps;
} settings;

static const struct conf_setting setting_rows[] = {
	CONF_SETTING(struct proxymap_settings, proxy_read_maps, "proxy_read_maps"),
	{ 0 },
};

static void open_tables(void)
{
	proxymap_open(service_config_directory(), settings.proxy_read_maps);
}

static void lookup(struct request *r, struct frame *first)
{
	struct msg_looked_up answer = { 0 };

	service_look_at_tables(proxymap_changed);
	proxymap_lookup(first->message, request_arena(r), &answer);
	request_send(r, &table_looked_up, &answer, -1, true, DEADLINE_NEVER);
}

static void user(struct request *r, struct frame *first)
{
	struct msg_user_info answer;

	proxymap_user(first->message, request_arena(r), &answer);
	request_send(r, &table_user_info, &answer, -1, true, DEADLINE_NEVER);
}

static void user_id(struct request *r, struct frame *first)
{
	struct msg_user_info answer;

	proxymap_user_id(first->message, request_arena(r), &answer);
	request_send(r, &table_user_info, &answer, -1, true, DEADLINE_NEVER);
}

enum {
	MAY_ASK = ROLE_BIT(ROLE_REWRITE) | ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_CLEANUP) |
	    ROLE_BIT(ROLE_QMGR) | ROLE_BIT(ROLE_AGENT)
};

static const struct handler handlers[] = {
	{ &table_lookup, MAY_ASK, lookup },
	{ &table_user, MAY_ASK, user },
	{ &table_user_id, ROLE_BIT(ROLE_FLUSH) | ROLE_BIT(ROLE_SHOWQ), user_id },
	{ 0 },
};

static const struct service proxymap = {
	.name = "proxymap",
	.role = ROLE_PROXYMAP,
	.settings = setting_rows,
	.settings_out = &settings,
	.handlers = handlers,
	.open = open_tables,
};

int main(int argc, char **argv)
{
	return service_main(&proxymap, argc, argv);
}
