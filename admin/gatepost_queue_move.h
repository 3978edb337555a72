/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue_move.h - what export and import share.
 */
#ifndef GP_GATEPOST_QUEUE_MOVE_H
#define GP_GATEPOST_QUEUE_MOVE_H

#include "admin/message_file.h"

#define MESSAGE_FILE_SUFFIX ".message"

/* Whether the message of the queue and that of the file (open as fd) came in as the same one: arrival, sender,
 * recipients and every byte of content. Their states may differ. */
bool queue_is_same(const struct store_loaded *, const struct message_file *, int fd);

#endif
