/* SPDX-License-Identifier: ISC */
/*
 * box.h - where mail is kept, an mbox or a Maildir, open for a batch of messages: each is put in, then
 * one flush makes all of them durable. Nothing counts as delivered before box_flush said so.
 */
#ifndef GP_BOX_H
#define GP_BOX_H

#include "local/local.h"

struct box;

enum box_flag { BOX_OF_USER = 1 }; /* strict_mailbox_ownership applies */

/* Opens and locks; makes what is missing. A path that ends in '/' is a Maildir. directory (AT_FDCWD
 * for an absolute path) is borrowed. NULL: *v says why. */
struct box *box_open(const struct agent_user *, int directory, const char *path, unsigned flags,
    struct verdict *v);
/* The message is in, not durable yet; false and *v when it is not, and no part of it is. A message
 * in doubt that is found there already counts as put. */
bool box_put(struct box *, const struct act_request *, int content_fd, struct verdict *v);
/* -1 with errno: what was put since the opening is not delivered. */
int box_flush(struct box *);
/* Unlocks. NULL is fine. */
void box_close(struct box *);

/* The two kinds. */
struct mbox;
struct mbox *mbox_open(const struct agent_user *, int directory, const char *path, unsigned flags,
    struct verdict *v);
bool mbox_put(struct mbox *, const struct act_request *, int content_fd, struct verdict *v);
int mbox_flush(struct mbox *);
void mbox_close(struct mbox *);

struct maildir;
struct maildir *maildir_open(const struct agent_user *, int directory, const char *path,
    unsigned flags, struct verdict *v);
bool maildir_put(struct maildir *, const struct act_request *, int content_fd, struct verdict *v);
int maildir_flush(struct maildir *);
void maildir_close(struct maildir *);

/* --- dotlock.c ------------------------------------------------------------------------------------- */
/* Makes the lock file, once: 1 made; 0 another has it (a dead process's was removed: ask again); -1
 * with errno, EACCES and the like when files can't be made there. */
int dotlock_try(const struct agent_user *, int directory, const char *name);
void dotlock_remove(const struct agent_user *, int directory, const char *name);

#endif
