/* SPDX-License-Identifier: ISC */
/*
 * table_command.h - what postmap, postalias and newaliases share: tables of text sources.
 */
#ifndef GP_TABLE_COMMAND_H
#define GP_TABLE_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#include "admin/table_source.h"

enum duplicates { DUPLICATES_WARN, DUPLICATES_IGNORE, DUPLICATES_REPLACE };

struct table_job {
	enum table_syntax syntax;
	enum duplicates duplicates;
	bool keep_case;	   /* -f */
	bool incremental;  /* -i: standard input is added to the table */
	bool as_root;	   /* -o: the owner of the source does not matter */
	bool default_mode; /* -p: the rights of the source do not matter */
	bool verbose;	   /* -v */
};

/* The type is one that has a file of its own; says so if not. */
bool table_is_file(const char *type_and_name);
/* Makes "type:name" (of such a type) from the file of that name, or adds to it. False after a message. */
bool table_build(const struct table_job *, const char *type_and_name);
/* Puts these entries in place of the table's. False after a message. mode: of a new file. */
struct table_entries;
bool table_write(const char *type_and_name, mode_t mode, struct table_entries *, bool verbose);
/* main() of postmap and postalias. */
int table_command(const char *name, enum table_syntax, int argc, char **argv);

#endif
