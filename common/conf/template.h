/* SPDX-License-Identifier: ISC */
/*
 * template.h - the words of notices: built in, or from bounce_template_file, for bounce, postconf and the
 * checks of the configuration.
 */
#ifndef GP_TEMPLATE_H
#define GP_TEMPLATE_H

#include "common/base/arena.h"
#include "common/conf/conf.h"
#include "common/ipc/messages.h"

struct template
{
	const char *charset, *from, *subject, *postmaster_subject;
	const char *text; /* lines end with LF */
};
/* One of each enum notice_kind. */
struct templates {
	struct template of[NOTICE_VERIFY + 1];
	struct arena *texts;
};
/* Reads the file (path relative to directory, or AT_FDCWD; "": none). expanded: with the values of all $names.
 * What is wrong is reported as a warning with the file and its line, and the built-in template counts.
 * template_clear frees. */
void template_read(struct conf *, int directory, const char *path, bool expanded, conf_report *,
    void *arg, struct templates *out);
void template_clear(struct templates *);
/* "failure_template" */
const char *template_name(enum notice_kind);

/* --- the grammar of the file ------------------------------------------------------------------------ */

/* One template as the file has it; the texts are on the heap, NULL where it says nothing. */
struct template_draft {
	enum notice_kind kind;
	unsigned line; /* of its name */
	char *charset, *from, *subject, *postmaster_subject, *text;
};

struct template_reader {
	struct slice rest;   /* of the file */
	unsigned line;	     /* that was read last */
	unsigned wrong_line; /* what the reason is about */
};
enum template_next { TEMPLATE_FOUND, TEMPLATE_WRONG, TEMPLATE_END };
/* The next template of the file. WRONG: not to be used, for a reason on the heap. The draft is to be cleared
 * when FOUND. */
enum template_next template_next(struct template_reader *, struct template_draft *, char **why);
void template_draft_clear(struct template_draft *);

#endif
