/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of common/conf share with each other alone.
 */
#ifndef GP_CONF_INTERNAL_H
#define GP_CONF_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <ifaddrs.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/conf/master_text.h"
#include "common/conf/parameters.h"

enum { CONF_FILE_LIMIT = 4 << 20 };

/* A name that main.cf or an override sets, or whose expanded default is kept. */
struct setting {
	RB_ENTRY(setting) by_name;
	TAILQ_ENTRY(setting) in_order; /* of those that are set */
	char *name;
	char *raw;	/* as written; NULL: not set */
	char *expanded; /* NULL: not asked for yet */
	char *file;
	unsigned line;
	bool in_main_cf;
	bool used;	    /* some other value refers to it */
	unsigned missed_by; /* the last check that found it missing */
};

RB_HEAD(settings, setting);
TAILQ_HEAD(settings_order, setting);

enum computed {
	COMPUTED_CONFIG_DIRECTORY,
	COMPUTED_MYDOMAIN,
	COMPUTED_MYHOSTNAME,
	COMPUTED_MYNETWORKS,
	COMPUTED_PROCESS_ID,
	COMPUTED_COUNT,
};

struct conf {
	char *path; /* of the directory */
	char *file; /* of main.cf */
	struct settings settings;
	struct settings_order order;
	char *computed[COMPUTED_COUNT]; /* found out when first needed */
	bool computing[COMPUTED_COUNT]; /* being found out: what asks again gets less */
	char *origin;	   /* the first line of the file that myorigin names, or NULL */
	char *system_name; /* asked when main.cf was loaded */
	struct ifaddrs *interfaces;
	pid_t process_id;
};

struct master_cf;

struct reporter {
	conf_report *report;
	void *arg;
	unsigned errors;
	unsigned checks;   /* of values, so far */
	unsigned searches; /* for names like a misspelt one */
};
/* The directory has programs of Gatepost. */
bool has_our_programs(const char *directory);
void complain(struct reporter *, enum conf_severity, const char *file, unsigned line,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The files' contents, as conf_load and master_cf_load read them. */
struct conf *conf_parse(struct slice content, const char *path, struct reporter *);
struct master_cf *master_cf_parse(struct slice content, const char *path, struct reporter *);
struct master_text *master_text_parse(struct slice content, const char *path, struct reporter *);
/* Fills the row, which is all zero, from one logical line. False with a reason on the heap. */
bool master_row_parse(struct master_row *, struct slice line, char **why);
void master_row_clear(struct master_row *);
/* Takes the argument's texts. at: at most arguments_count. */
void master_row_add(struct master_row *, size_t at, struct master_argument);
/* The next word of master.cf, or what stands in the next { }. 1 found, 0 end, -1 a } is missing. */
int master_next_word(struct slice *rest, struct slice *word, bool *grouped);
/* Replaces a file of the configuration by what change makes of its content (it may say no: false with
 * errno), as conf_edit promises. -1 with errno. */
int edit_file(int directory, const char *file, bool (*change)(void *arg, struct buf *content),
    void *arg);
/* False with a report. */
bool conf_read_file(int directory, const char *path, const char *name, struct buf *content,
    struct reporter *);

/* "name = value" or "{ name = value }". False with a reason on the heap. */
bool conf_split_assignment(struct slice text, char **name, char **value, char **why);
/* NULL: nothing is known of the name. make: then it is made, not set. */
struct setting *conf_setting(struct conf *, const char *name);
struct setting *conf_setting_make(struct conf *, const char *name);
/* The value as written, or the default. raw: $names in it are not ours to expand. */
const char *conf_raw(struct conf *, const char *name, bool *raw);
/* Expands the value of a name; unknown hears of $names that nobody knows. NULL with a reason. */
char *conf_expand_value(struct conf *, const char *name, const char *value,
    void (*unknown)(void *arg, const char *name), void *arg, char **why);

/* Asks what the defaults below need, once: no system call is made for them later. */
void conf_ask_system(struct conf *);
void conf_forget_system(struct conf *);
/* The default of a parameter that depends on this system, or NULL: it has a fixed one. */
const char *conf_computed(struct conf *, const char *name);
void conf_forget_computed(struct conf *);

/* What is wrong with an expanded value, with a remedy, on the heap; NULL: nothing. */
char *value_problem(const struct parameter *, const char *value);
/* The first word of a WORDS value that is accepted though it can't be true yet, or an empty slice. */
struct slice value_idle_word(const struct parameter *, const char *value);
bool value_bool(struct slice, bool *value);
/* Seconds. */
bool value_time(struct slice, char unit, int64_t *value);

/* Checks the value of one name as conf_check does. */
void check_setting(struct conf *, struct reporter *, const char *name, const char *value,
    const char *file, unsigned line);
/* Which tables of an expanded value are not there. */
void check_tables(const struct conf *, struct reporter *, const char *name, const char *value,
    const char *file, unsigned line);
/* What is wrong in bounce_template_file. */
void check_templates(struct conf *, struct reporter *);
/* Notes which names a text refers to: they are no "unused parameters". */
void mark_used(struct conf *, const char *text);
/* The same for all of main.cf. */
void mark_all_used(struct conf *);

#endif
