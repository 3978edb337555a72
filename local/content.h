/* SPDX-License-Identifier: ISC */
/*
 * content.h - a queued message as mailboxes and commands want it: lines that end with LF, dots
 * unstuffed, our headers in front.
 */
#ifndef GP_CONTENT_H
#define GP_CONTENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "local/act.h"

/* The head that delivery prepends: Return-Path, X-Original-To (where known),
 * Delivered-To; with a From_ line before them when wanted. Appended to out. */
void content_head(const struct act_request *, bool from_line, struct buf *out);

/* Feeds the whole message, head first, in pieces of up to 64 KiB to put, which returns -1 with errno
 * to stop. quote_from: ">From " as mbox needs it. content comes from the request, or from fd. */
typedef int content_put(void *arg, const char *data, size_t len);
int content_copy(const struct act_request *, int fd, bool from_line, bool quote_from,
    content_put *put, void *arg);
/* content_put into a descriptor: arg points to the int. */
int content_put_fd(void *arg, const char *data, size_t len);
/* content_put into a file that may not grow beyond the limit (0: none): EFBIG. */
struct content_file {
	int fd;
	off_t size, limit;
};
int content_put_file(void *file, const char *data, size_t len);

#endif
