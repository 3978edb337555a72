/* SPDX-License-Identifier: ISC */
/*
 * cleanup_main.c - admits messages: headers made whole, recipients expanded, all of it handed to qmgr.
 */
#include "cleanup/cleanup.h"
#include "common/service/service.h"

#define ROW(member) CONF_SETTING(struct cleanup_settings, member, #member)

static const struct conf_setting settings[] = {
	ROW(myhostname),
	ROW(mail_name),
	ROW(message_drop_headers),
	ROW(undisclosed_recipients_header),
	ROW(remote_header_rewrite_domain),
	ROW(rewrite_service_name),
	ROW(queue_service_name),
	ROW(always_add_missing_headers),
	ROW(enable_original_recipient),
	ROW(append_dot_mydomain),
	ROW(hopcount_limit),
	ROW(message_size_limit),
	ROW(header_size_limit),
	ROW(duplicate_filter_limit),
	ROW(ipc_timeout),
	{ 0 },
};

static const struct service cleanup = {
	.name = "cleanup",
	.role = ROLE_CLEANUP,
	.settings = settings,
	.settings_out = &cleanup_settings,
	.handlers = cleanup_handlers,
};

int main(int argc, char **argv)
{
	return service_main(&cleanup, argc, argv);
}
