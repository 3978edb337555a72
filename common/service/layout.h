/* SPDX-License-Identifier: ISC */
/*
 * layout.h - the directories of an instance below queue_directory, and who owns them.
 */
#ifndef GP_LAYOUT_H
#define GP_LAYOUT_H

#include "common/conf/conf.h"

/* Makes what is missing below the queue directory and mends owners and modes (as root). Each failure and
 * each mend is reported, in one sentence. Returns the number of failures. */
typedef void layout_report(void *arg, bool is_error, const char *text);
unsigned layout_prepare(int queue_directory, struct conf *, layout_report *report, void *arg);

/* Opens queue_directory; -1 with errno. */
int layout_open_queue(struct conf *);

/* The lock of the one master of an instance: pid/master.pid. Returns the descriptor that holds it (-1
 * with errno; EWOULDBLOCK: another master is alive) and writes our pid into it. */
int layout_lock_master(int queue_directory);
/* The pid of the master that holds the lock; 0: none runs; -1 with errno. */
int layout_master_pid(int queue_directory);

/* The socket by which gatepost talks to master, relative to the queue directory. */
#define LAYOUT_MASTER_SOCKET "private/master"

#endif
