/* SPDX-License-Identifier: ISC */
/*
 * dialer.h - connections to UNIX sockets, for processes that can reach no path.
 */
#ifndef GP_DIALER_H
#define GP_DIALER_H

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/conf/conf.h"

/* The sockets that may be connected to, as absolute paths. All zero is an empty list. */
struct dialer_endpoints {
	char **paths;
	size_t count;
};

/* Adds each PATH of a word unix:PATH, also behind another scheme or a name (lmtp:unix:PATH,
 * name=unix:PATH). A relative one lies below queue_directory. */
void dialer_endpoints_add(struct dialer_endpoints *, struct slice value,
    const char *queue_directory);
/* Those of main.cf, of the arguments and overrides of master.cf, and of dialer_endpoints. directory: a
 * descriptor of the configuration's; path: its name. */
void dialer_endpoints_read(struct dialer_endpoints *, struct conf *, int directory,
    const char *path);
/* The absolute path of one that is in the list, else NULL. path may be relative, as above. */
const char *dialer_endpoints_find(const struct dialer_endpoints *, struct slice path,
    const char *queue_directory);
void dialer_endpoints_clear(struct dialer_endpoints *);

/* A connected descriptor that does not block, or -1 with errno. Waits while the socket's queue of
 * clients is full. */
int dialer_connect(const char *path, deadline);

#endif
