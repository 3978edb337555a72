/* SPDX-License-Identifier: ISC */
/*
 * transcript.h - what was said in an SMTP session, mailed to the postmaster when something went wrong in it that
 * notify_classes names. Nothing that could be a password is kept: neither what follows AUTH nor the lines that
 * answer it.
 */
#ifndef GP_TRANSCRIPT_H
#define GP_TRANSCRIPT_H

#include <stdbool.h>

#include "common/base/buf.h"

enum transcript_class {
	WRONG_DATA = 1,	    /* the content of a message could not be taken or sent */
	WRONG_POLICY = 2,   /* refused by a restriction */
	WRONG_PROTOCOL = 4, /* what the other side says makes no sense */
	WRONG_RESOURCE = 8, /* no room, no answer of a table or service */
	WRONG_SOFTWARE = 16 /* our configuration or our programs are wrong */
};

/* All zero at first; what it has is freed by transcript_end. */
struct transcript {
	struct buf start,
	    latest; /* the first lines, and the last ones; between them `dropped` lines are missing */
	size_t dropped;
	unsigned classes; /* of what went wrong, enum transcript_class */
	bool has_secrets; /* lines that are no commands may be a password now */
};

/* A command, and a reply of one or more lines separated by LF; ours: we sent it. Kept only if notify_classes
 * wants transcripts at all. */
void transcript_command(struct transcript *, bool ours, struct slice line);
void transcript_reply(struct transcript *, bool ours, struct slice text);
/* The session is over. Mails the transcript to error_notice_recipient if one of its classes is in notify_classes,
 * in a task of its own, and empties it. what: "SMTP server", "SMTP client"; peer: "name[address]"; why: how the
 * session was cut short, or NULL. */
void transcript_end(struct transcript *, const char *what, struct slice peer, const char *why);

/* The classes in notify_classes; service.c keeps them here. */
extern unsigned transcript_wanted;
unsigned transcript_classes(const char *notify_classes);
/* The whole mail in wire form, for tests. */
void transcript_put_mail(const struct transcript *, const char *what, struct slice peer,
    const char *why, struct buf *out);

#endif
