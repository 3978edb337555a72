/* SPDX-License-Identifier: ISC */
/*
 * alias.h - the alias tables, as the worker sees them.
 */
#ifndef GP_ALIAS_H
#define GP_ALIAS_H

#include "local/local.h"
#include "local/targets.h"

/* Opens alias_maps; ends the process with a reason when it can't. */
void alias_open(void);
/* The parameter whose table changed on disk since it was opened, or NULL. */
const char *alias_changed(void);

/* Looks a local name up: with its extension first, then without. 1: targets (in the arena), *name is the
 * key that matched, *owner the address for errors when there is owner-NAME, else empty; 0: no
 * alias; -1: try later, *v says why. */
int alias_find(struct slice local, struct slice user, struct arena *, struct target **targets,
    struct slice *name, struct slice *owner, struct verdict *v);

#endif
