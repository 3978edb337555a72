/* SPDX-License-Identifier: ISC */
/*
 * test_transcript.c - what of a session reaches the postmaster: bounded, one line a line, and no secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/service/transcript.h"

static void classes_are_read_from_notify_classes(void **unused)
{
	static const struct {
		const char *text;
		unsigned classes;
	} cases[] = {
		{ "", 0 },
		{ "bounce, 2bounce, delay", 0 },
		{ "resource, software", WRONG_RESOURCE | WRONG_SOFTWARE },
		{ "Policy protocol,data", WRONG_POLICY | WRONG_PROTOCOL | WRONG_DATA },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(transcript_classes(cases[i].text), cases[i].classes);
}

static void no_secret_is_kept(void **unused)
{
	static const struct {
		const char *line, *shown;
	} cases[] = {
		{ "EHLO me", "EHLO me" },
		{ "c2VjcmV0", "c2VjcmV0" }, /* nobody said AUTH */
		{ "auth plain AHNlY3JldA==", "AUTH plain (not shown)" },
		{ "c2VjcmV0", "(not shown)" },
		{ "MAIL FROM:<a@b>", "MAIL FROM:<a@b>" },
		{ "AUTH LOGIN", "AUTH LOGIN" },
		{ "dXNlcg==", "(not shown)" },
		{ "c2VjcmV0", "(not shown)" },
		{ "", "(not shown)" },
		{ "quit", "quit" },
		{ "AUTH", "AUTH " },
	};

	(void)unused;
	for (int ours = 0; ours < 2; ours++) {
		struct transcript t = { 0 };
		struct buf expected = { 0 };

		for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
			transcript_command(&t, ours, slice_of(cases[i].line));
			buf_printf(&expected, "%s%s\r\n",
			    ours ? " Out: " : " In:  ", cases[i].shown);
		}
		assert_string_equal(buf_text(&t.start), buf_text(&expected));
		buf_clear(&expected);
		transcript_end(&t, "SMTP server", SLICE("x"), NULL);
	}
}

static void lines_stay_lines(void **unused)
{
	struct transcript t = { 0 };
	char longest[700];

	(void)unused;
	memset(longest, 'x', sizeof(longest));
	transcript_reply(&t, false, SLICE("250-a\r\n250 b\033[1m\n"));
	transcript_command(&t, true, SLICE("NOOP\r\n"));
	transcript_command(&t, true, slice_new(longest, sizeof(longest)));
	assert_memory_equal(t.start.data,
	    " In:  250-a\r\n In:  250 b?[1m\r\n Out: NOOP\r\n Out: xxx",
	    strlen(" In:  250-a\r\n In:  250 b?[1m\r\n Out: NOOP\r\n Out: xxx"));
	assert_non_null(strstr(buf_text(&t.start), "xxx...\r\n"));
	assert_true(t.start.len < 600);
	transcript_end(&t, "SMTP client", SLICE("x"), NULL);
}

static void the_first_and_the_last_lines_are_kept(void **unused)
{
	struct transcript t = { 0 };
	char line[40];

	(void)unused;
	for (int i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "NOOP %d", i);
		transcript_command(&t, false, slice_of(line));
	}
	assert_true(t.start.len + t.latest.len < 32 * 1024);
	assert_true(t.dropped > 8000);
	assert_memory_equal(t.start.data, " In:  NOOP 0\r\n", 14);
	assert_memory_equal(t.latest.data, " In:  NOOP ", 11);
	assert_memory_equal(t.latest.data + t.latest.len - 17, " In:  NOOP 9999\r\n", 17);
	transcript_end(&t, "SMTP server", SLICE("x"), NULL);
	assert_int_equal(t.start.size + t.latest.size + t.dropped, 0);
}

static void nothing_is_kept_that_nobody_wants(void **unused)
{
	struct transcript t = { 0 };

	(void)unused;
	transcript_wanted = 0;
	transcript_command(&t, false, SLICE("NOOP"));
	transcript_reply(&t, true, SLICE("250 Ok"));
	assert_int_equal(t.start.len, 0);
	transcript_wanted = WRONG_POLICY;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_are_read_from_notify_classes),
		cmocka_unit_test(no_secret_is_kept),
		cmocka_unit_test(lines_stay_lines),
		cmocka_unit_test(the_first_and_the_last_lines_are_kept),
		cmocka_unit_test(nothing_is_kept_that_nobody_wants),
	};

	transcript_wanted = WRONG_POLICY;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
