/* SPDX-License-Identifier: ISC */
/*
 * master_text.h - master.cf as it is written, for postconf: which rows there are with their words as
 * they stand, where in the file they are, and changing them without touching the rest.
 */
#ifndef GP_CONF_MASTER_TEXT_H
#define GP_CONF_MASTER_TEXT_H

#include "common/conf/conf.h"

enum master_field {
	MASTER_SERVICE,
	MASTER_TYPE,
	MASTER_PRIVATE,
	MASTER_UNPRIVILEGED,
	MASTER_CHROOT,
	MASTER_WAKEUP,
	MASTER_PROCESS_LIMIT,
	MASTER_COMMAND,
	MASTER_FIELDS
};
/* "service", ..., "command". */
const char *master_field_name(enum master_field);
/* -1: no such field. */
int master_field_of(struct slice name);

/* One word behind the command. */
struct master_argument {
	char *name;	/* of -o name=value; NULL: any other word */
	char *value;	/* of -o; else the word, with its braces */
	bool is_option; /* -o, or a word with - before the first one without */
};

struct master_row {
	char *fields[MASTER_FIELDS]; /* the command's without its arguments */
	struct master_argument *arguments;
	size_t arguments_count;
	unsigned line;
	size_t start, end; /* in the file; comments and empty lines may lie between */
};

struct master_text {
	struct master_row *rows;
	size_t count;
};

/* Reads DIR/master.cf. Lines that are no rows at all are reported, all of them; then NULL. What stands
 * in a column is not checked. */
struct master_text *master_text_load(int directory, const char *path, conf_report *report,
    void *arg);
void master_text_free(struct master_text *);

enum { MASTER_LINE_MOST = 80 };
/* The row as a line with its columns in place, without a line end. fold: -o values on lines of their
 * own, and no line as long as MASTER_LINE_MOST unless a word is. */
void master_row_put(const struct master_row *, bool fold, struct buf *out);
/* Its command with all arguments alone; column: where it starts in the line. */
void master_row_put_command(const struct master_row *, bool fold, size_t column, struct buf *out);
/* The value of the last -o of that name, or NULL. */
const char *master_row_override(const struct master_row *, const char *name);

enum master_change {
	MASTER_SET_ROW,
	MASTER_SET_FIELD,
	MASTER_SET_OVERRIDE,
	MASTER_REMOVE_ROW,
	MASTER_REMOVE_OVERRIDE,
	MASTER_COMMENT_OUT
};

/* What to change. service and type: "*" for any; name: of the field ("*" for any) or of the -o. */
struct master_request {
	const char *service, *type, *name, *value;
	unsigned matched; /* rows; the answer */
};
bool master_request_matches(const struct master_request *, const struct master_row *);

/* Changes DIR/master.cf as conf_edit changes main.cf: replaced as a whole, everything else kept byte for
 * byte, comments inside a changed row put behind it. A row that MASTER_SET_ROW does not find is added.
 * False: nothing was changed; why was reported. */
bool master_text_edit(int directory, const char *path, enum master_change,
    struct master_request *requests, size_t count, conf_report *report, void *arg);

#endif
