/* SPDX-License-Identifier: ISC */
/*
 * destination.c - one destination of a transport: which of its deliveries is next, how many run at once, and when
 * it counts as dead.
 *
 * Deliveries of one message for it form a share. The share in front goes on until it is empty, but a smaller one
 * may overtake it for delivery slots that the one in front has earned (Postfix's preemption). A mailing list
 * also leaves some of the concurrency to letters: so a letter finds a free place at once, even when each of the
 * list's deliveries takes long.
 */
#include "qmgr/qmgr.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { BUCKETS = 4096, LOOK_AT = 64, LETTERS_SHARE = 10, PARKED_LIMIT = 4096 };

static LIST_HEAD(, destination) buckets[BUCKETS];
static TAILQ_HEAD(, destination) failing = TAILQ_HEAD_INITIALIZER(failing);

/* --- which there are ------------------------------------------------------------------------------ */

static size_t bucket_of(const struct transport *t, struct slice key)
{
	size_t hash = (uintptr_t)t / sizeof(*t);

	for (size_t i = 0; i < key.len; i++)
		hash = hash * 33 + (size_t)tolower((unsigned char)key.data[i]);
	return hash % BUCKETS;
}

static bool is_paused(const struct destination *d)
{
	return clock_now() < d->paused_until;
}

void destination_forget(struct destination *d)
{
	struct transport *t = d->transport;

	if (d->busy > 0 || d->waiting > 0 || d->is_failing || is_paused(d))
		return;
	if (d->place == AMONG_TURNS)
		TAILQ_REMOVE(&t->turns, d, turn);
	else if (d->place == AMONG_PAUSED)
		TAILQ_REMOVE(&t->paused, d, turn);
	LIST_REMOVE(d, link);
	free(d->nexthop);
	free(d->key);
	free(d->parked);
	free(d->dead_why);
	free(d);
}

static void forget_failures(struct destination *d)
{
	if (!d->is_failing)
		return;
	TAILQ_REMOVE(&failing, d, failing);
	d->is_failing = false;
	d->failed_cohorts = 0;
}

/* What failed is remembered without mail for it, too: the next one is one more, not the first. */
static void remember_failure(struct destination *d, int64_t how_long)
{
	if (d->is_failing)
		TAILQ_REMOVE(&failing, d, failing);
	d->is_failing = true;
	d->forget_at = deadline_after(how_long);
	TAILQ_INSERT_TAIL(&failing, d, failing);
}

void destination_revive(void)
{
	struct destination *d;

	while ((d = TAILQ_FIRST(&failing)) != NULL && clock_now() >= d->forget_at) {
		forget_failures(d);
		destination_forget(d);
	}
}

void destination_revive_all(void)
{
	struct destination *d;

	while ((d = TAILQ_FIRST(&failing)) != NULL) {
		d->dead_until = 0;
		d->window = d->transport->policy.initial;
		forget_failures(d);
		destination_forget(d);
	}
}

struct destination *destination_find(struct transport *t, struct slice nexthop, struct slice key)
{
	size_t bucket = bucket_of(t, key);
	struct destination *d;

	LIST_FOREACH(d, &buckets[bucket], link)
		if (d->transport == t && slice_equal_nocase(slice_of(d->key), key))
			return d;
	d = mem_alloc(sizeof(*d));
	d->transport = t;
	d->nexthop = slice_dup(nexthop);
	d->key = slice_dup(key);
	d->window = t->policy.initial;
	TAILQ_INIT(&d->shares);
	LIST_INSERT_HEAD(&buckets[bucket], d, link);
	return d;
}

/* --- shares --------------------------------------------------------------------------------------- */

void destination_add(struct destination *d, struct job *job)
{
	struct share *s = TAILQ_LAST(&d->shares, share_queue);

	/* Jobs of a message come one after the other. */
	if (s == NULL || s->message != job->message) {
		s = mem_alloc(sizeof(*s));
		s->message = job->message;
		TAILQ_INIT(&s->jobs);
		TAILQ_INSERT_TAIL(&d->shares, s, link);
	}
	TAILQ_INSERT_TAIL(&s->jobs, job, link);
	s->left++;
	s->jobs_in_all++;
	d->waiting++;
	job->destination = d;
	destination_ready(d);
}

