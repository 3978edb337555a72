/* SPDX-License-Identifier: ISC */
/*
 * test_route.c - next hops taken apart, and the addresses that they lead to. The names of a test are a zone
 * in place of the resolver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "smtp/route.h"

/* --- next hops ------------------------------------------------------------------------------------- */

static void next_hops_are_taken_apart(void **state)
{
	static const struct {
		const char *text;
		bool is_lmtp;
		int kind; /* -1: it is none */
		const char *name;
		unsigned port;
	} rows[] = {
		{ "example.com", false, NEXTHOP_DOMAIN, "example.com", 25 },
		{ "example.com:587", false, NEXTHOP_DOMAIN, "example.com", 587 },
		{ "[mail.example.com]", false, NEXTHOP_HOST, "mail.example.com", 25 },
		{ "[mail.example.com]:2525", false, NEXTHOP_HOST, "mail.example.com", 2525 },
		{ "[192.0.2.1]:26", false, NEXTHOP_ADDRESS, "192.0.2.1", 26 },
		{ "192.0.2.1", false, NEXTHOP_ADDRESS, "192.0.2.1", 25 },
		{ "[IPv6:2001:db8::1]:26", false, NEXTHOP_ADDRESS, "2001:db8::1", 26 },
		{ "[ipv6:::1]", false, NEXTHOP_ADDRESS, "::1", 25 },
		{ "[::1]:26", false, NEXTHOP_ADDRESS, "::1", 26 },
		{ "::1", false, NEXTHOP_ADDRESS, "::1", 25 },
		{ "inet:store.example:24", true, NEXTHOP_HOST, "store.example", 24 },
		{ "inet:[::1]:24", true, NEXTHOP_ADDRESS, "::1", 24 },
		{ "store.example", true, NEXTHOP_HOST, "store.example", 25 },
		{ "unix:private/lmtp", true, NEXTHOP_UNIX, "private/lmtp", 25 },
		{ "unix:/run/dovecot/lmtp", true, NEXTHOP_UNIX, "/run/dovecot/lmtp", 25 },
		{ "unix:", true, -1, NULL, 0 },
		{ "[mail.example.com", false, -1, NULL, 0 },
		{ "[]", false, -1, NULL, 0 },
		{ ":25", false, -1, NULL, 0 },
		{ "example.com:", false, -1, NULL, 0 },
		{ "example.com:0", false, -1, NULL, 0 },
		{ "example.com:65536", false, -1, NULL, 0 },
		{ "example.com:no-such-service", false, -1, NULL, 0 },
		{ "[mail.example.com]x", false, -1, NULL, 0 },
		{ "[mail.example.com]2525", false, -1, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct slice rest = slice_of(rows[i].text);
		struct nexthop n;
		const char *why;
		int rc = nexthop_next(&rest, rows[i].is_lmtp, 25, &n, &why);

		assert_int_equal(rc, rows[i].kind == -1 ? -1 : 1);
		if (rc != 1)
			continue;
		assert_int_equal(n.kind, rows[i].kind);
		assert_true(slice_equal(n.name, slice_of(rows[i].name)));
		assert_int_equal(n.port, rows[i].port);
		assert_int_equal(nexthop_next(&rest, rows[i].is_lmtp, 25, &n, &why), 0);
	}
}

static void next_hops_are_a_list(void **state)
{
	struct slice rest = SLICE(" [a.example]:26, b.example\t[::1],");
	struct nexthop n;
	const char *why;

	(void)state;
	assert_int_equal(nexthop_next(&rest, false, 25, &n, &why), 1);
	assert_true(slice_equal(n.name, SLICE("a.example")));
	assert_int_equal(nexthop_next(&rest, false, 25, &n, &why), 1);
	assert_true(slice_equal(n.name, SLICE("b.example")));
	assert_int_equal(nexthop_next(&rest, false, 25, &n, &why), 1);
	assert_int_equal(n.kind, NEXTHOP_ADDRESS);
	assert_int_equal(nexthop_next(&rest, false, 25, &n, &why), 0);
}

/* --- routes ---------------------------------------------------------------------------------------- */

/* "TYPE name: data..."; MX data are "preference/host". What is not there does not exist. */
static const char *const zone[] = {
	"MX one.example: 10/mx.one.example",
	"A mx.one.example: 192.0.2.1",
	"MX two.example: 20/mx2.two.example 10/mx1.two.example",
	"A mx1.two.example: 192.0.2.11",
	"A mx2.two.example: 192.0.2.12",
	"MX null.example: 0/",
	"MX none.example: nothing",
	"A none.example: 192.0.2.2",
	"AAAA none.example: 2001:db8::2",
	"MX later.example: again",
	"A later.example: 192.0.2.3",
	"MX lost.example: 10/away.example",
	"MX hidden.example: 10/away.example 20/slow.example",
	"A slow.example: again",
	"MX half.example: 10/away.example 20/mx.one.example",
	"MX own.example: 5/mx.one.example 10/here.example 20/mx1.two.example",
	"A here.example: 198.51.100.1",
	"MX loop.example: 10/here.example 20/mx1.two.example",
	"MX named.example: 10/relay.test 20/mx1.two.example",
	"A relay.test: 192.0.2.77",
	"MX many.example: 10/m.example 20/mx.one.example",
	"A m.example: 192.0.2.101 192.0.2.102 192.0.2.103 192.0.2.104 192.0.2.105 192.0.2.106",
	"MX equal.example: 10/a.equal.example 10/b.equal.example",
	"A a.equal.example: 192.0.2.51",
	"AAAA a.equal.example: 2001:db8::51",
	"A b.equal.example: 192.0.2.52",
	"MX literal.example: 10/192.0.2.60",
	"A literal.host: 192.0.2.61 rubbish",
	"MX swamp.example: 1/a 1/b 1/c 1/d 1/e 1/f 1/g 1/h 1/i 1/j 1/k 1/l 2/mx.one.example",
	"MX bog.example: 1/mx.one.example 2/a 2/b 2/c 2/d 2/e 2/f 2/g 2/h 2/i 2/j 2/k 2/l",
};

static unsigned lookups;

static void fill(struct slice data, struct arena *arena, struct msg_dns_answer *answer)
{
	struct slice word;

	answer->data.items = arena_alloc(arena, 20 * sizeof(struct slice));
	answer->preference.items = arena_alloc(arena, 20 * sizeof(uint64_t));
	while (text_next_word(&data, " ", &word)) {
		ptrdiff_t slash = slice_find(word, '/');
		uint64_t preference = 0;

		if (slash != -1) {
			text_number(slice_part(word, 0, (size_t)slash), 65535, &preference);
			word = slice_part(word, (size_t)slash + 1, word.len);
			answer->preference.items[answer->preference.count++] = preference;
		}
		answer->data.items[answer->data.count++] = word;
	}
	answer->status = DNS_OK;
}

static void look_up(struct slice name, enum dns_type type, struct arena *arena,
    struct msg_dns_answer *answer)
{
	char *key = arena_printf(arena, "%s %.*s: ",
	    type == DNS_MX	? "MX"
		: type == DNS_A ? "A"
				: "AAAA",
	    (int)name.len, name.data);

	lookups++;
	*answer = (struct msg_dns_answer){ .status = DNS_NO_NAME };
	for (size_t i = 0; i < ARRAY_LENGTH(zone); i++) {
		const char *space = strchr(zone[i], ' ');
		size_t len = strcspn(space + 1, ":");

		if (slice_equal(slice_new(space + 1, len), name))
			answer->status = DNS_NO_DATA;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(zone); i++) {
		struct slice data;

		if (strncmp(zone[i], key, strlen(key)) != 0)
			continue;
		data = slice_of(zone[i] + strlen(key));
		if (slice_equal(data, SLICE("again")))
			answer->status = DNS_TRY_AGAIN;
		else if (!slice_equal(data, SLICE("nothing")))
			fill(data, arena, answer);
		return;
	}
}

static void reset_settings(void)
{
	client_settings = (struct client_settings){ .myhostname = "relay.test",
		.inet_protocols = "ipv4",
		.address_preference = "any",
		.mx_address_limit = 5,
		.randomize_addresses = true };
}

/* "192.0.2.1 192.0.2.2", or "5.1.0 the reason". */
static const char *route_of(const char *text, struct arena *arena)
{
	struct route *route = arena_alloc(arena, sizeof(*route));
	struct slice rest = slice_of(text);
	struct buf out = { 0 };
	struct verdict v;
	struct nexthop n;
	const char *why;
	char address[INET6_ADDRSTRLEN], *result;

	assert_int_equal(nexthop_next(&rest, client_settings.is_lmtp, 25, &n, &why), 1);
	if (!route_find(&n, look_up, arena, route, &v)) {
		assert_int_equal(v.outcome,
		    v.dsn.data[0] == '5' ? OUTCOME_BOUNCED : OUTCOME_DEFERRED);
		return arena_printf(arena, "%.*s %.*s", (int)v.dsn.len, v.dsn.data, (int)v.text.len,
		    v.text.data);
	}
	for (size_t i = 0; i < route->count; i++)
		buf_printf(&out, "%s%s", i == 0 ? "" : " ",
		    net_address_text(&route->hosts[i].address, address));
	result = arena_text(arena, buf_slice(&out));
	buf_clear(&out);
	return result;
}

#define NOT_FOUND "Host or domain name not found. Name service error for name="

static void next_hops_lead_to_addresses(void **state)
{
	static const char *const routes[][2] = {
		{ "one.example", "192.0.2.1" },
		{ "two.example", "192.0.2.11 192.0.2.12" },
		{ "[mx.one.example]", "192.0.2.1" },
		{ "[192.0.2.9]", "192.0.2.9" },
		{ "null.example", "5.1.0 Domain null.example does not accept mail (nullMX)" },
		{ "none.example", "192.0.2.2" },
		{ "away.example", "5.4.4 " NOT_FOUND "away.example type=MX: Host not found" },
		{ "[away.example]", "5.4.4 " NOT_FOUND "away.example type=A: Host not found" },
		{ "later.example",
		    "4.4.3 " NOT_FOUND "later.example type=MX: Host not found, try again" },
		{ "[slow.example]",
		    "4.4.3 " NOT_FOUND "slow.example type=A: Host not found, try again" },
		{ "lost.example", "5.4.4 " NOT_FOUND "away.example type=A: Host not found" },
		/* Who may be there later counts more than who is not there. */
		{ "hidden.example",
		    "4.4.3 " NOT_FOUND "slow.example type=A: Host not found, try again" },
		{ "half.example", "192.0.2.1" },
		/* Never to ourselves, nor to who would send it here again. */
		{ "own.example", "192.0.2.1" },
		{ "loop.example", "5.4.6 mail for loop.example loops back to myself" },
		{ "named.example", "5.4.6 mail for named.example loops back to myself" },
		{ "[198.51.100.1]", "5.4.6 mail for 198.51.100.1 loops back to myself" },
		/* On another port it is somebody else. */
		{ "[198.51.100.1]:2525", "198.51.100.1" },
		{ "literal.example", "192.0.2.60" },
		{ "[literal.host]", "192.0.2.61" },
	};
	struct net_address own;

	(void)state;
	reset_settings();
	net_address_parse(SLICE("198.51.100.1"), &own);
	route_add_own(&own);
	for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
		struct arena *arena = arena_new();

		assert_string_equal(route_of(routes[i][0], arena), routes[i][1]);
		arena_free(arena);
	}
}

