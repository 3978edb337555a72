/* SPDX-License-Identifier: ISC */
/*
 * template.h - the grammar of bounce_template_file, without what fills the names in.
 */
#ifndef GP_BOUNCE_TEMPLATE_H
#define GP_BOUNCE_TEMPLATE_H

#include "bounce/bounce.h"

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
