/* SPDX-License-Identifier: ISC */
/*
 * master_cf.h - master.cf: 8 columns, `-` for a default, continuation lines, -o and { }.
 */
#ifndef GP_MASTER_CF_H
#define GP_MASTER_CF_H

#include "common/conf/conf.h"

enum entry_type { ENTRY_INET, ENTRY_UNIX, ENTRY_UNIX_DGRAM, ENTRY_FIFO, ENTRY_PASS };

struct master_entry {
	char *name;
	enum entry_type type;
	bool is_private, unprivileged, chroot;
	int64_t wakeup;	     /* seconds; 0 never */
	bool wakeup_if_used; /* trailing ? */
	int64_t maxproc;     /* -1: `-`; 0: no limit */
	char *command;	     /* last component of the path decides the program */
	char **args; /* words after the command and its -o, { } removed; args_count of them */
	size_t args_count;
	char **overrides; /* the values of -o, "name=value" */
	size_t overrides_count;
	char *file;
	unsigned line;
};

struct master_cf {
	struct master_entry *entries;
	size_t count;
};

/* Reads DIR/master.cf; a later entry of the same name and type replaces an earlier one. NULL when
 * there are errors; all are reported, not just the first. */
struct master_cf *master_cf_load(int directory, const char *path, conf_report *report, void *arg);
void master_cf_free(struct master_cf *);
/* Checks what needs main.cf too: every -o as conf_check does a line of main.cf, and transports that
 * main.cf names and master.cf lacks. Names that an -o refers to count as used afterwards, so call
 * it before conf_check. Returns the number of errors. */
unsigned master_cf_check(const struct master_cf *, struct conf *, conf_report *report, void *arg);
const char *entry_type_name(enum entry_type);

#endif
