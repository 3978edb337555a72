/* SPDX-License-Identifier: ISC */
/*
 * What an address means: completed, classed, routed, known. No address gets past the classes by the
 * way that it is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "rewrite/rewrite.h"

static const struct rewrite_settings defaults = {
	.myhostname = "mx.here.example",
	.mydomain = "here.example",
	.myorigin = "here.example",
	.double_bounce_sender = "double-bounce",
	.mydestination = "mx.here.example, here.example, localhost",
	.inet_interfaces = "127.0.0.1",
	.proxy_interfaces = "192.0.2.7",
	.virtual_alias_domains = "alias.example",
	.virtual_alias_maps = "",
	.virtual_mailbox_domains = "box.example",
	.virtual_mailbox_maps = "",
	.relay_domains = "relay.example",
	.relay_recipient_maps = "",
	.local_recipient_maps = "",
	.parent_domain_matches_subdomains = "relay_domains",
	.transport_maps = "",
	.relayhost = "",
	.local_transport = "local:mx.here.example",
	.virtual_transport = "virtual",
	.relay_transport = "relay",
	.default_transport = "smtp",
	.error_service_name = "error",
	.recipient_delimiter = "+",
	.empty_address_recipient = "MAILER-DAEMON",
	.remote_header_rewrite_domain = "",
	.propagate_unmatched_extensions = "canonical, virtual",
	.proxymap_service_name = "proxymap",
	.append_at_myorigin = true,
	.swap_bangpath = true,
	.allow_percent_hack = true,
	.resolve_dequoted_address = true,
	.show_user_unknown_table_name = true,
	.virtual_alias_recursion_limit = 1000,
	.virtual_alias_expansion_limit = 1000,
	.virtual_alias_address_length_limit = 1000,
};

static struct rewrite_settings settings;
static struct tables *tables;
static struct arena *arena;
static unsigned asked;

/* Stands for proxymap: the system has the user root. */
static int ask(void *arg, struct slice table, struct slice key, struct buf *value)
{
	(void)arg;
	asked++;
	if (slice_equal(table, SLICE("fail:")))
		return -1;
	if (!slice_equal(table, SLICE("unix:passwd.byname")) ||
	    !slice_equal_nocase(key, SLICE("root")))
		return 0;
	buf_puts(value, "root:x:0:0::/root:/bin/sh");
	return 1;
}

