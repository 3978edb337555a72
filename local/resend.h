/* SPDX-License-Identifier: ISC */
/*
 * resend.h - sends the message on to other addresses: a new message through cleanup, on stable
 * storage before the recipient that it stands for is done.
 */
#ifndef GP_RESEND_H
#define GP_RESEND_H

#include "local/local.h"

/* For the recipient at this place of the message's lists. addresses are complete (with a domain). On
 * success the verdict is "forwarded as <id>". Waits. */
void resend(const struct msg_deliver *, size_t at, int content_fd, struct slice sender,
    const struct wire_texts *addresses, struct verdict *);

#endif
