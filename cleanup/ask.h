/* SPDX-License-Identifier: ISC */
/*
 * ask.h - the questions that cleanup has for rewrite.
 */
#ifndef GP_CLEANUP_ASK_H
#define GP_CLEANUP_ASK_H

#include "cleanup/header_pass.h"
#include "common/base/clock.h"
#include "common/ipc/channel.h"

/* When a question to another service is given up. */
deadline ask_deadline(void);
/* complete_addresses of headers; arg: NULL, or anything for the context of local mail. Waits. */
complete_addresses ask_complete;
/* The envelope sender, completed, in the arena. False: nobody knows now. Waits. */
bool ask_sender(struct slice sender, struct arena *, struct slice *answer);
/* At most RCPTS_PER_FRAME recipients; the answer is valid until request_close(*r). NULL: nobody knows
 * now. Waits. */
const struct msg_expanded *ask_expand(struct wire_texts, struct request **r);

#endif