static void settings_change_routes(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	reset_settings();
	client_settings.ignore_mx_lookup_error = true;
	assert_string_equal(route_of("later.example", arena), "192.0.2.3");
	client_settings.defer_if_no_mx_address_found = true;
	assert_string_equal(route_of("lost.example", arena),
	    "4.4.4 " NOT_FOUND "away.example type=A: Host not found");
	client_settings.inet_protocols = "ipv6";
	assert_string_equal(route_of("none.example", arena), "2001:db8::2");
	client_settings.inet_protocols = "all";
	client_settings.address_preference = "ipv6";
	assert_string_equal(route_of("none.example", arena), "2001:db8::2 192.0.2.2");
	client_settings.address_preference = "ipv4";
	assert_string_equal(route_of("none.example", arena), "192.0.2.2 2001:db8::2");
	client_settings.is_lmtp = true;
	assert_string_equal(route_of("[198.51.100.1]", arena), "198.51.100.1");
	assert_string_equal(route_of("one.example", arena),
	    "5.4.4 " NOT_FOUND
	    "one.example type=A: Host found but no data record of requested type");
	arena_free(arena);
}

static void only_as_many_as_are_tried(void **state)
{
	struct arena *arena = arena_new();
	const char *route;

	(void)state;
	reset_settings();
	lookups = 0;
	route = route_of("many.example", arena);
	assert_int_equal(lookups, 2); /* not the second exchanger */
	assert_null(strstr(route, "192.0.2.1 "));
	assert_int_equal(strlen(route), 5 * strlen("192.0.2.101 ") - 1);
	client_settings.mx_address_limit = 0;
	route = route_of("many.example", arena);
	assert_string_equal(route + 6 * strlen("192.0.2.101 "), "192.0.2.1");
	arena_free(arena);
}

