/* SPDX-License-Identifier: ISC */
/*
 * agents.h - the worker's agents: processes that are a user. Deliveries for one user go to the same
 * agent, as many at once as there are: it does them in batches.
 */
#ifndef GP_AGENTS_H
#define GP_AGENTS_H

#include "local/local.h"

/* Once, in a task: listens to the monitor. The process ends when the monitor does. */
void agents_start(void);
/* There is an agent of this user already, so the user exists. */
bool agents_have(struct slice user);
/* One delivery by an agent of this user (empty: default_privs). A user has at most two agents, so two
 * commands at once; of default_privs each lane has (a lane is an alias, which must not wait for the
 * slow command of another). Sets the request's serial. The reply's texts live in the arena. False: *v
 * says why there is no reply. Waits. */
bool agents_ask(struct slice user, struct slice lane, struct act_request *, int content_fd,
    struct arena *, struct act_reply *, struct verdict *v);

#endif
