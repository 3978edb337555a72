/* SPDX-License-Identifier: ISC */
/*
 * relay.h - one message on its way from pickup to cleanup, and cleanup's answer.
 */
#ifndef GP_RELAY_H
#define GP_RELAY_H

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/mail/queue_id.h"

struct relay {
	char id[QUEUE_ID_SIZE];
	struct request *request;
	struct buf out; /* wire form that waits for a full frame */
	uint64_t size;
	struct arena *arena;
	struct msg_reply reply; /* code 0: none yet; once there is one, what comes is dropped */
};

/* A queue id of this process. */
void relay_make_id(char id[QUEUE_ID_SIZE]);
/* Opens the request; admit->id is the caller's. Failures become the reply. Waits. */
void relay_open(struct relay *, const struct msg_admit *);
/* Without an answer to come. */
void relay_refuse(struct relay *, unsigned code, const char *enhanced, const char *text);
/* Waits. */
void relay_rcpts(struct relay *, const struct msg_rcpts *);
/* Sends of relay->out what fills frames; ended: all. Waits. */
void relay_content(struct relay *, bool ended);
/* Sends the end and waits for the answer: relay->reply, always. Waits. */
void relay_end(struct relay *);
/* Without relay_end the message is discarded. */
void relay_clear(struct relay *);

#endif
