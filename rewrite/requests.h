/* SPDX-License-Identifier: ISC */
/*
 * requests.h - what rewrite answers, and the tables that it answers from.
 */
#ifndef GP_REWRITE_REQUESTS_H
#define GP_REWRITE_REQUESTS_H

#include "common/ipc/channel.h"

extern const struct handler rewrite_handlers[];
/* Before the rights are given up; a table that can't be opened ends the process. */
void tables_open_all(void);

#endif
