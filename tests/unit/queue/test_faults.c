/* SPDX-License-Identifier: ISC */
/*
 * The queue store on a disk that loses or tears what was not flushed: nothing that was promised is
 * lost at any crash point, and disks that lie are found out. Stores that break the protocol must be
 * found out too: test_bad_*.c.
 */
#include "tests/unit/queue/damage.h"

/* --- the tests -------------------------------------------------------------------------------- */

static struct tally tally, lies;

enum { MOMENTS = 2300, WITH_FAULTS = 1150, FAULT_ODDS = 30, CUTS_AT_ONCE = 24, DISTINCT = 100000 };
enum { SPOILED_LOGS = 10, SPOILED_TIMES = 100 };

static void survive(uint64_t seed, unsigned fault_odds, unsigned long moments)
{
	struct world *w = world_new(seed, fault_odds, &tally);

	w->cuts_at_once = CUTS_AT_ONCE;
	work(w, moments);
	count_copies(w);
	print_message("seed %lu: %lu moments, %lu power cuts, %lu of them while opening after one, "
		      "%lu kills, %lu faults, %u messages, %lu bytes copied forward\n",
	    (unsigned long)seed, w->moments, w->cuts, w->twice, w->kills, w->faults, w->next_number,
	    (unsigned long)w->copied);
	if (w->losses > 0)
		fail_msg("seed %lu: %s", (unsigned long)seed, w->first_loss);
	if (w->false_alarms > 0)
		fail_msg("seed %lu: a torn tail was taken for damage", (unsigned long)seed);
	assert_int_equal(w->device->untrusted_writes, 0);
	assert_true(w->kills > 0 && w->twice > 0 && w->copied > 0);
	assert_true((w->faults > 0) == (fault_odds > 0));
	world_free(w);
}

static void nothing_promised_is_lost_whenever_the_power_fails(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		survive(seed, 0, MOMENTS);
}

static void nothing_promised_is_lost_when_writes_and_flushes_fail_too(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 14; seed++)
		survive(seed, FAULT_ODDS, WITH_FAULTS);
}

static void damage_costs_what_it_hits_and_is_reported(void **state)
{
	struct damaged *d = mem_alloc(sizeof(*d));

	(void)state;
	for (uint64_t seed = 21; seed <= 22; seed++) {
		d->world = world_new(seed, 0, &tally);
		work_and_spoil(d, SPOILED_LOGS, SPOILED_TIMES);
		if (d->world->losses > 0)
			fail_msg("seed %lu: %s", (unsigned long)seed, d->world->first_loss);
		world_free(d->world);
	}
	print_message("%zu records hit, messages lost %lu times\n", d->hits, d->messages_lost);
	assert_true(d->hits > 1000 && d->messages_lost > 1000);
	free(d);
}

/* After those above. */
static void every_operation_and_record_was_tried(void **state)
{
	(void)state;
	assert_true(tally_print(&tally));
	assert_true(tally.distinct >= DISTINCT);
}

struct lie {
	bool flush, late, directory;
};

static void a_lie_is_found_out(const struct lie *lie)
{
	struct world *w = world_new(9, 0, &lies);

	w->device->lie_flush = lie->flush;
	w->device->lie_flush_late = lie->late;
	w->device->lie_directory = lie->directory;
	work(w, MOMENTS);
	print_message("found after %lu cuts: %s\n", w->cuts, w->first_loss);
	assert_true(w->losses > 0);
	world_free(w);
}

static void a_disk_that_does_not_flush_is_found_out(void **state)
{
	(void)state;
	a_lie_is_found_out(&(struct lie){ .flush = true });
}

static void an_answer_before_the_flush_is_found_out(void **state)
{
	(void)state;
	a_lie_is_found_out(&(struct lie){ .late = true });
}

static void a_directory_that_is_not_flushed_is_found_out(void **state)
{
	(void)state;
	a_lie_is_found_out(&(struct lie){ .directory = true });
}

/* Worlds with seeds of their own until so many seconds have passed, or the one that FAULTS_SEED names. */
static int search(const char *seconds)
{
	const char *given = getenv("FAULTS_SEED");
	time_t end = time(NULL) + strtol(seconds, NULL, 10);
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;

	do {
		struct world *w = world_new(seed, seed % 2 == 0 ? FAULT_ODDS : 0, &tally);

		w->cuts_at_once = CUTS_AT_ONCE;
		work(w, WITH_FAULTS);
		if (w->losses > 0) {
			printf("FAULTS_SEED=%lu: %s\n", (unsigned long)seed, w->first_loss);
			return 1;
		}
		if (w->false_alarms > 0 || w->device->untrusted_writes > 0) {
			printf("FAULTS_SEED=%lu: %s\n", (unsigned long)seed,
			    w->false_alarms > 0 ? "a torn tail was taken for damage"
						: "a file was written after its flush failed");
			return 1;
		}
		world_free(w);
		seed++;
	} while (given == NULL && time(NULL) < end);
	printf("up to seed %lu nothing was lost\n", (unsigned long)seed - 1);
	tally_print(&tally);
	return 0;
}

int main(void)
{
	const char *seconds = getenv("FAULTS_SECONDS");
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_promised_is_lost_whenever_the_power_fails),
		cmocka_unit_test(nothing_promised_is_lost_when_writes_and_flushes_fail_too),
		cmocka_unit_test(damage_costs_what_it_hits_and_is_reported),
		cmocka_unit_test(every_operation_and_record_was_tried),
		cmocka_unit_test(a_disk_that_does_not_flush_is_found_out),
		cmocka_unit_test(an_answer_before_the_flush_is_found_out),
		cmocka_unit_test(a_directory_that_is_not_flushed_is_found_out),
	};

	if (seconds != NULL)
		return search(seconds);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
