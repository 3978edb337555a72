/* SPDX-License-Identifier: ISC */
/*
 * recipients.h - whom a message is for: as the opener named them, and as they go to qmgr, aliases
 * expanded and repeated ones left out.
 */
#ifndef GP_CLEANUP_RECIPIENTS_H
#define GP_CLEANUP_RECIPIENTS_H

#include "common/base/arena.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"

struct recipient {
	struct slice address, original, orcpt;
	uint64_t notify;
};
struct recipients {
	struct recipient *items;
	size_t count, size;
	size_t bytes; /* of all texts */
};

enum recipients_added { RECIPIENTS_ADDED, RECIPIENTS_TOO_MANY, RECIPIENTS_MALFORMED };

/* Copies what came into the arena. */
enum recipients_added recipients_add(struct recipients *, const struct msg_rcpts *, struct arena *);
void recipients_clear(struct recipients *);

/* Expands all and sends them into the request to qmgr, some at a time. False: refused, and *reply says
 * how (text in the arena), or the request is broken (*reply->code stays 0). Waits. */
bool recipients_send(const struct recipients *, struct request *store, struct arena *,
    struct msg_reply *reply);

#endif