/* Each of them may take as long as name servers may. */
static void names_without_addresses_are_asked_for_a_while(void **state)
{
	struct arena *arena = arena_new();
	const char *said;

	(void)state;
	reset_settings();
	client_settings.mx_address_limit = 0;
	lookups = 0;
	said = route_of("swamp.example", arena);
	assert_int_equal(strncmp(said, "4.4.3 " NOT_FOUND, strlen("4.4.3 " NOT_FOUND)), 0);
	assert_int_equal(lookups, 11);
	assert_string_equal(route_of("bog.example", arena), "192.0.2.1");
	arena_free(arena);
}

static void equals_take_turns(void **state)
{
	unsigned first[3] = { 0 };

	(void)state;
	reset_settings();
	client_settings.inet_protocols = "all";
	for (int i = 0; i < 300; i++) {
		struct arena *arena = arena_new();
		const char *route = route_of("equal.example", arena);

		first[strncmp(route, "192.0.2.51", 10) == 0	? 0
			: strncmp(route, "192.0.2.52", 10) == 0 ? 1
								: 2]++;
		assert_int_equal(strlen(route), strlen("192.0.2.51 192.0.2.52 2001:db8::51"));
		arena_free(arena);
	}
	for (size_t i = 0; i < 3; i++)
		assert_in_range(first[i], 40, 180);
	client_settings.randomize_addresses = false;
	client_settings.address_preference = "ipv4";
	for (int i = 0; i < 10; i++) {
		struct arena *arena = arena_new();

		assert_string_equal(route_of("equal.example", arena),
		    "192.0.2.51 192.0.2.52 2001:db8::51");
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_hops_are_taken_apart),
		cmocka_unit_test(next_hops_are_a_list),
		cmocka_unit_test(next_hops_lead_to_addresses),
		cmocka_unit_test(settings_change_routes),
		cmocka_unit_test(only_as_many_as_are_tried),
		cmocka_unit_test(names_without_addresses_are_asked_for_a_while),
		cmocka_unit_test(equals_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
