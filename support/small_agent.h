/* SPDX-License-Identifier: ISC */
/*
 * small_agent.h - a delivery agent that decides by the request alone: error, retry, discard.
 */
#ifndef GP_SMALL_AGENT_H
#define GP_SMALL_AGENT_H

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"

/* The fate of all recipients of a request. Texts live as long as the request. */
struct small_outcome {
	enum outcome outcome;
	struct slice dsn, text;
};

/* "5.7.1 text" becomes status and text; a text without a status (or of another class than the
 * fallback's) keeps all of it, and the fallback. */
void small_agent_split(struct slice nexthop, struct slice fallback, struct small_outcome *);

/* Logs, answers. From a handler. */
void small_agent_answer(struct request *, const struct frame *, const struct small_outcome *);

#endif
