/* SPDX-License-Identifier: ISC */
/*
 * nexthop.h - where transport(5), relayhost and fallback relays send mail, taken apart.
 */
#ifndef GP_NEXTHOP_H
#define GP_NEXTHOP_H

#include "common/net/address.h"

enum nexthop_kind {
	NEXTHOP_DOMAIN,	 /* its mail exchangers */
	NEXTHOP_HOST,	 /* the addresses of this very host */
	NEXTHOP_ADDRESS, /* no name to look up */
	NEXTHOP_UNIX	 /* a socket in the file system */
};
struct nexthop {
	enum nexthop_kind kind;
	struct slice name; /* domain, host, address or path: a part of the text */
	struct net_address address;
	uint16_t port;
};

/* Reads the names of TCP ports while /etc/services can be reached. Without it only numbers are known. */
void nexthop_open(void);
/* "25", "smtp". */
bool nexthop_port(struct slice, uint16_t *);

/* The next of a list separated by commas and blanks: domain, domain:port, [host], [host]:port,
 * [1.2.3.4], [IPv6:::1]:25; for LMTP also unix:path and inet:host:port, and no domains. default_port
 * is for those without. 1; 0 at the end; -1 with static words when it is none of these. */
int nexthop_next(struct slice *rest, bool is_lmtp, uint16_t default_port, struct nexthop *,
    const char **why);

#endif
