/* SPDX-License-Identifier: ISC */
/*
 * Virtual aliases: every recipient once, no loop without end, no table that makes us large.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/task/task.h"
#include "rewrite/rewrite.h"

static struct rewrite_settings settings;
static struct tables *tables;
static struct arena *arena;
static struct expansion out;
static struct slice why;

static int set_up(void **state)
{
	(void)state;
	settings = (struct rewrite_settings){
		.myhostname = "here.example",
		.mydomain = "here.example",
		.myorigin = "here.example",
		.mydestination = "here.example",
		.inet_interfaces = "",
		.proxy_interfaces = "",
		.parent_domain_matches_subdomains = "",
		.local_transport = "local",
		.virtual_transport = "virtual",
		.relay_transport = "relay",
		.default_transport = "smtp",
		.relayhost = "",
		.error_service_name = "error",
		.recipient_delimiter = "+",
		.empty_address_recipient = "MAILER-DAEMON",
		.remote_header_rewrite_domain = "",
		.propagate_unmatched_extensions = "virtual",
		.append_at_myorigin = true,
		.virtual_alias_recursion_limit = 1000,
		.virtual_alias_expansion_limit = 1000,
		.virtual_alias_address_length_limit = 1000,
	};
	arena = arena_new();
	tables = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tables_free(tables);
	arena_free(arena);
	return 0;
}

static void open_tables(const char *aliases)
{
	char *reason = NULL;

	tables_free(tables);
	settings.virtual_alias_maps = aliases;
	tables = tables_open(AT_FDCWD, &settings, NULL, NULL, &reason);
	if (tables == NULL)
		fail_msg("%s", reason);
}

static enum resolve_status expand(const char *address)
{
	out = (struct expansion){ 0 };
	return address_expand(tables, true, slice_of(address), arena, &out, &why);
}

/* All recipients, with blanks between. */
static const char *list(void)
{
	struct buf text = { 0 };
	const char *copy;

	for (size_t i = 0; i < out.count; i++)
		buf_printf(&text, "%s%.*s", i == 0 ? "" : " ", (int)out.items[i].len,
		    out.items[i].data);
	copy = arena_text(arena, buf_slice(&text));
	buf_clear(&text);
	return copy;
}

static void aliases_give_their_recipients(void **state)
{
	static const struct {
		const char *address, *recipients;
	} cases[] = {
		{ "u@else.example", "u@else.example" },
		{ "u", "u@here.example" },
		{ "", "MAILER-DAEMON@here.example" },
		{ "one@v.example", "x@else.example" },
		{ "ONE@V.example", "x@else.example" },
		{ "two@v.example", "x@else.example y@here.example" },
		{ "chain@v.example", "x@else.example" },
		{ "diamond@v.example", "x@else.example y@here.example" },
		{ "self@v.example", "self@v.example copy@else.example" },
		{ "one+tag@v.example", "x+tag@else.example" },
		{ "any@domain.example", "any@other.example" },
		{ "any+t@domain.example", "any+t@other.example" },
		{ "local@here.example", "l@else.example" },
		{ "local@else.example", "local@else.example" },
		{ "blanks@v.example", "a@x.example b@x.example c@x.example" },
		{ "angle@v.example", "a@x.example" },
		{ "quoted@v.example", "\"a, b\"@x.example c@x.example" },
	};

	(void)state;
	open_tables("inline:{ one@v.example=x@else.example, {two@v.example = x@else.example, y},"
		    "chain@v.example=one@v.example, {diamond@v.example = one@v.example "
		    "two@v.example},"
		    "{self@v.example = self@v.example, copy@else.example},"
		    "@domain.example=@other.example, local=l@else.example,"
		    "{blanks@v.example = a@x.example   b@x.example ,, c@x.example},"
		    "{angle@v.example = <a@x.example>},"
		    "{quoted@v.example = \"a, b\"@x.example, c@x.example} }");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(expand(cases[i].address), RESOLVE_OK);
		assert_string_equal(list(), cases[i].recipients);
	}
	settings.propagate_unmatched_extensions = "canonical";
	open_tables("inline:{ one@v.example=x@else.example }");
	assert_int_equal(expand("one+tag@v.example"), RESOLVE_OK);
	assert_string_equal(list(), "x@else.example");
}

