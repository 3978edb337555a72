/* SPDX-License-Identifier: ISC */
/*
 * round.c - the end of a round: all deliveries of an active message are over. Outcomes are recorded, what
 * failed for good or is too old gets its notice, and the rest is tried again later.
 *
 * A recipient whose notice is still owed stays open in the store: its status (5.x.x, or 2.x.x for one
 * whose success shall be told) says what became of it, so that no later round tries it again. Of a message
 * that only asks about its recipients every status does so, and one notice tells them all.
 */
#include "qmgr/qmgr.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { PARKED_US = 20 * 1000 * 1000 };

unsigned round_notices;
static struct age_times started; /* when this process began to look at the clocks */

void round_start(void)
{
	started = age_now();
}

/* --- recipients ----------------------------------------------------------------------------------- */

static enum rcpt_state state_of(const struct recipient *r)
{
	switch (r->progress) {
	case SENT:
		return r->is_told ? RCPT_DELIVERED : RCPT_DEFERRED;
	case BOUNCED:
		return r->is_told ? RCPT_BOUNCED : RCPT_DEFERRED;
	case DEFERRED:
		return RCPT_DEFERRED;
	case WAITING:
		break;
	}
	return RCPT_QUEUED;
}

void round_take_state(const struct message *m, struct recipient *r, enum rcpt_state state)
{
	char class = r->dsn.len > 0 ? r->dsn.data[0] : '4';

	r->is_told = state == RCPT_DELIVERED || state == RCPT_BOUNCED;
	if (state == RCPT_DELIVERED || (state == RCPT_DEFERRED && class == '2'))
		r->progress = SENT;
	else if (state == RCPT_BOUNCED ||
	    (state == RCPT_DEFERRED && (class == '5' || message_is_verify(m))))
		r->progress = BOUNCED;
	else
		r->progress = WAITING;
}

void round_give_up(struct message *m)
{
	for (size_t i = 0; i < m->rcpt_count; i++) {
		struct recipient *r = &m->rcpts[i];

		if (r->progress != WAITING)
			continue;
		r->progress = DEFERRED;
		if (r->reason.len == 0)
			r->reason = SLICE("an administrator had the message returned");
	}
}

size_t round_count(const struct message *m, enum progress p)
{
	size_t count = 0;

	for (size_t i = 0; i < m->rcpt_count; i++)
		count += m->rcpts[i].progress == p;
	return count;
}

/* --- time ----------------------------------------------------------------------------------------- */

static int64_t lifetime(const struct message *m)
{
	return (m->sender.len == 0 ? settings.bounce_queue_lifetime
				   : settings.maximal_queue_lifetime) /
	    1000;
}

static bool is_older_than(const struct message *m, int64_t lifetime_us)
{
	struct age_times arrival = { m->arrival_us, m->memory.arrival_boot_us };

	return age_is_over(arrival, started, age_now(), lifetime_us,
	    settings.maximal_backoff_time / 1000);
}

int64_t round_retry_until_us(const struct message *m)
{
	return m->arrival_us + lifetime(m);
}

bool round_is_late(const struct message *m)
{
	return settings.delay_warning_time > 0 &&
	    is_older_than(m, settings.delay_warning_time / 1000);
}

/* As old as it is, within the limits, and a little more or less, so that what failed together is not
 * tried together for ever. */
static int64_t next_attempt_us(const struct message *m, int64_t now)
{
	int64_t pause = now - m->arrival_us;

	if (pause < settings.minimal_backoff_time / 1000)
		pause = settings.minimal_backoff_time / 1000;
	if (pause > settings.maximal_backoff_time / 1000)
		pause = settings.maximal_backoff_time / 1000;
	return now + pause + (int64_t)arc4random_uniform((uint32_t)(pause / 10000) + 1) * 1000;
}

/* Long enough that it costs little to come again, short enough for a destination that answers again. */
static int64_t parked_us(void)
{
	return PARKED_US + (int64_t)arc4random_uniform(PARKED_US / 2);
}

/* --- the record ----------------------------------------------------------------------------------- */

/* The agent need not keep the outcomes any longer. It must not wait: an agent that takes nothing has
 * to keep them. */
