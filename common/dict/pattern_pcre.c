/* SPDX-License-Identifier: ISC */
/*
 * pattern_pcre.c - Perl's regular expressions, by PCRE2.
 *
 * A stranger chooses the key, so the work of one match is limited; beyond that the table can't
 * answer, which is better than a rule that silently does not hold. No JIT: it needs memory that
 * is writable and executable.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/pattern.h"

enum { MATCH_LIMIT = 500000, DEPTH_LIMIT = 20000, HEAP_KIB = 16 * 1024 };

struct pcre {
	pcre2_code *code;
	pcre2_match_data *found;
};

static const struct pattern_flag flags_known[] = {
	{ 'i', PCRE2_CASELESS }, { 'm', PCRE2_MULTILINE }, { 's', PCRE2_DOTALL },
	{ 'x', PCRE2_EXTENDED }, { 'A', PCRE2_ANCHORED }, { 'E', PCRE2_DOLLAR_ENDONLY },
	{ 'U', PCRE2_UNGREEDY }, { 'X', 0 }, /* PCRE2 always is as strict as this flag asks */
};

static pcre2_match_context *limits(void)
{
	static pcre2_match_context *context;

	if (context != NULL)
		return context;
	context = pcre2_match_context_create(NULL);
	if (context == NULL)
		panic("no memory for PCRE2");
	pcre2_set_match_limit(context, MATCH_LIMIT);
	pcre2_set_depth_limit(context, DEPTH_LIMIT);
	pcre2_set_heap_limit(context, HEAP_KIB);
	return context;
}

static void *compile_pcre(struct slice pattern, struct slice flags, unsigned *groups,
    struct buf *why)
{
	unsigned options = PCRE2_CASELESS | PCRE2_DOTALL;
	unsigned char reason[200];
	uint32_t captures = 0;
	PCRE2_SIZE offset;
	struct pcre *p;
	int rc;

	if (!pattern_flags(flags, flags_known, ARRAY_LENGTH(flags_known), &options, why))
		return NULL;
	p = mem_alloc(sizeof(*p));
	p->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len, options, &rc, &offset, NULL);
	if (p->code == NULL) {
		pcre2_get_error_message(rc, reason, sizeof(reason));
		buf_printf(why, "bad regular expression at byte %zu: %s", (size_t)offset, reason);
		free(p);
		return NULL;
	}
	p->found = pcre2_match_data_create_from_pattern(p->code, NULL);
	if (p->found == NULL)
		panic("no memory for PCRE2");
	pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &captures);
	*groups = captures;
	return p;
}

static void take_groups(const struct pcre *p, struct pattern_key *key, size_t count)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->found);

	for (size_t i = 0; i < PATTERN_GROUPS; i++) {
		/* \K in a lookahead can put the end before the start. */
		bool set = i < count && at[2 * i] != PCRE2_UNSET && at[2 * i + 1] >= at[2 * i];

		key->groups[i] = set ? slice_part(key->text, at[2 * i], at[2 * i + 1] - at[2 * i])
				     : (struct slice){ NULL, 0 };
	}
}

static int match_pcre(const void *compiled, struct pattern_key *key, struct buf *why)
{
	const struct pcre *p = compiled;
	unsigned char reason[200];
	int rc = pcre2_match(p->code, (PCRE2_SPTR)key->text.data, key->text.len, 0, 0, p->found,
	    limits());

	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0) {
		pcre2_get_error_message(rc, reason, sizeof(reason));
		buf_printf(why, "the regular expression gave up: %s", reason);
		return -1;
	}
	take_groups(p, key, (size_t)rc);
	return 1;
}

static void release_pcre(void *compiled)
{
	struct pcre *p = compiled;

	pcre2_match_data_free(p->found);
	pcre2_code_free(p->code);
	free(p);
}

const struct pattern_kind pattern_pcre = { true, compile_pcre, match_pcre, release_pcre };
