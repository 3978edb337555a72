/* SPDX-License-Identifier: ISC */
/*
 * own_address.c - user@[address] with an address of this system is local. Asked once at start: the
 * sandbox leaves no way to look again.
 */
#include "rewrite/rewrite.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"

static void add(struct tables *t, const struct sockaddr *sa)
{
	struct net_address address;
	uint16_t port;

	if (!net_address_of_sockaddr(sa, &address, &port) || address.family == AF_UNSPEC)
		return;
	t->own = mem_resize_array(t->own, t->own_count + 1, sizeof(*t->own));
	t->own[t->own_count++] = address;
}

static void add_name(struct tables *t, const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int rc = getaddrinfo(name, NULL, &hints, &list);

	if (rc != 0) {
		log_warning("inet_interfaces or proxy_interfaces: %s: %s", name, gai_strerror(rc));
		return;
	}
	for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
		add(t, a->ai_addr);
	freeaddrinfo(list);
}

static void add_interfaces(struct tables *t)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) == -1) {
		log_warning("getifaddrs: %m");
		return;
	}
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL &&
		    (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
			add(t, i->ifa_addr);
	freeifaddrs(list);
}

static void add_list(struct tables *t, const char *text)
{
	struct slice rest = slice_of(text), word;

	while (text_next_word(&rest, ", \t\r\n", &word)) {
		char name[256];

		if (word.len > 2 && word.data[0] == '[')
			word = slice_part(word, 1, word.len - 2);
		if (word.len >= sizeof(name))
			continue;
		memcpy(name, word.data, word.len);
		name[word.len] = '\0';
		if (strcmp(name, "all") == 0) {
			add_interfaces(t);
		} else if (strcmp(name, "loopback-only") == 0) {
			add_name(t, "127.0.0.1");
			add_name(t, "::1");
		} else {
			add_name(t, name);
		}
	}
}

void own_addresses_find(struct tables *t)
{
	add_list(t, t->settings->inet_interfaces);
	add_list(t, t->settings->proxy_interfaces);
}

bool own_address_is(const struct tables *t, struct slice literal)
{
	struct slice text = slice_part(literal, 1, literal.len - 2);
	struct net_address address;

	if (slice_starts_nocase(text, SLICE("IPv6:")))
		text = slice_part(text, 5, text.len);
	if (!net_address_parse(text, &address))
		return false;
	for (size_t i = 0; i < t->own_count; i++)
		if (net_address_equal(&t->own[i], &address))
			return true;
	return false;
}
