/* SPDX-License-Identifier: ISC */
/*
 * Addresses: what is accepted comes out in one safe form, and nothing that two programs could read
 * differently is accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/mail_address.h"

enum { ALL = PATH_NULL_OK | PATH_NO_DOMAIN_OK | PATH_BARE_OK | PATH_UTF8_OK };

struct path_case {
	const char *text;
	unsigned flags;
	const char *address; /* NULL: refused */
	const char *rest;
};

static void check_paths(const struct path_case *cases, size_t count)
{
	struct arena *a = arena_new();

	for (size_t i = 0; i < count; i++) {
		const struct path_case *c = &cases[i];
		struct slice address, rest;
		const char *why = NULL;
		bool ok = path_parse(slice_of(c->text), c->flags, a, &address, &rest, &why);

		if (ok != (c->address != NULL))
			fail_msg("%s: %s", c->text, ok ? "accepted" : why);
		if (!ok) {
			assert_non_null(why);
			continue;
		}
		assert_string_equal(arena_text(a, address), c->address);
		assert_string_equal(arena_text(a, rest), c->rest);
	}
	arena_free(a);
}

static void a_path_gives_its_shortest_form_and_the_parameters(void **state)
{
	static const struct path_case cases[] = {
		{ "<a@example.com>", 0, "a@example.com", "" },
		{ "<a@example.com> SIZE=1", 0, "a@example.com", " SIZE=1" },
		{ "  <a@example.com>", 0, "a@example.com", "" },
		{ "<\"a\"@example.com>", 0, "a@example.com", "" },
		{ "<\"a b\"@example.com>", 0, "\"a b\"@example.com", "" },
		{ "<\"a\\\"b\"@example.com>", 0, "\"a\\\"b\"@example.com", "" },
		{ "<\"a@b\"@example.com>", 0, "\"a@b\"@example.com", "" },
		{ "<\"a>b\"@example.com> X", 0, "\"a>b\"@example.com", " X" },
		{ "<\"\"@example.com>", 0, "\"\"@example.com", "" },
		{ "<a..b@example.com>", 0, "\"a..b\"@example.com", "" },
		{ "<a.@example.com>", 0, "\"a.\"@example.com", "" },
		{ "<@x,@y.org:a@example.com>", 0, "a@example.com", "" },
		{ "<a@example.com.>", 0, "a@example.com", "" },
		{ "<a@[192.0.2.1]>", 0, "a@[192.0.2.1]", "" },
		{ "<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]", "" },
		{ "<a!b%c@host_1.example>", 0, "a!b%c@host_1.example", "" },
		{ "<>", PATH_NULL_OK, "", "" },
		{ "<> BODY=7BIT", PATH_NULL_OK, "", " BODY=7BIT" },
		{ "<Postmaster>", PATH_NO_DOMAIN_OK, "Postmaster", "" },
		{ "a@example.com X", PATH_BARE_OK, "a@example.com", " X" },
		{ "<\xc3\xa4@\xc3\xa4.example>", PATH_UTF8_OK, "\xc3\xa4@\xc3\xa4.example", "" },
	};

	(void)state;
	check_paths(cases, ARRAY_LENGTH(cases));
}

static void a_path_that_is_none_is_refused(void **state)
{
	static const struct path_case cases[] = {
		{ "", ALL, NULL, "" },
		{ "<", ALL, NULL, "" },
		{ ">", ALL, NULL, "" },
		{ "<>", 0, NULL, "" },
		{ "<a>", 0, NULL, "" },
		{ "a@example.com", 0, NULL, "" },
		{ "<a@example.com", ALL, NULL, "" },
		{ "<a@example.com>x", ALL, NULL, "" },
		{ "<a@b@example.com>", ALL, NULL, "" },
		{ "<a b@example.com>", ALL, NULL, "" },
		{ "<@example.com>", ALL, NULL, "" },
		{ "<a@>", ALL, NULL, "" },
		{ "<a@.>", ALL, NULL, "" },
		{ "<a@.com>", ALL, NULL, "" },
		{ "<a@x..y>", ALL, NULL, "" },
		{ "<a@x.->", ALL, NULL, "" },
		{ "<a@-x>", ALL, NULL, "" },
		{ "<a@192.0.2.1>", ALL, NULL, "" },
		{ "<a@[192.0.2.256]>", ALL, NULL, "" },
		{ "<a@[::1]>", ALL, NULL, "" },
		{ "<a@[192.0.2.1>", ALL, NULL, "" },
		{ "<a@[192.0.2.1]x>", ALL, NULL, "" },
		{ "<a@[]>", ALL, NULL, "" },
		{ "<a@[IPv6:]>", ALL, NULL, "" },
		{ "<\"a@example.com>", ALL, NULL, "" },
		{ "<\"a\\", ALL, NULL, "" },
		{ "<\"a\"b@example.com>", ALL, NULL, "" },
		{ "<a\"b\"@example.com>", ALL, NULL, "" },
		{ "<\"a\nb\"@example.com>", ALL, NULL, "" },
		{ "<\"\\\rb\"@x>", ALL, NULL, "" },
		{ "<a\x01@example.com>", ALL, NULL, "" },
		{ "<a@exa\x7fmple.com>", ALL, NULL, "" },
		{ "<@x,@y a@example.com>", ALL, NULL, "" },
		{ "<@x<:a@example.com>", ALL, NULL, "" },
		{ "<a(c)@example.com>", ALL, NULL, "" },
		{ "<a\\@b@example.com>", ALL, NULL, "" },
		{ "<\xc3\xa4@example.com>", ALL & ~PATH_UTF8_OK, NULL, "" },
		{ "<\xc3@example.com>", ALL, NULL, "" },
		{ "<a@\xff.example>", ALL, NULL, "" },
		{ "<<a@example.com>>", ALL, NULL, "" },
		{ "a@example.com>", ALL, NULL, "" },
	};

	(void)state;
	check_paths(cases, ARRAY_LENGTH(cases));
}

