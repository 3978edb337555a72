/* SPDX-License-Identifier: ISC */
/*
 * table.h - what the types of tables share, inside common/dict only.
 *
 * A table opens all it needs in open: a lookup happens in a chroot and opens nothing.
 */
#ifndef GP_DICT_TABLE_H
#define GP_DICT_TABLE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/slice.h"

enum {
	DICT_KEY_LIMIT = 4096,		     /* of tables of fixed strings */
	DICT_PATTERN_KEY_LIMIT = 128 * 1024, /* a header may be a key */
	DICT_VALUE_LIMIT = 1024 * 1024,
	DICT_FILE_LIMIT = 256 * 1024 * 1024
};

struct dict;

struct dict_type {
	const char *name;
	bool is_pattern;
	/* name: what stands behind the colon. -1 with a reason on the heap; close is then not called. */
	int (*open)(struct dict *, int directory, const char *name, char **why);
	/* As dict_lookup; the key is checked and folded. */
	int (*lookup)(struct dict *, struct slice key, struct buf *value);
	void (*close)(struct dict *);
};

struct dict {
	const struct dict_type *type;
	char *name; /* type:name */
	unsigned flags;
	struct buf folded; /* a copy of the key, as the table needs it */
	struct buf error;
	int watch; /* the file behind it, or -1 */
	bool owns_watch;
	struct stat opened;
	deadline retry; /* when it could not be opened: worth another try from then on */
	void *state;	/* the type's own */
};

extern const struct dict_type dict_type_hash, dict_type_btree, dict_type_texthash, dict_type_static,
    dict_type_inline, dict_type_cidr, dict_type_regexp, dict_type_pcre, dict_type_unix,
    dict_type_fail;

/* Remembers what the file looks like now. takes: the table closes it. */
int dict_watch(struct dict *, int fd, bool takes);
/* The open file has other bytes now (a file that was replaced keeps its own). */
bool dict_changed_in_place(const struct dict *);
/* Sets what dict_error says; returns -1. */
int dict_fail(struct dict *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reason on the heap; returns -1. */
int dict_refuse(char **why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "a, {b c}, type:{d, e}": the next one, split at blanks and commas outside of braces. */
bool list_next(struct slice *rest, struct slice *word);
/* "{ text }" without its braces and the blanks inside them; false when they don't span it all. */
bool brace_strip(struct slice text, struct slice *inside);

/* The rules of a table: the logical lines of a file, or what stands in { } in the name. */
struct source {
	const char *name; /* of the file, or of the whole table; the caller's */
	bool is_inline;
	struct buf text, entry;
	struct slice rest;
	unsigned next_line, line; /* of the entry; counts rules when inline */
};

/* Reads the file whole. A table (or NULL) watches it. -1 with a reason on the heap. */
int source_open(struct source *, struct dict *, int directory, const char *name, char **why);
/* The next rule, valid until the next call. */
bool source_next(struct source *, struct slice *entry);
/* A complaint with file and line, for the log; the caller skips the rule. */
void source_warn(const struct source *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void source_close(struct source *);
/* "key value" at the first blank outside of double quotes, both trimmed. */
bool source_split(struct slice entry, struct slice *key, struct slice *value);

/* A path as libdb, which knows no directory descriptors, can open it. */
char *dict_path(int directory, const char *name, const char *suffix);

#endif
