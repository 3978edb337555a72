/* SPDX-License-Identifier: ISC */
/*
 * test_scheduling.c - mailing lists and letters, the concurrency's feedback, pauses, and destinations that would
 * take all room.
 */
#include "tests/unit/qmgr/scene.h"

static const char main_cf[] = "default_destination_concurrency_limit = 3\n"
			      "initial_destination_concurrency = 2\n"
			      "default_destination_recipient_limit = 2\n"
			      "bulk_destination_concurrency_limit = 20\n"
			      "bulk_initial_destination_concurrency = 20\n"
			      "one_destination_concurrency_limit = 1\n"
			      "still_destination_concurrency_limit = 1\n"
			      "still_delivery_slot_cost = 0\n"
			      "slow_destination_rate_delay = 1h\n"
			      "serial_transport_rate_delay = 1h\n"
			      "steady_destination_concurrency_positive_feedback = 1/concurrency\n"
			      "steady_destination_concurrency_negative_feedback = 0.5\n"
			      "steady_destination_concurrency_failed_cohort_limit = 2\n"
			      "steady_destination_concurrency_limit = 4\n"
			      "immortal_destination_concurrency_failed_cohort_limit = 0\n"
			      "odd_destination_concurrency_positive_feedback = a lot\n";

static struct recipient list_rcpts[400];

/* A message of so many recipients, which is half as many deliveries. */
static void add_list(struct message *m, const char *transport, const char *nexthop, size_t count)
{
	static size_t index[400];

	for (size_t i = 0; i < count; i++)
		index[i] = i;
	m->rcpts = list_rcpts;
	m->rcpt_count = count;
	schedule_add(m, slice_of(transport), slice_of(nexthop), index, count);
}

/* --- lists and letters ---------------------------------------------------------------------------- */

static void a_letter_finds_a_place_while_a_list_goes_out(void **state)
{
	(void)state;
	add_list(&mail[0], "bulk", "x.example", 400);
	assert_int_equal(started_count, 17); /* three places of twenty are left */
	for (int i = 1; i <= 3; i++) {
		add(&mail[i], "bulk", "x.example");
		assert_ptr_equal(started[started_count - 1]->message, &mail[i]);
	}
	assert_int_equal(started_count, 20);
	/* With all places taken a letter is the next. */
	add(&mail[4], "bulk", "x.example");
	assert_int_equal(started_count, 20);
	end(0, false);
	assert_int_equal(started_count, 21);
	assert_ptr_equal(started[20]->message, &mail[4]);
	/* And the list goes on. */
	end(1, false);
	assert_int_equal(started_count, 22);
	assert_ptr_equal(started[21]->message, &mail[0]);
	for (size_t i = 2; i < started_count; i++)
		end(i, false);
	assert_int_equal(started_count, 204);
	assert_int_equal(schedule_busy(), 0);
}

/* Lists for several destinations of a transport that is full: each goes on to its end. */
static void lists_do_not_wait_for_each_other(void **state)
{
	(void)state;
	settings.default_process_limit = 2;
	for (int i = 0; i < 4; i++) {
		char nexthop[16];

		snprintf(nexthop, sizeof(nexthop), "%d.example", i);
		add_list(&mail[i], "narrow", nexthop, 60);
	}
	settings.default_process_limit = 100;
	assert_int_equal(started_count, 2);
	for (size_t i = 0; i < started_count; i++)
		end(i, false);
	assert_int_equal(started_count, 4 * 30);
	assert_int_equal(schedule_busy(), 0);
}

/* Ends one delivery after the other, as they started, and tells whose each was: the number of its message. */
static void play(size_t from, const char *wanted)
{
	size_t at = from;

	for (; at < started_count; at++)
		end(at, false);
	assert_int_equal(started_count - from, strlen(wanted));
	for (at = from; at < started_count; at++)
		if (started_message[at] != &mail[wanted[at - from] - '0'])
			fail_msg("delivery %zu is of message %zu, not of %c", at,
			    (size_t)(started_message[at] - mail), wanted[at - from]);
}

/* A loan of three slots; then one for each five deliveries of the list. */
static void with_one_place_letters_overtake_by_slots(void **state)
{
	(void)state;
	add_list(&mail[0], "one", "x.example", 60);
	for (int i = 1; i <= 5; i++)
		add(&mail[i], "one", "x.example");
	play(0,
	    "0123"
	    "0000"
	    "4"
	    "00000"
	    "5"
	    "00000000000000000000");
}

static void a_smaller_list_overtakes_a_larger_one_when_slots_are_earned(void **state)
{
	(void)state;
	add_list(&mail[0], "one", "x.example", 120);
	add_list(&mail[1], "one", "x.example", 12);
	/* Six deliveries: half is given, three are lent: none must be there. */
	play(0,
	    "0"
	    "111111"
	    "00000000000000000000000000000000000000000000000000000000000");
}

static void a_small_message_is_not_overtaken(void **state)
{
	(void)state;
	add_list(&mail[0], "one", "x.example",
	    28); /* 14 deliveries: two slots, three are the least */
	add(&mail[1], "one", "x.example");
	play(0, "000000000000001");
}

static void without_a_slot_cost_nobody_overtakes(void **state)
{
	(void)state;
	add_list(&mail[0], "still", "x.example", 40);
	add(&mail[1], "still", "x.example");
	play(0, "000000000000000000001");
}

/* --- feedback ------------------------------------------------------------------------------------- */

