/* SPDX-License-Identifier: ISC */
/*
 * queue_envelope.h - the attributes of a message that the store keeps without knowing their meaning.
 */
#ifndef GP_QUEUE_ENVELOPE_H
#define GP_QUEUE_ENVELOPE_H

#include "common/ipc/messages.h"

struct envelope {
	struct slice envid, client_name, client_address, client_port, client_helo, protocol;
	uint64_t ret;
};
/* Tags are on disks: never change one, never use one again. */
extern const struct wire_table envelope_table;

#endif
