/* SPDX-License-Identifier: ISC */
/*
 * stream.h - a buffered connection with deadlines and limits. Owns its descriptor, which it makes
 * non-blocking. Reads are bounded by the buffer; writes are kept until a flush.
 */
#ifndef GP_STREAM_H
#define GP_STREAM_H

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/slice.h"

struct stream;

/* read_limit: the longest line or piece it will hold (at least 512). */
struct stream *stream_new(int fd, size_t read_limit);
/* Closes the descriptor. NULL is fine. What was not flushed is dropped. */
void stream_free(struct stream *);
int stream_fd(const struct stream *);

/* Reads one line up to LF; `line` is without LF and without one CR before it (line.data[line.len]
 * says which of them it ended with), and is valid until the next read. Returns 1; 0 at end of input (a last line without LF is dropped); -1 with errno:
 * ETIMEDOUT, ECANCELED, EMSGSIZE (longer than read_limit: the bytes so far are in line; the rest
 * of the line is what the next call reads), or what read(2) said. Waits. */
int stream_line(struct stream *, struct slice *line, deadline);
/* As many bytes as are there (at least one), without consuming them. Returns 1, 0, -1 as above. The
 * piece is valid until the next read. Waits only when the buffer is empty. */
int stream_peek(struct stream *, struct slice *piece, deadline);
/* Reads more behind what is already there (fails with EMSGSIZE when the buffer is full); the piece
 * is then all of it. Waits. */
int stream_peek_more(struct stream *, struct slice *piece, deadline);
void stream_consume(struct stream *, size_t count);
/* Bytes read from the peer but not consumed yet: a pipelined command waits. */
bool stream_has_input(const struct stream *);
/* Forgets them (STARTTLS: nothing read in plain may count). */
void stream_drop_input(struct stream *);

/* Appends to the output; sent by stream_flush, or when 64 KiB wait. -1 with errno. May Wait. */
int stream_write(struct stream *, struct slice, deadline);
int stream_printf(struct stream *, deadline, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sends all. -1 with errno. Waits. */
int stream_flush(struct stream *, deadline);
/* Sends what was gathered, then the parts, in as few calls as go and without copying them. Each time the
 * peer takes something, patience (nanoseconds) begins anew. count: at most STREAM_PARTS. *left, also
 * after an error: how many bytes of it all were not taken. -1 with errno. Waits. */
enum { STREAM_PARTS = 4 };
int stream_send(struct stream *, const struct slice *parts, size_t count, int64_t patience,
    size_t *left);

/* Sends the bytes if they can leave at once; false when not. For a last word: what was gathered is dropped. */
bool stream_try(struct stream *, struct slice);

/* The next read waits before it looks: an answer to what was just sent can't be there yet. */
void stream_wait_first(struct stream *);
/* Nothing has come, and the peer has not closed: what an idle connection looks like when it is good. */
bool stream_is_quiet(struct stream *);

#endif
