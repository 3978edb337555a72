/* SPDX-License-Identifier: ISC */
/*
 * model.h - what a store promised of each message, and what it may know besides: changes that were asked for
 * and not answered yet, which come true in their order or not at all. A store that was opened on what a crash
 * left is compared with it.
 */
#ifndef GP_TEST_MODEL_H
#define GP_TEST_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <bsd/stdlib.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "tests/unit/queue/tally.h"

enum {
	SEGMENT = 32 << 10,
	LIVE_MAX = 14,
	RCPT_MAX = 5,
	PENDING_MAX = 48,
	MESSAGES_MAX = 20000,
	TRIED_MAX = 1024,
	STRANGER = 900000 /* a message that the model does not know */
};

/* --- what would make runs differ ----------------------------------------------------------------- */

static uint64_t nonce_random = 1, clock_ns = 1;

/* Nonces follow from the disk that a store was opened on: disks that differ by nothing else are none more. */
void arc4random_buf(void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((char *)out)[i] = (char)(dev_random(&nonce_random) >> 24);
}

/* Each look at the clock takes a millisecond, so that pauses last as many steps in each run. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	clock_ns += 1000000;
	*now = (struct timespec){ (time_t)(clock_ns / 1000000000), (long)(clock_ns % 1000000000) };
	return 0;
}

/* --- messages ------------------------------------------------------------------------------------ */

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
	char *content;
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
	unsigned cuts_at_once; /* that a moment gets at most, of those that keep some */
	/* Disks that were compared with what is promised now. */
	uint64_t tried[TRIED_MAX];
	size_t tried_count;
	unsigned long cuts, kills, moments, twice, losses, copied;
	char first_loss[300];
	unsigned long false_alarms; /* damage was seen where there was none */
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
			free(m->content);
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
	p.world->tried_count = 0;
	while (count < m->pending_count && m->pending[count].sequence <= p.sequence)
		count++;
	settle_changes(p.world, m, count);
	/* A caller goes on from its callback. */
	if (p.world->checking && roll(p.world, 3) == 0)
		do_change(p.world);
}

static char *new_content(unsigned number, size_t size)
{
	char *content = mem_alloc(size + sizeof(uint64_t));
	uint64_t random = number * 7919u + 1;

	for (size_t i = 0; i < size; i += sizeof(random)) {
		dev_random(&random);
		memcpy(content + i, &random, sizeof(random));
	}
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
	const struct dev_file *f;

	if (!m->large)
		return slice_equal(l->message.content, slice_new(m->content, m->size));
	if (l->large_fd == -1)
		return false;
	f = dev_file(d, l->large_fd);
	return f->size == m->size && memcmp(f->now->at, m->content, m->size) == 0;
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

/* How many of its changes the store knows of; -1: none, as it is not there. */
static int check_message(struct world *w, struct device *d, const struct message *m,
    const struct look *l)
{
	int known;

	if (l->error == ENOENT) {
		if (!may_be_absent(m))
			loss(w, "a promised message is gone", m->number);
		return -1;
	}
	if (l->loaded == NULL) {
		loss(w, "a message can't be read", m->number);
		return -1;
	}
	known = changes_known(m, l->loaded);
	if (known == -1)
		loss(w, "a state is older than promised, or wrong", m->number);
	else if (!is_content_right(d, l->loaded, m))
		loss(w, "content is wrong", m->number);
	return known;
}

static void check_messages(struct world *w, struct device *d, struct store *s, int known[LIVE_MAX])
{
	struct look look[LIVE_MAX] = { 0 };
	char id[16];

	for (size_t i = 0; i < w->live_count; i++) {
		snprintf(id, sizeof(id), "M%06u", w->live[i]->number);
		store_read(s, slice_of(id), true, on_read, &look[i]);
	}
	for (size_t i = 0; i < w->live_count; i++) {
		for (int polls = 0; !look[i].done && polls < 20; polls++)
			store_poll(s);
		known[i] = check_message(w, d, w->live[i], &look[i]);
		store_loaded_free(look[i].loaded);
	}
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

#endif
