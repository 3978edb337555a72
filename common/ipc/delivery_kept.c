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

enum { KEPT_LIMIT = 1000, KEPT_SECONDS = 300, SEND_SECONDS = 60, PATIENCE_SECONDS = 18000 };

/* Who wants to hear the outcome. */
struct asker {
	LIST_ENTRY(asker) link;
	struct request *request;
};

struct delivery_run {
	TAILQ_ENTRY(delivery_run) link;
	struct arena *arena;
	struct request *first; /* that began it */
	struct slice id;
	struct wire_numbers index;
	bool done, told;
	uint64_t flags; /* of the message */
	LIST_HEAD(, asker) askers;
	bool is_kept; /* done, and nobody was there to hear it */
	deadline kept_until;
	struct task_list waiters;     /* for it to be done, or for somebody to ask */
	struct msg_outcomes outcomes; /* when done */
};

static TAILQ_HEAD(run_list, delivery_run) runs = TAILQ_HEAD_INITIALIZER(runs);
static size_t kept_count; /* that are kept */

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

	log_info("%.*s: the queue manager is gone before it recorded the outcome", (int)run->id.len,
	    run->id.data);
	run->is_kept = true;
	run->kept_until = deadline_after(KEPT_SECONDS * CLOCK_SECOND);
	if (++kept_count <= KEPT_LIMIT)
		return;
	while (!old->is_kept)
		old = TAILQ_NEXT(old, link);
	forget(old);
	kept_count--;
}

/* The last who has to do with it decides. */
static void settle(struct delivery_run *run)
{
	if (!run->done || !LIST_EMPTY(&run->askers))
		return;
	if (run->told)
		forget(run);
	else
		keep(run);
}

/* Tells one who asked, as soon as it is done. */
static void answer(struct delivery_run *run, struct request *r)
{
	deadline when = deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
	struct asker me = { .request = r };

	kept_count -= run->is_kept;
	run->is_kept = false;
	LIST_INSERT_HEAD(&run->askers, &me, link);
	task_list_wake_all(&run->waiters);
	while (!run->done)
		if (task_list_wait(&run->waiters, when) == -1)
			break;
	if (run->done && tell(r, &run->outcomes))
		run->told = true;
	LIST_REMOVE(&me, link);
	settle(run);
}

struct delivery_run *delivery_begin(struct request *r, const struct msg_deliver *m)
{
	struct delivery_run *run = find(m);

	if (run != NULL) {
		answer(run, r);
		return NULL;
	}
	run = mem_alloc(sizeof(*run));
	run->arena = arena_new();
	run->first = r;
	run->id = arena_copy(run->arena, m->id);
	run->index = copy_numbers(run->arena, m->index);
	run->flags = m->flags;
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
	delivery_soften(run->flags, run->arena, &run->outcomes);
	run->done = true;
	answer(run, r);
}

static bool somebody_asks(const struct delivery_run *run)
{
	const struct asker *a;

	if (!channel_is_closed(request_channel(run->first)))
		return true;
	LIST_FOREACH(a, &run->askers, link)
		if (!channel_is_closed(request_channel(a->request)))
			return true;
	return false;
}

bool delivery_is_wanted(struct delivery_run *run, deadline when)
{
	while (!somebody_asks(run))
		if (task_list_wait(&run->waiters, when) == -1)
			return false;
	return true;
}

bool delivery_is_owed(void)
{
	const struct delivery_run *run;

	TAILQ_FOREACH(run, &runs, link)
		if (run->is_kept && clock_now() < run->kept_until)
			return true;
	return false;
}

void delivery_reclaim(struct request *r, struct frame *first)
{
	const struct msg_reclaim *question = first->message;
	struct slice *ids = arena_alloc(request_arena(r), (question->limit + 1) * sizeof(*ids));
	struct msg_reclaimed m = { .id = { ids, 0 } };
	const struct delivery_run *run;

	TAILQ_FOREACH(run, &runs, link)
		if (m.id.count < question->limit)
			ids[m.id.count++] = run->id;
	request_send(r, &table_reclaimed, &m, -1, true,
	    deadline_after(SEND_SECONDS * CLOCK_SECOND));
}
