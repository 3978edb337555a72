/* SPDX-License-Identifier: ISC */
/*
 * route.c - mail exchangers and addresses. Hosts are looked up in the order in which they will be tried,
 * and only until there are enough addresses; those of one preference always together, since they are
 * mixed.
 */
#include "smtp/route.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"

enum {
	SMTP_PORT = 25,
	EMPTY_MOST = 10 /* exchangers without an address, each as slow as its name servers */
};

static struct net_address *own;
static size_t own_count;

/* One search. */
struct search {
	const struct nexthop *next;
	route_lookup *lookup;
	struct arena *arena;
	struct route *route;
	struct verdict *why; /* of what failed last; a passing failure wins */
};

/* --- ourselves ------------------------------------------------------------------------------------ */

void route_add_own(const struct net_address *a)
{
	own = mem_resize_array(own, own_count + 1, sizeof(*own));
	own[own_count++] = *a;
}

static void add_interfaces(void)
{
	struct ifaddrs *all, *i;
	struct net_address a;
	uint16_t port;

	if (getifaddrs(&all) == -1)
		return;
	for (i = all; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL &&
		    (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6) &&
		    net_address_of_sockaddr(i->ifa_addr, &a, &port))
			route_add_own(&a);
	freeifaddrs(all);
}

static void add_names(const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *i;
	struct net_address a;
	uint16_t port;

	if (getaddrinfo(host, NULL, &hints, &all) != 0)
		return;
	for (i = all; i != NULL; i = i->ai_next)
		if (net_address_of_sockaddr(i->ai_addr, &a, &port))
			route_add_own(&a);
	freeaddrinfo(all);
}

void route_open(void)
{
	struct slice rest = slice_of(client_settings.inet_interfaces), word;
	char *name;

	while (text_next_word(&rest, ", \t\r\n", &word)) {
		if (word.len > 1 && word.data[0] == '[')
			word = slice_part(word, 1, word.len - 2);
		if (slice_equal(word, SLICE("all"))) {
			add_interfaces();
			continue;
		}
		if (slice_equal(word, SLICE("loopback-only")))
			word = SLICE("localhost");
		name = slice_dup(word);
		add_names(name);
		free(name);
	}
}

/* On another port somebody else may listen. */
static bool is_own(const struct host *h)
{
	if (client_settings.is_lmtp || h->port != SMTP_PORT)
		return false;
	if (slice_equal_nocase(h->name, slice_of(client_settings.myhostname)))
		return true;
	for (size_t i = 0; i < own_count; i++)
		if (net_address_equal(&own[i], &h->address))
			return true;
	return false;
}

/* We, and all that are no better than we. True: somebody is left. */
static bool drop_own(struct route *r)
{
	uint64_t limit = UINT64_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++)
		if (is_own(&r->hosts[i]) && r->hosts[i].preference < limit)
			limit = r->hosts[i].preference;
	for (size_t i = 0; i < r->count; i++)
		if (limit == UINT64_MAX || r->hosts[i].preference < limit)
			r->hosts[kept++] = r->hosts[i];
	r->count = kept;
	return kept > 0;
}

/* --- names ---------------------------------------------------------------------------------------- */

static const char *type_name(enum dns_type type)
{
	return type == DNS_MX ? "MX" : type == DNS_A ? "A" : "AAAA";
}

static void explain(struct search *s, struct slice name, enum dns_type type, enum dns_status status)
{
	static const char *const words[] = { [DNS_NO_NAME] = "Host not found",
		[DNS_NO_DATA] = "Host found but no data record of requested type",
		[DNS_TRY_AGAIN] = "Host not found, try again",
		[DNS_BAD_NAME] = "Malformed host or domain name" };
	bool passing = status == DNS_TRY_AGAIN;

	/* What may be better later counts more. */
	if (s->why->outcome == OUTCOME_DEFERRED && !passing)
		return;
	verdict_put(s->why, s->arena, passing ? "4.4.3" : "5.4.4",
	    "Host or domain name not found. Name service error for name=%.*s type=%s: %s",
	    (int)name.len, name.data, type_name(type),
	    words[status < DNS_NO_NAME || status > DNS_BAD_NAME ? DNS_TRY_AGAIN : status]);
}

static void add_addresses(struct search *s, struct slice name, uint64_t preference,
    enum dns_type type)
{
	struct msg_dns_answer answer = { .status = DNS_TRY_AGAIN };
	struct route *r = s->route;

	s->lookup(name, type, s->arena, &answer);
	if (answer.status != DNS_OK) {
		explain(s, name, type, (enum dns_status)answer.status);
		return;
	}
	for (size_t i = 0; i < answer.data.count && r->count < ROUTE_MOST; i++) {
		struct host h = { name, .port = s->next->port, .preference = preference };

		if (net_address_parse(answer.data.items[i], &h.address))
			r->hosts[r->count++] = h;
	}
}

static bool uses(const char *protocol)
{
	struct slice rest = slice_of(client_settings.inet_protocols), word;

	while (text_next_word(&rest, ", \t\r\n", &word))
		if (slice_equal(word, SLICE("all")) || slice_equal(word, slice_of(protocol)))
			return true;
	return false;
}

