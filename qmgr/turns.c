/* SPDX-License-Identifier: ISC */
/*
 * turns.c - users that have something under way. There are as few as sessions, so a list does.
 *
 * All that a process asks qmgr for shares a channel: answers that one user does not read must leave room
 * in it for those of others.
 */
#include "qmgr/turns.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/task/task.h"
#include "qmgr/authorized.h"

enum { TURNS_OF_A_USER = 4 };

struct user {
	LIST_ENTRY(user) link;
	uint32_t uid;
	unsigned running, waiting;
	struct task_list ended;
};

static LIST_HEAD(, user) users = LIST_HEAD_INITIALIZER(users);

static struct user *find(uint32_t uid)
{
	struct user *u;

	LIST_FOREACH(u, &users, link)
		if (u->uid == uid)
			return u;
	return NULL;
}

static void forget_if_idle(struct user *u)
{
	if (u->running > 0 || u->waiting > 0)
		return;
	LIST_REMOVE(u, link);
	free(u);
}

bool turns_begin(uint32_t uid, deadline limit)
{
	struct user *u = find(uid);
	int rc = 0;

	if (authorized_is_owner(uid))
		return true;
	if (u == NULL) {
		u = mem_alloc(sizeof(*u));
		u->uid = uid;
		LIST_INSERT_HEAD(&users, u, link);
	}
	u->waiting++;
	while (u->running == TURNS_OF_A_USER && rc == 0)
		rc = task_list_wait(&u->ended, limit);
	u->waiting--;
	if (u->running < TURNS_OF_A_USER) {
		u->running++;
		return true;
	}
	forget_if_idle(u);
	return false;
}

void turns_end(uint32_t uid)
{
	struct user *u = authorized_is_owner(uid) ? NULL : find(uid);

	if (u == NULL)
		return;
	u->running--;
	task_list_wake_all(&u->ended);
	forget_if_idle(u);
}