static int set_up(void **state)
{
	(void)state;
	settings = defaults;
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

static void open_tables(void)
{
	char *why = NULL;

	tables_free(tables);
	tables = tables_open(AT_FDCWD, &settings, ask, NULL, &why);
	if (tables == NULL)
		fail_msg("%s", why);
}

static struct resolution resolve(const char *address, bool validate)
{
	struct resolution r;

	address_resolve(tables, slice_of(address), validate, arena, &r);
	return r;
}

static void assert_slice(struct slice s, const char *expected)
{
	assert_string_equal(arena_text(arena, s), expected);
}

static void an_incomplete_address_gets_what_it_lacks(void **state)
{
	static const struct {
		const char *from, *to;
		bool dot;
	} cases[] = {
		{ "root", "root@here.example", false },
		{ "root@mx", "root@mx", false },
		{ "root@mx", "root@mx.here.example", true },
		{ "root@mx.", "root@mx.here.example", true },
		{ "a@b.example.", "a@b.example", false },
		{ "site!user", "user@site", false },
		{ "a.example!b.example!user", "b.example!user@a.example", false },
		{ "user%b.example", "user@b.example", false },
		{ "user%b.example@c.example", "user%b.example@c.example", false },
		{ "\"a b\"", "\"a b\"@here.example", false },
		{ "\"site!user\"", "\"site!user\"@here.example", false },
		{ "\"a@b\"", "\"a@b\"@here.example", false },
		{ "!user", "!user@here.example", false },
		{ "user%", "user%@here.example", false },
		{ "u@[192.0.2.1]", "u@[192.0.2.1]", true },
		{ "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		settings.append_dot_mydomain = cases[i].dot;
		assert_slice(address_complete(&settings, true, slice_of(cases[i].from), arena),
		    cases[i].to);
	}
}

static void an_address_that_looks_like_an_option_is_refused_by_default(void **state)
{
	static const char *const addresses[] = { "-f@here.example", "-f", "-f@far.example",
		"-f%far.example@here.example" };

	(void)state;
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		settings.allow_min_user = false;
		assert_int_equal(resolve(addresses[i], false).status, RESOLVE_PERMANENT);
		settings.allow_min_user = true;
		assert_int_equal(resolve(addresses[i], false).status, RESOLVE_OK);
	}
}

static void a_remote_header_is_completed_only_by_choice(void **state)
{
	(void)state;
	assert_slice(address_complete(&settings, false, SLICE("root"), arena), "root");
	settings.remote_header_rewrite_domain = "domain.invalid";
	assert_slice(address_complete(&settings, false, SLICE("root"), arena),
	    "root@domain.invalid");
}

static void a_domain_decides_class_transport_and_next_hop(void **state)
{
	static const struct {
		const char *address;
		enum address_class class;
		const char *transport, *nexthop, *recipient;
	} cases[] = {
		{ "u@here.example", CLASS_LOCAL, "local", "mx.here.example", "u@here.example" },
		{ "u@HERE.Example", CLASS_LOCAL, "local", "mx.here.example", "u@HERE.Example" },
		{ "u", CLASS_LOCAL, "local", "mx.here.example", "u@here.example" },
		{ "", CLASS_LOCAL, "local", "mx.here.example", "MAILER-DAEMON@here.example" },
		{ "u@[127.0.0.1]", CLASS_LOCAL, "local", "mx.here.example", "u@[127.0.0.1]" },
		{ "u@[192.0.2.7]", CLASS_LOCAL, "local", "mx.here.example", "u@[192.0.2.7]" },
		{ "u@[192.0.2.8]", CLASS_DEFAULT, "smtp", "[192.0.2.8]", "u@[192.0.2.8]" },
		{ "u@box.example", CLASS_VIRTUAL_MAILBOX, "virtual", "box.example",
		    "u@box.example" },
		{ "u@sub.box.example", CLASS_DEFAULT, "smtp", "sub.box.example",
		    "u@sub.box.example" },
		{ "u@relay.example", CLASS_RELAY, "relay", "relay.example", "u@relay.example" },
		{ "u@sub.relay.example", CLASS_RELAY, "relay", "sub.relay.example",
		    "u@sub.relay.example" },
		{ "u@notrelay.example", CLASS_DEFAULT, "smtp", "notrelay.example",
		    "u@notrelay.example" },
		{ "u@else.example", CLASS_DEFAULT, "smtp", "else.example", "u@else.example" },
	};

	(void)state;
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct resolution r = resolve(cases[i].address, false);

		assert_int_equal(r.status, RESOLVE_OK);
		assert_int_equal(r.class, cases[i].class);
		assert_slice(r.transport, cases[i].transport);
		assert_slice(r.nexthop, cases[i].nexthop);
		assert_slice(r.recipient, cases[i].recipient);
	}
}

static void a_route_through_us_is_the_class_of_its_goal(void **state)
{
	static const struct {
		const char *address;
		enum address_class class;
		const char *recipient;
	} cases[] = {
		{ "u%else.example@here.example", CLASS_DEFAULT, "u@else.example" },
		{ "else.example!u@here.example", CLASS_DEFAULT, "u@else.example" },
		{ "\"u@else.example\"@here.example", CLASS_DEFAULT, "u@else.example" },
		{ "\"u%else.example\"@[127.0.0.1]", CLASS_DEFAULT, "u@else.example" },
		{ "u%here.example%localhost@here.example", CLASS_LOCAL, "u@here.example" },
		/* Through us to a server behind us, and on: not for strangers. */
		{ "u%else.example@relay.example", CLASS_DEFAULT, "u%else.example@relay.example" },
		{ "\"u@else.example\"@relay.example", CLASS_DEFAULT,
		    "\"u@else.example\"@relay.example" },
	};

	(void)state;
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct resolution r = resolve(cases[i].address, false);

		assert_int_equal(r.status, RESOLVE_OK);
		assert_int_equal(r.class, cases[i].class);
		assert_slice(r.recipient, cases[i].recipient);
	}
	settings.allow_percent_hack = settings.swap_bangpath = false;
	assert_int_equal(resolve("u%else.example@here.example", false).class, CLASS_LOCAL);
	assert_int_equal(resolve("else.example!u@here.example", false).class, CLASS_LOCAL);
}

