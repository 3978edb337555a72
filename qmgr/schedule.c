/* SPDX-License-Identifier: ISC */
/*
 * schedule.c - who is next: transports with their limits, destinations in turn, windows that grow while
 * deliveries succeed.
 *
 * A message that an agent died with is tried alone: nothing else of its transport runs meanwhile, so
 * that a second death has one cause. That has a limit, since it may be for a slow server.
 */
#include "qmgr/qmgr.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/master_cf.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { BUCKETS = 4096, PUT_OFF_AT_ONCE = 50, RCPTS_BYTES = 65536, ALONE_SECONDS = 10 };

static LIST_HEAD(, transport) transports = LIST_HEAD_INITIALIZER(transports);
static LIST_HEAD(, destination) buckets[BUCKETS];
static TAILQ_HEAD(, destination) dead = TAILQ_HEAD_INITIALIZER(dead);
static struct master_cf *entries;
static bool paused;
static struct task_list idle_waiters;

static void no_report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	(void)severity;
	(void)file;
	(void)line;
	(void)text; /* master has said it */
}

void schedule_start(void)
{
	entries = master_cf_load(service_config_directory(), "", no_report, NULL);
}

/* maxproc of the transport's entry is the most deliveries at once. */
static unsigned process_limit(struct slice name)
{
	for (size_t i = 0; entries != NULL && i < entries->count; i++)
		if (entries->entries[i].type == ENTRY_UNIX && entries->entries[i].maxproc > 0 &&
		    slice_equal(slice_of(entries->entries[i].name), name))
			return (unsigned)entries->entries[i].maxproc;
	return (unsigned)settings.default_process_limit;
}

static unsigned limit_of(const char *name, const char *suffix)
{
	int64_t value = conf_number_for(service_conf(), name, suffix);

	return value <= 0 || value > 100000 ? 100000 : (unsigned)value;
}

static bool is_listed(const char *list, struct slice name)
{
	struct slice rest = slice_of(list), item;

	while (text_next_word(&rest, ", \t\r\n", &item))
		if (slice_equal(item, name))
			return true;
	return false;
}

struct transport *transport_find(struct slice name)
{
	struct transport *t;

	LIST_FOREACH(t, &transports, link)
		if (slice_equal(slice_of(t->name), name))
			return t;
	t = mem_alloc(sizeof(*t));
	t->name = slice_dup(name);
	t->limit = process_limit(name);
	t->destination_limit = limit_of(t->name, "destination_concurrency_limit");
	t->recipient_limit = limit_of(t->name, "destination_recipient_limit");
	t->is_deferred = is_listed(settings.defer_transports, name);
	if (t->recipient_limit > RCPTS_PER_FRAME)
		t->recipient_limit = RCPTS_PER_FRAME;
	TAILQ_INIT(&t->turns);
	TAILQ_INIT(&t->suspects);
	LIST_INSERT_HEAD(&transports, t, link);
	return t;
}

/* --- destinations --------------------------------------------------------------------------------- */

static size_t bucket_of(const struct transport *t, struct slice key)
{
	size_t hash = (uintptr_t)t / sizeof(*t);

	for (size_t i = 0; i < key.len; i++)
		hash = hash * 33 + (size_t)tolower((unsigned char)key.data[i]);
	return hash % BUCKETS;
}

static void destination_forget(struct destination *d)
{
	if (d->busy > 0 || !TAILQ_EMPTY(&d->jobs) || d->is_dead)
		return;
	if (d->has_turn)
		TAILQ_REMOVE(&d->transport->turns, d, turn);
	LIST_REMOVE(d, link);
	free(d->nexthop);
	free(d->key);
	free(d->dead_why);
	free(d);
}

/* Destinations whose time has come live again; those that nobody wants go. */
static void revive(void)
{
	struct destination *d;

	while ((d = TAILQ_FIRST(&dead)) != NULL && clock_now() >= d->dead_until) {
		TAILQ_REMOVE(&dead, d, dead);
		d->is_dead = false;
		destination_forget(d);
	}
}

static struct destination *destination_find(struct transport *t, struct slice nexthop,
    struct slice key)
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
	d->window = (unsigned)settings.initial_destination_concurrency;
	if (d->window > t->destination_limit)
		d->window = t->destination_limit;
	TAILQ_INIT(&d->jobs);
	LIST_INSERT_HEAD(&buckets[bucket], d, link);
	return d;
}

unsigned schedule_busy(void)
{
	struct transport *t;
	unsigned busy = 0;

	LIST_FOREACH(t, &transports, link)
		busy += t->busy;
	return busy;
}

/* --- jobs ----------------------------------------------------------------------------------------- */

