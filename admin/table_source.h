/* SPDX-License-Identifier: ISC */
/*
 * table_source.h - the text that postmap and postalias read, as keys and values.
 */
#ifndef GP_TABLE_SOURCE_H
#define GP_TABLE_SOURCE_H

#include "common/base/buf.h"
#include "common/conf/lines.h"

enum table_syntax {
	TABLE_MAP,     /* key, blanks, value */
	TABLE_ALIASES, /* name: value */
};

struct table_source {
	const char *name; /* of the file, for warnings; the caller's */
	enum table_syntax syntax;
	bool keep_case;		 /* keys are not folded to lower case */
	struct conf_lines lines; /* set lines.rest to the whole text; all else zero */
	struct buf line, key_text;
};

/* The next entry; both are valid until the next call. Lines that can't be used are skipped with a
 * warning (file and line) in the log. False at the end. */
bool table_source_next(struct table_source *, struct slice *key, struct slice *value);
void table_source_clear(struct table_source *);

#endif
