/* SPDX-License-Identifier: ISC */
/*
 * smtp_main.c - the SMTP client.
 */
#include "common/ipc/delivery.h"
#include "smtp/settings.h"
#include "smtp/smtp.h"
#include "smtp/worker.h"

static const struct service smtp = {
	.name = "smtp",
	.role = ROLE_AGENT,
	.settings = smtp_settings,
	.settings_out = &client_settings,
	.handlers = worker_handlers,
	.open = worker_open,
	.busy = delivery_is_owed,
	.drain = worker_drain,
};

int main(int argc, char **argv)
{
	return service_main(&smtp, argc, argv);
}
