/* SPDX-License-Identifier: ISC */
/*
 * recipient.h - one recipient of a message: what it means, and having it done.
 */
#ifndef GP_RECIPIENT_H
#define GP_RECIPIENT_H

#include "local/local.h"

/* Delivers to the recipient at this place of the message's lists; content_fd as in msg_deliver. The
 * verdict is always set. Waits. */
void recipient_deliver(const struct msg_deliver *, int content_fd, size_t at, struct verdict *);

#endif
