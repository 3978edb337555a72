/* SPDX-License-Identifier: ISC */
/*
 * test_dialer.c - which words of the configuration name a socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "support/dialer.h"

#define QUEUE "/var/spool/x"

static void words_that_name_a_socket(void **state)
{
	static const struct {
		const char *value;
		const char *paths[3];
	} cases[] = {
		{ "lmtp:unix:private/lmtp", { QUEUE "/private/lmtp" } },
		{ "unix:/run/a.sock", { "/run/a.sock" } },
		{ "inet:x:1, UNIX:/run/a,unix:/run/b unix:/run/a", { "/run/a", "/run/b" } },
		{ "{ unix:/run/milter, connect_timeout=1s }", { "/run/milter" } },
		{ "inline:{example.com=lmtp:unix:/run/l}", { "/run/l" } },
		{ "name=unix:private/p", { QUEUE "/private/p" } },
		{ "check_policy_service unix:private/policy", { QUEUE "/private/policy" } },
		{ "unix:", { NULL } },
		{ "lmtp:unix:", { NULL } },
		{ "myunix:/run/x /unix:/run/y private/lmtp unix /run/z", { NULL } },
		{ "", { NULL } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct dialer_endpoints e = { 0 };
		size_t wanted = 0;

		dialer_endpoints_add(&e, slice_of(cases[i].value), QUEUE);
		for (; cases[i].paths[wanted] != NULL; wanted++)
			if (wanted >= e.count ||
			    strcmp(e.paths[wanted], cases[i].paths[wanted]) != 0)
				fail_msg("\"%s\": %s is not found", cases[i].value,
				    cases[i].paths[wanted]);
		assert_int_equal(e.count, wanted);
		dialer_endpoints_clear(&e);
	}
}

static void only_the_very_path_is_found(void **state)
{
	struct dialer_endpoints e = { 0 };

	(void)state;
	dialer_endpoints_add(&e, SLICE("unix:private/lmtp unix:/run/x"), QUEUE);
	assert_string_equal(dialer_endpoints_find(&e, SLICE("private/lmtp"), QUEUE),
	    QUEUE "/private/lmtp");
	assert_string_equal(dialer_endpoints_find(&e, SLICE(QUEUE "/private/lmtp"), QUEUE),
	    QUEUE "/private/lmtp");
	assert_string_equal(dialer_endpoints_find(&e, SLICE("/run/x"), QUEUE), "/run/x");
	assert_null(dialer_endpoints_find(&e, SLICE("/run"), QUEUE));
	assert_null(dialer_endpoints_find(&e, SLICE("/run/x/"), QUEUE));
	assert_null(dialer_endpoints_find(&e, SLICE("/run/../run/x"), QUEUE));
	assert_null(dialer_endpoints_find(&e, SLICE("private/master"), QUEUE));
	assert_null(dialer_endpoints_find(&e, SLICE(""), QUEUE));
	dialer_endpoints_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_name_a_socket),
		cmocka_unit_test(only_the_very_path_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
