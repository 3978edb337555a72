/* SPDX-License-Identifier: ISC */
/*
 * maildrop.h - what postdrop and pickup must agree on about files of maildrop/. The name of one is the
 * queue id that its message will have; it is ready when its mode says so, and not before.
 */
#ifndef GP_MAILDROP_H
#define GP_MAILDROP_H

enum {
	MAILDROP_UNREADY = 0644,
	MAILDROP_READY = 0744,
	/* Queue ids of postdrop have a maker's number that master gives to none. */
	MAILDROP_MAKER = 0x40000000,
	/* qmgr's reply when it has the queue id already: with such ids, the very message. */
	MAILDROP_IS_QUEUED = 450
};

/* What a file is renamed to that can't be used. */
#define MAILDROP_ASIDE "bad-"

#endif
