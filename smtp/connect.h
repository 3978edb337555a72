/* SPDX-License-Identifier: ISC */
#ifndef GP_CONNECT_H
#define GP_CONNECT_H

#include "smtp/route.h"

/* A connected descriptor, non-blocking; -1 with errno. Waits. */
int connect_host(const struct host *);

#endif
