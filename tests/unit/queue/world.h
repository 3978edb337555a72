/* SPDX-License-Identifier: ISC */
/*
 * world.h - power cuts and kills at every step: a workload runs on a disk in memory, and before each
 * change of that disk copies of it are made: as a power cut leaves it (nothing unflushed is left, or
 * any sectors and names of it, or all), and as a kill leaves it (all is seen, what was not flushed
 * still isn't). Each copy is opened and compared with the model of what was promised. Now and then the
 * power fails again while the copy is opened, and now and then the workload goes on from a copy.
 */
#ifndef GP_TEST_WORLD_H
#define GP_TEST_WORLD_H

#include <malloc.h>

#include "tests/unit/queue/model.h"

/* --- cuts -------------------------------------------------------------------------------------- */

static void try_cut(struct world *w, struct device *d, enum dev_crash how);

/* The power fails again while the copy is opened. */
struct again {
	struct world *world;
	uint32_t types;
	struct device *device;
};

static void before_change_of_copy(void *arg, const char *op)
{
	struct again *a = arg;
	struct tally_at at = a->world->tally->at;

	a->world->tally->at.types = a->types;
	tally_before(a->world->tally, a->device, op);
	if (roll(a->world, 4) == 0) {
		a->world->twice++;
		try_cut(a->world, a->device, (enum dev_crash)roll(a->world, DEV_KEEP_ALL + 1));
	}
	/* The next operation of this opening goes on from its own last write. */
	a->types = a->world->tally->at.types;
	a->world->tally->at = at;
}

/* Some of what goes wrong while a copy is opened. */
static void make_faulty(struct world *w, struct device *d)
{
	int *const faults[] = { &d->fail_fdatasync, &d->fail_pwrite, &d->fail_open,
		&d->short_pwrite };

	if (roll(w, 4) == 0)
		d->capacity = dev_used(d) + 1;
	else
		*faults[roll(w, ARRAY_LENGTH(faults))] = 1 + (int)roll(w, 3);
	w->faults++;
}

static void end_faults(struct device *d)
{
	d->fail_fdatasync = d->fail_pwrite = d->fail_pread = d->fail_open = d->short_pwrite = 0;
	d->capacity = 0;
}

/* Opens it, at the second try when something went wrong at the first. */
static struct store *open_copy(struct world *w, struct device *copy)
{
	struct store *s;
	char *why = NULL;

	if (w->fault_odds > 0 && roll(w, 8) == 0) {
		make_faulty(w, copy);
		s = open_on(copy, &why);
		end_faults(copy);
		if (s != NULL)
			return s;
		free(why);
	}
	s = open_on(copy, &why);
	if (s == NULL) {
		loss(w, why, 0);
		free(why);
	}
	return s;
}

/* Opens the disk that a cut leaves and compares; returns it opened. */
static struct store *open_cut(struct world *w, struct device *copy, int kind, int known[LIVE_MAX])
{
	struct again again = { .world = w, .device = copy };
	struct store_counters counters;
	uint64_t nonce_random_before = nonce_random;
	struct store *s;

	w->cuts++;
	nonce_random = device_hash(copy);
	tally_crash(w->tally, copy, kind);
	if (w->depth == 0 && roll(w, 12) == 0) {
		copy->before = before_change_of_copy;
		copy->arg = &again;
	}
	w->depth++;
	s = open_copy(w, copy);
	w->depth--;
	copy->before = NULL;
	if (s != NULL) {
		check_strangers(w, s);
		check_messages(w, copy, s, known);
		store_counters(s, &counters);
		w->false_alarms += counters.set_aside > 0;
	}
	nonce_random = nonce_random_before;
	return s;
}

/* Whether such a disk was compared with what is promised now. */
static bool was_tried(struct world *w, const struct device *copy)
{
	uint64_t hash = device_hash(copy);

	for (size_t i = 0; i < w->tried_count; i++)
		if (w->tried[i] == hash)
			return true;
	if (w->tried_count < TRIED_MAX)
		w->tried[w->tried_count++] = hash;
	return false;
}