static void what_can_be_no_address_is_refused_for_good(void **state)
{
	static const char *const addresses[] = { "u@", "@here.example", "u@-x.example", "u@a..b",
		"u@1.2.3.4", "u@[1.2.3]", "u@a b", "u@x%y", "\"\"@", "u@\x01", "@",
		"%@here.example@", "u@[", "u@[]",
		"\"\\\"u@else.example\\\"@localhost\"@here.example" };
	char long_address[4000], route[1200];
	struct resolution r;
	size_t len = 0;

	(void)state;
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		r = resolve(addresses[i], true);
		if (r.status != RESOLVE_PERMANENT)
			fail_msg("%s: status %d, class %d", addresses[i], r.status, r.class);
		assert_slice(r.why, "5.1.3 bad address syntax");
	}
	memset(long_address, '%', sizeof(long_address) - 1);
	long_address[sizeof(long_address) - 1] = '\0';
	memcpy(long_address + sizeof(long_address) - 14, "@here.example", 13);
	resolve(long_address, true);
	route[len++] = 'u';
	while (len + 11 < sizeof(route))
		len += (size_t)snprintf(route + len, sizeof(route) - len, "%%localhost");
	r = resolve(route, false);
	assert_int_equal(r.status, RESOLVE_PERMANENT);
	settings.resolve_numeric_domain = settings.resolve_null_domain = true;
	assert_slice(resolve("u@1.2.3.4", false).recipient, "u@[1.2.3.4]");
	assert_slice(resolve("u@", false).recipient, "u@mx.here.example");
}

static void a_relayhost_takes_the_place_of_foreign_domains(void **state)
{
	(void)state;
	settings.relayhost = "[smart.example]:587";
	open_tables();
	assert_slice(resolve("u@else.example", false).nexthop, "[smart.example]:587");
	assert_slice(resolve("u@relay.example", false).nexthop, "[smart.example]:587");
	assert_slice(resolve("u@box.example", false).nexthop, "box.example");
	assert_slice(resolve("u@here.example", false).nexthop, "mx.here.example");
	settings.default_transport = "smtp:[other.example]";
	assert_slice(resolve("u@else.example", false).nexthop, "[other.example]");
}

static void transport_maps_are_asked_from_the_whole_to_the_star(void **state)
{
	static const struct {
		const char *address, *transport, *nexthop;
	} cases[] = {
		{ "u+x@t.example", "one", "t.example" },
		{ "u+y@t.example", "two", "there" },
		{ "v@t.example", "three", "[10.0.0.1]:26" },
		{ "v@a.b.p.example", "four", "a.b.p.example" },
		{ "v@p.example", "star", "hop" },
		{ "v@only.example", "smtp", "next" },
		{ "v@same.example", "smtp", "smart.example" },
		{ "v@here.example", "five", "here.example" },
		{ "v@[192.0.2.8]", "star", "hop" },
		{ "v@unix.example", "lmtp", "unix:/run/l" },
	};

	(void)state;
	settings.relayhost = "smart.example";
	settings.transport_maps =
	    "inline:{ u+x@t.example=one, u@t.example=two:there, "
	    "{t.example = three:[10.0.0.1]:26}, .p.example=four:, only.example=:next, "
	    "same.example=:, here.example=five, unix.example=lmtp:unix:/run/l, *=star:hop }";
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct resolution r = resolve(cases[i].address, false);

		assert_int_equal(r.status, RESOLVE_OK);
		assert_slice(r.transport, cases[i].transport);
		assert_slice(r.nexthop, cases[i].nexthop);
	}
	settings.parent_domain_matches_subdomains = "transport_maps";
	settings.transport_maps = "inline:{ p.example=four }";
	open_tables();
	assert_slice(resolve("v@a.b.p.example", false).transport, "four");
}

static void a_pattern_sees_whole_addresses_only(void **state)
{
	(void)state;
	settings.transport_maps = "pcre:{ {/^(else\\.example|\\*)$/ bad:} {/^u@/ good:x} }";
	open_tables();
	assert_slice(resolve("v@else.example", false).transport, "smtp");
	assert_slice(resolve("u@else.example", false).transport, "good");
}

