/* SPDX-License-Identifier: ISC */
/*
 * pattern_cidr.c - networks as patterns: 192.0.2.0/24, 2001:db8::/32.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/pattern.h"

static void *compile_network(struct slice pattern, struct slice flags, unsigned *groups,
    struct buf *why)
{
	struct net_network *network = mem_alloc(sizeof(*network));
	const char *reason = "";

	(void)flags;
	*groups = 0;
	if (net_network_parse(pattern, network, &reason))
		return network;
	buf_puts(why, reason);
	free(network);
	return NULL;
}

static int match_network(const void *compiled, struct pattern_key *key, struct buf *why)
{
	const struct net_network *network = compiled;

	(void)why;
	if (network->base.family != key->address.family)
		return PATTERN_APART;
	return net_network_contains(network, &key->address);
}

const struct pattern_kind pattern_cidr = { false, compile_network, match_network, free };