static void try_cut(struct world *w, struct device *d, enum dev_crash how)
{
	struct device *copy = device_crash(d, how, dev_random(&w->random));
	int known[LIVE_MAX];

	if (!was_tried(w, copy)) {
		struct store *s = open_cut(w, copy, how, known);

		copy->dead = true;
		store_close(s);
	}
	device_free(copy);
}

static void on_stranger(void *arg, int error)
{
	*(bool *)arg = error == 0;
}

/* Puts a message in; whether that was promised. */
static bool put_stranger(struct store *s, const char *id)
{
	struct slice address = SLICE("a@b");
	struct store_message put = { .id = slice_of(id), .address = { &address, 1 } };
	bool promised = false;

	store_put(s, &put, on_stranger, &promised);
	for (int i = 0; !promised && i < 20; i++)
		store_poll(s);
	return promised;
}

/* After a crash the store opens and works; then the power fails. What was there after the first, and what
 * is promised since, must be there still. */
static void try_two(struct world *w, struct device *copy, int kind)
{
	struct device *after;
	int known[LIVE_MAX], later[LIVE_MAX];
	enum dev_crash how;
	uint64_t seed;
	struct store *s = open_cut(w, copy, kind, known);
	struct store_summary summary;
	char id[16];
	bool promised;

	snprintf(id, sizeof(id), "M%06d", STRANGER);
	promised = s != NULL && put_stranger(s, id);
	seed = dev_random(&w->random);
	how = roll(w, 2) ? DEV_LOSE_ALL : DEV_KEEP_SOME;
	after = device_crash(copy, how, seed);
	copy->dead = true;
	store_close(s);
	device_free(copy);
	s = open_cut(w, after, how, later);
	if (s != NULL && promised && !store_summary(s, slice_of(id), &summary))
		loss(w, "what was promised after a crash is gone", STRANGER);
	for (size_t i = 0; s != NULL && i < w->live_count; i++)
		if (later[i] < known[i])
			loss(w, "what was seen after a crash is gone", w->live[i]->number);
	after->dead = true;
	store_close(s);
	device_free(after);
}

static void make_fault(struct world *w)
{
	struct device *d = w->device;
	int *const faults[] = { &d->fail_fdatasync, &d->fail_fdatasync, &d->fail_pwrite,
		&d->fail_open, &d->fail_pread, &d->short_pwrite };
	unsigned which = roll(w, ARRAY_LENGTH(faults) + 1);

	w->faults++;
	if (which < ARRAY_LENGTH(faults))
		*faults[which] = 1 + (int)roll(w, roll(w, 4) == 0 ? 12 : 2);
	else
		d->capacity = d->capacity > 0 ? 0 : dev_used(d) + roll(w, 3) * SEGMENT + 1;
}

/* How many cuts are worth while: as many as there are choices of what is kept. */
static unsigned cuts_worth(const struct world *w)
{
	size_t choices = device_unflushed(w->device);

	return choices < 8 && 1u << choices < w->cuts_at_once ? 1u << choices : w->cuts_at_once;
}

static void before_change(void *arg, const char *op)
{
	struct world *w = arg;
	unsigned cuts;

	if (w->fault_odds > 0 && w->checking && roll(w, w->fault_odds) == 0)
		make_fault(w);
	if (!w->checking || w->losses > 0)
		return;
	w->checking = false;
	w->moments++;
	tally_before(w->tally, w->device, op);
	cuts = cuts_worth(w);
	try_cut(w, w->device, DEV_LOSE_ALL);
	for (unsigned i = 0; i < cuts; i++)
		try_cut(w, w->device, i % 3 == 2 ? DEV_TORN : DEV_KEEP_SOME);
	switch (roll(w, 4)) {
	case 0:
		w->kills++;
		try_two(w, device_kill(w->device), TALLY_KILL);
		break;
	case 1:
		try_cut(w, w->device, DEV_KEEP_ALL);
		break;
	default:
		try_two(w, device_crash(w->device, DEV_KEEP_SOME, dev_random(&w->random)),
		    DEV_KEEP_SOME);
		break;
	}
	w->checking = true;
}

/* --- the workload ----------------------------------------------------------------------------- */

