/* SPDX-License-Identifier: ISC */
/*
 * deliver.c - one delivery: the request to an agent, its outcomes, and what follows when the agent's
 * process dies with it.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { CONNECT_SECONDS = 30, DEATH_PAUSE_MS = 1000, DSN_LIMIT = 16, REASON_LIMIT = 1000 };

struct delivery {
	struct job *job;
	struct arena *arena;
	struct msg_deliver question;
	struct store_loaded *loaded;
};

/* --- the question --------------------------------------------------------------------------------- */

static void fill_recipients(struct delivery *d)
{
	struct msg_deliver *q = &d->question;
	struct message *m = d->job->message;
	size_t n = d->job->count;

	q->index = (struct wire_numbers){ arena_alloc(d->arena, n * sizeof(uint64_t)), n };
	q->notify = (struct wire_numbers){ arena_alloc(d->arena, n * sizeof(uint64_t)), n };
	q->address = (struct wire_texts){ arena_alloc(d->arena, n * sizeof(struct slice)), n };
	q->original = (struct wire_texts){ arena_alloc(d->arena, n * sizeof(struct slice)), n };
	q->orcpt = (struct wire_texts){ arena_alloc(d->arena, n * sizeof(struct slice)), n };
	for (size_t i = 0; i < n; i++) {
		struct recipient *r = &m->rcpts[d->job->index[i]];

		q->index.items[i] = d->job->index[i];
		q->notify.items[i] = r->notify;
		q->address.items[i] = r->address;
		q->original.items[i] = r->original;
		q->orcpt.items[i] = r->orcpt;
	}
}

static void fill(struct delivery *d, struct job *job)
{
	struct message *m = job->message;

	d->job = job;
	d->arena = arena_new();
	d->question = (struct msg_deliver){
		.id = m->id,
		.sender = m->sender,
		.transport = slice_of(job->destination->transport->name),
		.nexthop = slice_of(job->destination->nexthop),
		.arrival_us = m->arrival_us,
		.active_us = m->active_us,
		.content_size = m->size,
		.flags = m->flags,
		.in_doubt = m->in_doubt,
		.envid = m->envelope.envid,
		.ret = m->envelope.ret,
		.client_name = m->envelope.client_name,
		.client_address = m->envelope.client_address,
		.client_port = m->envelope.client_port,
		.client_helo = m->envelope.client_helo,
		.protocol = m->envelope.protocol,
	};
	fill_recipients(d);
}

static void clear(struct delivery *d)
{
	if (d->loaded != NULL)
		store_loaded_free(d->loaded);
	arena_free(d->arena);
}

/* The content: at hand, or from the store. 0 or errno. */
static int fetch_content(struct delivery *d)
{
	struct message *m = d->job->message;
	int error;

	if (m->content != NULL) {
		d->question.content = slice_new(m->content, m->size);
		return 0;
	}
	d->loaded = store_read_wait(m->id, true, &error);
	if (d->loaded == NULL)
		return error;
	d->question.content = d->loaded->message.content;
	return 0;
}

/* --- outcomes ------------------------------------------------------------------------------------- */

/* Somebody may be to hear that it was delivered: bounce decides. */
static bool owes_success(const struct message *m, const struct recipient *r)
{
	return (r->notify & NOTIFY_SUCCESS) || message_is_verify(m) ||
	    (message_is_cleared(m) && (r->notify == 0 || (r->notify & NOTIFY_DELAY)));
}

static void set_outcome(struct message *m, size_t index, enum outcome outcome, struct slice dsn,
    struct slice text)
{
	struct recipient *r = &m->rcpts[index];

