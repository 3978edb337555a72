/* SPDX-License-Identifier: ISC */
/*
 * reply.h - what a server answers (RFC 5321, section 4.2), whatever bytes it sends.
 */
#ifndef GP_REPLY_H
#define GP_REPLY_H

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/net/stream.h"

enum {
	REPLY_LINE_LIMIT = 2048, /* the rest of a longer line is left out */
	REPLY_LINES_LIMIT = 512,
	REPLY_BYTES_LIMIT = 65536,
	REPLY_TEXT_LIMIT = 8192 /* what is kept of it all */
};

struct reply {
	unsigned code; /* of the last line */
	struct slice
	    enhanced;	   /* "2.1.5"; without one that fits the code "2.0.0", "4.0.0", "5.0.0" */
	struct slice text; /* all lines, with code, separated by LF; printable, maybe UTF-8 */
};

enum reply_result {
	REPLY_OK,
	REPLY_LOST,    /* the connection ended */
	REPLY_TIMEOUT, /* the whole reply was not there in time */
	REPLY_BAD      /* no reply at all, or endless: the session can't go on */
};

/* Reads one reply; the texts are made in the arena. For REPLY_BAD the text is what came. Waits. */
enum reply_result reply_read(struct stream *, struct arena *, deadline, struct reply *);
/* The text as one line of at most limit bytes, in the arena. */
struct slice reply_flat(const struct reply *, size_t limit, struct arena *);

#endif
