/* SPDX-License-Identifier: ISC */
/*
 * test_targets.c - right-hand sides of aliases and .forward files.
 */
#include "tests/unit/local/scene.h"

#include "local/targets.h"

static const char letters[] = { [TARGET_ADDRESS] = 'A',
	[TARGET_USER] = 'U',
	[TARGET_COMMAND] = 'C',
	[TARGET_FILE] = 'F',
	[TARGET_INCLUDE] = 'I' };

/* "A:bob F:/x", or "!" and the reason. */
static char *shown(const char *text, size_t limit)
{
	struct arena *arena = arena_new();
	struct buf out = { 0 };
	const char *why;

	for (struct target *t = targets_parse(slice_of(text), limit, arena, &why); t != NULL;
	     t = t->next)
		buf_printf(&out, "%s%c:%.*s", out.len > 0 ? " " : "", letters[t->kind],
		    (int)t->text.len, t->text.data);
	if (why != NULL)
		buf_printf(&out, "!%s", why);
	arena_free(arena);
	return buf_take(&out);
}

static void lists_are_taken_apart(void **unused)
{
	static const char *const rows[][2] = {
		{ "bob", "A:bob" },
		{ "bob, carol@x.example", "A:bob A:carol@x.example" },
		{ "bob,,\n\n  carol\n", "A:bob A:carol" },
		{ "# a comment\nbob\n# and, another\n", "A:bob" },
		{ "Bob B <bob@x.example>, carol (her)", "A:bob@x.example A:carol" },
		{ "\"odd name\"@x.example", "A:\"odd name\"@x.example" },
		{ "\\bob", "U:bob" },
		{ "/var/mail/archive", "F:/var/mail/archive" },
		{ "/home/bob/Maildir/", "F:/home/bob/Maildir/" },
		{ "\"/with, comma\"", "F:/with, comma" },
		{ "|/usr/bin/vacation bob", "C:/usr/bin/vacation bob" },
		{ "\"|/bin/sh -c 'a, b'\"", "C:/bin/sh -c 'a, b'" },
		{ "|\"/bin/x \\\"y\\\"\"", "C:/bin/x \"y\"" },
		{ "\"|IFS=' ' && exec /bin/p -f- || exit 75 #bob\"",
		    "C:IFS=' ' && exec /bin/p -f- || exit 75 #bob" },
		{ ":include:/etc/list", "I:/etc/list" },
		{ "\":include:/etc/list\"", "I:/etc/list" },
		{ ":Include: /etc/list", "I:/etc/list" },
		{ "", "" },
		{ "  \n# nothing\n", "" },
		{ "a\r\nb\r\n", "A:a A:b" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *got = shown(rows[i][0], 100);

		assert_string_equal(got, rows[i][1]);
		free(got);
	}
}

static void what_cannot_be_read_is_refused_as_a_whole(void **unused)
{
	static const char *const rows[] = { "bob, \"open", "bob (open", "|", "\"|\"" };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *got = shown(rows[i], 100);

		assert_int_equal(got[0], '!');
		free(got);
	}
}

static void a_list_has_a_limit(void **unused)
{
	char *at_limit = shown("a, b, c", 3), *over = shown("a, b, c, d", 3);

	(void)unused;
	assert_string_equal(at_limit, "A:a A:b A:c");
	assert_string_equal(over, "!too many members");
	free(at_limit);
	free(over);
}

static void a_quoted_target_is_read_back_as_it_was(void **unused)
{
	static const char *const texts[] = { "/bin/x", "a \"b\" \\c", "x, y\ty", "\\\\\"" };
	struct arena *arena = arena_new();

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		const char *why;
		char *quoted = target_quote(arena, "|", slice_of(texts[i]));
		struct target *t = targets_parse(slice_of(quoted), 1, arena, &why);

		assert_non_null(t);
		assert_int_equal(t->kind, TARGET_COMMAND);
		assert_true(slice_equal(t->text, slice_of(texts[i])));
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_taken_apart),
		cmocka_unit_test(what_cannot_be_read_is_refused_as_a_whole),
		cmocka_unit_test(a_list_has_a_limit),
		cmocka_unit_test(a_quoted_target_is_read_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
