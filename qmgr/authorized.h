/* SPDX-License-Identifier: ISC */
/*
 * authorized.h - whether a local user may: by the kernel's word who it is, and a list of user names.
 */
#ifndef GP_AUTHORIZED_H
#define GP_AUTHORIZED_H

#include <stdbool.h>
#include <stdint.h>

/* Before the rights are given up. A list that can't be opened leaves root and the owner; it is logged.
 * Once in a process. */
void authorized_open(const char *parameter, const char *list);
/* root, or the user that the whole instance runs as. */
bool authorized_is_owner(uint32_t uid);
/* The owner, or one whose name the list has; a user without a name is "unknown". Waits. */
bool authorized_has(uint32_t uid);

#endif
