/* SPDX-License-Identifier: ISC */
/*
 * address.c - network addresses and networks.
 */
#include "common/net/address.h"

#include <arpa/inet.h>

#include "common/base/text.h"

enum { MAPPED_BITS = 96 }; /* before an IPv4 address inside an IPv6 one */

/* An IPv4 address inside an IPv6 one is the same client: it becomes IPv4. */
static void from_ipv6(const uint8_t bytes[16], struct net_address *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	memset(out, 0, sizeof(*out));
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		out->family = AF_INET;
		memcpy(out->bytes, bytes + 12, 4);
		return;
	}
	out->family = AF_INET6;
	memcpy(out->bytes, bytes, 16);
}

bool net_address_parse(struct slice text, struct net_address *out)
{
	char name[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	if (text.len == 0 || text.len >= sizeof(name) || slice_find(text, '\0') != -1)
		return false;
	memcpy(name, text.data, text.len);
	name[text.len] = '\0';
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, name, out->bytes) == 1) {
		out->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, name, bytes) != 1)
		return false;
	from_ipv6(bytes, out);
	return true;
}

bool net_address_of_sockaddr(const struct sockaddr *from, struct net_address *out, uint16_t *port)
{
	memset(out, 0, sizeof(*out));
	*port = 0;
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;

		out->family = AF_INET;
		memcpy(out->bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
		return true;
	}
	if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)from;

		from_ipv6(in->sin6_addr.s6_addr, out);
		*port = ntohs(in->sin6_port);
		return true;
	}
	return from->sa_family == AF_UNIX;
}

const char *net_address_text(const struct net_address *a, char out[INET6_ADDRSTRLEN])
{
	if (a->family == AF_UNSPEC || inet_ntop(a->family, a->bytes, out, INET6_ADDRSTRLEN) == NULL)
		strcpy(out, "local");
	return out;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static unsigned width(int family)
{
	return family == AF_INET ? 32 : 128;
}

static bool host_bits_are_clear(const struct net_network *n)
{
	for (unsigned bit = n->bits; bit < width(n->base.family); bit++)
		if (n->base.bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

bool net_network_parse(struct slice text, struct net_network *out, const char **why)
{
	ptrdiff_t slash = slice_find(text, '/');
	struct slice base = slash == -1 ? text : slice_part(text, 0, (size_t)slash);
	unsigned mapped;
	uint64_t bits;

	if (base.len > 2 && base.data[0] == '[' && base.data[base.len - 1] == ']')
		base = slice_part(base, 1, base.len - 2);
	*why = "it is no network address: write 192.0.2.0/24 or [2001:db8::]/32";
	if (!net_address_parse(base, &out->base))
		return false;
	out->bits = width(out->base.family);
	if (slash == -1)
		return true;
	/* An IPv4-mapped base has become IPv4: the 96 bits before it are gone. */
	mapped = out->base.family == AF_INET && slice_find(base, ':') != -1 ? MAPPED_BITS : 0;
	*why = "the number of bits behind the / is too large or no number";
	if (!text_number(slice_part(text, (size_t)slash + 1, text.len), out->bits + mapped, &bits))
		return false;
	*why = "address bits behind the prefix length are set: clear them";
	if (bits < mapped)
		return false;
	out->bits = (unsigned)bits - mapped;
	return host_bits_are_clear(out);
}

bool net_network_contains(const struct net_network *n, const struct net_address *a)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (n->base.family != a->family || memcmp(n->base.bytes, a->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return ((n->base.bytes[whole] ^ a->bytes[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}
