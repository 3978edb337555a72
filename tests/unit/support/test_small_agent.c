/* SPDX-License-Identifier: ISC */
/*
 * test_small_agent.c - what a nexthop means to error, retry and discard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "support/small_agent.h"

static void a_status_before_the_text_counts_when_its_class_fits(void **unused)
{
	static const char *const rows[][4] = {
		/* nexthop, fallback, status, text */
		{ "5.7.1 not here", "5.0.0", "5.7.1", "not here" },
		{ "not here", "5.0.0", "5.0.0", "not here" },
		{ "4.2.1 later", "5.0.0", "5.0.0", "4.2.1 later" },
		{ "4.2.1 later", "4.0.0", "4.2.1", "later" },
		{ "5.7 short", "5.0.0", "5.0.0", "5.7 short" },
		{ "5.7.1.2 long", "5.0.0", "5.0.0", "5.7.1.2 long" },
		{ "5.7.1234 big", "5.0.0", "5.0.0", "5.7.1234 big" },
		{ "5.7.x odd", "5.0.0", "5.0.0", "5.7.x odd" },
		{ "5.7.1", "5.0.0", "5.7.1", "" },
		{ "", "5.0.0", "5.0.0", "" },
		{ "spam", "2.0.0", "2.0.0", "spam" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct small_outcome what = { 0 };

		small_agent_split(slice_of(rows[i][0]), slice_of(rows[i][1]), &what);
		assert_true(slice_equal(what.dsn, slice_of(rows[i][2])));
		assert_true(slice_equal(what.text, slice_of(rows[i][3])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_before_the_text_counts_when_its_class_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
