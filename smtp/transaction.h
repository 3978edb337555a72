/* SPDX-License-Identifier: ISC */
/*
 * transaction.h - one message over one session.
 */
#ifndef GP_TRANSACTION_H
#define GP_TRANSACTION_H

#include "smtp/session.h"

enum transaction_result {
	TRANSACTION_DONE, /* recipients that are not done may be tried at another host */
	TRANSACTION_STALE, /* the session was dead before the server heard of us: nothing has happened */
	TRANSACTION_UNSURE /* the server may have it: it must not be tried at another host now */
};

/* Offers the delivery's open recipients to the server. Each is settled (delivery_settle), or keeps its
 * last verdict. Waits. */
enum transaction_result transaction_run(struct session *, struct delivery *);

#endif
