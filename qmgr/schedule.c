/* SPDX-License-Identifier: ISC */
/*
 * schedule.c - who is next: transports with their limits, and destinations in turn.
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

enum { PUT_OFF_AT_ONCE = 50, RCPTS_BYTES = 65536, ALONE_SECONDS = 10 };

static LIST_HEAD(, transport) transports = LIST_HEAD_INITIALIZER(transports);
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
	policy_read(&t->policy, t->name);
	if (t->policy.transport_delay > 0)
		t->limit = 1;
	t->is_deferred = is_listed(settings.defer_transports, name);
	TAILQ_INIT(&t->turns);
	TAILQ_INIT(&t->paused);
	TAILQ_INIT(&t->suspects);
	LIST_INSERT_HEAD(&transports, t, link);
	return t;
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

	job->message = m;
	job->count = count;
	memcpy(job->index, index, count * sizeof(size_t));
	m->open_jobs++;
	destination_add(destination_find(t, nexthop, key), job);
}

/* How many of these recipients one delivery takes: at least one. */
static size_t recipients_of_a_frame(const struct transport *t, const struct message *m,
    const size_t *index, size_t count)
{
	size_t bytes = 0, n = 0;

	while (n < count && n < t->policy.recipient_limit) {
		const struct recipient *r = &m->rcpts[index[n]];

		bytes += r->address.len + r->original.len + r->orcpt.len;
		if (bytes > RCPTS_BYTES && n > 0)
			break;
		n++;
	}
	return n;
}

/* These recipients leave the active queue for a moment, without an attempt. */
static void park(struct message *m, struct destination *d, const size_t *index, size_t count)
{
	destination_park(d, m->id);
	m->is_parked = true;
	for (size_t i = 0; i < count; i++) {
		struct recipient *r = &m->rcpts[index[i]];

		r->progress = DEFERRED;
		if (r->reason.len == 0)
			r->reason = SLICE("waits for earlier mail to the same destination");
	}
}

void schedule_add(struct message *m, struct slice name, struct slice nexthop, const size_t *index,
    size_t count)
{
	struct transport *t = transport_find(name);

	destination_revive();
	if (t->policy.recipient_limit > 1) {
		struct destination *d = destination_find(t, nexthop, nexthop);

		if (destination_is_crowded(d)) {
			park(m, d, index, count);
			return;
		}
	}
	/* One recipient per delivery: then each recipient is a destination of its own. */
	if (t->policy.recipient_limit == 1)
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
	return d->transport->is_deferred && !destination_first(d)->message->memory.flushed;
}

bool destination_is_off(const struct destination *d)
{
	struct job *first = destination_first(d);

	return first != NULL && (is_stopped(first) || is_deferred(d) || is_dead(d));
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
	struct job *job = destination_take_first(d);
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
	for (int i = 0; i < PUT_OFF_AT_ONCE && destination_is_off(d); i++)
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

/* The job starts, or joins those that are tried alone. */
static void start_next(struct destination *d, struct job *job)
{
	d->busy++;
	d->busy_lists += job->of_list;
	job->alone = job->message->suspect;
	if (!job->alone) {
		start_job(d->transport, job);
		return;
	}
	if (TAILQ_EMPTY(&d->transport->suspects) && d->transport->alone == NULL)
		begin_patience(d->transport);
	TAILQ_INSERT_TAIL(&d->transport->suspects, job, link);
}

/* The next destination whose turn it is. False: nothing can be done now. */
static bool dispatch_one(struct transport *t)
{
	struct destination *d = TAILQ_FIRST(&t->turns);
	struct job *job;

	if (d == NULL)
		return false;
	TAILQ_REMOVE(&t->turns, d, turn);
	d->place = NOWHERE;
	if (destination_is_off(d))
		put_off(d);
	else if ((job = destination_next(d)) != NULL)
		start_next(d, job);
	destination_ready(d);
	destination_forget(d);
	return true;
}

/* --- pauses --------------------------------------------------------------------------------------- */

static void pause_is_over(void *arg);

/* When the next pause of the transport or of one of its destinations ends. */
static void watch_pauses(struct transport *t)
{
	struct destination *d = TAILQ_FIRST(&t->paused);
	deadline when = DEADLINE_NEVER;

	if (clock_now() < t->paused_until)
		when = t->paused_until;
	else if (d != NULL)
		when = d->paused_until;
	if (when != DEADLINE_NEVER)
		task_timer_set(&t->pause, when, pause_is_over, t);
}

static void pause_is_over(void *arg)
{
	struct transport *t = arg;
	struct destination *d;

	while ((d = TAILQ_FIRST(&t->paused)) != NULL && clock_now() >= d->paused_until) {
		TAILQ_REMOVE(&t->paused, d, turn);
		d->place = NOWHERE;
		destination_ready(d);
		destination_forget(d);
	}
	watch_pauses(t);
	schedule_dispatch(t);
}

static void begin_pauses(struct destination *d)
{
	struct transport *t = d->transport;

	if (t->policy.destination_delay > 0) {
		d->paused_until = deadline_after(t->policy.destination_delay);
		if (d->place == AMONG_TURNS) {
			TAILQ_REMOVE(&t->turns, d, turn);
			d->place = NOWHERE;
		}
		/* Without mail it is remembered until the pause is over. */
		if (d->place == NOWHERE) {
			d->place = AMONG_PAUSED;
			TAILQ_INSERT_TAIL(&t->paused, d, turn);
		}
	}
	if (t->policy.transport_delay > 0)
		t->paused_until = deadline_after(t->policy.transport_delay);
	watch_pauses(t);
}

/* --- suspects ------------------------------------------------------------------------------------- */

/* Its message was put on hold or deleted while it waited. */
static void drop_suspect(struct job *job)
{
	struct destination *d = job->destination;

	d->busy--;
	d->busy_lists -= job->of_list;
	destination_ready(d);
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
	while (service_draining() == 0 && !paused && clock_now() >= t->paused_until) {
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
	struct transport *t;

	destination_revive_all();
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

/* --- what became of it ---------------------------------------------------------------------------- */

void schedule_delivery_done(struct job *job, bool down, struct slice dsn, struct slice why)
{
	struct destination *d = job->destination;
	struct transport *t = d->transport;

	t->busy--;
	d->busy--;
	d->busy_lists -= job->of_list;
	task_list_wake_all(&idle_waiters);
	if (t->alone == job)
		t->alone = NULL;
	if (down)
		destination_failed(d, dsn, why);
	else
		destination_succeeded(d);
	begin_pauses(d);
	destination_call_parked(d);
	destination_ready(d);
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
