/* SPDX-License-Identifier: ISC */
/*
 * message_file.h - one message of the queue in a file of its own: what `gatepost queue export` writes and
 * `gatepost queue import` reads. docs/gatepost_message.5 describes the form.
 *
 * The bytes of a file are anybody's: every length is checked before it is believed, and nothing of the
 * file is used before its checksum was right.
 */
#ifndef GP_MESSAGE_FILE_H
#define GP_MESSAGE_FILE_H

#include <sha2.h>
#include <stdio.h>

#include "common/queue/store.h"

/* Writes the message, whose large content is read from large_fd (offset 0 on). False with why, which is
 * static or of strerror: what the form can't hold, or the disk refused. */
bool message_file_write(FILE *, const struct store_loaded *, const char **why);

/* A file that was read. Small content is in the message; of large content large_size tells the length. */
struct message_file {
	struct store_loaded loaded;	      /* texts are in its arena */
	uint64_t content_at;		      /* where the content begins in the file */
	uint8_t digest[SHA256_DIGEST_LENGTH]; /* of the content */
};
/* Reads the whole file from its beginning and checks all of it: form, limits, that the content is in the
 * form of the wire, checksum. False with a static reason. The result is cleared in both cases by
 * message_file_clear. */
bool message_file_read(int fd, struct message_file *, const char **why);
void message_file_clear(struct message_file *);

#endif