/* So many deliveries that others may overtake it: what Postfix calls enough delivery slots. */
static bool is_list(const struct destination *d, const struct share *s)
{
	const struct policy *p = &d->transport->policy;

	return p->slot_cost > 0 && s->jobs_in_all / p->slot_cost >= p->slots_least &&
	    s->jobs_in_all > 1;
}

/* What it has earned by its deliveries and others have not used. */
static int64_t slots_of(const struct policy *p, const struct share *s)
{
	return (int64_t)(s->started / p->slot_cost) - s->slots_used;
}

/* Slots that must be there before a share of this many deliveries may overtake. */
static int64_t slots_for(const struct policy *p, size_t jobs)
{
	return (int64_t)jobs - (int64_t)jobs * p->slot_discount / 100 - p->slot_loan;
}

/* The smallest that may overtake the first; of equals the oldest. NULL: none. */
static struct share *overtaker(struct destination *d, const struct share *first)
{
	const struct policy *p = &d->transport->policy;
	struct share *s, *best = NULL;
	int looked = 0;

	for (s = TAILQ_NEXT(first, link); s != NULL && looked++ < LOOK_AT; s = TAILQ_NEXT(s, link))
		if (s->left < first->left && (best == NULL || s->left < best->left) &&
		    slots_of(p, first) >= slots_for(p, s->left))
			best = s;
	return best;
}

/* Whose delivery is next; a smaller share that overtakes goes on until it is empty. */
static struct share *choose(struct destination *d)
{
	struct share *first = TAILQ_FIRST(&d->shares), *smaller;

	if (TAILQ_NEXT(first, link) == NULL || !is_list(d, first))
		return first;
	smaller = overtaker(d, first);
	if (smaller == NULL)
		return first;
	first->slots_used += (int64_t)smaller->left;
	TAILQ_REMOVE(&d->shares, smaller, link);
	TAILQ_INSERT_HEAD(&d->shares, smaller, link);
	return smaller;
}

/* How many of so many places lists leave to letters. */
static unsigned letters_places(unsigned places)
{
	return places < 2 ? 0 : 1 + places / LETTERS_SHARE;
}

/* The first share that is a letter's, when lists have all that they may. */
static struct share *first_letter(struct destination *d)
{
	struct share *s;
	int looked = 0;

	TAILQ_FOREACH(s, &d->shares, link)
		if (!is_list(d, s))
			return s;
		else if (++looked >= LOOK_AT)
			break;
	return NULL;
}

/* Lists have all places that they may: they wait for one of their own to end here, which gives a turn. */
static bool lists_are_full(const struct destination *d)
{
	unsigned window = destination_window(d);

	return d->busy_lists >= window - letters_places(window);
}

/* The share whose delivery may start now, or NULL. */
static struct share *startable(struct destination *d)
{
	struct share *s;

	if (d->waiting == 0 || d->busy >= destination_window(d))
		return NULL;
	if (!lists_are_full(d))
		return choose(d);
	s = first_letter(d);
	return s;
}

static struct job *take(struct destination *d, struct share *s)
{
	struct job *job = TAILQ_FIRST(&s->jobs);

	job->of_list = is_list(d, s);
	TAILQ_REMOVE(&s->jobs, job, link);
	s->started++;
	d->waiting--;
	if (--s->left == 0) {
		TAILQ_REMOVE(&d->shares, s, link);
		free(s);
	}
	return job;
}

struct job *destination_next(struct destination *d)
{
	struct share *s = startable(d);

	return s == NULL ? NULL : take(d, s);
}

struct job *destination_first(const struct destination *d)
{
	return d->waiting == 0 ? NULL : TAILQ_FIRST(&TAILQ_FIRST(&d->shares)->jobs);
}

