/* SPDX-License-Identifier: ISC */
/*
 * bounce_template_file: what is taken from it, and that what is wrong costs no more than its own template.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

#include <stdio.h>

#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/template.h"

static void it_is_read_template_by_template(void **unused)
{
	static const char file[] = "# a comment\n"
				   "\n"
				   "failure_template = <<EOF\n"
				   "Charset: utf-8\n"
				   "subject:  Oh no \n"
				   "\n"
				   "This is $myhostname.\n"
				   " EOF\n"
				   "\n"
				   "EOF\n"
				   "verify_template=<<X\n"
				   "From: me\n"
				   "\n"
				   "found out\n"
				   "X\n"
				   "delay_template = << END\r\n"
				   "\r\n"
				   "text\r\n"
				   "END\r\n";
	struct template_reader r = { .rest = SLICE(file) };
	struct template_draft d;
	char *why;

	(void)unused;
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_FOUND);
	assert_int_equal(d.kind, NOTICE_FAILURE);
	assert_int_equal(d.line, 3);
	assert_string_equal(d.charset, "utf-8");
	assert_string_equal(d.subject, "Oh no");
	assert_null(d.from);
	assert_string_equal(d.text, "This is $myhostname.\n EOF\n\n");
	template_draft_clear(&d);
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_FOUND);
	assert_int_equal(d.kind, NOTICE_VERIFY);
	assert_string_equal(d.text, "found out\n");
	template_draft_clear(&d);
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_FOUND);
	assert_int_equal(d.kind, NOTICE_DELAY);
	assert_string_equal(d.text, "text\n");
	template_draft_clear(&d);
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_END);
}

static void what_is_wrong_is_said_with_its_line(void **unused)
{
	static const struct {
		const char *template;
		unsigned line;
		const char *why;
	} cases[] = {
		{ "nonsense\n", 1, "\"name = <<END\" is expected" },
		{ "failure_template = text\n", 1, "is expected" },
		{ "failure_template = <<\n", 1, "a word that ends the template is missing" },
		{ "other_template = <<E\n\ntext\nE\n", 1, "there is no template of this name" },
		{ "failure_template = <<E\nX-Mine: y\n\ntext\nE\n", 2, "Charset:, From:" },
		{ "failure_template = <<E\nno colon\n\ntext\nE\n", 2, "Charset:, From:" },
		{ "failure_template = <<E\nFrom: a\nFrom: b\n\ntext\nE\n", 3, "once" },
		{ "failure_template = <<E\nFrom:\n\ntext\nE\n", 2, "with a value" },
		{ "failure_template = <<E\nCharset: a b\n\ntext\nE\n", 2, "no character set" },
		{ "failure_template = <<E\nFrom: a\nE\n", 2, "there is no text" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *file = mem_printf("%ssuccess_template = <<E\n\nfine\nE\n", cases[i].template);
		struct template_reader r = { .rest = slice_of(file) };
		struct template_draft d;
		char *why;

		assert_int_equal(template_next(&r, &d, &why), TEMPLATE_WRONG);
		assert_int_equal(r.wrong_line, cases[i].line);
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].why, why);
		free(why);
		assert_int_equal(template_next(&r, &d, &why), TEMPLATE_FOUND);
		assert_int_equal(d.kind, NOTICE_SUCCESS);
		template_draft_clear(&d);
		free(file);
	}
}

static void a_template_without_an_end_is_not_used(void **unused)
{
	struct template_reader r = { .rest = SLICE("delay_template = <<E\n\ntext\n") };
	struct template_draft d;
	char *why;

	(void)unused;
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_WRONG);
	assert_non_null(strstr(why, "the line that ends the template is missing"));
	free(why);
	assert_int_equal(template_next(&r, &d, &why), TEMPLATE_END);
}

static void names_are_filled_in_at_start(void **unused)
{
	static const char file[] = "failure_template = <<E\n"
				   "Subject: From $myhostname\n"
				   "\n"
				   "$$5 ${myhostname}: ${delay_warning_time_minutes} "
				   "$(delay_warning_time_days) $maximal_queue_lifetime_weeks\n"
				   "E\n"
				   "delay_template = <<E\n"
				   "\n"
				   "$no_such_name\n"
				   "E\n";
	struct conf *conf = conf_defaults("/etc/gatepost");
	struct said said = { 0 };
	struct templates t;
	char path[32];
	int directory = scene_open(path);

	(void)unused;
	conf_override(conf, "myhostname=mx.example", "test", 1, NULL, NULL);
	conf_override(conf, "delay_warning_time=4h", "test", 1, NULL, NULL);
	scene_write(directory, "main.cf", slice_of(file));
	template_read(conf, directory, "main.cf", true, hear, &said, &t);
	assert_string_equal(t.of[NOTICE_FAILURE].subject, "From mx.example");
	assert_string_equal(t.of[NOTICE_FAILURE].text, "$5 mx.example: 240 1 1\n");
	assert_string_equal(t.of[NOTICE_FAILURE].postmaster_subject,
	    "Postmaster Copy: Undelivered Mail");
	assert_non_null(strstr(t.of[NOTICE_DELAY].text, "mail system at host mx.example."));
	assert_string_equal(buf_text(&said.text),
	    "warning 6 main.cf: there is no parameter \"no_such_name\"; the built-in text is "
	    "used\n");
	template_clear(&t);
	said_clear(&said);

	/* As it was written, and checked all the same. */
	template_read(conf, directory, "main.cf", false, hear, &said, &t);
	assert_string_equal(t.of[NOTICE_FAILURE].subject, "From $myhostname");
	assert_non_null(strstr(t.of[NOTICE_DELAY].text, "mail system at host $myhostname."));
	assert_int_equal(said.count[CONF_WARNING], 1);
	template_clear(&t);
	said_clear(&said);

	template_read(conf, directory, "none", true, hear, &said, &t);
	assert_string_equal(buf_text(&said.text),
	    "warning 0 none: No such file or directory; the built-in text is used\n");
	template_clear(&t);
	said_clear(&said);
	scene_close(directory, path);
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_read_template_by_template),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(a_template_without_an_end_is_not_used),
		cmocka_unit_test(names_are_filled_in_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
