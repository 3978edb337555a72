/* SPDX-License-Identifier: ISC */
/*
 * queue_envelope.c - how they are written.
 */
#include "common/mail/queue_envelope.h"

static const struct wire_member envelope_members[] = {
	WIRE(struct envelope, 1, envid, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 2, client_name, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 3, client_address, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 4, client_port, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 5, client_helo, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 6, protocol, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct envelope, 7, ret, WIRE_OPTIONAL, 2),
};
const struct wire_table envelope_table = WIRE_TABLE("envelope", 1, struct envelope,
    envelope_members, false);