static void feedback_has_these_forms(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		double at_4;
	} rows[] = {
		{ "1", true, 1 },
		{ "0", true, 0 },
		{ "0.25", true, 0.25 },
		{ "1/8", true, 0.125 },
		{ "1/concurrency", true, 0.25 },
		{ "1 / sqrt_concurrency ", true, 0.5 },
		{ "0.5/concurrency", true, 0.125 },
		{ "", false, 0 },
		{ "2", false, 0 },
		{ "-1", false, 0 },
		{ "1/", false, 0 },
		{ "1/0", false, 0 },
		{ "1/many", false, 0 },
		{ "1x", false, 0 },
		{ "nan", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct feedback f;

		if (policy_parse_feedback(rows[i].text, &f) != rows[i].ok)
			fail_msg("\"%s\"", rows[i].text);
		if (rows[i].ok)
			assert_true(policy_feedback(&f, 4) == rows[i].at_4);
	}
}

static void the_concurrency_grows_by_feedback(void **state)
{
	(void)state;
	add_list(&mail[0], "steady", "x.example", 40);
	assert_int_equal(started_count, 1); /* of two, one is left for letters */
	for (int i = 1; i < 10; i++)
		add(&mail[i], "steady", "x.example");
	assert_int_equal(started_count, 2);
	end(0, false); /* 2.5 */
	assert_int_equal(schedule_busy(), 2);
	end(1, false); /* 2.9 */
	assert_int_equal(schedule_busy(), 2);
	end(2, false); /* 3.2 */
	assert_int_equal(schedule_busy(), 3);
	for (size_t i = 3; i < started_count; i++)
		end(i, false);
	assert_int_equal(schedule_busy(), 0);
}

static void a_destination_dies_by_cohorts(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++)
		add(&mail[i], "steady", "down.example");
	for (size_t i = 0; i < 3; i++)
		end(i, true); /* 1/2, 1/1, 1/1 */
	assert_int_equal(started_count, 3);
	assert_int_equal(deferred_count, 9);
	for (int i = 20; i < 30; i++)
		add(&mail[i], "immortal", "down.example");
	for (size_t i = 3; i < started_count; i++)
		end(i, true);
	assert_int_equal(started_count, 13);
	assert_int_equal(deferred_count, 9);
	assert_int_equal(schedule_busy(), 0);
}

static void feedback_that_makes_no_sense_is_one(void **state)
{
	(void)state;
	assert_true(transport_find(SLICE("odd"))->policy.positive.value == 1);
}

/* --- pauses --------------------------------------------------------------------------------------- */

static void between_deliveries_is_a_pause(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add(&mail[i], "slow", "one.example");
	add(&mail[3], "slow", "two.example");
	assert_int_equal(started_count, 2); /* one at a time for each destination */
	end(0, false);
	end(1, false);
	assert_int_equal(started_count, 2);
	add(&mail[4], "slow", "one.example");
	add(&mail[5], "slow", "three.example");
	assert_int_equal(started_count, 3);
	assert_ptr_equal(started[2]->message, &mail[5]);
	end(2, false);
	add(&mail[6], "serial", "one.example");
	add(&mail[7], "serial", "two.example");
	assert_int_equal(started_count, 4);
	end(3, false);
	assert_int_equal(started_count, 4);
	assert_int_equal(schedule_busy(), 0);
}

/* --- room ----------------------------------------------------------------------------------------- */

/* The active queue is half full, and a quarter of it waits for one destination. */
static void a_crowd_leaves_room_for_others(void **state)
{
	(void)state;
	active = 50;
	for (int i = 0; i < 40; i++)
		add(&mail[i], "smtp", "hanging.example");
	assert_int_equal(started_count, 2);
	assert_false(mail[26].is_parked);
	assert_true(mail[27].is_parked && mail[39].is_parked);
	assert_int_equal(mail[39].open_jobs, 0);
	assert_int_equal(mail[39].rcpts[0].progress, DEFERRED);
	add(&mail[40], "smtp", "other.example");
	assert_false(mail[40].is_parked);
	assert_int_equal(started_count, 3);
	assert_int_equal(called_count, 0);
	active = 0;
	for (size_t i = 0; i < started_count; i++)
		end(i, false);
	assert_int_equal(called_count, 13);
	assert_int_equal(started_count, 28);
	assert_int_equal(schedule_busy(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_letter_finds_a_place_while_a_list_goes_out, reset),
		cmocka_unit_test_setup(lists_do_not_wait_for_each_other, reset),
		cmocka_unit_test_setup(with_one_place_letters_overtake_by_slots, reset),
		cmocka_unit_test_setup(a_smaller_list_overtakes_a_larger_one_when_slots_are_earned,
		    reset),
		cmocka_unit_test_setup(a_small_message_is_not_overtaken, reset),
		cmocka_unit_test_setup(without_a_slot_cost_nobody_overtakes, reset),
		cmocka_unit_test(feedback_has_these_forms),
		cmocka_unit_test_setup(the_concurrency_grows_by_feedback, reset),
		cmocka_unit_test_setup(a_destination_dies_by_cohorts, reset),
		cmocka_unit_test_setup(feedback_that_makes_no_sense_is_one, reset),
		cmocka_unit_test_setup(between_deliveries_is_a_pause, reset),
		cmocka_unit_test_setup(a_crowd_leaves_room_for_others, reset),
	};

	settings.default_process_limit = 100;
	load_conf(main_cf);
	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
