/* SPDX-License-Identifier: ISC */
/*
 * master.cf as it is written: where its rows are, how they are shown, and that a change touches one row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/io.h"
#include "common/conf/master_text.h"
#include "tests/unit/conf/scene.h"

#define HEAD "x          unix  -       -       n       -       0       "

static void a_row_is_shown_in_columns_and_folded(void **state)
{
	static const struct {
		const char *command, *plain, *folded;
	} cases[] = {
		{ "a", "a", "a" },
		{ "a  -v", "a -v", "a -v" },
		{ "a -ob=c", "a -o b=c", "a\n    -o b=c" },
		{ "a -o b=c d", "a -o b=c d", "a\n    -o b=c\n    d" },
		{ "a -v -o b=c", "a -v -o b=c", "a -v\n    -o b=c" },
		{ "a -o { b = c  d }", "a -o {b=c  d}", "a\n    -o {b=c  d}" },
		{ "a -o { b = c }", "a -o b=c", "a\n    -o b=c" },
		{ "a b -o c", "a b -o c", "a b -o c" },
		{ "a { b  c } d", "a {b  c} d", "a {b  c} d" },
		{ "a -o b=c #d", "a -o b=c #d", "a\n    -o b=c #d" },
		{ "a\n  b\n#c\n\n  d", "a b d", "a b d" },
		{ "aaaaaaaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaaaaaaa b" },
		{ "aaaaaaaaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaaaaaaaa b",
		    "aaaaaaaaaaaaaaaaaaaaa\n    b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char path[32], *file = mem_printf("x unix - - n - 0 %s\n", cases[i].command);
		int directory = scene_open(path);
		struct said said = { 0 };
		struct master_text *text;
		struct buf out = { 0 };

		scene_write(directory, "master.cf", slice_of(file));
		text = master_text_load(directory, path, hear, &said);
		assert_non_null(text);
		assert_int_equal(text->count, 1);
		master_row_put(&text->rows[0], false, &out);
		assert_memory_equal(buf_text(&out), HEAD, sizeof(HEAD) - 1);
		assert_string_equal(buf_text(&out) + sizeof(HEAD) - 1, cases[i].plain);
		buf_reset(&out);
		master_row_put(&text->rows[0], true, &out);
		assert_string_equal(buf_text(&out) + sizeof(HEAD) - 1, cases[i].folded);
		buf_clear(&out);
		master_text_free(text);
		scene_close(directory, path);
		free(file);
	}
}

static void a_change_touches_its_rows_and_nothing_else(void **state)
{
#define A     "a unix - - n - 0 b -o c=d\n"
#define Z     "\n# about z\nz unix - - n - 0 z\n"
#define NEW_A "a          unix  -       -       n       -       0       b"
	static const struct {
		enum master_change change;
		struct master_request request;
		const char *before, *after;
		unsigned matched;
	} cases[] = {
		{ MASTER_SET_OVERRIDE, { "a", "unix", "c", "e", 0 }, A Z, NEW_A "\n    -o c=e\n" Z,
		    1 },
		{ MASTER_SET_OVERRIDE, { "*", "inet", "c", "e", 0 }, A Z, A Z, 0 },
		{ MASTER_REMOVE_OVERRIDE, { "a", "*", "c", NULL, 0 }, A Z, NEW_A "\n" Z, 1 },
		{ MASTER_REMOVE_OVERRIDE, { "a", "*", "x", NULL, 0 }, A Z, A Z, 0 },
		{ MASTER_REMOVE_ROW, { "a", "unix", "*", NULL, 0 }, A Z, Z, 1 },
		{ MASTER_REMOVE_ROW, { "a", "unix", "*", NULL, 0 }, A A Z, Z, 2 },
		{ MASTER_COMMENT_OUT, { "a", "unix", "*", NULL, 0 },
		    "a unix - - n - 0 b\n#c\n  d\n" Z, "#a unix - - n - 0 b\n#c\n#  d\n" Z, 1 },
		{ MASTER_SET_FIELD, { "a", "unix", "command", "b", 0 }, A Z, NEW_A "\n" Z, 1 },
		{ MASTER_SET_FIELD, { "a", "unix", "command", "b", 0 },
		    "a unix - - n - 0 b\n#c\n  d\n" Z, NEW_A "\n#c\n" Z, 1 },
		{ MASTER_SET_ROW, { "a", "unix", "*", "a unix - - n - 0 b", 0 }, Z A A,
		    Z NEW_A "\n", 2 },
		{ MASTER_SET_ROW, { "a", "inet", "*", "a unix - - n - 0 b", 0 },
		    Z "x unix - - - - - x", Z "x unix - - - - - x\n" NEW_A "\n", 0 },
		{ MASTER_SET_ROW, { "a", "unix", "*", "a unix - - n - 0 b", 0 }, "", NEW_A "\n",
		    0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char path[32];
		int directory = scene_open(path);
		struct said said = { 0 };
		struct master_request request = cases[i].request;
		struct buf content = { 0 };

		scene_write(directory, "master.cf", slice_of(cases[i].before));
		assert_true(master_text_edit(directory, path, cases[i].change, &request, 1, hear,
		    &said));
		assert_int_equal(request.matched, cases[i].matched);
		assert_int_equal(io_read_file(directory, "master.cf", 1 << 20, &content), 0);
		assert_string_equal(buf_text(&content), cases[i].after);
		buf_clear(&content);
		scene_close(directory, path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_shown_in_columns_and_folded),
		cmocka_unit_test(a_change_touches_its_rows_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
