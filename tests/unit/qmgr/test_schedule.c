/* SPDX-License-Identifier: ISC */
/*
 * test_schedule.c - who is delivered when: turns, windows, dead destinations, suspects; and how long
 * what is deferred waits, whatever the clock is set to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/qmgr/scene.h"

/* --- tests ---------------------------------------------------------------------------------------- */

static void windows_hold_and_destinations_take_turns(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		add(&mail[i], "smtp", "bulk.example");
	assert_int_equal(started_count, 2); /* the initial window */
	add(&mail[4], "smtp", "small.example");
	assert_int_equal(started_count, 3);
	assert_ptr_equal(started[2]->message, &mail[4]);
	add(&mail[5], "smtp", "third.example");
	add(&mail[6], "smtp", "fourth.example");
	assert_int_equal(started_count, 4); /* the transport's limit */
	end(0, false);
	end(1, false); /* one turn for the bulk, not all that came before */
	assert_true(started[4]->message == &mail[6] || started[5]->message == &mail[6]);
	for (size_t i = 2; i < started_count; i++)
		end(i, false);
	assert_int_equal(started_count, 7);
	assert_int_equal(schedule_busy(), 0);
}

static void a_deferred_transport_starts_nothing(void **state)
{
	(void)state;
	add(&mail[0], "parked", "one.example");
	add(&mail[1], "parked", "two.example");
	add(&mail[2], "park", "one.example");
	assert_int_equal(deferred_count, 2);
	assert_string_equal(last_reason, "deferred transport");
	assert_int_equal(started_count, 1);
	assert_ptr_equal(started[0]->message, &mail[2]);
	end_all();
}

static void a_flush_is_tried_by_a_deferred_transport(void **state)
{
	(void)state;
	mail[1].memory.flushed = true;
	for (int i = 0; i < 3; i++)
		add(&mail[i], "parked", "one.example");
	assert_int_equal(deferred_count, 2);
	assert_int_equal(started_count, 1);
	assert_ptr_equal(started[0]->message, &mail[1]);
	end_all();
}

static void what_was_held_or_deleted_meanwhile_does_not_start(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		add(&mail[i], "smtp", "order.example");
	assert_int_equal(started_count, 2);
	mail[0].is_deleted = true; /* under way: it ends by itself */
	mail[2].held = true;
	mail[3].is_deleted = true;
	end(0, false);
	assert_int_equal(started_count, 3);
	assert_ptr_equal(started[2]->message, &mail[4]);
	assert_int_equal(dropped_count, 2);
	assert_int_equal(deferred_count, 0);
	end(1, false);
	end(2, false);
	assert_int_equal(schedule_busy(), 0);
}

static void a_flush_revives_what_is_dead(void **state)
{
	(void)state;
	add(&mail[0], "smtp", "down.example");
	add(&mail[1], "smtp", "down.example");
	end(0, true);
	end(1, true);
	schedule_transport_failed(transport_find(SLICE("gone")), "mail transport unavailable");
	add(&mail[2], "smtp", "down.example");
	add(&mail[3], "gone", "x.example");
	assert_int_equal(deferred_count, 2);
	schedule_revive_all();
	add(&mail[4], "smtp", "down.example");
	add(&mail[5], "gone", "x.example");
	assert_int_equal(deferred_count, 2);
	assert_int_equal(started_count, 4);
	end(2, false);
	end(3, false);
	assert_int_equal(schedule_busy(), 0);
}

static void a_dead_destination_is_put_off_alone(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add(&mail[i], "smtp", "dead.example");
	add(&mail[6], "smtp", "alive.example");
	assert_int_equal(started_count, 3);
	end(0, true);
	end(1, true); /* a window full of failures */
	for (int i = 0; i < 100 && deferred_count + started_count < 7; i++)
		schedule_dispatch(transport_find(SLICE("smtp")));
	assert_true(deferred_count >= 3);
	assert_string_equal(last_reason, "delivery temporarily suspended: connection refused");
	add(&mail[7], "smtp", "DEAD.example");
	assert_int_equal(mail[7].open_jobs, 0); /* at once, without a try */
	add(&mail[8], "smtp", "alive.example");
	assert_ptr_equal(started[started_count - 1]->message, &mail[8]);
	for (size_t i = 2; i < started_count; i++)
		end(i, false);
	assert_int_equal(schedule_busy(), 0);
}

static void a_suspect_runs_alone(void **state)
{
	(void)state;
	add(&mail[0], "relay", "a.example");
	mail[1].suspect = true;
	add(&mail[1], "relay", "b.example");
	add(&mail[2], "relay", "c.example");
	assert_int_equal(started_count, 1); /* it waits for the rest, new work waits for it */
	end(0, false);
	assert_int_equal(started_count, 2);
	assert_true(started[1]->alone);
	assert_ptr_equal(started[1]->message, &mail[1]);
	end(1, false);
	assert_int_equal(started_count, 3);
	assert_false(started[2]->alone);
	end(2, false);
}

