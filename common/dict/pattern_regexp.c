/* SPDX-License-Identifier: ISC */
/*
 * pattern_regexp.c - POSIX extended regular expressions, of the C library.
 */
#include <regex.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/pattern.h"

static const struct pattern_flag flags_known[] = {
	{ 'i', REG_ICASE },
	{ 'm', REG_NEWLINE },
	{ 'x', REG_EXTENDED },
};

static void *compile_regexp(struct slice pattern, struct slice flags, unsigned *groups,
    struct buf *why)
{
	unsigned options = REG_EXTENDED | REG_ICASE;
	char reason[200], *text;
	regex_t *compiled;
	int rc;

	if (!pattern_flags(flags, flags_known, ARRAY_LENGTH(flags_known), &options, why))
		return NULL;
	text = slice_dup(pattern);
	compiled = mem_alloc(sizeof(*compiled));
	rc = regcomp(compiled, text, (int)options);
	free(text);
	if (rc == 0) {
		*groups = (unsigned)compiled->re_nsub;
		return compiled;
	}
	regerror(rc, compiled, reason, sizeof(reason));
	buf_printf(why, "bad regular expression: %s", reason);
	free(compiled);
	return NULL;
}

static int match_regexp(const void *compiled, struct pattern_key *key, struct buf *why)
{
	regmatch_t found[PATTERN_GROUPS];
	int rc;

	found[0] = (regmatch_t){ .rm_so = 0, .rm_eo = (regoff_t)key->text.len };
	rc = regexec(compiled, key->text.data, PATTERN_GROUPS, found, REG_STARTEND);
	if (rc == REG_NOMATCH)
		return 0;
	if (rc != 0) {
		buf_puts(why, "the regular expression took too much memory");
		return -1;
	}
	for (size_t i = 0; i < PATTERN_GROUPS; i++)
		key->groups[i] = found[i].rm_so == -1
		    ? (struct slice){ NULL, 0 }
		    : slice_part(key->text, (size_t)found[i].rm_so,
			  (size_t)(found[i].rm_eo - found[i].rm_so));
	return 1;
}

static void release_regexp(void *compiled)
{
	regfree(compiled);
	free(compiled);
}

const struct pattern_kind pattern_regexp = { true, compile_regexp, match_regexp, release_regexp };
