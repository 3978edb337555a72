/* SPDX-License-Identifier: ISC */
/*
 * message_content.c - pieces of content. Reading them reaches the page cache: they were written just now,
 * or qmgr has read them.
 */
#include "common/ipc/message_content.h"

#include <errno.h>
#include <unistd.h>

#include "common/ipc/messages.h"

bool message_content_read(const struct message_content *c, uint64_t at, char *room,
    struct slice *piece)
{
	uint64_t left = at < c->size ? c->size - at : 0;
	ssize_t got;

	*piece = SLICE("");
	if (left == 0)
		return true;
	if (left > CHUNK_LIMIT)
		left = CHUNK_LIMIT;
	if (c->fd == -1) {
		*piece = slice_part(c->small, (size_t)at, (size_t)left);
		return true;
	}
	do
		got = pread(c->fd, room, (size_t)left, (off_t)(c->offset + at));
	while (got == -1 && errno == EINTR);
	if (got == 0)
		errno = EIO;
	if (got <= 0)
		return false;
	*piece = slice_new(room, (size_t)got);
	return true;
}