/* "user" alone counts for our domains only: which those are must be known first. */
static void without_an_answer_about_our_domains_nothing_is_expanded(void **state)
{
	(void)state;
	settings.mydestination = "fail:x";
	open_tables("inline:{ local=l@else.example }");
	assert_int_equal(expand("local@mx.here.example"), RESOLVE_TEMPORARY);
	assert_true(slice_starts_nocase(why, SLICE("4.3.0")));
}

static void a_loop_is_a_temporary_failure(void **state)
{
	static const char *const addresses[] = { "a@v.example", "b@v.example", "c@v.example",
		"A@V.EXAMPLE" };

	(void)state;
	open_tables("inline:{ {a@v.example = b@v.example, x@v.example}, b@v.example=c@v.example,"
		    "c@v.example=a@v.example }");
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		assert_int_equal(expand(addresses[i]), RESOLVE_TEMPORARY);
		assert_int_equal(strncmp(why.data, "4.6.0 virtual alias loop", 24), 0);
	}
}

static void an_alias_that_grows_with_each_step_ends(void **state)
{
	(void)state;
	open_tables("pcre:{ {/^(.*)@v\\.example$/ a$1@v.example} }");
	assert_int_equal(expand("u@v.example"), RESOLVE_TEMPORARY);
	open_tables("pcre:{ {/^(.*)@v\\.example$/ a$1@v.example b$1@v.example} }");
	assert_int_equal(expand("u@v.example"), RESOLVE_TEMPORARY);
	settings.virtual_alias_recursion_limit = 3;
	open_tables("inline:{ a@v.example=b@v.example, b@v.example=c@v.example,"
		    "c@v.example=d@v.example, d@v.example=e@v.example }");
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
	assert_int_equal(expand("b@v.example"), RESOLVE_OK);
	assert_string_equal(list(), "e@v.example");
}

static const char *wide_table(unsigned members)
{
	struct buf text = { 0 };
	const char *copy;

	buf_puts(&text, "inline:{ {a@v.example =");
	for (unsigned i = 0; i < members; i++)
		buf_printf(&text, " u%u@else.example", i);
	buf_puts(&text, "} }");
	copy = arena_text(arena, buf_slice(&text));
	buf_clear(&text);
	return copy;
}

static void the_expansion_limit_is_kept_to_the_number(void **state)
{
	(void)state;
	settings.virtual_alias_expansion_limit = 5;
	open_tables(wide_table(5));
	assert_int_equal(expand("a@v.example"), RESOLVE_OK);
	assert_int_equal(out.count, 5);
	open_tables(wide_table(6));
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
	settings.virtual_alias_expansion_limit = 100000;
	open_tables(wide_table(1000));
	assert_int_equal(expand("a@v.example"), RESOLVE_OK);
	assert_int_equal(out.count, 1000);
	open_tables(wide_table(1001));
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
}

static void what_a_table_gives_is_checked(void **state)
{
	static char long_alias[2000];

	(void)state;
	open_tables("inline:{ {comma@v.example = ,} }");
	assert_int_equal(expand("comma@v.example"), RESOLVE_TEMPORARY);
	open_tables("inline:{ {a@v.example = x\x01y@else.example} }");
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
	open_tables("fail:x");
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
	snprintf(long_alias, sizeof(long_alias), "static:%01000d@else.example", 0);
	open_tables(long_alias);
	assert_int_equal(expand("a@v.example"), RESOLVE_TEMPORARY);
	open_tables("inline:{ {a@v.example = \"open quote@else.example, b@else.example} }");
	assert_int_equal(expand("a@v.example"), RESOLVE_OK);
	assert_int_equal(out.count, 1);
}

struct run {
	const struct CMUnitTest *tests;
	size_t count;
	int failed;
};

/* Expansion may let others run, so the tests are a task. */
static void run_all(void *arg)
{
	struct run *r = arg;

	r->failed = _cmocka_run_group_tests("expand", r->tests, r->count, NULL, NULL);
	task_stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(aliases_give_their_recipients),
		TEST(without_an_answer_about_our_domains_nothing_is_expanded),
		TEST(a_loop_is_a_temporary_failure),
		TEST(an_alias_that_grows_with_each_step_ends),
		TEST(the_expansion_limit_is_kept_to_the_number),
		TEST(what_a_table_gives_is_checked),
	};
	struct run r = { tests, ARRAY_LENGTH(tests), 1 };

	task_init();
	if (task_start("tests", run_all, &r) == NULL)
		return 1;
	task_run();
	return r.failed;
}