	r->progress = outcome == OUTCOME_SENT ? SENT
	    : outcome == OUTCOME_BOUNCED      ? BOUNCED
					      : DEFERRED;
	/* What a later round skips is known by this digit. */
	if (r->progress == BOUNCED && (dsn.len == 0 || dsn.data[0] != '5'))
		dsn = SLICE("5.0.0");
	if (r->progress == SENT && (dsn.len == 0 || dsn.data[0] != '2'))
		dsn = SLICE("2.0.0");
	if (r->progress == DEFERRED && (dsn.len == 0 || dsn.data[0] != '4'))
		dsn = SLICE("4.0.0");
	r->is_told = r->progress == SENT && !owes_success(m, r);
	r->dsn = arena_copy(m->arena, slice_part(dsn, 0, DSN_LIMIT));
	r->reason = arena_copy(m->arena, slice_part(text, 0, REASON_LIMIT));
}

/* What only a notice needs. */
static void set_details(struct message *m, size_t index, const struct msg_outcomes *o, size_t at)
{
	struct recipient *r = &m->rcpts[index];

	if (o->remote.count > 0)
		r->remote = arena_copy(m->arena, slice_part(o->remote.items[at], 0, REASON_LIMIT));
	if (o->diagnostic.count > 0)
		r->diagnostic = arena_copy(m->arena,
		    slice_part(o->diagnostic.items[at], 0, REASON_LIMIT));
	if (o->success.count > 0)
		r->success = o->success.items[at];
	if (r->progress == SENT && r->success == SUCCESS_PASSED && !message_is_verify(m) &&
	    !message_is_cleared(m))
		r->is_told = true;
}

/* What the agent did not tell of, it did not do. */
static void default_outcomes(struct job *job, const char *dsn, const char *text)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->message->rcpts[job->index[i]].progress == WAITING)
			set_outcome(job->message, job->index[i], OUTCOME_DEFERRED, slice_of(dsn),
			    slice_of(text));
}

static bool is_of_job(const struct job *job, uint64_t index)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->index[i] == index)
			return true;
	return false;
}

static bool fits(size_t count, size_t wanted)
{
	return count == 0 || count == wanted;
}

static void take_outcomes(struct job *job, const struct msg_outcomes *o)
{
	size_t n = o->index.count;

	if (o->outcome.count != n || o->dsn.count != n || o->text.count != n ||
	    !fits(o->remote.count, n) || !fits(o->diagnostic.count, n) ||
	    !fits(o->success.count, n)) {
		log_warning("transport %s: its agent's answer makes no sense",
		    job->destination->transport->name);
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_of_job(job, o->index.items[i]))
			continue;
		set_outcome(job->message, o->index.items[i], (enum outcome)o->outcome.items[i],
		    o->dsn.items[i], o->text.items[i]);
		set_details(job->message, o->index.items[i], o, i);
	}
	default_outcomes(job, "4.3.0", "the delivery agent did not say what happened");
}

static void log_deferred(struct delivery *d, struct slice dsn, struct slice why)
{
	int64_t now = clock_wall_us();
	struct delivery_times times = { now, now, now, 0 };

	for (size_t i = 0; i < d->job->count; i++)
		delivery_log(&d->question, i, &times, SLICE("none"), OUTCOME_DEFERRED, dsn, why);
}

void deliver_defer(struct job *job, struct slice dsn, struct slice why)
{
	struct delivery d = { 0 };

	fill(&d, job);
	log_deferred(&d, dsn, why);
	clear(&d);
	for (size_t i = 0; i < job->count; i++)
		set_outcome(job->message, job->index[i], OUTCOME_DEFERRED, dsn, why);
	message_job_done(job);
}

/* --- one delivery --------------------------------------------------------------------------------- */

/* The process died with it: in doubt for all that it had in hand. */
static void agent_died(struct delivery *d)
{
	/* When everything dies, so do we; then it is nobody's fault. */
	task_sleep_until(deadline_after(DEATH_PAUSE_MS * CLOCK_MS));
	message_agent_died(d->job);
	log_deferred(d, SLICE("4.3.0"), SLICE("the delivery agent died"));
	default_outcomes(d->job, "4.3.0", "the delivery agent died");
}

