/* SPDX-License-Identifier: ISC */
/*
 * submit.h - a new message through cleanup: a notice, forwarded mail, mail of a local user.
 *
 * open, rcpts..., data..., end, close. What fails in between is told by submit_end alone: the calls
 * behind it do nothing.
 */
#ifndef GP_SUBMIT_H
#define GP_SUBMIT_H

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/mail/queue_id.h"

struct submission {
	char id[QUEUE_ID_SIZE]; /* of the new message */
	/* The rest is submit.c's. */
	struct request *request;
	deadline when;
	uint64_t size;
	int error;
};

/* Completes the message with a new id and the time, if these are not set, and opens. All of the submission
 * has ipc_timeout. Waits. */
void submit_open(struct submission *, struct msg_admit *);
/* At most RCPTS_PER_FRAME. Waits. */
void submit_rcpts(struct submission *, const struct msg_rcpts *);
/* A piece of content of any size, in wire form. Waits. */
void submit_data(struct submission *, struct slice);
/* Content could not be read (errno): the message is not made. */
void submit_spoil(struct submission *, int error);
/* The answer, valid until the close: 250 when the message is on stable storage. NULL with errno when there
 * is none. Waits. */
const struct msg_reply *submit_end(struct submission *);
/* Before the end: nothing is left of the message. */
void submit_close(struct submission *);

#endif
