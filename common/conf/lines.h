/* SPDX-License-Identifier: ISC */
/*
 * lines.h - logical lines of main.cf and master.cf: a line that starts with a blank continues the
 * one before it; empty lines and comments are skipped, between continuations too.
 */
#ifndef GP_CONF_LINES_H
#define GP_CONF_LINES_H

#include "common/base/buf.h"

struct conf_lines {
	struct slice rest; /* set it to the whole file; all else zero */
	unsigned at;	   /* physical lines read so far */
	unsigned number;   /* where the present logical line starts */
	bool stray;	   /* the present line starts with a blank and continues nothing */
};

/* The next logical line goes into line, without line ends. False at the end. */
bool conf_lines_next(struct conf_lines *, struct buf *line);

/* The next physical line with its end. */
struct slice conf_physical_line(struct slice *rest);
/* It is empty, blank or a comment. */
bool conf_says_nothing(struct slice line);

#endif