static struct promise *promise_new(struct world *w, struct message *m)
{
	struct promise *p = mem_alloc(sizeof(*p));

	*p = (struct promise){ w, m->number, ++w->sequence };
	return p;
}

static void write_large(struct world *w, const struct message *m, const char *id)
{
	int fd = store_large_create(w->store, slice_of(id));

	if (fd != -1)
		dev_pwrite(w->device, fd, m->content, m->size, 0);
}

static void do_put(struct world *w)
{
	struct message *m;
	struct slice address[RCPT_MAX];
	struct store_message put = { .sender = SLICE("s@x") };
	char id[16];

	if (w->live_count == LIVE_MAX)
		return;
	m = mem_alloc(sizeof(*m));
	m->number = w->next_number++;
	m->rcpts = 1 + roll(w, RCPT_MAX);
	m->large = roll(w, 10) == 0;
	m->size = m->large ? 1 + roll(w, 9000) : roll(w, roll(w, 6) == 0 ? 9000 : 1500);
	w->live[w->live_count++] = m;
	w->tried_count = 0;
	snprintf(id, sizeof(id), "M%06u", m->number);
	for (unsigned i = 0; i < m->rcpts; i++)
		address[i] = SLICE("somebody@example.org");
	put.id = slice_of(id);
	put.address = (struct wire_texts){ address, m->rcpts };
	m->content = new_content(m->number, m->size);
	if (m->large) {
		write_large(w, m, id);
		put.large_size = m->size;
	} else {
		put.content = slice_new(m->content, m->size);
	}
	store_put(w->store, &put, on_promise, promise_new(w, m));
}

static bool is_usable(const struct message *m)
{
	return m->promised && !may_be_absent(m) && m->pending_count < PENDING_MAX;
}

static void do_status(struct world *w, struct message *m, struct op *op, const char *id)
{
	char reason[32];
	unsigned first = roll(w, m->rcpts);

	op->reason = roll(w, 10000) + 1;
	op->due = roll(w, 2) ? (int64_t)roll(w, 1000000) : 0;
	op->count = 1 + roll(w, m->rcpts);
	snprintf(reason, sizeof(reason), "reason %u", op->reason);
	for (unsigned i = 0; i < op->count; i++)
		op->status[i] = (struct store_status){
			.index = (first + i) % m->rcpts,
			.state = roll(w, 3) ? RCPT_DELIVERED : RCPT_DEFERRED,
			.dsn = SLICE("4.0.0"),
			.reason = slice_of(reason),
		};
	store_status(w->store, slice_of(id), op->status, op->count, op->due, on_promise,
	    promise_new(w, m));
}

static void do_change(struct world *w)
{
	static const enum change often[] = { STATUS, STATUS, STATUS, STATUS, ATTEMPT, ATTEMPT,
		DEATH, HOLD, RELEASE, MARK, MARK, REMOVE };
	struct message *m;
	struct op op = { .change = often[roll(w, ARRAY_LENGTH(often))] };
	char id[16];

	if (w->live_count == 0)
		return;
	m = w->live[roll(w, (unsigned)w->live_count)];
	if (!is_usable(m))
		return;
	snprintf(id, sizeof(id), "M%06u", m->number);
	w->tried_count = 0;
	/* The model must know of it before the store can touch the disk. */
	m->pending_count++;
	switch (op.change) {
	case STATUS:
		do_status(w, m, &op, id);
		break;
	case ATTEMPT:
		store_attempt(w->store, slice_of(id));
		w->sequence++;
		break;
	case DEATH:
		store_death(w->store, slice_of(id), on_promise, promise_new(w, m));
		break;
	case HOLD:
		store_hold(w->store, slice_of(id), on_promise, promise_new(w, m));
		break;
	case RELEASE:
		store_release(w->store, slice_of(id), on_promise, promise_new(w, m));
		break;
	case MARK:
		op.marks = 1 + roll(w, UINT8_MAX);
		store_mark(w->store, slice_of(id), op.marks, on_promise, promise_new(w, m));
		break;
	case REMOVE:
		store_delete(w->store, slice_of(id), on_promise, promise_new(w, m));
		break;
	}
	op.sequence = w->sequence;
	m->pending[m->pending_count - 1] = op;
}

