/* SPDX-License-Identifier: ISC */
/*
 * waiting.c - the store answers by callbacks out of store_poll; a task waits for its own.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct wait {
	bool over;
	int error;
	struct store_loaded *loaded;
	struct task_list task;
};

static void poll_store(void *arg)
{
	int fd = store_event_fd(store);

	(void)arg;
	for (;;) {
		if (task_wait_fd(fd, TASK_READ, DEADLINE_NEVER) == -1 && errno != ETIMEDOUT)
			panic("the store's event descriptor failed");
		store_poll(store);
	}
}

void waiting_start(void)
{
	if (task_start("store", poll_store, NULL) == NULL)
		panic("no task for the store");
}

static void over(void *arg, int error)
{
	struct wait *w = arg;

	w->over = true;
	w->error = error;
	task_list_wake_all(&w->task);
}

static void wait_until_over(struct wait *w)
{
	while (!w->over)
		task_list_wait(&w->task, DEADLINE_NEVER);
}

int store_put_wait(const struct store_message *m)
{
	struct wait w = { 0 };

	store_put(store, m, over, &w);
	wait_until_over(&w);
	return w.error;
}

static void loaded(void *arg, struct store_loaded *l, int error)
{
	struct wait *w = arg;

	w->loaded = l;
	over(w, error);
}

struct store_loaded *store_read_wait(struct slice id, bool with_content, int *error)
{
	struct wait w = { 0 };

	store_read(store, id, with_content, loaded, &w);
	wait_until_over(&w);
	*error = w.error;
	return w.loaded;
}

struct wait_several {
	size_t open;
	struct task_list task;
};
struct wait_one {
	struct wait_several *all;
	struct store_loaded **to;
};

static void one_loaded(void *arg, struct store_loaded *l, int error)
{
	struct wait_one *one = arg;

	(void)error;
	*one->to = l;
	if (--one->all->open == 0)
		task_list_wake_all(&one->all->task);
}

void store_read_several_wait(const struct slice *ids, struct store_loaded **loaded_to, size_t count)
{
	struct wait_several all = { .open = count };
	struct wait_one *ones = mem_alloc_array(count + 1, sizeof(*ones));

	for (size_t i = 0; i < count; i++) {
		ones[i] = (struct wait_one){ &all, &loaded_to[i] };
		store_read(store, ids[i], false, one_loaded, &ones[i]);
	}
	while (all.open > 0)
		task_list_wait(&all.task, DEADLINE_NEVER);
	free(ones);
}