static void a_path_of_any_length_is_bounded(void **state)
{
	struct arena *a = arena_new();
	size_t lengths[] = { 100, 308, 309, 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		char *local = mem_alloc(lengths[i] + 1);
		struct slice address, rest;
		const char *why;
		bool ok;

		memset(local, 'a', lengths[i]);
		ok = path_parse(slice_of(arena_printf(a, "<%s@example.com>", local)), 0, a,
		    &address, &rest, &why);
		assert_int_equal(ok, lengths[i] + 12 <= MAIL_ADDRESS_LIMIT);
		free(local);
	}
	arena_free(a);
}

static void an_address_is_cut_at_the_last_at_outside_quotes(void **state)
{
	static const struct {
		const char *address, *local, *domain;
	} cases[] = {
		{ "a@b", "a", "b" },
		{ "a", "a", "" },
		{ "", "", "" },
		{ "\"a@b\"@c", "\"a@b\"", "c" },
		{ "\"a@b\"", "\"a@b\"", "" },
		{ "\"a\\\"@b\"@c", "\"a\\\"@b\"", "c" },
		{ "a@b@c", "a@b", "c" },
		{ "\"a@b", "\"a", "b" },
		{ "a\\", "a\\", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct mail_address m = mail_address_split(slice_of(cases[i].address));

		assert_true(slice_equal(m.local, slice_of(cases[i].local)));
		assert_true(slice_equal(m.domain, slice_of(cases[i].domain)));
	}
}

static void quoting_comes_back(void **state)
{
	static const char *const raw[] = { "a", "a b", "a\"b", "a\\b", "", ".", "a..b", "a@b",
		"\xc3\xa4", "<>", "a\tb" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(raw); i++) {
		struct buf quoted = { 0 }, back = { 0 };

		local_part_quote(slice_of(raw[i]), &quoted);
		local_part_unquote(buf_slice(&quoted), &back);
		assert_string_equal(buf_text(&back), raw[i]);
		buf_clear(&quoted);
		buf_clear(&back);
	}
}

static void line_ends_never_come_out_of_quoting(void **state)
{
	struct buf out = { 0 };

	(void)state;
	local_part_quote(slice_new("a\r\n\0b", 5), &out);
	assert_string_equal(buf_text(&out), "\"ab\"");
	buf_clear(&out);
}

static void the_extension_is_split_at_the_first_delimiter(void **state)
{
	static const struct {
		const char *local, *delimiters, *user, *extension;
	} cases[] = {
		{ "user+ext", "+", "user", "ext" },
		{ "user+a+b", "+", "user", "a+b" },
		{ "user-a+b", "+-", "user", "a+b" },
		{ "user+", "+", "user", "" },
		{ "+ext", "+", NULL, NULL },
		{ "user", "+", NULL, NULL },
		{ "user+ext", "", NULL, NULL },
		{ "", "+", NULL, NULL },
		{ "owner-list", "-", NULL, NULL },
		{ "list-Request", "-", NULL, NULL },
		{ "owner-list+x", "+", "owner-list", "x" },
		{ "list-request+x", "-+", "list", "request+x" },
		{ "mailer-daemon", "-", NULL, NULL },
		{ "Double-Bounce", "-", NULL, NULL },
		{ "postmaster", "o", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct slice user, extension;
		bool split = local_part_split(slice_of(cases[i].local), cases[i].delimiters, &user,
		    &extension);

		assert_int_equal(split, cases[i].user != NULL);
		if (!split)
			continue;
		assert_true(slice_equal(user, slice_of(cases[i].user)));
		assert_true(slice_equal(extension, slice_of(cases[i].extension)));
	}
}

static void join(void *arg, struct slice address)
{
	struct buf *out = arg;

	if (out->len > 0)
		buf_putc(out, '|');
	buf_put_slice(out, address);
}

static void every_address_of_a_header_is_found(void **state)
{
	static const struct {
		const char *value, *addresses;
	} cases[] = {
		{ " a@x.org", "a@x.org" },
		{ "", "" },
		{ " ,;, ", "" },
		{ "<>", "" },
		{ "a@x.org, b@y.org", "a@x.org|b@y.org" },
		{ "A User <a@x.org>", "a@x.org" },
		{ "\"User, A\" <a@x.org>, b@y.org", "a@x.org|b@y.org" },
		{ "\"A \\\" <b@z>\" <a@x.org>", "a@x.org" },
		{ "a@x.org (A (nested) User)", "a@x.org" },
		{ "(c) a (c) @ (c) x . (c) org (c)", "a@x.org" },
		{ "(a@x.org, \\) b@y.org) c@z.org", "c@z.org" },
		{ "friends: a@x.org, B <b@y.org>; c@z.org", "a@x.org|b@y.org|c@z.org" },
		{ "undisclosed-recipients:;", "" },
		{ "<@one,@two.org:a@x.org>", "a@x.org" },
		{ "A\r\n\t<a@x.org>,\r\n b@y.org\r\n", "a@x.org|b@y.org" },
		{ "\"a b\"@x.org", "\"a b\"@x.org" },
		{ "\"ab\"@x.org", "ab@x.org" },
		{ "\"a\r\n b\"@x.org", "\"a b\"@x.org" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
		{ "root", "root" },
		{ "a b@x.org", "\"a b\"@x.org" },
		{ "\xc3\xa4 <\xc3\xa4@x.org>", "\xc3\xa4@x.org" },
		{ "\xff@x.org", "\xff@x.org" },
		/* what is not closed ends with the text */
		{ "A <a@x.org", "a@x.org" },
		{ "A <a@x.org, b@y.org", "a@x.org|b@y.org" },
		{ "\"a@x.org", "\"a@x.org\"" },
		{ "(a@x.org", "" },
		{ "<a@x.org> <b@y.org>", "a@x.org|b@y.org" },
		{ "<<a@x.org>>", "a@x.org" },
		{ "a@x.org>", "a@x.org" },
		{ ")a@x.org(", "a@x.org" },
		/* no domain: nothing that a later reader takes for one */
		{ "a@x.org y.org", "\"a@x.org y.org\"" },
		{ "a@", "\"a@\"" },
		{ "a@b@x.org", "\"a@b\"@x.org" },
		{ "@x.org", "\"\"@x.org" },
		{ "<a@x:25>", "\"a@x:25\"" },
		{ "<a@[1.2.3.4> ]>", "\"a@[1.2.3.4> ]\"" },
		{ "\\", "\"\\\\\"" },
		{ "a\\@x.org", "\"a@x.org\"" },
	};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf found = { 0 };

		assert_true(header_addresses(slice_of(cases[i].value), 10, a, join, &found));
		if (strcmp(buf_text(&found), cases[i].addresses) != 0)
			fail_msg("%s: %s", cases[i].value, buf_text(&found));
		buf_clear(&found);
	}
	arena_free(a);
}

static void a_list_ends_at_its_limit(void **state)
{
	struct arena *a = arena_new();
	struct buf found = { 0 };

	(void)state;
	assert_true(header_addresses(SLICE("a@x,b@x"), 2, a, join, &found));
	assert_false(header_addresses(SLICE("a@x,b@x,c@x"), 2, a, join, &found));
	assert_string_equal(buf_text(&found), "a@x|b@x|a@x|b@x");
	buf_clear(&found);
	arena_free(a);
}

static void comments_nest_at_most_50_deep(void **state)
{
	struct arena *a = arena_new();
	struct buf found = { 0 };
	char text[128];

	(void)state;
	memset(text, '(', sizeof(text));
	assert_true(header_addresses(slice_new(text, 50), 2, a, join, &found));
	assert_false(header_addresses(slice_new(text, 51), 2, a, join, &found));
	assert_int_equal(found.len, 0);
	buf_clear(&found);
	arena_free(a);
}

/* A megabyte of each byte that opens something: quadratic work would take minutes. */
static void hostile_lists_take_linear_time(void **state)
{
	static const char *const units[] = { "<", "\"", "\\", ",", ":", ";", "@", ".", "[", "()",
		"a ", "<a@b>", "\"\"", "a@b,", "<@", "[]" };
	deadline end = deadline_after(20 * CLOCK_SECOND);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		struct arena *a = arena_new();
		struct buf text = { 0 }, found = { 0 };

		while (text.len < 1000000)
			buf_puts(&text, units[i]);
		header_addresses(buf_slice(&text), 1000000, a, join, &found);
		buf_clear(&text);
		buf_clear(&found);
		arena_free(a);
	}
	assert_true(clock_now() < end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_gives_its_shortest_form_and_the_parameters),
		cmocka_unit_test(a_path_that_is_none_is_refused),
		cmocka_unit_test(a_path_of_any_length_is_bounded),
		cmocka_unit_test(an_address_is_cut_at_the_last_at_outside_quotes),
		cmocka_unit_test(quoting_comes_back),
		cmocka_unit_test(line_ends_never_come_out_of_quoting),
		cmocka_unit_test(the_extension_is_split_at_the_first_delimiter),
		cmocka_unit_test(every_address_of_a_header_is_found),
		cmocka_unit_test(a_list_ends_at_its_limit),
		cmocka_unit_test(comments_nest_at_most_50_deep),
		cmocka_unit_test(hostile_lists_take_linear_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
