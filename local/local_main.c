/* SPDX-License-Identifier: ISC */
/*
 * local_main.c - delivery to users of this system: the monitor as root, the worker without rights.
 */
#include "common/ipc/delivery.h"
#include "common/service/service.h"
#include "local/agents.h"
#include "local/alias.h"
#include "local/local.h"

#define TEXT(member) CONF_SETTING(struct local_settings, member, #member)

static const struct conf_setting settings[] = {
	TEXT(alias_maps),
	TEXT(mail_spool_directory),
	TEXT(home_mailbox),
	TEXT(mailbox_command),
	TEXT(forward_path),
	TEXT(recipient_delimiter),
	TEXT(default_privs),
	TEXT(allow_mail_to_commands),
	TEXT(allow_mail_to_files),
	TEXT(mailbox_delivery_lock),
	TEXT(luser_relay),
	TEXT(local_command_shell),
	TEXT(myhostname),
	TEXT(command_expansion_filter),
	TEXT(forward_expansion_filter),
	TEXT(export_environment),
	TEXT(command_execution_directory),
	TEXT(mailbox_size_limit),
	TEXT(deliver_lock_attempts),
	TEXT(deliver_lock_delay),
	TEXT(stale_lock_time),
	TEXT(command_time_limit),
	TEXT(strict_mailbox_ownership),
	TEXT(expand_owner_alias),
	{ 0 },
};

static const struct service local = {
	.name = "local",
	.role = ROLE_AGENT,
	.settings = settings,
	.settings_out = &local_settings,
	.handlers = worker_handlers,
	.open = alias_open,
	.start = agents_start,
	.busy = delivery_is_owed,
	.monitor = monitor_main,
};

int main(int argc, char **argv)
{
	return service_main(&local, argc, argv);
}
