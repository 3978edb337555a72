/* SPDX-License-Identifier: ISC */
/*
 * bounce_main.c - tells senders and postmasters what became of mail.
 */
#include "bounce/bounce.h"
#include "common/service/service.h"

#define ROW(member) CONF_SETTING(struct bounce_settings, member, #member)

static const struct conf_setting settings[] = {
	ROW(myhostname),
	ROW(myorigin),
	ROW(double_bounce_sender),
	ROW(notify_classes),
	ROW(bounce_notice_recipient),
	ROW(delay_notice_recipient),
	ROW(bounce_template_file),
	ROW(bounce_size_limit),
	ROW(ipc_timeout),
	ROW(enable_threaded_bounces),
	CONF_SETTING(struct bounce_settings, second_bounce_notice_recipient,
	    "2bounce_notice_recipient"),
	{ 0 },
};

static const struct service bounce = {
	.name = "bounce",
	.role = ROLE_BOUNCE,
	.settings = settings,
	.settings_out = &bounce_settings,
	.open = words_open,
	.handlers = bounce_handlers,
};

int main(int argc, char **argv)
{
	return service_main(&bounce, argc, argv);
}
