/* SPDX-License-Identifier: ISC */
/*
 * message_content.h - the content of a message as it comes with a request: in the frame when it is small,
 * else in a descriptor.
 */
#ifndef GP_MESSAGE_CONTENT_H
#define GP_MESSAGE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct message_content {
	struct slice small; /* all of it when fd is -1 */
	int fd;		    /* or -1 */
	uint64_t offset, size;
};

/* The piece from byte `at` on, at most CHUNK_LIMIT bytes; empty at the end. room (CHUNK_LIMIT bytes; unused without a descriptor) is
 * where a piece of the descriptor lies. False with errno; EIO: it is shorter than its size. */
bool message_content_read(const struct message_content *, uint64_t at, char *room,
    struct slice *piece);

#endif
