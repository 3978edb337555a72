/* SPDX-License-Identifier: ISC */
/*
 * scene.h - the scheduler without a store, agents and time: deliveries start when it says so and end when the test
 * says so. Included by the tests of this folder.
 */
#ifndef GP_TEST_QMGR_SCENE_H
#define GP_TEST_QMGR_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/service/service.h"
#include "qmgr/qmgr.h"

enum { RCPTS = 20000, LOG_SIZE = 64 };

struct qmgr_settings settings = {
	.default_process_limit = 4,
	.minimal_backoff_time = 60 * CLOCK_SECOND,
	.maximal_backoff_time = 1000 * CLOCK_SECOND,
	.transport_retry_time = 60 * CLOCK_SECOND,
	.qmgr_message_active_limit = 100,
	.defer_transports = "uucp, parked",
};
struct store *store;

/* --- what service.c and deliver.c would do -------------------------------------------------------- */

static struct job *started[RCPTS]; /* freed by end() */
static const struct message *started_message[RCPTS];
static size_t started_count, deferred_count, dropped_count, active, called_count;
static char last_reason[200];

static struct conf *conf;

struct conf *service_conf(void)
{
	return conf;
}

int service_config_directory(void)
{
	return -1;
}

unsigned service_draining(void)
{
	return 0;
}

void deliver_start(struct job *job)
{
	assert_true(started_count < RCPTS);
	started_message[started_count] = job->message;
	started[started_count++] = job;
}

bool due_now(struct slice id, bool flushed)
{
	(void)id;
	(void)flushed;
	called_count++;
	return true;
}

size_t message_count(void)
{
	return active;
}

void deliver_defer(struct job *job, struct slice dsn, struct slice why)
{
	(void)dsn;
	snprintf(last_reason, sizeof(last_reason), "%.*s", (int)why.len, why.data);
	deferred_count++;
	job->message->open_jobs--;
	free(job);
}

void message_job_done(struct job *job)
{
	dropped_count++;
	job->message->open_jobs--;
	free(job);
}

/* --- messages ------------------------------------------------------------------------------------- */

static struct message mail[LOG_SIZE];

static inline int reset(void **state)
{
	(void)state;
	memset(mail, 0, sizeof(mail));
	started_count = deferred_count = dropped_count = called_count = 0;
	last_reason[0] = '\0';
	return 0;
}

static inline void add(struct message *m, const char *transport, const char *nexthop)
{
	static struct recipient rcpt;
	size_t index = 0;

	m->rcpts = &rcpt;
	m->rcpt_count = 1;
	schedule_add(m, slice_of(transport), slice_of(nexthop), &index, 1);
}

/* Ends the delivery that started as number `at`. */
static inline void end(size_t at, bool down)
{
	struct job *job = started[at];
	struct transport *t = job->destination->transport;

	schedule_delivery_done(job, down, SLICE("4.4.1"), SLICE("connection refused"));
	job->message->open_jobs--;
	free(job);
	schedule_dispatch(t);
}

static inline void end_all(void)
{
	for (size_t i = 0; i < started_count; i++)
		end(i, false);
	assert_int_equal(schedule_busy(), 0);
}

static inline void load_conf(const char *main_cf)
{
	char directory[] = "/tmp/gatepost-test-XXXXXX";
	int fd;

	if (mkdtemp(directory) == NULL || (fd = open(directory, O_RDONLY | O_DIRECTORY)) == -1 ||
	    io_replace_file(fd, "main.cf", slice_of(main_cf), 0600) == -1)
		panic("no main.cf");
	conf = conf_load(fd, directory, NULL, NULL);
	unlinkat(fd, "main.cf", 0);
	rmdir(directory);
	close(fd);
}

#endif
