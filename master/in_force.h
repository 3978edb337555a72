/* SPDX-License-Identifier: ISC */
/*
 * in_force.h - the restrictions of a process, as the kernel shows them.
 */
#ifndef GP_IN_FORCE_H
#define GP_IN_FORCE_H

#include <stdint.h>
#include <sys/types.h>

/* Of enum sandbox_bit what /proc shows (Landlock is not among it), and its real uid; 0 when it is gone. */
uint64_t in_force_of(pid_t, uid_t *uid);

#endif
