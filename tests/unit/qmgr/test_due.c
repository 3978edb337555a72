/* SPDX-License-Identifier: ISC */
/*
 * test_due.c - what waits is tried in its order, not before its time, and soon enough when the wall clock
 * was set back by years.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/service/service.h"
#include "qmgr/qmgr.h"

enum { MS = 1000, YEAR_S = 365 * 24 * 3600 };

struct qmgr_settings settings = {
	.maximal_backoff_time = 60 * CLOCK_MS,
	.qmgr_message_active_limit = 2,
};
struct store *store;

static char order[200];
static size_t wanted, active;
static int64_t carried;
static bool flushed, requeued;
static uint64_t marks;

unsigned service_draining(void)
{
	return 0;
}

size_t message_count(void)
{
	return active;
}

bool store_summary(struct store *s, struct slice id, struct store_summary *out)
{
	(void)s;
	(void)id;
	*out = (struct store_summary){ .marks = marks };
	return true;
}

void message_load_and_activate(struct slice id, struct memory memory)
{
	size_t len = strlen(order);

	snprintf(order + len, sizeof(order) - len, "%.*s ", (int)id.len, id.data);
	carried = memory.arrival_boot_us;
	flushed = memory.flushed;
	requeued = memory.requeue;
	if (--wanted == 0)
		task_stop();
}

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("only these came: %s", order);
}

static void run_until(size_t count)
{
	struct task_timer guard = { 0 };

	order[0] = '\0';
	wanted = count;
	task_timer_set(&guard, deadline_after(20 * CLOCK_SECOND), too_late, NULL);
	task_run();
	task_timer_clear(&guard);
}

static void what_waits_comes_in_its_order(void **state)
{
	int64_t now = clock_wall_us(), boot = clock_boot_us();

	(void)state;
	due_add(SLICE("third"), now + 40 * MS, (struct memory){ 0 });
	due_add(SLICE("first"), 0, (struct memory){ 0 });
	due_add(SLICE("second"), now + 20 * MS, (struct memory){ 0 });
	due_start();
	run_until(3);
	assert_string_equal(order, "first second third ");
	assert_true(clock_boot_us() - boot >= 40 * MS);
}

static void a_wait_of_years_is_a_wrong_clock(void **state)
{
	(void)state;
	due_add(SLICE("far"), clock_wall_us() + 10 * YEAR_S * INT64_C(1000000),
	    (struct memory){ .arrival_boot_us = 42 });
	run_until(1);
	assert_string_equal(order, "far ");
	assert_int_equal(carried, 42);
}

static void a_full_active_queue_is_waited_for(void **state)
{
	(void)state;
	active = 2;
	due_add(SLICE("later"), 0, (struct memory){ 0 });
	active = 1;
	due_look();
	run_until(1);
	assert_string_equal(order, "later ");
}

static int64_t in_a_minute(void)
{
	return clock_wall_us() + 60 * 1000 * MS;
}

static void one_message_is_made_due(void **state)
{
	(void)state;
	settings.maximal_backoff_time = 3600 * CLOCK_SECOND;
	due_add(SLICE("other"), in_a_minute(), (struct memory){ 0 });
	due_add(SLICE("this"), in_a_minute(), (struct memory){ .arrival_boot_us = 7 });
	assert_false(due_now(SLICE("nobody"), true));
	assert_true(due_now(SLICE("this"), true));
	run_until(1);
	assert_string_equal(order, "this ");
	assert_int_equal(carried, 7);
	assert_true(flushed);
	assert_false(requeued);
	assert_false(due_now(SLICE("this"), true));
	due_forget(SLICE("this"));
	due_forget(SLICE("other"));
	assert_false(due_now(SLICE("other"), false));
}

static size_t flushed_count;

static void flush(void *arg)
{
	(void)arg;
	flushed_count = due_flush();
}

static void a_flush_makes_all_due_and_counts_for_one_round(void **state)
{
	(void)state;
	due_add(SLICE("c"), in_a_minute(), (struct memory){ 0 });
	due_add(SLICE("a"), in_a_minute(), (struct memory){ 0 });
	due_add(SLICE("b"), in_a_minute(), (struct memory){ 0 });
	marks = STORE_REQUEUE;
	task_start("flush", flush, NULL);
	run_until(3);
	assert_int_equal(flushed_count, 3);
	assert_string_equal(order, "a b c ");
	assert_true(flushed);
	assert_true(requeued);
	due_add(SLICE("a"), 0, (struct memory){ .flushed = true });
	run_until(1);
	assert_false(flushed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_comes_in_its_order),
		cmocka_unit_test(a_wait_of_years_is_a_wrong_clock),
		cmocka_unit_test(a_full_active_queue_is_waited_for),
		cmocka_unit_test(one_message_is_made_due),
		cmocka_unit_test(a_flush_makes_all_due_and_counts_for_one_round),
	};

	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
