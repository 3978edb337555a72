/* SPDX-License-Identifier: ISC */
/*
 * test_queue_select.c - which messages a selection means, and which ones are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mail/queue_pattern.h"
#include "common/mail/queue_select.h"

enum { NOW = 2000000000, CONDITIONS = 4 };

struct condition {
	const char *option, *value;
};

static struct queue_select *selection(const struct condition *conditions, char **why)
{
	struct queue_select *s = queue_select_new((int64_t)NOW * 1000000);

	*why = NULL;
	for (size_t i = 0; i < CONDITIONS && conditions[i].option != NULL; i++) {
		if (queue_select_add(s, conditions[i].option, slice_of(conditions[i].value), why))
			continue;
		queue_select_free(s);
		return NULL;
	}
	if (queue_select_check(s, why))
		return s;
	queue_select_free(s);
	return NULL;
}

static void an_address_fits_its_patterns_without_regard_to_case(void **state)
{
	static const struct {
		const char *pattern, *fits[4], *others[5];
	} rows[] = {
		{ "u@example.com", { "u@example.com", "U@Example.COM" },
		    { "", "u", "u@example.co", "xu@example.com", "u@example.com." } },
		{ "<u@example.com>", { "u@example.com" }, { "<u@example.com>", "" } },
		{ "<>", { "" }, { "<>", "u", "@" } },
		{ "root", { "root", "ROOT" }, { "root@example.com", "" } },
		{ "@example.com", { "a@example.com", "\"a@b\"@EXAMPLE.com" },
		    { "a@b.example.com", "example.com", "", "a@example.com@b", "a@xexample.com" } },
		{ "@.example.com", { "a@b.example.com", "a@c.b.EXAMPLE.com" },
		    { "a@example.com", "a@.example.com", "a@bexample.com" } },
		{ "@*.example.com", { "a@b.example.com" }, { "a@example.com" } },
		{ "*@example.*", { "a@example.com", "@example.", "a@b@example.org" },
		    { "a@b.example.com", "example.com", "" } },
		{ "*", { "a", "a@b" }, { "" } },
		{ "a?c@x", { "abc@x", "a?c@x" }, { "ac@x", "abbc@x" } },
		{ "a[b-d]@x", { "ab@x", "aD@x", "a[b-d]@x" }, { "ae@x", "a@x" } },
		{ "a[!b]@x", { "ac@x", "a!@x" }, { "ab@x", "a@x" } },
		{ "a[]]@x", { "a]@x" }, { "a[@x" } },
		{ "a[b", { "a[b" }, { "ab" } },
		{ "*[b", { "x[b" }, { "xb" } },
		{ "u@[192.0.2.1]", { "u@[192.0.2.1]" }, { "u@1", "u@[192.0.2.2]" } },
		{ "*@[192.0.2.?]", { "u@[192.0.2.1]" }, { "u@1", "u@[192.0.2.10]" } },
		{ "a\\*b@x", { "a*b@x", "a\\*b@x" }, { "acb@x", "a\\b@x" } },
		{ "\"a\\\"b\"@x", { "\"a\\\"b\"@x" }, { "ab@x" } },
		{ "a*b*c*d", { "abcd", "a1b2c3d", "abcbcd", "abcdxd" }, { "abdc", "abc", "acbd" } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct queue_pattern p;
		const char *why;

		assert_true(queue_pattern_address(slice_of(rows[i].pattern), &p, &why));
		for (size_t j = 0; j < 4 && rows[i].fits[j] != NULL; j++)
			if (!queue_pattern_has_address(&p, slice_of(rows[i].fits[j])))
				fail_msg("%s, %s", rows[i].pattern, rows[i].fits[j]);
		for (size_t j = 0; j < 5 && rows[i].others[j] != NULL; j++)
			if (queue_pattern_has_address(&p, slice_of(rows[i].others[j])))
				fail_msg("%s, not %s", rows[i].pattern, rows[i].others[j]);
	}
}

/* With a matcher that goes back at every star this would take longer than anybody waits. */
static void a_hostile_address_takes_no_time(void **state)
{
	char address[1001];
	(void)state;

	memset(address, 'a', 1000);
	address[1000] = '\0';
	assert_false(queue_pattern_glob(SLICE("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
	    slice_of(address)));
}

static void a_client_is_a_name_an_address_or_a_network(void **state)
{
	static const struct {
		const char *pattern, *name, *address;
		bool fits;
	} rows[] = {
		{ "mx.example.com", "MX.example.com", "192.0.2.1", true },
		{ "mx.example.com", "unknown", "192.0.2.1", false },
		{ "unknown", "unknown", "192.0.2.1", true },
		{ ".example.com", "mx.example.com", "192.0.2.1", true },
		{ ".example.com", "example.com", "192.0.2.1", false },
		{ "*.example.*", "mx.example.org", "192.0.2.1", true },
		{ "192.0.2.1", "unknown", "192.0.2.1", true },
		{ "192.0.2.1", "unknown", "192.0.2.10", false },
		{ "192.0.2.*", "unknown", "192.0.2.10", true },
		{ "192.0.2.0/24", "unknown", "192.0.2.10", true },
		{ "192.0.2.0/24", "unknown", "192.0.3.10", false },
		{ "192.0.2.0/24", "", "", false },
		{ "2001:db8::/32", "unknown", "2001:db8::5", true },
		{ "*", "", "", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct queue_pattern p;
		const char *why;

		assert_true(queue_pattern_client(slice_of(rows[i].pattern), &p, &why));
		if (queue_pattern_has_client(&p, slice_of(rows[i].name),
			slice_of(rows[i].address)) != rows[i].fits)
			fail_msg("%s, %s[%s]", rows[i].pattern, rows[i].name, rows[i].address);
	}
}

/* The message is deferred, of 5000 bytes, from a@b.c, an hour old. */
static void all_conditions_on_the_message_must_hold(void **state)
{
	static const struct {
		struct condition conditions[CONDITIONS];
		bool fits;
	} rows[] = {
		{ { { 0 } }, true },
		{ { { "from", "a@b.c" } }, true },
		{ { { "from", "x@b.c" } }, false },
		{ { { "from", "x@b.c" }, { "from", "@b.c" } }, true },
		{ { { "from", "a@b.c" }, { "older", "2h" } }, false },
		{ { { "from", "<>" } }, false },
		{ { { "older", "60m" } }, true },
		{ { { "older", "3601s" } }, false },
		{ { { "younger", "60m" } }, false },
		{ { { "younger", "61m" } }, true },
		{ { { "older", "1h" }, { "younger", "1d" } }, true },
		{ { { "older", "1w" } }, false },
		{ { { "larger", "4999" } }, true },
		{ { { "larger", "5000" } }, false },
		{ { { "larger", "4k" }, { "smaller", "1M" } }, true },
		{ { { "smaller", "5000" } }, false },
		{ { { "smaller", "1g" } }, true },
		{ { { "queue", "deferred" } }, true },
		{ { { "queue", "hold" } }, false },
		{ { { "queue", "hold" }, { "queue", "deferred" } }, true },
		{ { { "to", "nobody@else" } }, true },
	};
	static const struct queue_select_head m = { { "deferred", 8 }, NOW - 3600, 5000,
		{ "a@b.c", 5 } };
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *why;
		struct queue_select *s = selection(rows[i].conditions, &why);

		assert_non_null(s);
		assert_int_equal(queue_select_is_empty(s), rows[i].conditions[0].option == NULL);
		if (queue_select_has_head(s, &m) != rows[i].fits)
			fail_msg("row %zu, --%s %s", i, rows[i].conditions[0].option,
			    rows[i].conditions[0].value);
		queue_select_free(s);
	}
}

/* The recipient is x@y.z, once o@p.q, "Connection timed out". */
static void all_conditions_on_a_recipient_must_hold_for_it(void **state)
{
	static const struct {
		struct condition conditions[CONDITIONS];
		bool fits;
	} rows[] = {
		{ { { "to", "x@y.z" } }, true },
		{ { { "to", "o@p.q" } }, true },
		{ { { "to", "@P.q" } }, true },
		{ { { "to", "y@y.z" } }, false },
		{ { { "domain", "Y.z" } }, true },
		{ { { "domain", "p.q" } }, false },
		{ { { "domain", ".z" } }, true },
		{ { { "domain", "z" } }, false },
		{ { { "domain", "?.z" } }, true },
		{ { { "reason", "TIMED out" } }, true },
		{ { { "reason", "refused" } }, false },
		{ { { "reason", "refused" }, { "reason", "connect" } }, true },
		{ { { "reason", "timed" }, { "domain", "y.z" }, { "to", "x@*" } }, true },
		{ { { "reason", "timed" }, { "domain", "z.y" } }, false },
		{ { { "reason", "Connection timed out and more" } }, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *why;
		struct queue_select *s = selection(rows[i].conditions, &why);

		assert_true(queue_select_asks_rcpts(s));
		if (queue_select_has_rcpt(s, SLICE("x@y.z"), SLICE("o@p.q"),
			SLICE("Connection timed out")) != rows[i].fits)
			fail_msg("row %zu, --%s %s", i, rows[i].conditions[0].option,
			    rows[i].conditions[0].value);
		queue_select_free(s);
	}
}

static void what_makes_no_sense_is_refused_with_what_does(void **state)
{
	static const struct {
		struct condition conditions[CONDITIONS];
		const char *says;
	} rows[] = {
		{ { { "older", "5" } },
		    "s (seconds), m (minutes), h (hours), d (days) or w (weeks)" },
		{ { { "older", "5y" } }, "--older 5y: an age is a number with s (seconds)" },
		{ { { "older", "" } }, "an age is" },
		{ { { "older", "h" } }, "an age is" },
		{ { { "older", "-1h" } }, "an age is" },
		{ { { "older", "1.5h" } }, "an age is" },
		{ { { "older", "99999999999999999999h" } }, "an age is" },
		{ { { "younger", "1h" }, { "younger", "2h" } }, "twice" },
		{ { { "larger", "5t" } }, "a size is a number of bytes" },
		{ { { "smaller", "" } }, "a size is" },
		{ { { "from", "" } }, "an address is like" },
		{ { { "from", "@" } }, "a domain is like" },
		{ { { "to", "@." } }, "a domain is like" },
		{ { { "domain", "u@example.com" } }, "a domain is like" },
		{ { { "domain", "" } }, "a domain is like" },
		{ { { "reason", "" } }, "a part of the reason" },
		{ { { "queue", "maildrop" } }, "a queue is one of" },
		{ { { "client", "" } }, "a client is like" },
		{ { { "client", "1.2.3.4/5" } }, "--client 1.2.3.4/5: " },
		{ { { "colour", "red" } }, "no such condition" },
		{ { { "from", "a\nb\x01" } }, "--from a?b?: an address" },
		{ { { "all-recipients", "" } }, "goes with --to, --domain or --reason" },
		{ { { "all-recipients", "" }, { "from", "a" } }, "goes with" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *why;

		assert_null(selection(rows[i].conditions, &why));
		if (strstr(why, rows[i].says) == NULL)
			fail_msg("row %zu: %s", i, why);
		free(why);
	}
}

static void a_condition_can_be_given_only_so_often(void **state)
{
	struct queue_select *s = queue_select_new(0);
	char *why = NULL;
	int count = 0;
	(void)state;

	while (queue_select_add(s, "from", SLICE("a@b"), &why))
		assert_true(++count < 1000);
	assert_int_equal(count, 64);
	assert_non_null(strstr(why, "too often"));
	free(why);
	queue_select_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_fits_its_patterns_without_regard_to_case),
		cmocka_unit_test(a_hostile_address_takes_no_time),
		cmocka_unit_test(a_client_is_a_name_an_address_or_a_network),
		cmocka_unit_test(all_conditions_on_the_message_must_hold),
		cmocka_unit_test(all_conditions_on_a_recipient_must_hold_for_it),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_what_does),
		cmocka_unit_test(a_condition_can_be_given_only_so_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
