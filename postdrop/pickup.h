/* SPDX-License-Identifier: ISC */
/*
 * pickup.h - what the parts of pickup share.
 */
#ifndef GP_PICKUP_H
#define GP_PICKUP_H

#include <sys/types.h>

#include "common/service/service.h"

struct pickup_settings {
	const char *cleanup_service_name, *authorized_submit_users;
	int64_t ipc_timeout;
};
extern struct pickup_settings pickup_settings;

/* users.c: finds out, before the rights are given up, which users may submit. */
void users_open(void);
bool users_may_submit(uint32_t uid);

/* client.c: a client of public/pickup. Waits. */
void client_session(struct service_client *);

/* maildrop.c: opens the directory, before the rights are given up. */
void maildrop_open(void);
/* Takes what is there; one who comes while it is being done makes it look once more. Waits. */
void maildrop_scan(void);

/* requeue.c: postsuper -r sends a message here instead of to its transport. Waits. */
void requeue_run(struct request *, struct frame *first);

#endif