static void quiesce(struct world *w)
{
	for (int i = 0; i < 30; i++)
		store_poll(w->store);
}

static void count_copies(struct world *w)
{
	struct store_counters counters;

	store_counters(w->store, &counters);
	w->copied += counters.copied_bytes;
}

/* The workload goes on with a disk after a cut or a kill; the model learns what came through. */
static void live_through_crash(struct world *w)
{
	bool is_kill = roll(w, 2) != 0;
	struct device *copy = is_kill
	    ? device_kill(w->device)
	    : device_crash(w->device, DEV_KEEP_SOME, dev_random(&w->random));
	struct message *live[LIVE_MAX];
	int known[LIVE_MAX];
	size_t count = w->live_count;
	struct store *s;

	w->checking = false;
	count_copies(w);
	s = open_cut(w, copy, is_kill ? TALLY_KILL : DEV_KEEP_SOME, known);
	memcpy(live, w->live, sizeof(live));
	for (size_t i = 0; i < count; i++) {
		if (known[i] == -1) {
			forget(w, live[i]);
			continue;
		}
		live[i]->promised = true;
		live[i]->refused = false;
		settle_changes(w, live[i], (size_t)known[i]);
	}
	/* What was under way in the old store must not settle anything in the model. */
	for (size_t i = 0; i < w->live_count; i++)
		w->live[i]->number += MESSAGES_MAX;
	w->device->dead = true;
	store_close(w->store);
	for (size_t i = 0; i < w->live_count; i++) {
		w->live[i]->number -= MESSAGES_MAX;
		w->live[i]->pending_count = 0;
	}
	device_free(w->device);
	w->device = copy;
	w->device->before = before_change;
	w->device->arg = w;
	w->store = s;
	w->tried_count = 0;
	w->checking = true;
}

static void close_and_open(struct world *w)
{
	unsigned odds = w->fault_odds;
	char *why = NULL;

	w->checking = false;
	w->fault_odds = 0;
	end_faults(w->device);
	quiesce(w);
	count_copies(w);
	store_close(w->store);
	w->tried_count = 0;
	w->checking = true;
	w->store = open_on(w->device, &why);
	if (w->store == NULL)
		fail_msg("store_open: %s", why);
	w->fault_odds = odds;
	/* Attempts have no callback: after a close all are known. */
	for (size_t i = w->live_count; i-- > 0;)
		if (w->live[i]->refused)
			forget(w, w->live[i]);
		else
			settle_changes(w, w->live[i], w->live[i]->pending_count);
}

/* The tally outlives it. */
static struct world *world_new(uint64_t seed, unsigned fault_odds, struct tally *tally)
{
	struct world *w = mem_alloc(sizeof(*w));
	char *why = NULL;

	/* Disks come and go all the time; their memory need not. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	nonce_random = seed;
	clock_ns = 1;
	w->random = seed * 977 + 0x9e3779b97f4a7c15u;
	w->tally = tally;
	w->device = device_new(seed);
	w->store = open_on(w->device, &why);
	if (w->store == NULL)
		fail_msg("store_open: %s", why);
	quiesce(w);
	w->device->before = before_change;
	w->device->arg = w;
	w->fault_odds = fault_odds;
	w->cuts_at_once = 1;
	return w;
}

static void world_free(struct world *w)
{
	w->checking = false;
	w->device->dead = true;
	store_close(w->store);
	device_free(w->device);
	while (w->live_count > 0)
		forget(w, w->live[0]);
	free(w);
}

/* Until there were this many crash points, or a loss. */
static void work(struct world *w, unsigned long moments)
{
	w->checking = true;
	for (unsigned step = 0; w->moments < moments && w->losses == 0; step++) {
		if (roll(w, 3) == 0)
			do_put(w);
		else
			do_change(w);
		if (roll(w, 2) == 0)
			store_poll(w->store);
		if (step % 200 == 150 && w->losses == 0)
			live_through_crash(w);
		if (step % 500 == 300 && w->losses == 0)
			close_and_open(w);
	}
}

#endif
