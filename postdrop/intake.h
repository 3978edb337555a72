/* SPDX-License-Identifier: ISC */
/*
 * intake.h - a message of a local user, from wherever it was read, handed to cleanup.
 */
#ifndef GP_INTAKE_H
#define GP_INTAKE_H

#include "postdrop/relay.h"
#include "postdrop/wire_form.h"

struct intake {
	struct relay relay;
	struct wire_form form;
};

/* Logs the line of the message. id: NULL, or the queue id that it shall have. Whatever goes wrong is in
 * relay.reply, and the calls below do nothing then. Waits. */
void intake_begin(struct intake *, uint32_t uid, const char *id, int64_t arrival_us,
    const struct msg_submit *);
/* Checks and copies. Waits. */
void intake_rcpts(struct intake *, const struct msg_rcpts *);
/* As the user wrote it, in pieces. Waits. */
void intake_data(struct intake *, struct slice);
/* relay.reply is the answer. Waits. */
void intake_end(struct intake *);
void intake_clear(struct intake *);

#endif