/* The other recipients of a message that an agent died with, and those of one that is held by now. */
static void waiting_jobs_of_a_suspect_join_it(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		add(&mail[0], "relay", "x.example");
	assert_int_equal(started_count, 2);
	mail[0].suspect = true;
	end(0, false);
	end(1, false);
	assert_int_equal(started_count, 3);
	assert_true(started[2]->alone);
	mail[0].held = true;
	end(2, false);
	assert_int_equal(started_count, 3);
	assert_int_equal(dropped_count, 2); /* without a word in the log */
	assert_int_equal(mail[0].open_jobs, 0);
}

static void a_pause_starts_nothing(void **state)
{
	(void)state;
	schedule_pause(true);
	add(&mail[0], "smtp", "paused.example");
	assert_int_equal(started_count, 0);
	schedule_pause(false);
	assert_int_equal(started_count, 1);
	end_all();
}

/* Each local recipient is a destination: their number may not be felt squared. */
static void many_recipients_are_taken_quickly(void **state)
{
	static char names[RCPTS][24];
	static struct recipient rcpts[RCPTS];
	static size_t index[RCPTS];
	struct message *m = &mail[0];
	deadline begin = clock_now();

	(void)state;
	m->rcpts = rcpts;
	m->rcpt_count = RCPTS;
	for (size_t i = 0; i < RCPTS; i++) {
		snprintf(names[i], sizeof(names[i]), "user%zu@localhost", i);
		rcpts[i].address = slice_of(names[i]);
		index[i] = i;
	}
	schedule_add(m, SLICE("local"), SLICE("localhost"), index, RCPTS);
	assert_int_equal(started_count, 4);
	end_all();
	assert_int_equal(started_count, RCPTS);
	assert_int_equal(m->open_jobs, 0);
	assert_true(clock_now() - begin < 2 * CLOCK_SECOND);
}

/* The longest addresses: what goes to one agent must fit into a frame, content included. */
static void recipients_of_a_delivery_fit_into_a_frame(void **state)
{
	enum { COUNT = 50 };
	static char longest[ADDRESS_LIMIT];
	struct recipient rcpts[COUNT];
	size_t index[COUNT], seen = 0;

	(void)state;
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 0; i < COUNT; i++) {
		rcpts[i] = (struct recipient){ .address = { longest, sizeof(longest) },
			.original = { longest, sizeof(longest) },
			.orcpt = { longest, sizeof(longest) } };
		index[i] = i;
	}
	mail[0].rcpts = rcpts;
	mail[0].rcpt_count = COUNT;
	schedule_add(&mail[0], SLICE("smtp"), SLICE("long.example"), index, COUNT);
	for (size_t i = 0; i < started_count; i++) {
		assert_true(started[i]->count * 3 * ADDRESS_LIMIT <= CHUNK_LIMIT);
		seen += started[i]->count;
		end(i, false);
	}
	assert_int_equal(seen, COUNT);
}

static void age_needs_both_clocks(void **state)
{
	enum { HOUR = 3600, DAY = 24 * HOUR, YEAR = 365 * DAY };
	static const struct {
		int64_t wall_age, boot_age, watched;
		bool over;
	} rows[] = {
		{ 6 * DAY, 6 * DAY, 7 * DAY, true },
		{ 4 * DAY, 4 * DAY, 7 * DAY, false },
		{ 10LL * YEAR, HOUR, 7 * DAY, false },	   /* set ahead while it waited */
		{ -10LL * YEAR, 6 * DAY, 7 * DAY, false }, /* set back */
		{ 10LL * YEAR, 10LL * YEAR, 60, false },   /* wrong since boot: not yet set */
		{ 10LL * YEAR, 10LL * YEAR, 2 * HOUR, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct age_times now = { 100LL * YEAR * 1000000, 50LL * YEAR * 1000000 };
		struct age_times arrival = { now.wall_us - rows[i].wall_age * 1000000,
			now.boot_us - rows[i].boot_age * 1000000 };
		struct age_times start = { 0, now.boot_us - rows[i].watched * 1000000 };

		assert_int_equal(age_is_over(arrival, start, now, 5LL * DAY * 1000000,
				     (int64_t)HOUR * 1000000),
		    rows[i].over);
	}
	assert_int_equal(age_arrival_boot_us(90, (struct age_times){ 100, 7 }), -3);
	assert_int_equal(age_arrival_boot_us(200, (struct age_times){ 100, 7 }), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(windows_hold_and_destinations_take_turns, reset),
		cmocka_unit_test_setup(a_deferred_transport_starts_nothing, reset),
		cmocka_unit_test_setup(a_flush_is_tried_by_a_deferred_transport, reset),
		cmocka_unit_test_setup(what_was_held_or_deleted_meanwhile_does_not_start, reset),
		cmocka_unit_test_setup(a_flush_revives_what_is_dead, reset),
		cmocka_unit_test_setup(a_dead_destination_is_put_off_alone, reset),
		cmocka_unit_test_setup(a_suspect_runs_alone, reset),
		cmocka_unit_test_setup(waiting_jobs_of_a_suspect_join_it, reset),
		cmocka_unit_test_setup(a_pause_starts_nothing, reset),
		cmocka_unit_test_setup(many_recipients_are_taken_quickly, reset),
		cmocka_unit_test_setup(recipients_of_a_delivery_fit_into_a_frame, reset),
		cmocka_unit_test(age_needs_both_clocks),
	};

	load_conf("default_destination_concurrency_limit = 3\ninitial_destination_concurrency = "
		  "2\n");
	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
