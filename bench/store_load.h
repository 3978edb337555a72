/* SPDX-License-Identifier: ISC */
/*
 * store_load.h - what the files of the load generator for the queue's store share.
 */
#ifndef GP_BENCH_STORE_LOAD_H
#define GP_BENCH_STORE_LOAD_H

#include "common/mail/queue_id.h"
#include "common/queue/store.h"

/* Opens the store in the directory, which is made when it is missing; ends the program when it can't be. */
struct store *load_open(const char *directory);
/* A queue id that this process did not make before. */
void load_id(char id[QUEUE_ID_SIZE], int64_t wall_us);
/* Waits for the store and lets it tell what happened. */
void load_wait(struct store *);
/* store_load fill DIRECTORY COUNT SIZE: a queue of this many messages, each put off once until tomorrow. */
int fill_main(const char *directory, unsigned long count, size_t size);

#endif
