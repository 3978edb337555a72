/* SPDX-License-Identifier: ISC */
/*
 * submission.h - a message that sendmail has read, and the two ways by which it gets into the queue:
 * the socket of pickup, and where nobody answers there, postdrop.
 */
#ifndef GP_SUBMISSION_H
#define GP_SUBMISSION_H

#include "common/base/arena.h"
#include "common/conf/conf.h"
#include "common/ipc/messages.h"
#include "postdrop/fail.h"
#include "postdrop/spool.h"

struct submission {
	struct msg_submit envelope;
	uint64_t notify; /* of every recipient; 0: not given */
	struct slice *rcpts;
	size_t rcpt_count, rcpts_size;
	struct arena *arena; /* of the texts */
	struct spool content;
};

/* The addresses of a header's value or of an argument. False with a static reason. */
bool submission_add(struct submission *, struct slice list, const char **why);
/* One in external form. False: there are too many. */
bool submission_add_address(struct submission *, struct slice);
/* The recipients of the header fields To, Cc, Bcc, or of their Resent- forms if there are any. False with
 * a static reason, or errno when the content can't be read (*why is NULL). */
bool submission_extract(struct submission *, const char **why);

/* Queues it. config_path: of main.cf, for postdrop. EXIT_OK: it is on stable storage. *text (on the heap)
 * is what to tell: with a status code in front, when pickup said it. Call it outside of tasks. */
enum exit_status submission_send(const struct submission *, struct conf *, const char *config_path,
    char **text);
void submission_clear(struct submission *);

#endif
