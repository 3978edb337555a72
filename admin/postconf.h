/* SPDX-License-Identifier: ISC */
/*
 * postconf.h - what the parts of postconf share.
 */
#ifndef GP_POSTCONF_H
#define GP_POSTCONF_H

#include "admin/command.h"
#include "common/base/slice.h"
#include "common/conf/master_text.h"

enum { POSTCONF_OVERRIDES_MOST = 64 };

/* Which names of main.cf to show; 0: all. */
enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4 };

struct postconf {
	const char *config; /* of -c, or NULL */
	char
	    object; /* p: main.cf; M, F, P: rows, columns, -o values of master.cf; a, A, b, l, m, t */
	char action; /* 0: show; e, X or # */
	bool defaults, explicit, expand, only_values, only_names, fold, json, quiet;
	unsigned classes;
	const char *overrides[POSTCONF_OVERRIDES_MOST]; /* of -o */
	size_t overrides_count;
	char **names; /* what stands behind the options; ends with NULL */
	size_t names_count;
};

/* postconf_main_cf.c */
void postconf_show_main_cf(const struct postconf *);
void postconf_edit_main_cf(const struct postconf *);
void postconf_drop_main_cf(const struct postconf *);
/* Reads main.cf, with the values of -o. Ends the process when that fails. */
struct conf *postconf_load(const struct postconf *);

/* postconf_master_cf.c */
void postconf_show_master_cf(const struct postconf *);
void postconf_change_master_cf(const struct postconf *);

/* postconf_templates.c: the words of notices with $names filled in, and the templates as written. */
void postconf_show_words(const struct postconf *);
void postconf_show_templates(const struct postconf *);

/* postconf_print.c */
/* "NAME = value" on one line, or folded, or what -h, -H and -j ask for; a run of blanks becomes one.
 * The object of -j is { first, ..., "value": } where first gives its other members. */
struct postconf_label {
	const char *text;     /* before " = " */
	const char *names[4]; /* of the members that say the same in JSON */
	const char *values[4];
};
void postconf_print(const struct postconf *, const struct postconf_label *, const char *value);
/* A text that is folded already. */
void postconf_print_text(const struct postconf *, const struct postconf_label *, const char *text);

/* "name=value" in two, on the heap; false: there is no =, or the name is not one word. */
bool postconf_split(const char *assignment, char **name, char **value);

#endif
