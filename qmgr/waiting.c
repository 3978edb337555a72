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

struct wait_page {
	struct store_loaded **to;
	bool over;
	struct task_list task;
};

static void page_loaded(void *arg, struct store_loaded **loaded, size_t count)
{
	struct wait_page *w = arg;

	memcpy(w->to, loaded, count * sizeof(*loaded));
	w->over = true;
	task_list_wake_all(&w->task);
}

void store_read_several_wait(const struct slice *ids, struct store_loaded **loaded_to, size_t count)
{
	struct wait_page w = { .to = loaded_to };

	store_read_page(store, ids, count, page_loaded, &w);
	while (!w.over)
		task_list_wait(&w.task, DEADLINE_NEVER);
}
