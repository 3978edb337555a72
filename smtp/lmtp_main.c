/* SPDX-License-Identifier: ISC */
/*
 * lmtp_main.c - the LMTP client.
 */
#include "common/ipc/delivery.h"
#include "smtp/settings.h"
#include "smtp/smtp.h"
#include "smtp/worker.h"

static const struct service lmtp = {
	.name = "lmtp",
	.role = ROLE_AGENT,
	.settings = lmtp_settings,
	.settings_out = &client_settings,
	.handlers = worker_handlers,
	.open = worker_open,
	.busy = delivery_is_owed,
	.drain = worker_drain,
};

int main(int argc, char **argv)
{
	client_settings.is_lmtp = true;
	return service_main(&lmtp, argc, argv);
}
