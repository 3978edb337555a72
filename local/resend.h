/* SPDX-License-Identifier: ISC */
/*
 * resend.h - sends the message on to other addresses: a new message through cleanup, on stable
 * storage before the recipient that it stands for is done.
 */
#ifndef GP_RESEND_H
#define GP_RESEND_H

#include "local/local.h"

struct resending {
	const struct msg_deliver *message;
	size_t at; /* the recipient, in the message's lists */
	int content_fd;
	struct slice sender;
	struct wire_texts addresses; /* complete (with a domain) */
	/* They are several places, with those that have it already: their sender hears of success now, and
	 * not of each. */
	bool is_expansion;
};
/* On success the verdict is "forwarded as <id>". Waits. */
void resend(const struct resending *, struct verdict *);

#endif
