/* SPDX-License-Identifier: ISC */
/*
 * Text as programs write it becomes wire form, the same however it is cut into pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "postdrop/wire_form.h"

#define IN(text)                                                                                   \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct {
	struct slice in;
	const char *out;
} cases[] = {
	{ IN(""), "" },
	{ IN("a"), "a\r\n" },
	{ IN("a\nb\n"), "a\r\nb\r\n" },
	{ IN("a\r\nb\r\n"), "a\r\nb\r\n" },
	{ IN(".\n..\n.a\n"), "..\r\n...\r\n..a\r\n" },
	{ IN("a\n.\r\nMAIL FROM:<>\r\n"), "a\r\n..\r\nMAIL FROM:<>\r\n" },
	{ IN("a\rb\n"), "a b\r\n" },
	{ IN("a\r\r\nb\n"), "a \r\nb\r\n" },
	{ IN("\r.\n"), " .\r\n" },
	{ IN("\n\n"), "\r\n\r\n" },
	{ IN("a\r"), "a\r\n" },
	{ IN("a\0b\n\0.\n"), "a b\r\n .\r\n" },
	{ IN("\xff\xe4\x01\n"), "\xff\xe4\x01\r\n" },
};

static void text_becomes_wire_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		for (size_t piece = 1; piece < 5; piece++) {
			struct wire_form form = { 0 };
			struct buf out = { 0 };

			for (size_t at = 0; at < cases[i].in.len; at += piece)
				wire_form_feed(&form, slice_part(cases[i].in, at, piece), &out);
			wire_form_end(&form, &out);
			assert_string_equal(buf_text(&out), cases[i].out);
			buf_clear(&out);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(text_becomes_wire_form) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
