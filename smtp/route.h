/* SPDX-License-Identifier: ISC */
/*
 * route.h - from a next hop to the addresses to try, in order (RFC 5321, section 5.1; RFC 7505).
 */
#ifndef GP_ROUTE_H
#define GP_ROUTE_H

#include "smtp/nexthop.h"
#include "smtp/smtp.h"

enum { ROUTE_MOST = 100 };

struct host {
	struct slice name;
	struct net_address address; /* AF_UNSPEC: the name is the path of a UNIX socket */
	uint16_t port;
	uint64_t preference;
};
struct route {
	struct host hosts[ROUTE_MOST];
	size_t count;
};

/* What the resolver answered; nothing came: status DNS_TRY_AGAIN. Waits. */
typedef void route_lookup(struct slice name, enum dns_type, struct arena *,
    struct msg_dns_answer *);

/* The addresses of this system, from inet_interfaces: before the rights are given up. */
void route_open(void);
/* Adds one: mail exchangers with it are ourselves. */
void route_add_own(const struct net_address *);

/* Fills the route (big: in the arena). False with why nobody can be tried. Waits. */
bool route_find(const struct nexthop *, route_lookup *, struct arena *, struct route *,
    struct verdict *why);

#endif
