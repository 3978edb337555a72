/* SPDX-License-Identifier: ISC */
/*
 * pool.h - connections to one next hop: used again, and opened sparingly.
 *
 * Who finds all of them busy waits a while before it opens another, so that a burst of mail goes over few.
 */
#ifndef GP_POOL_H
#define GP_POOL_H

#include "smtp/session.h"

enum {
	POOL_PATIENCE_MS = 200, /* the longest wait for a session that others use */
	POOL_QUEUE = 4		/* who may wait for each that there is */
};

struct pool;

/* That of the next hop (compared without case), in use by the caller until pool_leave. */
struct pool *pool_enter(struct slice nexthop);
/* Frees it when nobody is left. */
void pool_leave(struct pool *);
/* An idle session that is still good. NULL: the caller opens one itself, between pool_opening and
 * pool_opened. Waits. */
struct session *pool_take(struct pool *);
void pool_opening(struct pool *);
/* session: NULL when it failed; then those who wait for it try by themselves. */
void pool_opened(struct pool *, struct session *);
/* The session's message is done: it is kept, or closed where it is of no more use. */
void pool_give(struct session *);
/* It is closed and counts no more. */
void pool_drop(struct session *);
/* No session stays idle from now on. */
void pool_drain(void);

#endif
