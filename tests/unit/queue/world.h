/* SPDX-License-Identifier: ISC */
/*
 * world.h - power cuts and kills at every step: a workload runs on a disk in memory, and before each
 * change of that disk copies of it are made: as a power cut leaves it (nothing unflushed is left, or
 * any sectors and names of it, or all), and as a kill leaves it (all is seen, what was not flushed
 * still isn't). Each copy is opened and compared with a model of what was promised. Now and then the
 * power fails again while the copy is opened, and now and then the workload goes on from a copy.
 */
#ifndef GP_TEST_WORLD_H
#define GP_TEST_WORLD_H

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "tests/unit/queue/device.h"
#include "tests/unit/queue/tally.h"

enum {
	SEGMENT = 32 << 10,
	LIVE_MAX = 14,
	RCPT_MAX = 5,
	PENDING_MAX = 48,
	MESSAGES_MAX = 20000,
	STRANGER = 900000 /* a message that the model does not know */
};

/* --- the model -------------------------------------------------------------------------------- */

struct known {
	enum rcpt_state state[RCPT_MAX];
	unsigned reason[RCPT_MAX]; /* 0: none */
	int64_t due;
	unsigned attempts, deaths, open_attempts, marks;
	bool held, gone;
};

enum change { STATUS, ATTEMPT, DEATH, HOLD, RELEASE, MARK, REMOVE };

struct op {
	enum change change;
	unsigned count;
	struct store_status status[RCPT_MAX];
	unsigned reason, marks;
	int64_t due;
	uint64_t sequence;
};

struct message {
	unsigned number, rcpts;
	size_t size;
	bool large, promised, refused;
	struct known base;		/* what is promised at least */
	struct op pending[PENDING_MAX]; /* asked for, not promised yet */
	size_t pending_count;
};

struct world {
	struct tally *tally;
	struct device *device;
	struct store *store;
	uint64_t random, sequence;
	struct message *live[LIVE_MAX];
	size_t live_count;
	unsigned next_number;
	bool checking;
	unsigned fault_odds; /* a fault before one in so many changes; 0: never */
	unsigned long faults;
	int depth;
	unsigned long cuts, kills, moments, twice, losses, copied;
	char first_loss[300];
};

static void loss(struct world *w, const char *why, unsigned number)
{
	if (w->losses++ == 0)
		snprintf(w->first_loss, sizeof(w->first_loss),
		    "%s: message %u, cut %lu, change %lu", why, number, w->cuts,
		    w->device->changes);
}

struct promise {
	struct world *world;
	unsigned number;
	uint64_t sequence;
};

static unsigned roll(struct world *w, unsigned sides)
{
	return (unsigned)(dev_random(&w->random) >> 16) % sides;
}

static void known_apply(struct known *k, const struct op *op, unsigned rcpts)
{
	unsigned open = 0;

	switch (op->change) {
	case STATUS:
		for (unsigned i = 0; i < op->count; i++) {
			k->state[op->status[i].index] = op->status[i].state;
			k->reason[op->status[i].index] = op->reason;
		}
		if (op->due != 0)
			k->due = op->due;
		for (unsigned i = 0; i < rcpts; i++)
			open += k->state[i] == RCPT_QUEUED || k->state[i] == RCPT_DEFERRED;
		k->gone = open == 0;
		k->open_attempts -= k->open_attempts > 0;
		break;
	case ATTEMPT:
		k->attempts++;
		k->open_attempts++;
		break;
	case DEATH:
		k->deaths++;
		k->open_attempts -= k->open_attempts > 0;
		break;
	case HOLD:
		k->held = true;
		break;
	case RELEASE:
		k->held = false;
		break;
	case MARK:
		k->marks |= op->marks;
		break;
	case REMOVE:
		k->gone = true;
		break;
	}
}

static struct message *find_live(struct world *w, unsigned number)
{
	for (size_t i = 0; i < w->live_count; i++)
		if (w->live[i]->number == number)
			return w->live[i];
	return NULL;
}

static void forget(struct world *w, struct message *m)
{
	for (size_t i = 0; i < w->live_count; i++)
		if (w->live[i] == m) {
			w->live[i] = w->live[--w->live_count];
			free(m);
			return;
		}
}

/* The first `count` changes are promised now. */
static void settle_changes(struct world *w, struct message *m, size_t count)
{
	for (size_t i = 0; i < count; i++)
		known_apply(&m->base, &m->pending[i], m->rcpts);
	m->pending_count -= count;
	memmove(m->pending, m->pending + count, m->pending_count * sizeof(m->pending[0]));
	if (m->base.gone)
		forget(w, m);
}

