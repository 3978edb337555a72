/* SPDX-License-Identifier: ISC */
#ifndef GP_WORKER_H
#define GP_WORKER_H

#include "common/service/service.h"

extern const struct handler worker_handlers[];
/* A process that ends keeps no idle sessions. */
void worker_drain(enum drain_reason);
/* What both programs open before the rights are given up. */
void worker_open(void);

#endif