struct job *destination_take_first(struct destination *d)
{
	return take(d, TAILQ_FIRST(&d->shares));
}

/* --- crowds --------------------------------------------------------------------------------------- */

/* So much waits here that more would take the room in the active queue that other mail needs. */
bool destination_is_crowded(const struct destination *d)
{
	size_t limit = (size_t)settings.qmgr_message_active_limit;

	return d->waiting > 0 && message_count() >= limit / 2 && d->waiting >= limit / 4;
}

void destination_park(struct destination *d, struct slice id)
{
	if (d->parked_count == PARKED_LIMIT)
		return; /* it comes again by itself, a little later */
	if (d->parked == NULL)
		d->parked = mem_alloc_array(PARKED_LIMIT, sizeof(*d->parked));
	snprintf(d->parked[d->parked_count++], sizeof(*d->parked), "%.*s", (int)id.len, id.data);
}

void destination_call_parked(struct destination *d)
{
	if (d->waiting > (size_t)settings.qmgr_message_active_limit / 8)
		return;
	while (d->parked_count > 0)
		due_now(slice_of(d->parked[--d->parked_count]), false);
	free(d->parked);
	d->parked = NULL;
}

/* --- turns ---------------------------------------------------------------------------------------- */

unsigned destination_window(const struct destination *d)
{
	return d->window < 1 ? 1 : (unsigned)d->window;
}

static bool may_start(struct destination *d)
{
	if (d->waiting == 0 || d->busy >= destination_window(d))
		return false;
	return !lists_are_full(d) || first_letter(d) != NULL;
}

void destination_ready(struct destination *d)
{
	struct transport *t = d->transport;

	if (d->place != NOWHERE || d->waiting == 0)
		return;
	if (is_paused(d)) {
		/* All pauses of a transport are equally long: the first to pause is the first to go on. */
		d->place = AMONG_PAUSED;
		TAILQ_INSERT_TAIL(&t->paused, d, turn);
	} else if (may_start(d) || destination_is_off(d)) {
		d->place = AMONG_TURNS;
		TAILQ_INSERT_TAIL(&t->turns, d, turn);
	}
}

/* --- feedback ------------------------------------------------------------------------------------- */

static void tell_feedback(const struct destination *d, const char *what)
{
	if (settings.destination_concurrency_feedback_debug)
		log_info("%s: %s %s: concurrency %.2f of %u, %u under way, %zu waiting",
		    d->transport->name, d->key, what, d->window,
		    d->transport->policy.destination_limit, d->busy, d->waiting);
}

void destination_succeeded(struct destination *d)
{
	const struct policy *p = &d->transport->policy;

	forget_failures(d);
	/* Only what is used grows. */
	if (d->window < p->destination_limit && d->busy + 1 >= destination_window(d))
		d->window += policy_feedback(&p->positive, d->window);
	if (d->window > p->destination_limit)
		d->window = p->destination_limit;
	tell_feedback(d, "success");
}

void destination_failed(struct destination *d, struct slice dsn, struct slice why)
{
	const struct policy *p = &d->transport->policy;

	d->failed_cohorts += 1.0 / destination_window(d);
	d->window -= policy_feedback(&p->negative, d->window);
	if (d->window < 1)
		d->window = 1;
	tell_feedback(d, "failure");
	remember_failure(d, 2 * settings.minimal_backoff_time);
	if (p->cohort_limit == 0 || d->failed_cohorts < p->cohort_limit)
		return;
	/* Dead for a while; then one attempt at a time, until one succeeds. */
	d->failed_cohorts = p->cohort_limit;
	d->window = 1;
	d->dead_until = deadline_after(settings.minimal_backoff_time);
	free(d->dead_why);
	d->dead_why = slice_dup(why);
	snprintf(d->dead_dsn, sizeof(d->dead_dsn), "%.*s", (int)dsn.len, dsn.data);
	tell_feedback(d, "dead");
}
