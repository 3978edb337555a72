/* SPDX-License-Identifier: ISC */
/*
 * parameters.h - the two tables of names: parameters.def (ours) and unsupported.def (Postfix's
 * others), and the names of single transports, such as relay_destination_concurrency_limit.
 */
#ifndef GP_CONF_PARAMETERS_H
#define GP_CONF_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

enum parameter_kind {
	KIND_BOOL,
	KIND_NUMBER,
	KIND_TIME,
	KIND_TEXT,
	KIND_FILLED,
	KIND_HOST,
	KIND_RAW,
	KIND_LIST,
	KIND_NETWORKS,
	KIND_MAPS,
	KIND_TABLES,
	KIND_CHOICE,
	KIND_WORDS,
	KIND_COUNT,
};

struct parameter {
	const char *name;
	enum parameter_kind kind;
	const char *fallback;
	int64_t least, most; /* of numbers; of times in seconds */
	char unit;	     /* of a time without suffix */
	const char *words;
};

enum unsupported_class { UNSUPPORTED_NOT_YET, UNSUPPORTED_NOT_NEEDED, UNSUPPORTED_OBSOLETE };

struct unsupported {
	const char *name;
	enum unsupported_class class;
	const char *advice;
	const char *harmless; /* values, parted by ";", that ask for what happens anyway, or NULL */
};

extern const struct parameter parameters[];
extern const size_t parameters_count;
extern const struct unsupported unsupported[];
extern const size_t unsupported_count;

/* NULL: not there. */
const struct parameter *parameter_find(const char *name);
const struct unsupported *unsupported_find(const char *name);

/* Of a name such as "smtp-amavis_destination_concurrency_limit": the parameter that counts for
 * transports without their own, and how long the transport's name is. NULL: no such form. */
const char *parameter_of_all_transports(const char *name, size_t *transport);

/* The known name that a misspelt one probably means, or NULL. */
const char *parameter_nearest(const char *name);
/* How many letters to change, add, drop or swap; at most limit + 1. */
unsigned edit_distance(struct slice, struct slice, unsigned limit);

#endif
