/* SPDX-License-Identifier: ISC */
/*
 * sendmail's command line, and the recipients that -t finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "postdrop/options.h"
#include "postdrop/submission.h"

enum { WORDS = 8 };

static bool parse(const char *const *words, struct options *o, char option[3])
{
	char *argv[WORDS + 2] = { (char *)(uintptr_t) "sendmail" };
	const char *why;
	int argc = 1;

	for (; argc <= WORDS && words[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	*o = (struct options){ 0 };
	return options_parse(argc, argv, o, &why, option);
}

static const struct {
	const char *words[WORDS];
	struct options wanted; /* the numbers of it */
} good[] = {
	{ { "a@b" }, { .first = 1 } },
	{ { "-t", "-i" }, { .extract = true, .keep_dots = true, .first = 3 } },
	{ { "-oi", "-t", "--", "-x" }, { .extract = true, .keep_dots = true, .first = 4 } },
	{ { "-odi", "-oem", "-om", "-o7", "-o8", "a" }, { .first = 6 } },
	{ { "-Am", "-Ac", "-h", "3", "-m", "-n", "-U" }, { .first = 8 } },
	{ { "-Xlog", "-Llabel", "-pprot", "-ep", "-x", "-c", "-v" }, { .first = 8 } },
	{ { "-bm", "a" }, { .first = 2 } },
	{ { "-bs" }, { .mode = MODE_SMTP, .first = 2 } },
	{ { "-bp" }, { .mode = MODE_LIST, .first = 2 } },
	{ { "-bi" }, { .mode = MODE_ALIASES, .first = 2 } },
	{ { "-I" }, { .mode = MODE_ALIASES, .first = 2 } },
	{ { "-bv", "a" }, { .mode = MODE_VERIFY, .first = 2 } },
	{ { "-bd", "-q30m" }, { .mode = MODE_START, .first = 3 } },
	{ { "-bl" }, { .mode = MODE_START, .first = 2 } },
	{ { "-bh" }, { .mode = MODE_NOTHING, .first = 2 } },
	{ { "-bH" }, { .mode = MODE_NOTHING, .first = 2 } },
	{ { "-q" }, { .mode = MODE_FLUSH, .first = 2 } },
	{ { "-q15m" }, { .mode = MODE_FLUSH, .first = 2 } },
	{ { "-qI4jZRYb0gq5z300" }, { .mode = MODE_FLUSH, .flush = 'I', .first = 2 } },
	{ { "-qRexample.com" }, { .mode = MODE_FLUSH, .flush = 'R', .first = 2 } },
	{ { "-N", "never" }, { .notify = NOTIFY_NEVER, .first = 3 } },
	{ { "-Nsuccess,DELAY" }, { .notify = NOTIFY_SUCCESS | NOTIFY_DELAY, .first = 2 } },
	{ { "-R", "full" }, { .ret = 1, .first = 3 } },
	{ { "-Rhdrs" }, { .ret = 2, .first = 2 } },
	{ { "-B8BITMIME", "-G" }, { .is_8bit = true, .is_gateway = true, .first = 3 } },
	{ { "-B", "7bit" }, { .first = 3 } },
	{ { "-O", "smtputf8=yes", "-Orequiretls=no" }, { .first = 4 } },
};

static void options_mean_what_programs_think(void **state)
{
	struct options o;
	char option[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		const struct options *w = &good[i].wanted;

		assert_true(parse(good[i].words, &o, option));
		assert_int_equal(o.mode, w->mode);
		assert_int_equal(o.first, w->first);
		assert_int_equal(o.flush, w->flush);
		assert_int_equal(o.notify, w->notify);
		assert_int_equal(o.ret, w->ret);
		assert_int_equal(o.extract, w->extract);
		assert_int_equal(o.keep_dots, w->keep_dots);
		assert_int_equal(o.is_8bit, w->is_8bit);
		assert_int_equal(o.is_gateway, w->is_gateway);
	}
}

static const struct {
	const char *words[WORDS];
	const char *option;
} bad[] = {
	{ { "-f" }, "-f" },
	{ { "-Z" }, "-Z" },
	{ { "-bx" }, "-b" },
	{ { "-Nsometimes" }, "-N" },
	{ { "-Nnever,success" }, "-N" },
	{ { "-N", "" }, "-N" },
	{ { "-Rall" }, "-R" },
	{ { "-B9bit" }, "-B" },
	{ { "-qX" }, "-q" },
	{ { "-qI" }, "-q" },
	{ { "-XV+=" }, "-X" },
	{ { "-Orequiretls=yes" }, "-O" },
	{ { "-t", "--help", "a" }, "--" },
};

static void wrong_options_are_named(void **state)
{
	struct options o;
	char option[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_false(parse(bad[i].words, &o, option));
		assert_string_equal(option, bad[i].option);
	}
}

