/* SPDX-License-Identifier: ISC */
/*
 * clock.h - two clocks that must not be mixed up: a deadline runs on the monotonic clock, a time
 * of day on the wall clock, which an administrator may set.
 */
#ifndef GP_CLOCK_H
#define GP_CLOCK_H

#include <stdint.h>

/* A moment on the monotonic clock, in nanoseconds. */
typedef int64_t deadline;

#define DEADLINE_NEVER INT64_MAX
#define CLOCK_MS       INT64_C(1000000)
#define CLOCK_SECOND   INT64_C(1000000000)

/* Now, on the monotonic clock. */
deadline clock_now(void);
/* The moment `ns` nanoseconds from now; never overflows. */
deadline deadline_after(int64_t ns);
/* Milliseconds left, rounded up, for poll(2): -1 for DEADLINE_NEVER, 0 when past. */
int deadline_ms_left(deadline);
/* Microseconds since 1970 on the wall clock. */
int64_t clock_wall_us(void);
/* Microseconds since the machine started, suspension included: never set by anybody. */
int64_t clock_boot_us(void);

#endif