static void add_job(struct message *m, struct transport *t, struct slice nexthop, struct slice key,
    const size_t *index, size_t count)
{
	struct job *job = mem_alloc(sizeof(*job) + count * sizeof(size_t));
	struct destination *d = destination_find(t, nexthop, key);

	job->message = m;
	job->destination = d;
	job->count = count;
	memcpy(job->index, index, count * sizeof(size_t));
	m->open_jobs++;
	TAILQ_INSERT_TAIL(&d->jobs, job, link);
	if (!d->has_turn) {
		d->has_turn = true;
		TAILQ_INSERT_TAIL(&t->turns, d, turn);
	}
}

/* How many of these recipients one delivery takes: at least one. */
static size_t recipients_of_a_frame(const struct transport *t, const struct message *m,
    const size_t *index, size_t count)
{
	size_t bytes = 0, n = 0;

	while (n < count && n < t->recipient_limit) {
		const struct recipient *r = &m->rcpts[index[n]];

		bytes += r->address.len + r->original.len + r->orcpt.len;
		if (bytes > RCPTS_BYTES && n > 0)
			break;
		n++;
	}
	return n;
}

void schedule_add(struct message *m, struct slice name, struct slice nexthop, const size_t *index,
    size_t count)
{
	struct transport *t = transport_find(name);

	revive();
	/* One recipient per delivery: then each recipient is a destination of its own. */
	if (t->recipient_limit == 1)
		for (size_t i = 0; i < count; i++)
			add_job(m, t, nexthop, m->rcpts[index[i]].address, index + i, 1);
	else
		for (size_t at = 0, part; at < count; at += part) {
			part = recipients_of_a_frame(t, m, index + at, count - at);
			add_job(m, t, nexthop, nexthop, index + at, part);
		}
	schedule_dispatch(t);
}

/* --- dispatch ------------------------------------------------------------------------------------- */

static struct job *take_job(struct destination *d)
{
	struct job *job = TAILQ_FIRST(&d->jobs);

	TAILQ_REMOVE(&d->jobs, job, link);
	return job;
}

static bool is_dead(const struct destination *d)
{
	return clock_now() < d->transport->dead_until || clock_now() < d->dead_until;
}

/* No delivery of it may start any more: an administrator said so. */
static bool is_stopped(const struct job *job)
{
	return job->message->held || job->message->is_deleted;
}

static bool is_deferred(const struct destination *d)
{
	return d->transport->is_deferred && !TAILQ_FIRST(&d->jobs)->message->memory.flushed;
}

/* Whether the first of its jobs is not to be tried. */
static bool is_off(const struct destination *d)
{
	return !TAILQ_EMPTY(&d->jobs) &&
	    (is_stopped(TAILQ_FIRST(&d->jobs)) || is_deferred(d) || is_dead(d));
}

/* Ends the job without a word: its recipients keep what was known of them. */
static void drop_job(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		job->message->rcpts[job->index[i]].progress = DEFERRED;
	message_job_done(job);
}

static void put_off_one(struct destination *d)
{
	struct transport *t = d->transport;
	bool transport_dead = clock_now() < t->dead_until, deferred = is_deferred(d);
	struct job *job = take_job(d);
	char *why, *dsn;

	if (is_stopped(job)) {
		drop_job(job);
		return;
	}
	why = deferred
	    ? mem_strdup("deferred transport")
	    : mem_printf("%s%s", transport_dead ? "" : "delivery temporarily suspended: ",
		  transport_dead ? t->dead_why : d->dead_why);
	dsn = mem_strdup(deferred ? "4.3.2" : transport_dead ? "4.3.0" : d->dead_dsn);
	deliver_defer(job, slice_of(dsn), slice_of(why));
	free(dsn);
	free(why);
}

/* What waits for a dead destination or transport is put off at once. */
static void put_off(struct destination *d)
{
	d->busy++; /* it must not vanish meanwhile */
	for (int i = 0; i < PUT_OFF_AT_ONCE && is_off(d); i++)
		put_off_one(d);
	d->busy--;
}

static void start_job(struct transport *t, struct job *job)
{
	t->busy++;
	deliver_start(job);
}

static void alone_for_too_long(void *arg);

static void begin_patience(struct transport *t)
{
	task_timer_set(&t->alone_patience, deadline_after(ALONE_SECONDS * CLOCK_SECOND),
	    alone_for_too_long, t);
}

/* One job of the destination starts, or joins those that are tried alone. */
static void start_next(struct destination *d)
{
	struct job *job = take_job(d);

	d->busy++;
	job->alone = job->message->suspect;
	if (!job->alone) {
		start_job(d->transport, job);
		return;
	}
	if (TAILQ_EMPTY(&d->transport->suspects) && d->transport->alone == NULL)
		begin_patience(d->transport);
	TAILQ_INSERT_TAIL(&d->transport->suspects, job, link);
}

