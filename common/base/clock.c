/* SPDX-License-Identifier: ISC */
/*
 * clock.c - reading the clocks.
 */
#include "common/base/clock.h"

#include <limits.h>
#include <time.h>

deadline clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

deadline deadline_after(int64_t ns)
{
	deadline when;

	if (ns < 0)
		ns = 0;
	if (__builtin_add_overflow(clock_now(), ns, &when))
		return DEADLINE_NEVER;
	return when;
}

int deadline_ms_left(deadline when)
{
	int64_t left;

	if (when == DEADLINE_NEVER)
		return -1;
	left = when - clock_now();
	if (left <= 0)
		return 0;
	left = (left + CLOCK_MS - 1) / CLOCK_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static int64_t microseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
	return microseconds(CLOCK_REALTIME);
}

int64_t clock_boot_us(void)
{
	return microseconds(CLOCK_BOOTTIME);
}
