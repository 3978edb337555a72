/* SPDX-License-Identifier: ISC */
/*
 * address.h - network addresses: text and back, and networks (CIDR) for mynetworks.
 */
#ifndef GP_NET_ADDRESS_H
#define GP_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/slice.h"

/* An IPv4 or IPv6 address without a port; an IPv4-mapped IPv6 address becomes IPv4. */
struct net_address {
	int family;	   /* AF_INET, AF_INET6; AF_UNSPEC for a local socket */
	uint8_t bytes[16]; /* network order; 4 are used for AF_INET */
};

struct net_network {
	struct net_address base;
	unsigned bits;
};

/* "192.0.2.1" or "2001:db8::1" (no brackets, no zone). */
bool net_address_parse(struct slice, struct net_address *);
bool net_address_of_sockaddr(const struct sockaddr *, struct net_address *, uint16_t *port);
/* As Postfix logs it: IPv6 in the shortest form, without brackets. Returns out. */
const char *net_address_text(const struct net_address *, char out[INET6_ADDRSTRLEN]);
bool net_address_equal(const struct net_address *, const struct net_address *);

/* "10.0.0.0/8", "[::1]/128", "127.0.0.1"; "[::ffff:10.0.0.0]/104" is "10.0.0.0/8". False with a reason
 * (static text) when it is not one, also when bits behind the prefix are set. */
bool net_network_parse(struct slice, struct net_network *, const char **why);
bool net_network_contains(const struct net_network *, const struct net_address *);

/* Listening sockets for master.cf: "25", "smtp", "127.0.0.1:2525", "[::1]:25", "host:port". Opens
 * one per address (SO_REUSEADDR, IPV6_V6ONLY, close-on-exec, non-blocking), at most limit.
 * Returns how many, or -1 with errno and a reason on the heap in *why. interfaces: the value of
 * inet_interfaces ("all", "loopback-only", or a list) for a service without host. lend (may be NULL) is
 * asked first: a listening descriptor for this very address to take over, or -1. */
typedef int net_lender(const struct sockaddr *, socklen_t);
int net_listen(const char *service, const char *interfaces, const char *protocols, int *fds,
    size_t limit, net_lender *lend, char **why);

/* The port of such a service is a number, or a name that /etc/services has. */
bool net_port_is_known(const char *service);

#endif
