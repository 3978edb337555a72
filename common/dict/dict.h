/* SPDX-License-Identifier: ISC */
/*
 * dict.h - lookup tables behind one interface: "type:name" answers a key with a value.
 */
#ifndef GP_DICT_H
#define GP_DICT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct dict;

enum dict_flag {
	DICT_FOLD_KEY = 1,  /* keys are looked up in lower case (tables of fixed strings) */
	DICT_NO_REGSUB = 2, /* $1 in a pattern's result is refused: the value becomes a command */
	/* For services: a table of a known type that can't be opened is logged; it answers -1 with the
	 * reason, and counts as changed after 5 s, so that a fresh process tries again. */
	DICT_OR_FAILING = 4,
};

/* Opens a table. directory resolves relative names. NULL with a reason on the heap, which names
 * the table and the remedy. A line of its file that can't be used is skipped, as Postfix does,
 * with a warning that names file and line. */
struct dict *dict_open(int directory, const char *type_and_name, unsigned flags, char **why);
void dict_close(struct dict *);
const char *dict_name(const struct dict *);
/* Appends the value. 1 found, 0 not found, -1 the table can't answer now (see dict_error). Keys
 * with NUL are not found, nor, but by patterns, those with CR or LF or of more than 4,096 bytes. A
 * value has at most 1 MiB. hash and btree try the key with a NUL behind it first, as Postfix stores
 * it, then without. Opens nothing, so it works in a chroot (not unix:). May block on a local file. */
int dict_lookup(struct dict *, struct slice key, struct buf *value);
const char *dict_error(const struct dict *);
/* The pattern type (cidr, regexp, pcre): a whole address or a piece is one key, no parts of it. */
bool dict_is_pattern(const struct dict *);
/* Its file was replaced or changed since it was opened: an in-place change makes hash and btree
 * answer -1 from then on, a replaced file stays readable. Asks the open descriptor, not the path.
 * Or it failed to open a while ago (DICT_OR_FAILING). */
bool dict_changed(struct dict *);
/* Types this build knows, NULL at the end, for postconf -m. */
const char *const *dict_types(void);

/* Several tables, asked in order: the value of alias_maps and the like. */
struct dict_maps;
/* text: "hash:/etc/aliases, unix:passwd.byname". An empty text is an empty list, not an error.
 * `proxy:type:name` entries call ask (a call to proxymap), which works as dict_lookup; without ask
 * they are opened here. An empty value is a failure of the table. */
typedef int dict_ask(void *arg, struct slice table, struct slice key, struct buf *value);
struct dict_maps *dict_maps_open(int directory, const char *text, unsigned flags, dict_ask *ask,
    void *ask_arg, char **why);
void dict_maps_close(struct dict_maps *);
int dict_maps_lookup(struct dict_maps *, struct slice key, struct buf *value);
/* The key is a piece of what is looked for (a domain of an address): patterns are not asked. */
int dict_maps_lookup_part(struct dict_maps *, struct slice key, struct buf *value);
const char *dict_maps_error(const struct dict_maps *);
bool dict_maps_changed(struct dict_maps *);
bool dict_maps_is_empty(const struct dict_maps *);
/* As Postfix looks up mail addresses: user+ext@domain, user@domain, user+ext, user (local names
 * only when is_local), @domain; extension (without delimiter) goes to *extension when the key
 * that matched had it stripped (it points into address). Pattern tables see the whole address only. */
int dict_maps_lookup_address(struct dict_maps *, struct slice address, const char *delimiters,
    bool is_local, struct buf *value, struct slice *extension);

/* Lists of names, addresses, networks, "/file", "type:table", "!pattern": mydestination, mynetworks.*/
struct match_list;
enum match_kind { MATCH_STRING, MATCH_DOMAIN, MATCH_NETWORK };
struct match_list *match_list_open(int directory, const char *text, enum match_kind,
    bool subdomains, char **why);
void match_list_close(struct match_list *);
/* 1 yes, 0 no, -1 a table in it can't answer. The first pattern that fits decides. subdomains:
 * "example.com" stands for all below it too; else ".example.com" does. For MATCH_NETWORK the text is
 * an address; any other text is looked up as a host name, which such lists may hold too. */
int match_list_has(struct match_list *, struct slice text);
/* A table in it was changed since it was opened. */
bool match_list_changed(struct match_list *);

/* Building: "hash:/etc/aliases" (hash, btree) as postmap and postalias do. A new file beside the
 * old one, flushed, then renamed over it. */
struct dict_writer;
struct dict_writer *dict_writer_open(int directory, const char *type_and_name, mode_t mode,
    char **why);
/* 1 stored, 0 the key is there already, -1 with dict_writer_error. */
int dict_writer_put(struct dict_writer *, struct slice key, struct slice value);
const char *dict_writer_error(const struct dict_writer *);
/* Finishes (commit) or throws away. -1 with a reason on the heap. */
int dict_writer_close(struct dict_writer *, bool commit, char **why);

/* Builds "hash:/etc/aliases" from the text file of that name: keys in lower case; lines that can't be
 * used and keys that are there already are skipped with a warning (file and line) in the log. The
 * new file has owner and rights of the one it replaces, or else the rights of the source. -1 with a
 * reason on the heap; the old table is still there then. */
enum dict_source_kind { DICT_SOURCE_MAP, DICT_SOURCE_ALIASES };
int dict_build(int directory, const char *type_and_name, enum dict_source_kind, char **why);

#endif