static void recorded(void *arg, int error)
{
	struct request *agent = arg;
	struct msg_heard heard = { 0 };

	if (error == 0 || error == ENOENT)
		request_send(agent, &table_heard, &heard, -1, true, deadline_after(0));
	request_close(agent);
}

static void fill_status(struct store_status *status, const struct message *m, size_t index)
{
	const struct recipient *r = &m->rcpts[index];

	*status = (struct store_status){ index, state_of(r), r->dsn, r->reason };
}

/* Records the recipients of the job, or none, and the time of the next attempt (0: no change). Takes the
 * agent's request, which may be NULL. */
static void record(struct message *m, const struct job *job, int64_t due_us)
{
	size_t count = job == NULL ? 0 : job->count;
	struct request *agent = job == NULL ? NULL : job->request;
	struct store_status *status;

	if (count == 0 && due_us == 0 && agent == NULL)
		return;
	status = mem_alloc_array(count + 1, sizeof(*status));
	for (size_t i = 0; i < count; i++)
		fill_status(&status[i], m, job->index[i]);
	store_status(store, m->id, status, count, due_us, agent == NULL ? NULL : recorded, agent);
	free(status);
}

void round_record_told(struct message *m, const size_t *index, size_t count)
{
	struct store_status *status = mem_alloc_array(count + 1, sizeof(*status));

	for (size_t i = 0; i < count; i++) {
		m->rcpts[index[i]].is_told = true;
		fill_status(&status[i], m, index[i]);
	}
	store_status(store, m->id, status, count, 0, NULL, NULL);
	free(status);
}

/* Those that were recorded as deferred before too: a later round must not try them. */
static void expire(struct message *m)
{
	struct store_status *status = mem_alloc_array(m->rcpt_count + 1, sizeof(*status));
	size_t count = 0;

	for (size_t i = 0; i < m->rcpt_count; i++) {
		struct recipient *r = &m->rcpts[i];

		if (r->progress != DEFERRED)
			continue;
		r->progress = BOUNCED;
		r->dsn = SLICE("5.4.7");
		fill_status(&status[count++], m, i);
	}
	store_status(store, m->id, status, count, 0, NULL, NULL);
	free(status);
	log_event(LOG_EXPIRED, { "id", m->id }, { "sender", m->sender },
	    { "status", m->is_expired ? SLICE("force-expired") : SLICE("expired") });
}

/* --- the end -------------------------------------------------------------------------------------- */

/* Notices are out, or could not be made now. */
static void finish(struct message *m, bool all_told)
{
	int64_t due = 0;

	if (m->is_parked) {
		due_add(m->id, clock_wall_us() + parked_us(), m->memory);
	} else if (round_count(m, DEFERRED) > 0 || !all_told) {
		due = next_attempt_us(m, clock_wall_us());
		record(m, NULL, due);
		due_add(m->id, due, m->memory);
	} else if (!m->is_deleted) {
		log_event(LOG_REMOVED, { "id", m->id });
	}
	message_free(m);
}

static void tell_and_finish(void *arg)
{
	struct message *m = arg;
	bool all_told;

	round_notices++;
	all_told = notice_send_all(m);
	round_notices--;
	finish(m, all_told);
}

/* That it can't be delivered now is an answer, too. */
static void settle_asked(struct message *m)
{
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (m->rcpts[i].progress == DEFERRED)
			m->rcpts[i].progress = BOUNCED;
}

void round_end(struct message *m, const struct job *last)
{
	if (message_is_verify(m))
		settle_asked(m);
	if (round_count(m, DEFERRED) > 0 && !m->held &&
	    (m->is_expired || is_older_than(m, lifetime(m))))
		expire(m);
	record(m, last, 0);
	if (m->is_deleted || !notice_is_due(m)) {
		finish(m, true);
		return;
	}
	if (task_start("notice", tell_and_finish, m) == NULL)
		panic("no task for a notice: %zu tasks", task_count());
}

void message_job_done(struct job *job)
{
	struct message *m = job->message;

	if (--m->open_jobs == 0)
		round_end(m, job);
	else
		record(m, job, 0);
	free(job);
}