/* A slow server, most likely: its process lives, and whoever asks again hears what became of it. */
static void agent_is_late(struct delivery *d)
{
	struct slice why = SLICE("the delivery agent did not answer in time");

	log_deferred(d, SLICE("4.3.0"), why);
	default_outcomes(d->job, "4.3.0", why.data);
}

/* Sends the question and takes the answer. 0, or -1 with errno. */
static int ask_agent(struct delivery *d, struct channel *c, struct slice *why, struct slice *dsn,
    bool *down)
{
	struct request *r = request_open(c, &table_deliver, &d->question,
	    d->loaded == NULL ? -1 : d->loaded->large_fd, false,
	    deadline_after(CONNECT_SECONDS * CLOCK_SECOND));
	struct frame *f = r == NULL ? NULL
				    : request_receive(r, deadline_after(settings.daemon_timeout));
	struct msg_outcomes *o;
	int saved = errno;

	if (f == NULL || f->table != &table_outcomes) {
		request_close(r);
		errno = r == NULL ? EAGAIN : f == NULL ? saved : EPROTO;
		return -1;
	}
	o = f->message;
	take_outcomes(d->job, o);
	/* Not this one, or not this time: it need not be alone again. */
	if (d->job->alone) {
		d->job->message->suspect = false;
		d->job->message->memory.cleared = true;
	}
	*down = o->destination_down != 0;
	if (*down && d->job->count > 0) {
		*why = d->job->message->rcpts[d->job->index[0]].reason;
		*dsn = d->job->message->rcpts[d->job->index[0]].dsn;
	}
	d->job->request = r;
	return 0;
}

static void transport_unavailable(struct delivery *d, const char *why)
{
	schedule_transport_failed(d->job->destination->transport, why);
	log_deferred(d, SLICE("4.3.0"), slice_of(why));
	default_outcomes(d->job, "4.3.0", why);
}

static void content_unreadable(struct delivery *d, int error)
{
	struct message *m = d->job->message;

	if (m->is_deleted) {
		default_outcomes(d->job, "4.3.0", "deleted by an administrator");
		return;
	}
	log_error("%.*s: the content can't be read from the queue: %s", (int)m->id.len, m->id.data,
	    strerror(error));
	log_deferred(d, SLICE("4.3.0"), SLICE("queue file read error"));
	default_outcomes(d->job, "4.3.0", "queue file read error");
}

static void attempt(struct delivery *d, struct slice *why, struct slice *dsn, bool *down)
{
	struct transport *t = d->job->destination->transport;
	int error = fetch_content(d);

	if (error != 0) {
		content_unreadable(d, error);
		return;
	}
	/* A draining process may be met once; its successor takes it. */
	for (int i = 0; i < 3; i++) {
		struct holder *holder = reclaim_take(d->job->message->id, t->name);
		struct channel *c = holder != NULL
		    ? reclaim_channel(holder)
		    : service_channel(t->name, deadline_after(CONNECT_SECONDS * CLOCK_SECOND));
		int rc;

		if (c == NULL) {
			transport_unavailable(d, "mail transport unavailable");
			return;
		}
		store_attempt(store, d->job->message->id);
		rc = ask_agent(d, c, why, dsn, down);
		error = errno;
		reclaim_release(holder);
		if (rc == 0)
			return;
		if (error == ETIMEDOUT)
			agent_is_late(d);
		else if (error != EAGAIN)
			agent_died(d);
		if (error != EAGAIN)
			return;
	}
	transport_unavailable(d, "mail transport unavailable");
}

static void run(void *arg)
{
	struct job *job = arg;
	struct transport *t = job->destination->transport;
	struct delivery d = { 0 };
	struct slice why = SLICE(""), dsn = SLICE("4.3.0");
	bool down = false;

	fill(&d, job);
	attempt(&d, &why, &dsn, &down);
	clear(&d);
	schedule_delivery_done(job, down, dsn, why);
	message_job_done(job);
	schedule_dispatch(t);
}

void deliver_start(struct job *job)
{
	if (task_start("delivery", run, job) == NULL)
		panic("no task for a delivery: %zu tasks", task_count());
}
