/* SPDX-License-Identifier: ISC */
/*
 * due.c - messages that wait in the store, ordered by the time of their next attempt. A retry happens
 * when it is due, not at the next scan.
 */
#include "qmgr/qmgr.h"

#include <stdlib.h>
#include <string.h>

#include <bsd/sys/tree.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { LOADING_LIMIT = 200 };

struct due {
	RB_ENTRY(due) node;
	int64_t when_us; /* on the boot clock */
	struct memory memory;
	char id[];
};

static int compare(const struct due *a, const struct due *b)
{
	if (a->when_us != b->when_us)
		return a->when_us < b->when_us ? -1 : 1;
	return strcmp(a->id, b->id);
}

static RB_HEAD(due_tree, due) tree = RB_INITIALIZER(&tree);
RB_GENERATE_INTERNAL(due_tree, due, node, compare, __attribute__((unused)) static)

static struct task_timer timer;
static unsigned loading;
static bool started;

static void load(void *arg)
{
	struct due *d = arg;

	message_load_and_activate(slice_of(d->id), d->memory);
	free(d);
	loading--;
	due_look();
}

static void look(void *arg)
{
	(void)arg;
	due_look();
}

void due_look(void)
{
	struct due *d;

	while (started && (d = RB_MIN(due_tree, &tree)) != NULL && service_draining() == 0) {
		int64_t wait_us = d->when_us - clock_boot_us();

		if (wait_us > 0) {
			task_timer_set(&timer, deadline_after(wait_us * 1000), look, NULL);
			return;
		}
		if (loading >= LOADING_LIMIT ||
		    message_count() + loading >= (size_t)settings.qmgr_message_active_limit)
			return; /* whoever ends looks again */
		RB_REMOVE(due_tree, &tree, d);
		loading++;
		if (task_start("load", load, d) == NULL) {
			loading--;
			RB_INSERT(due_tree, &tree, d);
			return;
		}
	}
}

/* No wait is longer than those that we give: a longer one comes from a clock that was set. */
static int64_t wait_for(int64_t due_us)
{
	int64_t wait = due_us - clock_wall_us(), longest = settings.maximal_backoff_time / 1000;

	longest += longest / 10;
	return wait < 0 ? 0 : wait > longest ? longest : wait;
}

void due_add(struct slice id, int64_t due_us, struct memory memory)
{
	struct due *d = mem_alloc(sizeof(*d) + id.len + 1);

	memcpy(d->id, id.data, id.len);
	d->when_us = clock_boot_us() + wait_for(due_us);
	d->memory = memory;
	if (RB_INSERT(due_tree, &tree, d) != NULL)
		free(d);
	due_look();
}

void due_start(void)
{
	started = true;
	due_look();
}