static void texts_of_options_are_kept(void **state)
{
	const char *words[WORDS] = { "-f", "me@x", "-Fa name", "-V", "id", "-Cdir", "-oAfile" };
	struct options o;
	char option[3];

	(void)state;
	assert_true(parse(words, &o, option));
	assert_string_equal(o.sender, "me@x");
	assert_string_equal(o.full_name, "a name");
	assert_string_equal(o.envid, "id");
	assert_string_equal(o.config, "dir");
	assert_string_equal(o.alias_database, "file");
}

static const struct {
	const char *text, *found; /* separated by blanks */
} headers[] = {
	{ "To: a@x\n\nTo: b@x\n", "a@x" },
	{ "To: a@x, b@x\nCc: c@x\nBcc: d@x\nSubject: e@x\n\n", "a@x b@x c@x d@x" },
	{ "to: a@x\r\ncC : b@x\r\n\r\n", "a@x b@x" },
	{ "To: a@x,\n\tb@x,\n c@x\n", "a@x b@x c@x" },
	{ "To: \"N, M\" <a@x>, b@x (c@x)\n\n", "a@x b@x" },
	{ "To: group: a@x, b@x; , c\n\n", "a@x b@x c" },
	{ "To: \"a b\"@x\n\n", "\"a b\"@x" },
	{ "To: a+ext@x\n\n", "a+ext@x" },
	{ "To: a@x\nResent-To: b@x\n\n", "b@x" },
	{ "Bcc: a@x\nResent-Cc: c@x\nResent-Bcc: b@x\n\n", "c@x b@x" },
	{ "Resent-From: z@x\nTo: a@x\n\n", "a@x" },
	{ "From me Mon Jan 1\nTo: a@x\n\n", "a@x" },
	{ ">From me Mon Jan 1\nTo: a@x\n\n", "a@x" },
	{ "To:\n\n", "" },
	{ "To: undisclosed-recipients:;\nBcc: a@x\n\n", "a@x" },
	{ "Subject: x\nno field\nTo: a@x\n\n", "" },
	{ "\nTo: a@x\n", "" },
	{ "", "" },
	{ "To: a@x", "a@x" },
};

static void the_header_says_for_whom(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(headers); i++) {
		struct submission s = { 0 };
		struct buf found = { 0 };
		const char *why;

		assert_int_equal(spool_append(&s.content, slice_of(headers[i].text)), 0);
		assert_true(submission_extract(&s, &why));
		for (size_t at = 0; at < s.rcpt_count; at++) {
			buf_puts(&found, at > 0 ? " " : "");
			buf_put_slice(&found, s.rcpts[at]);
		}
		assert_string_equal(buf_text(&found), headers[i].found);
		buf_clear(&found);
		submission_clear(&s);
	}
}

static void long_lists_are_taken_whole(void **state)
{
	enum { COUNT = 50000 };
	struct submission s = { 0 };
	struct buf text = { 0 };
	const char *why;

	(void)state;
	buf_puts(&text, "To: first@x");
	for (unsigned i = 1; i < COUNT; i++)
		buf_printf(&text, ",\n\tuser%u@example.com", i);
	buf_puts(&text, "\n\nbody\n");
	assert_int_equal(spool_append(&s.content, buf_slice(&text)), 0);
	assert_true(s.content.in_file);
	assert_true(submission_extract(&s, &why));
	assert_int_equal(s.rcpt_count, COUNT);
	assert_true(slice_equal(s.rcpts[COUNT - 1], SLICE("user49999@example.com")));
	buf_clear(&text);
	submission_clear(&s);
}

static void a_spool_gives_back_what_it_took(void **state)
{
	enum { PIECE = 100000, PIECES = 30 };
	struct spool s = { 0 };
	char *piece = mem_alloc(PIECE), *back = mem_alloc(PIECE);

	(void)state;
	for (unsigned i = 0; i < PIECES; i++) {
		memset(piece, (int)i, PIECE);
		assert_int_equal(spool_append(&s, slice_new(piece, PIECE)), 0);
	}
	assert_int_equal(s.size, PIECE * PIECES);
	for (unsigned i = 0; i < PIECES; i++) {
		memset(piece, (int)i, PIECE);
		assert_int_equal(spool_read(&s, (uint64_t)i * PIECE, back, PIECE), PIECE);
		assert_memory_equal(piece, back, PIECE);
	}
	assert_int_equal(spool_read(&s, s.size, back, PIECE), 0);
	spool_clear(&s);
	free(piece);
	free(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_mean_what_programs_think),
		cmocka_unit_test(wrong_options_are_named),
		cmocka_unit_test(texts_of_options_are_kept),
		cmocka_unit_test(the_header_says_for_whom),
		cmocka_unit_test(long_lists_are_taken_whole),
		cmocka_unit_test(a_spool_gives_back_what_it_took),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