static void error_and_retry_say_why(void **state)
{
	static const struct {
		const char *address;
		enum resolve_status status;
		const char *why;
	} cases[] = {
		{ "u@gone.example", RESOLVE_PERMANENT, "5.1.6 moved away" },
		{ "u@plain.example", RESOLVE_PERMANENT, "5.0.0 no mail here" },
		{ "u@later.example", RESOLVE_TEMPORARY, "4.0.0 come back" },
		{ "u@soft.example", RESOLVE_TEMPORARY, "4.2.1 soft" },
		{ "u@none.example", RESOLVE_TEMPORARY,
		    "4.3.5 unusable transport or next hop in the "
		    "configuration" },
	};

	(void)state;
	settings.transport_maps =
	    "inline:{ {gone.example = error:5.1.6 moved away}, "
	    "{plain.example = error:no mail here}, {later.example = retry:come back}, "
	    "{soft.example = error:4.2.1 soft}, "
	    "none.example=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:y }";
	open_tables();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct resolution r = resolve(cases[i].address, false);

		assert_int_equal(r.status, cases[i].status);
		assert_slice(r.why, cases[i].why);
	}
	/* A virtual alias takes the mail elsewhere first. */
	settings.virtual_alias_maps = "inline:{ u@gone.example=v@else.example }";
	open_tables();
	assert_int_equal(resolve("u@gone.example", true).status, RESOLVE_OK);
	assert_int_equal(resolve("u@gone.example", false).status, RESOLVE_PERMANENT);
}

static void recipients_are_known_by_the_tables_of_their_class(void **state)
{
	static const struct {
		const char *address;
		enum known known;
	} cases[] = {
		{ "root@here.example", KNOWN_YES },
		{ "ROOT+ext@localhost", KNOWN_YES },
		{ "root@[127.0.0.1]", KNOWN_YES },
		{ "postmaster@here.example", KNOWN_YES },
		{ "\"root+a b\"@here.example", KNOWN_YES },
		{ "\"a b\"@here.example", KNOWN_YES },
		{ "\"a c\"@here.example", KNOWN_NO },
		{ "Double-Bounce@here.example", KNOWN_YES },
		{ "double-bounce@relay.example", KNOWN_NO },
		{ "nobody-at-all@here.example", KNOWN_NO },
		{ "nobody+root@here.example", KNOWN_NO },
		{ "root@box.example", KNOWN_NO },
		{ "joe+x@box.example", KNOWN_YES },
		{ "root@relay.example", KNOWN_NO },
		{ "any@sub.relay.example", KNOWN_YES },
		{ "anybody@else.example", KNOWN_YES },
		{ "info@alias.example", KNOWN_YES },
		{ "other@alias.example", KNOWN_NO },
		{ "sales@here.example", KNOWN_YES },
		{ "tmp@broken.example", KNOWN_TEMPORARY },
	};

	(void)state;
	settings.local_recipient_maps = "unix:passwd.byname inline:{postmaster=root, {a b = root}}";
	settings.virtual_mailbox_maps = "inline:{joe@box.example=joe/}";
	settings.relay_recipient_maps = "inline:{@sub.relay.example=x}";
	settings.virtual_alias_maps = "inline:{info@alias.example=root, sales@here.example=root}";
	settings.mydestination = "mx.here.example, here.example, localhost, broken.example";
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (strstr(cases[i].address, "broken") != NULL)
			settings.local_recipient_maps = "fail:x";
		open_tables();
		if (resolve(cases[i].address, true).known != cases[i].known)
			fail_msg("%s: %d", cases[i].address, resolve(cases[i].address, true).known);
	}
	settings.local_recipient_maps = "";
	open_tables();
	assert_int_equal(resolve("anybody@here.example", true).known, KNOWN_YES);
}

static void an_address_without_alias_in_an_alias_domain_bounces(void **state)
{
	struct resolution r;

	(void)state;
	open_tables();
	r = resolve("u@alias.example", false);
	assert_int_equal(r.status, RESOLVE_PERMANENT);
	assert_slice(r.why, "5.1.1 User unknown in virtual alias table");
	r = resolve("u@alias.example", true);
	assert_int_equal(r.status, RESOLVE_OK);
	assert_int_equal(r.known, KNOWN_NO);
	settings.show_user_unknown_table_name = false;
	assert_slice(resolve("u@alias.example", false).why, "5.1.1 User unknown");
}

