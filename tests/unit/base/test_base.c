/* SPDX-License-Identifier: ISC */
/*
 * What the smallest parts promise: numbers are checked to the last byte, unsafe bytes are replaced,
 * buffers and arenas grow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void a_number_is_digits_up_to_its_limit(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "1000", true, 1000 },
		{ "1001", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "0x10", false, 0 },
		{ "99999999999999999999", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t value = 0;

		assert_int_equal(text_number(slice_of(cases[i].text), 1000, &value), cases[i].ok);
		assert_int_equal(value, cases[i].value);
	}
}

static void unsafe_bytes_become_question_marks(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain", "plain" },
		{ "a\r\nb", "a??b" },
		{ "\x1b[2J", "?[2J" },
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "\xc3", "?" },
		{ "\xc0\x80", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xc2\x9b", "??" },
		{ "\x7f", "?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text = mem_strdup(cases[i].in);

		text_neuter(text, strlen(text));
		assert_string_equal(text, cases[i].out);
		free(text);
	}
}

static void a_buffer_grows_and_gives_its_bytes_up(void **state)
{
	struct buf b = { 0 };
	char *text;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i % 10);
	assert_int_equal(b.len, 2000);
	buf_consume(&b, 1996);
	text = buf_take(&b);
	assert_string_equal(text, "8,9,");
	assert_int_equal(b.len, 0);
	free(text);
}

static void an_arena_gives_zeroed_memory_again_after_a_reset(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t size = 1; size < 20000; size *= 3) {
			char *memory = arena_alloc(a, size);

			for (size_t i = 0; i < size; i++)
				assert_int_equal(memory[i], 0);
			memset(memory, 0xff, size);
		}
		assert_true(arena_used(a) > 0);
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	arena_free(a);
}

static void a_deadline_does_not_overflow(void **state)
{
	(void)state;
	assert_true(deadline_after(INT64_MAX) == DEADLINE_NEVER);
	assert_int_equal(deadline_ms_left(DEADLINE_NEVER), -1);
	assert_int_equal(deadline_ms_left(clock_now() - 1), 0);
	assert_true(deadline_ms_left(deadline_after(CLOCK_SECOND)) > 900);
}

static void words_are_cut_at_separators(void **state)
{
	struct slice rest = SLICE("  one, two\tthree"), word;
	struct buf got = { 0 };

	(void)state;
	while (text_next_word(&rest, " ,\t", &word)) {
		buf_put_slice(&got, word);
		buf_putc(&got, '|');
	}
	assert_string_equal(buf_text(&got), "one|two|three|");
	buf_clear(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_digits_up_to_its_limit),
		cmocka_unit_test(unsafe_bytes_become_question_marks),
		cmocka_unit_test(a_buffer_grows_and_gives_its_bytes_up),
		cmocka_unit_test(an_arena_gives_zeroed_memory_again_after_a_reset),
		cmocka_unit_test(a_deadline_does_not_overflow),
		cmocka_unit_test(words_are_cut_at_separators),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