/* The next destination whose turn it is and that has something to do. False: nothing can be done now. */
static bool dispatch_one(struct transport *t)
{
	struct destination *d, *first = NULL;

	while ((d = TAILQ_FIRST(&t->turns)) != NULL && d != first) {
		bool full = d->busy >= d->window, off = is_off(d);

		TAILQ_REMOVE(&t->turns, d, turn);
		d->has_turn = false;
		if (off)
			put_off(d);
		if (TAILQ_EMPTY(&d->jobs)) {
			destination_forget(d);
			if (off)
				return true;
			continue;
		}
		if (!d->has_turn)
			TAILQ_INSERT_TAIL(&t->turns, d, turn);
		d->has_turn = true;
		if (off)
			return true;
		if (!full) {
			start_next(d);
			return true;
		}
		first = first == NULL ? d : first;
	}
	return false;
}

/* Its message was put on hold or deleted while it waited. */
static void drop_suspect(struct job *job)
{
	struct destination *d = job->destination;

	d->busy--;
	destination_forget(d);
	drop_job(job);
}

/* The one that is tried next. */
static void start_suspect(struct transport *t)
{
	struct job *job;

	while ((job = TAILQ_FIRST(&t->suspects)) != NULL) {
		TAILQ_REMOVE(&t->suspects, job, link);
		if (!is_stopped(job)) {
			t->alone = job;
			begin_patience(t);
			start_job(t, job);
			return;
		}
		drop_suspect(job);
	}
}

/* Others have their turn, and so has the next suspect. Waits. */
static void go_on(void *arg)
{
	struct transport *t = arg;

	t->alone = NULL;
	if (service_draining() == 0 && !paused) {
		start_suspect(t);
		while (t->busy < t->limit && dispatch_one(t))
			task_yield_if_long();
	}
	if (!TAILQ_EMPTY(&t->suspects))
		begin_patience(t);
}

/* What kills an agent does so soon. A server that is slow must not stop the whole transport. */
static void alone_for_too_long(void *arg)
{
	struct transport *t = arg;

	if ((t->alone != NULL || !TAILQ_EMPTY(&t->suspects)) &&
	    task_start("suspects", go_on, t) == NULL)
		begin_patience(t);
}

void schedule_dispatch(struct transport *t)
{
	while (service_draining() == 0 && !paused) {
		if (t->busy == 0)
			start_suspect(t);
		if (t->alone != NULL || !TAILQ_EMPTY(&t->suspects) || t->busy >= t->limit ||
		    !dispatch_one(t))
			return;
		task_yield_if_long();
	}
}

void schedule_revive_all(void)
{
	struct destination *d;
	struct transport *t;

	while ((d = TAILQ_FIRST(&dead)) != NULL) {
		TAILQ_REMOVE(&dead, d, dead);
		d->is_dead = false;
		d->dead_until = 0;
		destination_forget(d);
	}
	LIST_FOREACH(t, &transports, link)
		t->dead_until = 0;
}

void schedule_pause(bool pause)
{
	struct transport *t;

	paused = pause;
	if (!pause)
		LIST_FOREACH(t, &transports, link)
			schedule_dispatch(t);
}

int schedule_wait_idle(deadline when)
{
	while (schedule_busy() > 0)
		if (task_list_wait(&idle_waiters, when) == -1)
			return -1;
	return 0;
}

/* --- feedback ------------------------------------------------------------------------------------- */

static void succeeded(struct destination *d)
{
	d->failures = 0;
	if (d->window < d->transport->destination_limit && ++d->successes >= d->window) {
		d->successes = 0;
		d->window++;
	}
}

static void failed(struct destination *d, struct slice dsn, struct slice why)
{
	d->successes = 0;
	/* A window full of failures in a row: the destination is dead for a while. */
	if (++d->failures < d->window &&
	    d->failures < (unsigned)settings.initial_destination_concurrency)
		return;
	d->failures = 0;
	d->window = 1;
	d->dead_until = deadline_after(settings.minimal_backoff_time);
	if (d->is_dead)
		TAILQ_REMOVE(&dead, d, dead);
	d->is_dead = true;
	TAILQ_INSERT_TAIL(&dead, d, dead);
	free(d->dead_why);
	d->dead_why = slice_dup(why);
	snprintf(d->dead_dsn, sizeof(d->dead_dsn), "%.*s", (int)dsn.len, dsn.data);
}

void schedule_delivery_done(struct job *job, bool down, struct slice dsn, struct slice why)
{
	struct destination *d = job->destination;
	struct transport *t = d->transport;

	t->busy--;
	d->busy--;
	task_list_wake_all(&idle_waiters);
	if (t->alone == job)
		t->alone = NULL;
	if (down)
		failed(d, dsn, why);
	else
		succeeded(d);
	if (TAILQ_EMPTY(&d->jobs))
		destination_forget(d);
}

void schedule_transport_failed(struct transport *t, const char *why)
{
	if (clock_now() < t->dead_until)
		return;
	log_warning("transport %s: %s; its mail is tried again in %lld seconds", t->name, why,
	    (long long)(settings.transport_retry_time / CLOCK_SECOND));
	t->dead_until = deadline_after(settings.transport_retry_time);
	free(t->dead_why);
	t->dead_why = mem_strdup(why);
}
