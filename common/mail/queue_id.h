/* SPDX-License-Identifier: ISC */
/*
 * queue_id.h - queue ids in Postfix's long form: base-52 seconds (6 or more), base-52 microseconds
 * (4), `z`, then the maker's number and a counter in base 51 in place of the inode. Sorts by time;
 * never repeats while process numbers differ and the clock is not set back within a microsecond.
 */
#ifndef GP_QUEUE_ID_H
#define GP_QUEUE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum { QUEUE_ID_SIZE = 32 };

/* process: the number that master gave this process; counter: the caller's, one more each time. */
void queue_id_make(char out[QUEUE_ID_SIZE], int64_t wall_us, uint32_t process, uint32_t counter);
/* Short or long form: [0-9A-F]{6,15} or the long alphabet, 12 to 24 characters. */
bool queue_id_is_valid(struct slice);
/* Arrival time of a long id, microseconds since 1970; -1 for a short one. */
int64_t queue_id_time(struct slice);

#endif
