/* SPDX-License-Identifier: ISC */
/*
 * body.h - what follows DATA, made safe while it streams by. Only CRLF.CRLF ends a message; what comes out is
 * SMTP wire form: CRLF lines, no other CR or LF, no NUL, dots stuffed, and no line that is a lone dot.
 */
#ifndef GP_BODY_H
#define GP_BODY_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum body_place {
	BODY_START,	 /* at the start of a line, behind a true CRLF (or nothing) */
	BODY_BARE_START, /* the same, but the line before ended with a bare LF */
	BODY_DOT,
	BODY_BARE_DOT, /* behind the dot that such a line starts with */
	BODY_DOT_CR,
	BODY_BARE_DOT_CR,
	BODY_MIDDLE,
	BODY_CR
};

/* All zero is the state behind DATA. */
struct body {
	enum body_place place;
	bool saw_bare_lf, saw_bare_cr;
};

/* Takes bytes and appends what they mean. Returns how many were taken: all, unless the message ended,
 * which *ended says. */
size_t body_feed(struct body *, struct slice in, struct buf *out, bool *ended);

#endif
