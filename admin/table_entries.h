/* SPDX-License-Identifier: ISC */
/*
 * table_entries.h - a whole table in memory, for changes of single entries: the file on disk is then made
 * anew and takes the old one's place at once, so that no reader sees half a change.
 */
#ifndef GP_TABLE_ENTRIES_H
#define GP_TABLE_ENTRIES_H

#include "common/base/slice.h"

struct table_entries;

struct table_entries *table_entries_new(void);
void table_entries_free(struct table_entries *);
/* False when the key is there already: then the value is replaced only if asked for. */
bool table_entries_put(struct table_entries *, struct slice key, struct slice value, bool replace);
/* False when it was not there. */
bool table_entries_remove(struct table_entries *, struct slice key);
void table_entries_each(struct table_entries *,
    void (*visit)(void *arg, struct slice key, struct slice value), void *arg);

/* Calls visit for each entry of a hash: or btree: file (type_and_name without ".db"). 0; -1 with
 * errno, ENOENT when there is no file; other reasons were logged. */
int table_file_each(const char *type_and_name,
    void (*visit)(void *arg, struct slice key, struct slice value), void *arg);
/* Keeps other commands from changing the table, until the descriptor is closed. -1: there is no
 * file yet. */
int table_file_lock(const char *type_and_name);

#endif
