/* SPDX-License-Identifier: ISC */
/*
 * seen.h - a set of texts of several kinds: what one delivery has met already.
 */
#ifndef GP_SEEN_H
#define GP_SEEN_H

#include <stdbool.h>

#include "common/base/arena.h"

struct seen;

/* Lives in the arena; keys are borrowed. */
struct seen *seen_new(struct arena *);
/* Puts the key in; true when it was not there. */
bool seen_first(struct seen *, char kind, struct slice key);
bool seen_has(struct seen *, char kind, struct slice key);

#endif
