/* SPDX-License-Identifier: ISC */
/*
 * box.c - an mbox or a Maildir behind one set of calls.
 */
#include "local/box.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

struct box {
	struct mbox *mbox; /* one of the two */
	struct maildir *maildir;
};

struct box *box_open(const struct agent_user *user, int directory, const char *path, unsigned flags,
    struct verdict *v)
{
	struct box *b = mem_alloc(sizeof(*b));
	size_t len = strlen(path);

	if (len > 1 && path[len - 1] == '/')
		b->maildir = maildir_open(user, directory, path, flags, v);
	else
		b->mbox = mbox_open(user, directory, path, flags, v);
	if (b->maildir == NULL && b->mbox == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

bool box_put(struct box *b, const struct act_request *r, int content_fd, struct verdict *v)
{
	return b->mbox != NULL ? mbox_put(b->mbox, r, content_fd, v)
			       : maildir_put(b->maildir, r, content_fd, v);
}

int box_flush(struct box *b)
{
	return b->mbox != NULL ? mbox_flush(b->mbox) : maildir_flush(b->maildir);
}

void box_close(struct box *b)
{
	if (b == NULL)
		return;
	mbox_close(b->mbox);
	maildir_close(b->maildir);
	free(b);
}