static void add_host(struct search *s, struct slice name, uint64_t preference)
{
	struct host h = { name, .port = s->next->port, .preference = preference };

	/* An exchanger must be a name; some domains name an address. */
	if (net_address_parse(name, &h.address)) {
		if (s->route->count < ROUTE_MOST)
			s->route->hosts[s->route->count++] = h;
		return;
	}
	if (uses("ipv6"))
		add_addresses(s, name, preference, DNS_AAAA);
	if (uses("ipv4"))
		add_addresses(s, name, preference, DNS_A);
}

/* --- order ---------------------------------------------------------------------------------------- */

static void shuffle(struct host *hosts, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = arc4random_uniform((uint32_t)i);
		struct host h = hosts[i - 1];

		hosts[i - 1] = hosts[j];
		hosts[j] = h;
	}
}

/* Lower is tried first. */
static unsigned family_rank(const struct host *h)
{
	const char *first = client_settings.address_preference;

	if (strcmp(first, "any") == 0)
		return 0;
	return (h->address.family == AF_INET6) != (strcmp(first, "ipv6") == 0);
}

static bool goes_before(const struct host *a, const struct host *b)
{
	if (a->preference != b->preference)
		return a->preference < b->preference;
	return family_rank(a) < family_rank(b);
}

/* Insertion keeps the order of equals. */
static void sort(struct host *hosts, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct host h = hosts[i];
		size_t at = i;

		for (; at > 0 && goes_before(&h, &hosts[at - 1]); at--)
			hosts[at] = hosts[at - 1];
		hosts[at] = h;
	}
}

static void put_in_order(struct route *r)
{
	if (client_settings.randomize_addresses)
		shuffle(r->hosts, r->count);
	sort(r->hosts, r->count);
}

static bool finish(struct search *s)
{
	struct route *r = s->route;
	size_t limit = client_settings.mx_address_limit > 0
	    ? (size_t)client_settings.mx_address_limit
	    : ROUTE_MOST;

	if (r->count == 0)
		return false;
	put_in_order(r);
	if (!drop_own(r)) {
		verdict_put(s->why, s->arena, "5.4.6", "mail for %.*s loops back to myself",
		    (int)s->next->name.len, s->next->name.data);
		return false;
	}
	if (r->count > limit)
		r->count = limit;
	return true;
}

/* --- mail exchangers ------------------------------------------------------------------------------ */

/* The answer as hosts without addresses, in order. */
static struct route *exchangers(struct search *s, const struct msg_dns_answer *answer)
{
	struct route *mx = arena_alloc(s->arena, sizeof(*mx));

	for (size_t i = 0; i < answer->data.count && i < ROUTE_MOST; i++) {
		uint64_t preference = i < answer->preference.count ? answer->preference.items[i]
								   : 0;

		if (answer->data.items[i].len > 0)
			mx->hosts[mx->count++] = (struct host){ .name = answer->data.items[i],
				.preference = preference };
	}
	put_in_order(mx);
	return mx;
}

static bool by_exchangers(struct search *s, const struct msg_dns_answer *answer)
{
	struct route *mx = exchangers(s, answer);
	size_t enough = client_settings.mx_address_limit > 0
	    ? (size_t)client_settings.mx_address_limit
	    : ROUTE_MOST;

	if (mx->count == 0) {
		verdict_put(s->why, s->arena, "5.1.0", "Domain %.*s does not accept mail (nullMX)",
		    (int)s->next->name.len, s->next->name.data);
		return false;
	}
	for (size_t i = 0, empty = 0; i < mx->count; i++) {
		size_t before = s->route->count;

		if (before >= enough && mx->hosts[i].preference != mx->hosts[i - 1].preference)
			break;
		if (empty == EMPTY_MOST) {
			/* The rest may be better. */
			s->why->outcome = OUTCOME_DEFERRED;
			s->why->dsn = SLICE("4.4.3");
			break;
		}
		add_host(s, mx->hosts[i].name, mx->hosts[i].preference);
		empty += s->route->count == before;
	}
	if (s->route->count == 0 && s->why->outcome == OUTCOME_BOUNCED &&
	    client_settings.defer_if_no_mx_address_found) {
		s->why->outcome = OUTCOME_DEFERRED;
		s->why->dsn = SLICE("4.4.4");
	}
	return finish(s);
}

static bool by_host(struct search *s)
{
	add_host(s, s->next->name, 0);
	return finish(s);
}

static bool by_domain(struct search *s)
{
	struct msg_dns_answer answer = { .status = DNS_TRY_AGAIN };

	s->lookup(s->next->name, DNS_MX, s->arena, &answer);
	if (answer.status == DNS_OK)
		return by_exchangers(s, &answer);
	if (answer.status == DNS_NO_DATA ||
	    (answer.status == DNS_TRY_AGAIN && client_settings.ignore_mx_lookup_error))
		return by_host(s);
	explain(s, s->next->name, DNS_MX, (enum dns_status)answer.status);
	return false;
}

bool route_find(const struct nexthop *next, route_lookup *lookup, struct arena *arena,
    struct route *route, struct verdict *why)
{
	struct search s = { next, lookup, arena, route, why };

	route->count = 0;
	*why = (struct verdict){ 0 };
	switch (next->kind) {
	case NEXTHOP_DOMAIN:
		return by_domain(&s);
	case NEXTHOP_HOST:
		return by_host(&s);
	case NEXTHOP_ADDRESS:
	case NEXTHOP_UNIX:
		route->hosts[route->count++] = (struct host){
			.name = next->name, .address = next->address, .port = next->port
		};
		break;
	}
	return next->kind == NEXTHOP_UNIX || finish(&s);
}
