/* SPDX-License-Identifier: ISC */
/*
 * job.h - an agent's work: a batch of deliveries that were waiting together, and the one box (mbox or
 * Maildir) that is open for them, so that they share its lock and its flush.
 */
#ifndef GP_JOB_H
#define GP_JOB_H

#include "local/box.h"

enum { BATCH_LIMIT = 32, FORWARD_LIMIT = 20000 };

struct batch;

/* One delivery. Its outcome is told when it is finished and no part of it waits for a flush. */
struct job {
	struct batch *batch;
	struct act_request request;
	int content_fd;
	struct verdict verdict; /* of all parts together */
	bool in_box;		/* a part is in the open box */
	bool finished, told, ran_command;
	struct slice *forward; /* on the heap; the texts in the batch's arena */
	size_t forward_count, forward_size;
	unsigned includes;
	size_t members; /* of all its lists */
};

struct batch {
	int socket; /* to the worker */
	const struct agent_user *user;
	struct arena *arena;
	struct box *box; /* NULL: none is open */
	char *box_key;
	struct job jobs[BATCH_LIMIT];
	size_t count;
};

/* Flushes and closes the box, and tells the worker of each finished job. Before anything that takes
 * long: others wait for the lock, and the worker for the outcomes. */
void batch_settle(struct batch *);
/* Puts the message into the mbox or Maildir; the part's verdict is kept until the flush. key names the
 * box for the whole batch; sent is the text for success. */
void batch_put(struct job *, const char *key, int directory, const char *path, unsigned flags,
    const char *sent);
void job_add(struct job *, struct verdict *part);

/* deliver.c: decides and does all parts of the job. */
void job_deliver(struct job *);

#endif
