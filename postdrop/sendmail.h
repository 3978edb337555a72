/* SPDX-License-Identifier: ISC */
/*
 * sendmail.h - what the parts of the command sendmail share.
 */
#ifndef GP_SENDMAIL_H
#define GP_SENDMAIL_H

#include "postdrop/options.h"
#include "postdrop/submission.h"

/* What every message of this process begins with. */
struct sendmail {
	struct options options;
	struct conf *conf;
	char *config_path;
};

/* The envelope of a message of this process, but for its recipients. */
void sendmail_begin(const struct sendmail *, struct submission *);

/* -bs: SMTP with whoever is at standard input and output. The exit status. */
int smtp_dialogue(const struct sendmail *);

/* read.c: standard input up to its end, or to a line of a dot alone unless keep_dots, into the spool. Ends
 * the process when it is more than limit (0: any amount) or can't be read. */
void read_message(struct spool *, bool keep_dots, uint64_t limit);

#endif
