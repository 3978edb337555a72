/* SPDX-License-Identifier: ISC */
/*
 * due.c - messages that wait in the store, ordered by the time of their next attempt. A retry happens
 * when it is due, not at the next scan.
 */
#include "qmgr/qmgr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/sys/tree.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { LOADING_LIMIT = 200, BUCKETS = 1 << 16 };

struct due {
	RB_ENTRY(due) node;
	LIST_ENTRY(due) link; /* in the bucket of its id */
	int64_t when_us;      /* on the boot clock */
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

static LIST_HEAD(, due) buckets[BUCKETS];
static size_t waiting;
static struct task_timer timer;
static unsigned loading;
static bool started;

static size_t bucket_of(struct slice id)
{
	size_t hash = 5381;

	for (size_t i = 0; i < id.len; i++)
		hash = hash * 33 + (unsigned char)id.data[i];
	return hash % BUCKETS;
}

static struct due *find(struct slice id)
{
	struct due *d;

	LIST_FOREACH(d, &buckets[bucket_of(id)], link)
		if (slice_equal(slice_of(d->id), id))
			return d;
	return NULL;
}

/* False when it is in the tree already, at this time. */
static bool insert(struct due *d)
{
	if (RB_INSERT(due_tree, &tree, d) != NULL)
		return false;
	LIST_INSERT_HEAD(&buckets[bucket_of(slice_of(d->id))], d, link);
	waiting++;
	return true;
}

static void take_out(struct due *d)
{
	RB_REMOVE(due_tree, &tree, d);
	LIST_REMOVE(d, link);
	waiting--;
}

static void load(void *arg)
{
	struct due *d = arg;
	struct store_summary summary;

	if (store_summary(store, slice_of(d->id), &summary))
		d->memory.requeue = (summary.marks & STORE_REQUEUE) != 0;
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
		take_out(d);
		loading++;
		if (task_start("load", load, d) == NULL) {
			loading--;
			insert(d);
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
	d->memory.flushed = false; /* it was for one round */
	if (!insert(d))
		free(d);
	due_look();
}

static void make_due(struct due *d, int64_t now_us, bool flushed)
{
	take_out(d);
	d->when_us = now_us;
	d->memory.flushed = flushed;
	insert(d);
}

bool due_now(struct slice id, bool flushed)
{
	struct due *d = find(id);

	if (d == NULL)
		return false;
	make_due(d, clock_boot_us(), flushed);
	due_look();
	return true;
}

/* From the latest on. What is put off once more meanwhile may come up again, but not for ever. */
size_t due_flush(void)
{
	int64_t now = clock_boot_us();
	size_t count = 0;
	struct due *d;

	for (size_t left = waiting; left > 0; left--) {
		d = RB_MAX(due_tree, &tree);
		if (d == NULL || d->when_us <= now)
			break;
		make_due(d, now, true);
		count++;
		task_yield_if_long();
	}
	due_look();
	return count;
}

static bool may_go_to(const struct due *d, uint32_t site)
{
	return d->memory.sites == 0 || (d->memory.sites & site) == site;
}

/* In the order of ids within the bucket, as it may change between two pages. */
static const struct due *next_in_bucket(const struct due_page *p, uint32_t site)
{
	const struct due *d, *next = NULL;

	LIST_FOREACH(d, &buckets[p->bucket], link)
		if (may_go_to(d, site) && strcmp(d->id, p->last) > 0 &&
		    (next == NULL || strcmp(d->id, next->id) < 0))
			next = d;
	return next;
}

bool due_next_page(struct due_page *p, uint32_t site)
{
	p->count = 0;
	while (p->count < DUE_PAGE && p->bucket < BUCKETS) {
		const struct due *d = next_in_bucket(p, site);

		if (d == NULL) {
			p->bucket++;
			p->last[0] = '\0';
			task_yield_if_long();
			continue;
		}
		snprintf(p->last, sizeof(p->last), "%s", d->id);
		snprintf(p->texts[p->count], sizeof(p->texts[0]), "%s", d->id);
		p->ids[p->count] = slice_of(p->texts[p->count]);
		p->count++;
	}
	return p->count > 0;
}

void due_know_sites(struct slice id, uint32_t sites)
{
	struct due *d = find(id);

	if (d != NULL)
		d->memory.sites = sites;
}

void due_forget(struct slice id)
{
	struct due *d = find(id);

	if (d == NULL)
		return;
	take_out(d);
	free(d);
}

void due_start(void)
{
	started = true;
	due_look();
}