static void do_change(struct world *w);

static void on_promise(void *arg, int error)
{
	struct promise p = *(struct promise *)arg;
	struct message *m = find_live(p.world, p.number);
	size_t count = 0;

	free(arg);
	if (m == NULL)
		return;
	if (error != 0) {
		/* A refused message may come up after a cut; a change stays owed. */
		if (p.world->fault_odds == 0)
			loss(p.world, strerror(error), p.number);
		m->refused = !m->promised;
		return;
	}
	m->promised = true;
	while (count < m->pending_count && m->pending[count].sequence <= p.sequence)
		count++;
	settle_changes(p.world, m, count);
	/* A caller goes on from its callback. */
	if (p.world->checking && roll(p.world, 3) == 0)
		do_change(p.world);
}

static char *content_of(const struct message *m)
{
	char *content = mem_alloc(m->size + 1);
	uint64_t random = m->number * 7919u + 1;

	for (size_t i = 0; i < m->size; i++)
		content[i] = (char)dev_random(&random);
	return content;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct look {
	struct store_loaded *loaded;
	int error;
	bool done;
};

static void on_read(void *arg, struct store_loaded *loaded, int error)
{
	struct look *l = arg;

	l->loaded = loaded;
	l->error = error;
	l->done = true;
}

static bool is_as_known(const struct store_loaded *l, const struct known *k, unsigned rcpts)
{
	char reason[32];

	if (k->gone || l->due_us != k->due || l->attempts != k->attempts ||
	    l->deaths != k->deaths || l->held != k->held || l->marks != k->marks ||
	    l->in_doubt != (k->open_attempts > 0) || l->message.address.count != rcpts)
		return false;
	for (unsigned i = 0; i < rcpts; i++) {
		snprintf(reason, sizeof(reason), k->reason[i] == 0 ? "" : "reason %u",
		    k->reason[i]);
		if (l->state[i] != k->state[i] || !slice_equal(l->reason[i], slice_of(reason)))
			return false;
	}
	return true;
}

static bool is_content_right(struct device *d, const struct store_loaded *l,
    const struct message *m)
{
	char *wanted = content_of(m), *got = mem_alloc(m->size + 1);
	bool right;

	if (m->large)
		right = l->large_fd != -1 && dev_size(d, l->large_fd) == (off_t)m->size &&
		    dev_pread(d, l->large_fd, got, m->size, 0) == (ssize_t)m->size &&
		    memcmp(got, wanted, m->size) == 0;
	else
		right = slice_equal(l->message.content, slice_new(wanted, m->size));
	free(wanted);
	free(got);
	return right;
}

/* How many pending changes the store knows of; -1: it is as it may not be. */
static int changes_known(const struct message *m, const struct store_loaded *l)
{
	struct known k = m->base;

	for (size_t i = 0;; i++) {
		if (is_as_known(l, &k, m->rcpts))
			return (int)i;
		if (i == m->pending_count)
			return -1;
		known_apply(&k, &m->pending[i], m->rcpts);
	}
}

static bool may_be_absent(const struct message *m)
{
	struct known k = m->base;

	for (size_t i = 0; i < m->pending_count; i++)
		known_apply(&k, &m->pending[i], m->rcpts);
	return !m->promised || k.gone;
}

static void check_message(struct world *w, struct device *d, struct store *s, struct message *m,
    int *known)
{
	struct look look = { 0 };
	char id[16];

	snprintf(id, sizeof(id), "M%06u", m->number);
	store_read(s, slice_of(id), true, on_read, &look);
	for (int i = 0; !look.done && i < 20; i++)
		store_poll(s);
	*known = -1;
	if (look.error == ENOENT) {
		if (!may_be_absent(m))
			loss(w, "a promised message is gone", m->number);
		return;
	}
	if (look.loaded == NULL) {
		loss(w, "a message can't be read", m->number);
		return;
	}
	*known = changes_known(m, look.loaded);
	if (*known == -1)
		loss(w, "a state is older than promised, or wrong", m->number);
	else if (!is_content_right(d, look.loaded, m))
		loss(w, "content is wrong", m->number);
	store_loaded_free(look.loaded);
}

static void check_strangers(struct world *w, struct store *s)
{
	struct store_summary summary;
	char last[32] = "";

	while (store_next(s, slice_of(last), &summary)) {
		snprintf(last, sizeof(last), "%s", summary.id);
		if (find_live(w, (unsigned)strtoul(last + 1, NULL, 10)) == NULL &&
		    strtoul(last + 1, NULL, 10) != STRANGER)
			loss(w, "a message that is done came back",
			    (unsigned)strtoul(last + 1, NULL, 10));
	}
}

static struct store *open_on(struct device *d, char **why)
{
	struct store_options options = {
		.directory = -1,
		.io = &d->io,
		.segment_size = SEGMENT,
		.no_threads = true,
	};

	return store_open(&options, NULL, NULL, why);
}

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
		try_cut(a->world, a->device, roll(a->world, 2) ? DEV_KEEP_SOME : DEV_LOSE_ALL);
	}
	/* The next operation of this opening goes on from its own last write. */
	a->types = a->world->tally->at.types;
	a->world->tally->at = at;
}

