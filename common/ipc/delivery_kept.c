/* SPDX-License-Identifier: ISC */
/*
 * delivery_kept.c - deliveries that outlive the queue manager that asked for them.
 *
 * The next one does not know what became of them, and asks again. Were it done again, a command would
 * run twice; so who runs still is waited for, and what nobody has heard is told.
 */
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "common/task/task.h"

enum { KEPT_LIMIT = 1000, SEND_SECONDS = 60, PATIENCE_SECONDS = 18000 };

struct delivery_run {
	TAILQ_ENTRY(delivery_run) link;
	struct arena *arena;
	struct slice id;
	struct wire_numbers index;
	bool done, told;
	unsigned askers; /* that wait for it */
	struct task_list waiters;
	struct msg_outcomes outcomes; /* when done */
};

static TAILQ_HEAD(run_list, delivery_run) runs = TAILQ_HEAD_INITIALIZER(runs);
static size_t kept_count; /* done, and nobody waits */

static struct wire_numbers copy_numbers(struct arena *arena, struct wire_numbers n)
{
	struct wire_numbers copy = { arena_alloc(arena, (n.count + 1) * sizeof(uint64_t)),
		n.count };

	if (n.count > 0)
		memcpy(copy.items, n.items, n.count * sizeof(uint64_t));
	return copy;
}

static struct wire_texts copy_texts(struct arena *arena, struct wire_texts t)
{
	struct wire_texts copy = { arena_alloc(arena, (t.count + 1) * sizeof(struct slice)),
		t.count };

	for (size_t i = 0; i < t.count; i++)
		copy.items[i] = arena_copy(arena, t.items[i]);
	return copy;
}

static struct delivery_run *find(const struct msg_deliver *m)
{
	struct delivery_run *run;

	TAILQ_FOREACH(run, &runs, link)
		if (slice_equal(run->id, m->id) && run->index.count == m->index.count &&
		    (m->index.count == 0 ||
			memcmp(run->index.items, m->index.items,
			    m->index.count * sizeof(uint64_t)) == 0))
			return run;
	return NULL;
}

static void forget(struct delivery_run *run)
{
	TAILQ_REMOVE(&runs, run, link);
	arena_free(run->arena);
	free(run);
}

/* True: they are on stable storage there, and need not be told again. */
static bool tell(struct request *r, const struct msg_outcomes *outcomes)
{
	struct frame *f;

	if (request_send(r, &table_outcomes, outcomes, -1, true,
		deadline_after(SEND_SECONDS * CLOCK_SECOND)) == -1)
		return false;
	f = request_receive(r, deadline_after(PATIENCE_SECONDS * CLOCK_SECOND));
	return f != NULL && f->table == &table_heard;
}

/* Nobody has heard of it: the next who asks will. The oldest goes when there are too many. */
static void keep(struct delivery_run *run)
{
	struct delivery_run *old = TAILQ_FIRST(&runs);

	log_warning("%.*s: the queue manager is gone before it recorded the outcome",
	    (int)run->id.len, run->id.data);
	if (++kept_count <= KEPT_LIMIT)
		return;
	while (!old->done || old->askers > 0)
		old = TAILQ_NEXT(old, link);
	forget(old);
	kept_count--;
}

/* The last who has to do with it decides. */
static void settle(struct delivery_run *run)
{
	if (!run->done || run->askers > 0)
		return;
	if (run->told)
		forget(run);
	else
		keep(run);
}

/* The same was asked for before. */
static void join(struct request *r, struct delivery_run *run)
{
	deadline when = deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);

	if (run->done && run->askers == 0)
		kept_count--;
	run->askers++;
	while (!run->done)
		if (task_list_wait(&run->waiters, when) == -1)
			break;
	if (run->done && tell(r, &run->outcomes))
		run->told = true;
	run->askers--;
	settle(run);
}

struct delivery_run *delivery_begin(struct request *r, const struct msg_deliver *m)
{
	struct delivery_run *run = find(m);

	if (run != NULL) {
		join(r, run);
		return NULL;
	}
	run = mem_alloc(sizeof(*run));
	run->arena = arena_new();
	run->id = arena_copy(run->arena, m->id);
	run->index = copy_numbers(run->arena, m->index);
	TAILQ_INSERT_TAIL(&runs, run, link);
	return run;
}

void delivery_end(struct delivery_run *run, struct request *r, const struct msg_outcomes *o)
{
	run->outcomes = (struct msg_outcomes){
		.index = run->index,
		.outcome = copy_numbers(run->arena, o->outcome),
		.dsn = copy_texts(run->arena, o->dsn),
		.text = copy_texts(run->arena, o->text),
		.destination_down = o->destination_down,
		.remote = copy_texts(run->arena, o->remote),
		.diagnostic = copy_texts(run->arena, o->diagnostic),
		.success = copy_numbers(run->arena, o->success),
	};
	run->done = true;
	run->askers++;
	task_list_wake_all(&run->waiters);
	if (tell(r, &run->outcomes))
		run->told = true;
	run->askers--;
	settle(run);
}
