/* SPDX-License-Identifier: ISC */
/*
 * agent.c - a process that has become one user: serves the deliveries that wait for it, a batch at a
 * time. It may block; the worker has other agents.
 */
#include "local/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { REPLY_BYTES = ACT_PACKET_LIMIT / 2 };

void job_add(struct job *job, struct verdict *part)
{
	verdict_add(&job->verdict, part);
}

/* As many addresses from `at` on as one packet holds. */
static size_t forward_part(const struct job *job, size_t at)
{
	size_t bytes = 0, count = 0;

	while (at + count < job->forward_count && count < ACT_FORWARD_COUNT) {
		bytes += job->forward[at + count].len + 8;
		if (bytes > REPLY_BYTES)
			break;
		count++;
	}
	return count;
}

/* A message that is tried again is sent on then. */
static void tell(struct job *job)
{
	struct act_reply reply = {
		.serial = job->request.serial,
		.outcome = job->verdict.outcome,
		.renew = job->verdict.renew,
		.ran_command = job->ran_command,
		.dsn = slice_of(job->verdict.dsn),
		.text = slice_of(job->verdict.text),
	};
	size_t at = 0, end = job->verdict.outcome == OUTCOME_DEFERRED ? 0 : job->forward_count;

	do {
		size_t count = at < end ? forward_part(job, at) : 0;

		reply.forward = (struct wire_texts){ job->forward + at, count };
		at += count;
		reply.more = at < end && count > 0;
		if (act_send(job->batch->socket, &table_act_reply, &reply, -1) == -1)
			_exit(1);
	} while (reply.more);
	job->told = true;
	free(job->verdict.text);
	job->verdict.text = NULL;
	free(job->forward);
	job->forward = NULL;
	if (job->content_fd != -1)
		close(job->content_fd);
	job->content_fd = -1;
}

void batch_settle(struct batch *b)
{
	int error = b->box != NULL && box_flush(b->box) == -1 ? errno : 0;

	for (size_t i = 0; i < b->count; i++) {
		struct job *job = &b->jobs[i];
		struct verdict v = { 0 };

		if (job->in_box && error != 0) {
			verdict_errno(&v, error, "cannot make the delivery durable");
			job_add(job, &v);
		}
		job->in_box = false;
	}
	box_close(b->box);
	b->box = NULL;
	free(b->box_key);
	b->box_key = NULL;
	log_flush();
	for (size_t i = 0; i < b->count; i++)
		if (b->jobs[i].finished && !b->jobs[i].told)
			tell(&b->jobs[i]);
}

void batch_put(struct job *job, const char *key, int directory, const char *path, unsigned flags,
    const char *sent)
{
	struct batch *b = job->batch;
	struct verdict v = { 0 };

	if (b->box != NULL && strcmp(b->box_key, key) != 0)
		batch_settle(b);
	if (b->box == NULL) {
		b->box = box_open(b->user, directory, path, flags, &v);
		b->box_key = b->box == NULL ? NULL : mem_strdup(key);
	}
	if (b->box != NULL && box_put(b->box, &job->request, job->content_fd, &v)) {
		job->in_box = true;
		verdict_set(&v, OUTCOME_SENT, "2.0.0", "%s", sent);
	}
	job_add(job, &v);
}

static bool is_readable(int socket)
{
	struct pollfd fd = { socket, POLLIN, 0 };

	return poll(&fd, 1, 0) == 1;
}

/* Waits for one delivery, takes those that wait behind it. Ends when the worker hangs up. */
static void receive_batch(struct batch *b, char (*packets)[ACT_PACKET_LIMIT])
{
	b->count = 0;
	while (b->count < BATCH_LIMIT && (b->count == 0 || is_readable(b->socket))) {
		struct job *job = &b->jobs[b->count];
		int got;

		memset(job, 0, sizeof(*job));
		job->batch = b;
		got = act_receive(b->socket, &table_act_request, &job->request, b->arena,
		    packets[b->count], &job->content_fd);
		if (got == 1)
			b->count++;
		else if (b->count == 0)
			_exit(got == 0 ? 0 : 1);
		else
			break; /* what was taken is done first; the next receive says the same */
	}
}

void agent_main(int socket, const struct agent_user *user)
{
	static char packets[BATCH_LIMIT][ACT_PACKET_LIMIT]; /* only touched pages cost */
	struct batch *b = mem_alloc(sizeof(*b));

	b->socket = socket;
	b->user = user;
	b->arena = arena_new();
	for (;;) {
		receive_batch(b, packets);
		for (size_t i = 0; i < b->count; i++) {
			job_deliver(&b->jobs[i]);
			b->jobs[i].finished = true;
		}
		batch_settle(b);
		arena_reset(b->arena);
	}
}