/* Opens the disk that a cut leaves and compares; returns it opened. */
static struct store *open_cut(struct world *w, struct device *copy, int kind, int known[LIVE_MAX])
{
	struct again again = { .world = w, .device = copy };
	struct store_counters counters;
	struct store *s;
	char *why = NULL;

	w->cuts++;
	tally_crash(w->tally, copy, kind);
	if (w->depth == 0 && roll(w, 12) == 0) {
		copy->before = before_change_of_copy;
		copy->arg = &again;
	}
	w->depth++;
	s = open_on(copy, &why);
	w->depth--;
	copy->before = NULL;
	if (s == NULL) {
		loss(w, why, 0);
		free(why);
		return NULL;
	}
	store_counters(s, &counters);
	if (counters.set_aside > 0)
		loss(w, "a torn tail was taken for damage", 0);
	check_strangers(w, s);
	for (size_t i = 0; i < w->live_count; i++)
		check_message(w, copy, s, w->live[i], &known[i]);
	return s;
}

static void try_cut(struct world *w, struct device *d, enum dev_crash how)
{
	struct device *copy = device_crash(d, how, dev_random(&w->random));
	int known[LIVE_MAX];
	struct store *s = open_cut(w, copy, how, known);

	copy->dead = true;
	store_close(s);
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

static void before_change(void *arg, const char *op)
{
	struct world *w = arg;
	int *const faults[] = { &w->device->fail_fdatasync, &w->device->fail_fdatasync,
		&w->device->fail_pwrite, &w->device->fail_open };

	if (w->fault_odds > 0 && w->checking && roll(w, w->fault_odds) == 0) {
		*faults[roll(w, ARRAY_LENGTH(faults))] = 1 + (int)roll(w, roll(w, 4) == 0 ? 12 : 2);
		w->faults++;
	}
	if (!w->checking || w->losses > 0)
		return;
	w->checking = false;
	w->moments++;
	tally_before(w->tally, w->device, op);
	try_cut(w, w->device, DEV_LOSE_ALL);
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
	if (w->device->untrusted_writes > 0)
		loss(w, "a file was written after its flush failed", 0);
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
	char *content = content_of(m);
	int fd = store_large_create(w->store, slice_of(id));

	if (fd != -1)
		dev_pwrite(w->device, fd, content, m->size, 0);
	free(content);
}

static void do_put(struct world *w)
{
	struct message *m;
	struct slice address[RCPT_MAX];
	struct store_message put = { .sender = SLICE("s@x") };
	char id[16], *content;

	if (w->live_count == LIVE_MAX)
		return;
	m = mem_alloc(sizeof(*m));
	m->number = w->next_number++;
	m->rcpts = 1 + roll(w, RCPT_MAX);
	m->large = roll(w, 10) == 0;
	m->size = m->large ? 1 + roll(w, 9000) : roll(w, roll(w, 6) == 0 ? 9000 : 1500);
	w->live[w->live_count++] = m;
	snprintf(id, sizeof(id), "M%06u", m->number);
	for (unsigned i = 0; i < m->rcpts; i++)
		address[i] = SLICE("somebody@example.org");
	put.id = slice_of(id);
	put.address = (struct wire_texts){ address, m->rcpts };
	content = content_of(m);
	if (m->large) {
		write_large(w, m, id);
		put.large_size = m->size;
	} else {
		put.content = slice_new(content, m->size);
	}
	store_put(w->store, &put, on_promise, promise_new(w, m));
	free(content);
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
	w->checking = true;
}

static void close_and_open(struct world *w)
{
	unsigned odds = w->fault_odds;
	char *why = NULL;

	w->checking = false;
	w->fault_odds = 0;
	w->device->fail_fdatasync = w->device->fail_pwrite = w->device->fail_open = 0;
	quiesce(w);
	count_copies(w);
	store_close(w->store);
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
	return w;
}

static void world_free(struct world *w)
{
	w->checking = false;
	w->device->dead = true;
	store_close(w->store);
	device_free(w->device);
	for (size_t i = 0; i < w->live_count; i++)
		free(w->live[i]);
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
