/* SPDX-License-Identifier: ISC */
/*
 * listen.c - the inet sockets of a master.cf entry.
 */
#include "common/net/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { BACKLOG = 1024, HOST_LIMIT = 256 };

struct listening {
	int *fds;
	size_t count, limit;
	bool ipv4, ipv6;
	net_lender *lend;
	const char *place; /* where the address is written */
	char **why;
};

static char *why_not(const struct listening *l, const struct addrinfo *a, const char *port,
    int error)
{
	bool v6 = a->ai_family == AF_INET6;
	char host[NI_MAXHOST] = "?";

	getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	return mem_printf("can't listen on %s%s%s:%s: %s%s%s", v6 ? "[" : "", host, v6 ? "]" : "",
	    port, strerror(error),
	    error == EADDRINUSE		 ? "; another server has this port"
		: error == EACCES	 ? "; ports below 1024 need root"
		: error == EADDRNOTAVAIL ? "; this system has no such address, see "
					 : "",
	    error == EADDRNOTAVAIL ? l->place : "");
}

static int open_one(struct listening *l, const struct addrinfo *a, const char *service)
{
	int yes = 1, fd = l->lend == NULL ? -1 : l->lend(a->ai_addr, a->ai_addrlen);

	if (fd != -1) {
		l->fds[l->count++] = fd;
		return 0;
	}
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd != -1) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
		if (a->ai_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	}
	if (fd == -1 || bind(fd, a->ai_addr, a->ai_addrlen) == -1 || listen(fd, BACKLOG) == -1) {
		int saved = errno;

		*l->why = why_not(l, a, service, saved);
		if (fd != -1)
			close(fd);
		errno = saved;
		return -1;
	}
	l->fds[l->count++] = fd;
	return 0;
}

/* Every address of the host (NULL: the wildcard) of the wanted families. optional: a host without any
 * is no error (::1 on a machine without IPv6). */
static int open_host(struct listening *l, const char *host, const char *port, bool optional)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE },
			*list = NULL;
	int rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0) {
		if (optional && rc != EAI_SERVICE)
			return 0;
		*l->why = mem_printf("can't listen on %s:%s: %s%s", host == NULL ? "" : host, port,
		    gai_strerror(rc),
		    rc == EAI_SERVICE ? "; /etc/services has no such name: write the number" : "");
		errno = EINVAL;
		return -1;
	}
	rc = 0;
	for (struct addrinfo *a = list; a != NULL && rc == 0; a = a->ai_next) {
		if (!(a->ai_family == AF_INET ? l->ipv4 : a->ai_family == AF_INET6 && l->ipv6))
			continue;
		if (l->count == l->limit) {
			*l->why = mem_printf("more than %zu addresses to listen on", l->limit);
			rc = -1;
			break;
		}
		rc = open_one(l, a, port);
		if (rc == -1 && optional && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
			free(*l->why);
			*l->why = NULL;
			rc = 0;
		}
	}
	int saved = errno;
	freeaddrinfo(list);
	errno = saved;
	return rc;
}

static bool has_word(const char *list, const char *word)
{
	struct slice rest = slice_of(list), item;

	while (text_next_word(&rest, ", \t\r\n", &item))
		if (slice_equal_nocase(item, slice_of(word)))
			return true;
	return false;
}

static int open_interfaces(struct listening *l, const char *interfaces, const char *port)
{
	struct slice rest = slice_of(interfaces), item;

	if (has_word(interfaces, "all"))
		return open_host(l, "0.0.0.0", port, true) == -1 ? -1
								 : open_host(l, "::", port, true);
	while (text_next_word(&rest, ", \t\r\n", &item)) {
		char host[HOST_LIMIT];

		if (slice_equal_nocase(item, SLICE("loopback-only"))) {
			if (open_host(l, "127.0.0.1", port, true) == -1 ||
			    open_host(l, "::1", port, true) == -1)
				return -1;
			continue;
		}
		if (item.len > 2 && item.data[0] == '[')
			item = slice_part(item, 1, item.len - 2);
		if (item.len >= sizeof(host)) {
			*l->why = mem_printf("inet_interfaces: a name is too long");
			return -1;
		}
		memcpy(host, item.data, item.len);
		host[item.len] = '\0';
		if (open_host(l, host, port, false) == -1)
			return -1;
	}
	return 0;
}

bool net_port_is_known(const char *service)
{
	const char *colon = strrchr(service, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;

	if (getaddrinfo(NULL, colon == NULL ? service : colon + 1, &hints, &list) != 0)
		return false;
	freeaddrinfo(list);
	return true;
}

int net_listen(const char *service, const char *interfaces, const char *protocols, int *fds,
    size_t limit, net_lender *lend, char **why)
{
	bool all = has_word(protocols, "all");
	const char *colon = strrchr(service, ':');
	struct listening l = { .fds = fds,
		.limit = limit,
		.lend = lend,
		.why = why,
		.place = colon == NULL ? "inet_interfaces" : "the entry's first field in master.cf",
		.ipv4 = all || has_word(protocols, "ipv4"),
		.ipv6 = all || has_word(protocols, "ipv6") };
	int rc;

	*why = NULL;
	if (colon == NULL) {
		rc = open_interfaces(&l, interfaces, service);
	} else {
		bool brackets = service[0] == '[' && colon > service && colon[-1] == ']';
		char *host = brackets ? strndup(service + 1, (size_t)(colon - service) - 2)
				      : strndup(service, (size_t)(colon - service));

		if (host == NULL)
			panic("no memory");
		rc = *host == '\0' ? open_interfaces(&l, "all", colon + 1)
				   : open_host(&l, host, colon + 1, false);
		free(host);
	}
	if (rc == 0 && l.count == 0) {
		*why = mem_printf("no address to listen on for %s: see inet_interfaces and "
				  "inet_protocols",
		    service);
		rc = -1;
	}
	if (rc == -1) {
		int saved = errno;

		while (l.count > 0)
			close(fds[--l.count]);
		errno = saved;
		return -1;
	}
	return (int)l.count;
}
