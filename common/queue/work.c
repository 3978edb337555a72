/* SPDX-License-Identifier: ISC */
/*
 * work.c - the threads, and how what they did comes back to the caller's thread.
 *
 * Without threads (tests) store_poll does the same work in the same order, so that a run can be
 * repeated to the byte.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

/* How long a record that nobody waits for may wait for company. */
#define LAZY_NS (20 * CLOCK_MS)
/* When a record that could not be written is tried again. */
#define OWED_NS CLOCK_SECOND

void work_wake(struct store *s)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full: readable then anyway. */
	if (write(s->event_fd, &one, sizeof(one)) == -1 && errno != EAGAIN)
		panic("eventfd: %s", strerror(errno));
}

void job_submit(struct store *s, struct job *job)
{
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->jobs, job, link);
	s->jobs_open++;
	pthread_cond_signal(&s->job_wanted);
	pthread_mutex_unlock(&s->lock);
	if (s->options.no_threads)
		work_wake(s);
}

static void job_ended(struct store *s, struct job *job)
{
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->jobs_finished, job, link);
	pthread_mutex_unlock(&s->lock);
	work_wake(s);
}

void job_answer(struct store *s, struct job *job)
{
	pthread_mutex_lock(&s->lock);
	s->jobs_open++;
	pthread_mutex_unlock(&s->lock);
	job_ended(s, job);
}

static void run_job(struct store *s, struct job *job)
{
	job->run(s, job);
	job_ended(s, job);
}

static struct job *take_job(struct store *s)
{
	struct job *job = STAILQ_FIRST(&s->jobs);

	if (job != NULL)
		STAILQ_REMOVE_HEAD(&s->jobs, link);
	return job;
}

static void *io_thread(void *arg)
{
	struct store *s = arg;
	struct job *job;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while ((job = take_job(s)) == NULL && !s->stopping)
			pthread_cond_wait(&s->job_wanted, &s->lock);
		if (job == NULL)
			break;
		pthread_mutex_unlock(&s->lock);
		run_job(s, job);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static struct timespec moment(int64_t ns)
{
	deadline when = deadline_after(ns);

	return (struct timespec){ .tv_sec = when / CLOCK_SECOND, .tv_nsec = when % CLOCK_SECOND };
}

/* Waits for work, with the lock held: at once for what is waited for, a little for the rest. */
static void wait_for_records(struct store *s)
{
	struct timespec until;

	while (STAILQ_EMPTY(&s->submitted) && s->owed_count == 0 && !s->stopping)
		pthread_cond_wait(&s->log_wanted, &s->lock);
	until = moment(STAILQ_EMPTY(&s->submitted) ? OWED_NS : LAZY_NS);
	while (!s->hurry && !s->stopping)
		if (pthread_cond_timedwait(&s->log_wanted, &s->lock, &until) == ETIMEDOUT)
			return;
}

static void *log_thread(void *arg)
{
	struct store *s = arg;
	struct append_list work = STAILQ_HEAD_INITIALIZER(work);

	pthread_mutex_lock(&s->lock);
	for (;;) {
		wait_for_records(s);
		if (STAILQ_EMPTY(&s->submitted) && s->stopping)
			break;
		STAILQ_CONCAT(&work, &s->submitted);
		s->hurry = false;
		pthread_mutex_unlock(&s->lock);
		log_work(s, &work);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void init_conditions(struct store *s)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->log_wanted, &monotonic);
	pthread_cond_init(&s->job_wanted, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&s->lock, NULL);
}

int work_start(struct store *s)
{
	sigset_t all, old;
	int error = 0;

	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event_fd == -1)
		return -1;
	init_conditions(s);
	if (s->options.no_threads)
		return 0;
	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&s->log_thread, NULL, log_thread, s);
	for (; error == 0 && s->threads < IO_THREADS; s->threads++)
		error = pthread_create(&s->io_threads[s->threads], NULL, io_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0)
		panic("no thread for the queue: %s", strerror(error));
	return 0;
}

void work_stop(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->log_wanted);
	pthread_cond_broadcast(&s->job_wanted);
	pthread_mutex_unlock(&s->lock);
	if (!s->options.no_threads)
		pthread_join(s->log_thread, NULL);
	for (size_t i = 0; i < s->threads; i++)
		pthread_join(s->io_threads[i], NULL);
}

void work_clear(struct store *s)
{
	pthread_cond_destroy(&s->log_wanted);
	pthread_cond_destroy(&s->job_wanted);
	pthread_mutex_destroy(&s->lock);
	close(s->event_fd);
}

static void do_threads_work(struct store *s)
{
	struct append_list work = STAILQ_HEAD_INITIALIZER(work);
	struct job *job;

	STAILQ_CONCAT(&work, &s->submitted);
	if (!STAILQ_EMPTY(&work) || s->owed_count > 0)
		log_work(s, &work);
	while ((job = take_job(s)) != NULL)
		run_job(s, job);
}

static void finish_append(struct store *s, struct append *a)
{
	store_done *done = a->done;
	void *arg = a->arg;
	int error = a->error;

	if (a->finish != NULL)
		a->finish(s, a);
	else
		append_free(a);
	if (done != NULL)
		done(arg, error);
}

void work_poll(struct store *s)
{
	struct append_list finished = STAILQ_HEAD_INITIALIZER(finished);
	struct job_list finished_jobs = STAILQ_HEAD_INITIALIZER(finished_jobs);
	size_t appends = 0, jobs = 0;
	struct append *a;
	struct job *job;
	uint64_t ignored;

	if (read(s->event_fd, &ignored, sizeof(ignored)) == -1 && errno != EAGAIN)
		panic("eventfd: %s", strerror(errno));
	if (s->options.no_threads)
		do_threads_work(s);
	store_tell_reports(s);
	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&finished, &s->finished);
	STAILQ_CONCAT(&finished_jobs, &s->jobs_finished);
	s->drained_below = s->used[s->used_count - 1]->number;
	pthread_mutex_unlock(&s->lock);
	/* Who is answered often submits again. */
	log_gather(s);
	while ((a = STAILQ_FIRST(&finished)) != NULL) {
		STAILQ_REMOVE_HEAD(&finished, link);
		appends++;
		finish_append(s, a);
	}
	while ((job = STAILQ_FIRST(&finished_jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&finished_jobs, link);
		jobs++;
		job->finish(s, job);
	}
	log_submit_gathered(s);
	pthread_mutex_lock(&s->lock);
	s->appends_open -= appends;
	s->jobs_open -= jobs;
	pthread_mutex_unlock(&s->lock);
}

bool work_idle(struct store *s)
{
	bool idle;

	pthread_mutex_lock(&s->lock);
	idle = s->appends_open == s->owed_count && s->jobs_open == 0;
	pthread_mutex_unlock(&s->lock);
	return idle;
}
