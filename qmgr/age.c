/* SPDX-License-Identifier: ISC */
/*
 * age.c - how old a message is, when somebody may set the clock.
 *
 * The wall clock alone would return all waiting mail at once when it is set years ahead. So the clock
 * that only counts must agree. It begins anew with each boot: for mail that was in the queue before us
 * it starts at the age that the wall clock shows when it is first seen.
 */
#include "qmgr/qmgr.h"

struct age_times age_now(void)
{
	return (struct age_times){ clock_wall_us(), clock_boot_us() };
}

int64_t age_arrival_boot_us(int64_t arrival_us, struct age_times now)
{
	return arrival_us < now.wall_us ? now.boot_us - (now.wall_us - arrival_us) : now.boot_us;
}

bool age_is_over(struct age_times arrival, struct age_times start, struct age_times now,
    int64_t lifetime_us, int64_t patience_us)
{
	int64_t watched = now.boot_us - start.boot_us;

	return now.wall_us - arrival.wall_us > lifetime_us &&
	    now.boot_us - arrival.boot_us > lifetime_us &&
	    (watched >= patience_us || watched >= lifetime_us);
}
