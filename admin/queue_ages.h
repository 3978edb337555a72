/* SPDX-License-Identifier: ISC */
/*
 * queue_ages.h - how much mail of which age the queue has for each domain, as qshape counts it.
 *
 * Memory grows with the domains, not with the messages, and of domains at most 100,000 have a row: what
 * strangers make up beyond that is counted together.
 */
#ifndef GP_QUEUE_AGES_H
#define GP_QUEUE_AGES_H

#include <stdio.h>

#include "admin/queue_list.h"
#include "admin/queue_print.h"

enum { AGES_BUCKETS_MOST = 32 };

struct ages_options {
	bool senders; /* count messages by their sender, not recipients */
	bool parents; /* rows for what is below a domain, too, if that is five domains or more */
	bool linear; /* each bucket is as long as the first; else twice as long as the one before */
	unsigned buckets; /* 2 to AGES_BUCKETS_MOST; the last one has no end */
	uint64_t minutes; /* the first bucket's length */
	uint64_t top;	  /* rows; 0: all */
	int64_t now;	  /* seconds since 1970 */
};

struct queue_ages;

struct queue_ages *queue_ages_new(const struct ages_options *);
/* Feed this. */
const struct queue_sink *queue_ages_sink(struct queue_ages *);
void queue_ages_print(struct queue_ages *, enum queue_form, FILE *out);
void queue_ages_free(struct queue_ages *);

#endif