static void tables_may_name_domains(void **state)
{
	(void)state;
	settings.mydestination = "inline:{d1.example=x}, !d2.example, static:yes";
	open_tables();
	assert_int_equal(resolve("u@d1.example", false).class, CLASS_LOCAL);
	assert_int_equal(resolve("u@d3.example", false).class, CLASS_LOCAL);
	assert_int_equal(resolve("u@d2.example", false).class, CLASS_DEFAULT);
}

static void a_table_without_answer_is_a_temporary_failure(void **state)
{
	struct resolution r;

	(void)state;
	settings.mydestination = "fail:x";
	open_tables();
	assert_int_equal(resolve("u@else.example", false).status, RESOLVE_TEMPORARY);
	settings.mydestination = "here.example";
	settings.relay_domains = "fail:x";
	open_tables();
	assert_int_equal(resolve("u@else.example", false).status, RESOLVE_TEMPORARY);
	settings.relay_domains = "";
	settings.transport_maps = "fail:x";
	open_tables();
	r = resolve("u@else.example", true);
	assert_int_equal(r.status, RESOLVE_TEMPORARY);
	assert_slice(r.why, "4.3.0 Temporary lookup failure");
}

static void a_table_that_cannot_be_opened_fails_what_needs_it(void **state)
{
	char *why = NULL;

	(void)state;
	settings.relay_domains = "relay.example";
	settings.relay_recipient_maps = "texthash:/does/not/exist";
	open_tables();
	assert_int_equal(resolve("u@relay.example", true).known, KNOWN_TEMPORARY);
	assert_int_equal(resolve("u@else.example", true).status, RESOLVE_OK);
	settings.transport_maps = "texthash:/does/not/exist";
	open_tables();
	assert_int_equal(resolve("u@else.example", true).status, RESOLVE_TEMPORARY);
	settings.transport_maps = "nosuchtype:/does/not/exist";
	assert_null(tables_open(AT_FDCWD, &settings, ask, NULL, &why));
	assert_non_null(strstr(why, "transport_maps"));
	assert_non_null(strstr(why, "nosuchtype"));
	free(why);
}

static void a_changed_table_is_noticed(void **state)
{
	char path[] = "/tmp/test_resolve.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "a.example one:\n", 15), 15);
	settings.transport_maps = mem_printf("texthash:%s", path);
	open_tables();
	assert_null(tables_changed(tables));
	assert_slice(resolve("u@a.example", false).transport, "one");
	assert_int_equal(write(fd, "b.example two:\n", 15), 15);
	assert_string_equal(tables_changed(tables), "transport_maps");
	settings.mydestination = settings.transport_maps;
	settings.transport_maps = "";
	open_tables();
	assert_null(tables_changed(tables));
	assert_int_equal(write(fd, "c.example two:\n", 15), 15);
	assert_string_equal(tables_changed(tables), "mydestination");
	close(fd);
	unlink(path);
	free((char *)settings.mydestination);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_incomplete_address_gets_what_it_lacks),
		TEST(an_address_that_looks_like_an_option_is_refused_by_default),
		TEST(a_remote_header_is_completed_only_by_choice),
		TEST(a_domain_decides_class_transport_and_next_hop),
		TEST(a_route_through_us_is_the_class_of_its_goal),
		TEST(what_can_be_no_address_is_refused_for_good),
		TEST(a_relayhost_takes_the_place_of_foreign_domains),
		TEST(transport_maps_are_asked_from_the_whole_to_the_star),
		TEST(a_pattern_sees_whole_addresses_only),
		TEST(error_and_retry_say_why),
		TEST(recipients_are_known_by_the_tables_of_their_class),
		TEST(an_address_without_alias_in_an_alias_domain_bounces),
		TEST(tables_may_name_domains),
		TEST(a_table_without_answer_is_a_temporary_failure),
		TEST(a_table_that_cannot_be_opened_fails_what_needs_it),
		TEST(a_changed_table_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
