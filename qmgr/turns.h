/* SPDX-License-Identifier: ISC */
/*
 * turns.h - of one local user only so much is under way at once; the rest waits for its turn.
 */
#ifndef GP_TURNS_H
#define GP_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

/* False: there was no turn in time. root and the owner have one always. Waits. */
bool turns_begin(uint32_t uid, deadline);
/* Once for each that began. */
void turns_end(uint32_t uid);

#endif
