/* SPDX-License-Identifier: ISC */
/*
 * drop_file.h - a submitted message as bytes: what sendmail writes to postdrop, and a file of maildrop/.
 *
 * A line that names the format, then frames: length of the members u32, type u16, zero u16 (all
 * little-endian), the members as on channels. The messages are submit, rcpts..., data..., end, in this
 * order; end has the number of content bytes and is followed by nothing. So a part of a message is
 * never taken for a message.
 */
#ifndef GP_DROP_FILE_H
#define GP_DROP_FILE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/ipc/messages.h"

/* Appends the first line, or a frame. The frame: false with a static reason for what must not travel. */
void drop_put_start(struct buf *);
bool drop_put(struct buf *, const struct wire_table *, const void *message, const char **why);

/* One that is read. All zero but fd is the start. */
struct drop_reader {
	int fd; /* -1: only what is in `in` */
	struct buf in;
	size_t taken; /* bytes of `in` that were used up */
	const struct wire_table *last;
	uint64_t content, rcpts;
	struct arena *arena; /* of the message at hand */
};

enum drop_next {
	DROP_MESSAGE,
	DROP_END,	/* the message before was the last, all was as it must be */
	DROP_MALFORMED, /* *why */
	DROP_FAILED	/* errno of read(2) */
};
/* The next message, valid until the next call. The last one is `end`; after it DROP_END comes when
 * nothing follows it. Blocks in read(2). */
enum drop_next drop_read(struct drop_reader *, const struct wire_table **, void **message,
    const char **why);
void drop_reader_clear(struct drop_reader *);

#endif
