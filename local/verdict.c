/* SPDX-License-Identifier: ISC */
/*
 * verdict.c - what a delivery came to, as status code and text.
 */
#include "local/local.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { TEXT_SIZE = 1000 };

static void fill(struct verdict *v, enum outcome outcome, const char *dsn, const char *format,
    va_list args)
{
	char text[TEXT_SIZE];

	vsnprintf(text, sizeof(text), format, args);
	text_neuter(text, strlen(text));
	free(v->text);
	v->text = mem_strdup(text);
	v->outcome = outcome;
	snprintf(v->dsn, sizeof(v->dsn), "%s", dsn);
}

void verdict_set(struct verdict *v, enum outcome outcome, const char *dsn, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(v, outcome, dsn, format, args);
	va_end(args);
}

/* What an error means for the sender; anything else is tried again. */
static const struct {
	int error;
	enum outcome outcome;
	const char *dsn;
} meanings[] = {
	{ EFBIG, OUTCOME_DEFERRED, "4.2.2" },
	{ EDQUOT, OUTCOME_DEFERRED, "4.2.2" },
	{ ENOSPC, OUTCOME_DEFERRED, "4.3.1" },
	{ EMFILE, OUTCOME_DEFERRED, "4.3.0" },
	{ ENFILE, OUTCOME_DEFERRED, "4.3.0" },
	{ ENOMEM, OUTCOME_DEFERRED, "4.3.0" },
	{ ELOOP, OUTCOME_BOUNCED, "5.2.0" },
	{ EISDIR, OUTCOME_BOUNCED, "5.2.0" },
	{ ENXIO, OUTCOME_BOUNCED, "5.2.0" },
	{ EMLINK, OUTCOME_BOUNCED, "5.2.0" },
	{ ENAMETOOLONG, OUTCOME_BOUNCED, "5.2.0" },
};

void verdict_errno(struct verdict *v, int error, const char *format, ...)
{
	enum outcome outcome = OUTCOME_DEFERRED;
	const char *dsn = "4.2.0";
	char what[TEXT_SIZE];
	va_list args;

	for (size_t i = 0; i < ARRAY_LENGTH(meanings); i++)
		if (meanings[i].error == error) {
			outcome = meanings[i].outcome;
			dsn = meanings[i].dsn;
		}
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	verdict_set(v, outcome, dsn, "%s: %s", what, strerror(error));
}

void verdict_add(struct verdict *whole, struct verdict *part)
{
	static const int rank[] = {
		0, [OUTCOME_SENT] = 1, [OUTCOME_BOUNCED] = 2, [OUTCOME_DEFERRED] = 3
	};
	bool renew = whole->renew || part->renew;
	enum success success = whole->success > part->success ? whole->success : part->success;

	if (whole->text == NULL || rank[part->outcome] > rank[whole->outcome]) {
		free(whole->text);
		*whole = *part;
	} else {
		free(part->text);
	}
	whole->renew = renew;
	whole->success = success;
	part->text = NULL;
}

bool setting_has_word(const char *list, const char *word)
{
	struct slice rest = slice_of(list), item;

	while (text_next_word(&rest, ", \t\r\n", &item))
		if (slice_equal(item, slice_of(word)))
			return true;
	return false;
}
