/* SPDX-License-Identifier: ISC */
/*
 * proxymap.h - tables and system users for processes that live in a chroot.
 */
#ifndef GP_SUPPORT_PROXYMAP_H
#define GP_SUPPORT_PROXYMAP_H

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"

/* Opens the tables that the list (proxy_read_maps, expanded) names as proxy:type:name, and those of
 * system users. One that can't be opened answers with an error, and is logged. */
void proxymap_open(int directory, const char *proxy_read_maps);
void proxymap_close(void);
/* The name of a table that changed since it was opened, or NULL. */
const char *proxymap_changed(void);

/* The answers; what they point to lives in the arena. */
void proxymap_lookup(const struct msg_lookup *, struct arena *, struct msg_looked_up *);
void proxymap_user(const struct msg_user *, struct arena *, struct msg_user_info *);
void proxymap_user_id(const struct msg_user_id *, struct arena *, struct msg_user_info *);

#endif
