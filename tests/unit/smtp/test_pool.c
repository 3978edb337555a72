/* SPDX-License-Identifier: ISC */
/*
 * test_pool.c - sessions are used again, few are opened, and none that is dead is handed out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/task/task.h"
#include "smtp/pool.h"

static int last_peer; /* the server's end of the session that was made last */

static struct session *new_session(void)
{
	struct session *s = mem_alloc(sizeof(*s));
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	s->stream = stream_new(ends[0], 512);
	s->arena = arena_new();
	s->opened = clock_now();
	last_peer = ends[1];
	return s;
}

/* --- several deliveries ---------------------------------------------------------------------------- */

static struct {
	unsigned started, done, opened, open, open_most, failures;
	int64_t open_ms, work_ms; /* how long it takes */
	bool fails;
} crowd;

static void deliver(void *arg)
{
	struct pool *p = pool_enter(SLICE("Next.example"));
	struct session *s = pool_take(p);

	(void)arg;
	if (s == NULL) {
		pool_opening(p);
		crowd.opened++;
		task_sleep_until(deadline_after(crowd.open_ms * CLOCK_MS));
		s = crowd.fails ? NULL : new_session();
		crowd.failures += s == NULL;
		pool_opened(p, s);
	}
	if (s != NULL) {
		task_sleep_until(deadline_after(crowd.work_ms * CLOCK_MS));
		pool_give(s);
	}
	pool_leave(p);
	crowd.done++;
}

static int64_t run_crowd(unsigned count, int64_t open_ms, int64_t work_ms, bool fails)
{
	deadline begin = clock_now();

	crowd.done = crowd.opened = crowd.failures = 0;
	crowd.open_ms = open_ms;
	crowd.work_ms = work_ms;
	crowd.fails = fails;
	for (unsigned i = 0; i < count; i++)
		assert_non_null(task_start("delivery", deliver, NULL));
	while (crowd.done < count)
		task_sleep_until(deadline_after(CLOCK_MS));
	return (clock_now() - begin) / CLOCK_MS;
}

static void reset(void)
{
	client_settings = (struct client_settings){ .connection_cache_on_demand = true,
		.connection_cache_time_limit = 10 * CLOCK_SECOND,
		.connection_reuse_time_limit = 300 * CLOCK_SECOND,
		.skip_quit_response = true };
}

/* Takes what is idle. */
static unsigned empty_pool(void)
{
	struct pool *p = pool_enter(SLICE("next.EXAMPLE"));
	struct session *s;
	unsigned count = 0;

	while ((s = pool_take(p)) != NULL) {
		s->is_broken = true;
		pool_give(s);
		count++;
	}
	pool_leave(p);
	return count;
}

static void a_few_share_one(void)
{
	reset();
	run_crowd(5, 20, 1, false);
	assert_int_equal(crowd.opened, 1);
	run_crowd(5, 20, 1, false); /* it is still there */
	assert_int_equal(crowd.opened, 0);
	assert_int_equal(empty_pool(), 1);
}

static void many_open_some(void)
{
	reset();
	run_crowd(100, 20, 1, false);
	assert_in_range(crowd.opened, 2, 100 / (POOL_QUEUE + 1));
	assert_int_equal(empty_pool(), crowd.opened);
}

static void nobody_waits_for_long(void)
{
	reset();
	assert_in_range(run_crowd(2, 1, 2 * POOL_PATIENCE_MS, false), 3 * POOL_PATIENCE_MS,
	    50 * POOL_PATIENCE_MS);
	assert_int_equal(crowd.opened, 2);
	empty_pool();
}

static void who_waited_in_vain_tries_too(void)
{
	reset();
	assert_in_range(run_crowd(5, 100, 1, true), 200, 450);
	assert_int_equal(crowd.failures, 5);
}

static void without_reuse_nobody_waits(void)
{
	reset();
	client_settings.connection_cache_on_demand = false;
	run_crowd(5, 5, 1, false);
	assert_int_equal(crowd.opened, 5);
	assert_int_equal(empty_pool(), 0);
}

/* --- one session ----------------------------------------------------------------------------------- */

static struct pool *with_idle_session(void)
{
	struct pool *p = pool_enter(SLICE("one.example"));
	struct session *s = new_session();

	pool_opening(p);
	pool_opened(p, s);
	pool_give(s);
	return p;
}

static void what_died_is_not_handed_out(void)
{
	static const char *const last_words[] = { "", "421 bye\r\n" };

	reset();
	for (size_t i = 0; i < ARRAY_LENGTH(last_words); i++) {
		struct pool *p = with_idle_session();

		send(last_peer, last_words[i], strlen(last_words[i]), 0);
		if (i == 0)
			close(last_peer);
		task_sleep_until(deadline_after(15 * CLOCK_MS));
		assert_null(pool_take(p));
		pool_leave(p);
	}
}

static void an_idle_session_says_good_bye(void)
{
	char said[20];
	struct pool *p;

	reset();
	client_settings.connection_cache_time_limit = 5 * CLOCK_MS;
	p = with_idle_session();
	task_sleep_until(deadline_after(20 * CLOCK_MS));
	assert_null(pool_take(p));
	assert_int_equal(recv(last_peer, said, sizeof(said), MSG_DONTWAIT), 6);
	assert_memory_equal(said, "QUIT\r\n", 6);
	assert_int_equal(recv(last_peer, said, sizeof(said), MSG_DONTWAIT), 0);
	pool_leave(p);
}

static void limits_of_reuse(void)
{
	struct session *s;
	struct pool *p;

	reset();
	client_settings.connection_reuse_count_limit = 2;
	p = with_idle_session();
	s = pool_take(p);
	assert_non_null(s);
	assert_int_equal(s->uses, 2);
	pool_give(s);
	assert_null(pool_take(p));
	pool_leave(p);

	reset();
	client_settings.connection_reuse_time_limit = 0;
	p = with_idle_session();
	assert_null(pool_take(p));
	pool_leave(p);
}

/* --------------------------------------------------------------------------------------------------- */

static void (*running)(void);

static void run(void *arg)
{
	(void)arg;
	running();
	task_stop();
}

/* The initial state is what to run. */
static void in_a_task(void **state)
{
	running = *(void (**)(void)) * state;
	assert_non_null(task_start("test", run, NULL));
	task_run();
}

static int set_up(void **state)
{
	(void)state;
	task_init();
	return 0;
}

int main(void)
{
	static void (*bodies[])(void) = {
		a_few_share_one,
		many_open_some,
		nobody_waits_for_long,
		who_waited_in_vain_tries_too,
		without_reuse_nobody_waits,
		what_died_is_not_handed_out,
		an_idle_session_says_good_bye,
		limits_of_reuse,
	};
	static const char *const names[] = {
		"a_few_share_one",
		"many_open_some",
		"nobody_waits_for_long",
		"who_waited_in_vain_tries_too",
		"without_reuse_nobody_waits",
		"what_died_is_not_handed_out",
		"an_idle_session_says_good_bye",
		"limits_of_reuse",
	};
	struct CMUnitTest tests[ARRAY_LENGTH(bodies)];

	for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++)
		tests[i] = (struct CMUnitTest){ names[i], in_a_task, NULL, NULL, &bodies[i] };
	return cmocka_run_group_tests(tests, set_up, NULL);
}
