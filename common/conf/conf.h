/* SPDX-License-Identifier: ISC */
/*
 * conf.h - main.cf: Postfix's grammar and names; every parameter of ours is a row of
 * parameters.def; every complaint carries file and line.
 */
#ifndef GP_CONF_H
#define GP_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct conf;

enum conf_severity { CONF_NOTE, CONF_WARNING, CONF_ERROR };
/* Where complaints go. text is one sentence or two: what is wrong and what to do. */
typedef void conf_report(void *arg, enum conf_severity, const char *file, unsigned line,
    const char *text);

/* Reads DIR/main.cf. directory: an open descriptor of DIR; path: its name, for messages and
 * $config_directory. Returns NULL only when the file can't be read or a line has no meaning at all;
 * what is wrong was reported. */
struct conf *conf_load(int directory, const char *path, conf_report *report, void *arg);
/* As if DIR/main.cf were empty: every parameter has its default. path: the name of DIR. */
struct conf *conf_defaults(const char *path);
void conf_free(struct conf *);

/* `-o name=value` and `-o { name = value }`: wins over main.cf. False and a report when malformed. */
bool conf_override(struct conf *, const char *assignment, const char *file, unsigned line,
    conf_report *report, void *arg);

/* Checks types, limits, $references (loops, unknown names), misspelt and unsupported names (with
 * "did you mean" or what to use instead). Returns the number of errors. Services call it at start
 * without notes and warnings; `gatepost check` reports all. */
unsigned conf_check(struct conf *, conf_report *report, void *arg);

/* The value with all $references expanded; user-defined parameters too. NULL: no such parameter.
 * Valid until the conf is freed or overridden. */
const char *conf_text(struct conf *, const char *name);
/* Of a parameter of the right type; panics for an unknown name (a bug). Values out of range were
 * reported by conf_check; here they are the nearest limit. */
bool conf_bool(struct conf *, const char *name);
int64_t conf_number(struct conf *, const char *name);
int64_t conf_time(struct conf *, const char *name); /* nanoseconds */
/* `name` as a transport-specific parameter with fall-back: "relay_destination_concurrency_limit"
 * to "default_destination_concurrency_limit". */
int64_t conf_number_for(struct conf *, const char *prefix, const char *suffix);
int64_t conf_time_for(struct conf *, const char *prefix, const char *suffix);
const char *conf_text_for(struct conf *, const char *prefix, const char *suffix);

/* Where this installation looks for main.cf unless it is told. */
const char *conf_default_path(void);
/* Where the services and master of this installation are, on the heap: beside the running program (a
 * build, a service), in ../lib/gatepost from there, or where they were to be installed. */
char *conf_own_programs(void);
/* Where the programs of master.cf are, on the heap: the daemon_directory that main.cf names; that of the
 * running program when it names none, or one without ours (a main.cf of Postfix; conf_check says so). */
char *conf_program_directory(struct conf *);

/* Expands $names in any text, as values are. On the heap; NULL with a reason on the heap. */
char *conf_expand(struct conf *, const char *text, char **why);

/* A struct filled from the parameters: one row per member; the type of the member must fit. */
struct conf_setting {
	const char *name;
	uint8_t type; /* of the member */
	uint32_t offset;
};
enum conf_member { CONF_MEMBER_BOOL, CONF_MEMBER_NUMBER, CONF_MEMBER_TEXT };
#define CONF_SETTING(structure, member, parameter)                                                    \
	{                                                                                             \
		(parameter),                                                                        \
	    _Generic(((structure *)0)->member,                                                \
		bool: CONF_MEMBER_BOOL,                                                       \
		int64_t: CONF_MEMBER_NUMBER,                                                  \
		const char *: CONF_MEMBER_TEXT),                                              \
	    offsetof(structure, member) \
	}
/* Times come in nanoseconds. Texts live as long as the conf. settings ends with a NULL name. */
void conf_fill(struct conf *, const struct conf_setting *settings, void *out);

/* The rows of parameters.def and what main.cf says, for postconf. */
struct conf_parameter {
	const char *name;
	const char *type;     /* bool number time text raw list maps choice words */
	const char *fallback; /* the default, unexpanded */
	const char *meaning;  /* one line */
};
const struct conf_parameter *conf_parameters(size_t *count);
/* What main.cf (or an override) says, unexpanded, or NULL. */
const char *conf_explicit(struct conf *, const char *name);
/* Calls visit for each name set in main.cf, in its order, last value of doubled ones. */
void conf_each_explicit(struct conf *,
    void (*visit)(void *arg, const char *name, const char *value), void *arg);
/* Rewrites main.cf: sets names; keeps comments and order, owner and mode, and a symbolic link;
 * replaced as a whole, flushed. Edits at the same time wait for each other. -1 with errno. */
int conf_edit(int directory, const char *const *names, const char *const *values, size_t count);
/* The same, but takes names away, or makes comments of the lines that set them. */
int conf_drop(int directory, const char *const *names, size_t count, bool comment);

/* Splits a list as Postfix does: blanks, commas, TAB, CR, LF; { } protects and is removed. */
bool conf_next_item(struct slice *rest, struct slice *item);

#endif
