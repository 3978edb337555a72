/* SPDX-License-Identifier: ISC */
/*
 * spool.h - a message while sendmail reads it. Who feeds it may take hours (a job's output), and nobody
 * else shall wait so long; and it can be sent a second time. A large one lies in a file without a name.
 */
#ifndef GP_SPOOL_H
#define GP_SPOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"

struct spool {
	struct buf memory;
	bool in_file;
	int fd;
	uint64_t size;
};

/* -1 with errno. */
int spool_append(struct spool *, struct slice);
/* At most len bytes from `at` on, into data: how many; 0 at the end; -1 with errno. */
ssize_t spool_read(const struct spool *, uint64_t at, void *data, size_t len);
void spool_clear(struct spool *);

#endif
