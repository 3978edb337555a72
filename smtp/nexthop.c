/* SPDX-License-Identifier: ISC */
/*
 * nexthop.c - next hops, taken apart.
 */
#include "smtp/nexthop.h"

#include <netdb.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

static struct named_port {
	char *name;
	uint16_t port;
} * ports;
static size_t ports_count;

static void add_port(const char *name, uint16_t port)
{
	ports = mem_resize_array(ports, ports_count + 1, sizeof(*ports));
	ports[ports_count++] = (struct named_port){ mem_strdup(name), port };
}

void nexthop_open(void)
{
	struct servent *s;

	/* Whatever the system lacks. */
	add_port("smtp", 25);
	add_port("submission", 587);
	setservent(1);
	while ((s = getservent()) != NULL) {
		if (strcmp(s->s_proto, "tcp") != 0)
			continue;
		add_port(s->s_name, ntohs((uint16_t)s->s_port));
		for (char **alias = s->s_aliases; *alias != NULL; alias++)
			add_port(*alias, ntohs((uint16_t)s->s_port));
	}
	endservent();
}

bool nexthop_port(struct slice text, uint16_t *port)
{
	uint64_t number;

	if (text_number(text, UINT16_MAX, &number) && number > 0) {
		*port = (uint16_t)number;
		return true;
	}
	for (size_t i = 0; i < ports_count; i++)
		if (slice_equal(slice_of(ports[i].name), text)) {
			*port = ports[i].port;
			return true;
		}
	return false;
}

/* Without brackets round it: a name or an address. */
static void set_host(struct nexthop *n, struct slice host, enum nexthop_kind kind)
{
	struct slice address = host;

	if (slice_starts_nocase(host, SLICE("IPv6:")))
		address = slice_part(host, 5, host.len);
	n->name = host;
	n->kind = kind;
	if (net_address_parse(address, &n->address)) {
		n->kind = NEXTHOP_ADDRESS;
		n->name = address;
	}
}

static bool has_blank(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

static int parse(struct slice item, bool is_lmtp, struct nexthop *n, const char **why)
{
	struct slice host = item, port = SLICE("");
	bool bracketed = item.len > 0 && item.data[0] == '[';
	ptrdiff_t end = bracketed ? slice_find(item, ']') : slice_find(item, ':');

	*why = "a ] is missing";
	if (bracketed && end == -1)
		return -1;
	/* Two colons and no bracket: an IPv6 address, without a port. */
	if (!bracketed && end != slice_find_last(item, ':'))
		end = -1;
	if (bracketed) {
		host = slice_part(item, 1, (size_t)end - 1);
		port = slice_part(item, (size_t)end + 1, item.len);
	} else if (end != -1) {
		host = slice_part(item, 0, (size_t)end);
		port = slice_part(item, (size_t)end, item.len);
	}
	*why = "a host name is missing";
	if (host.len == 0 || host.len > 255 || has_blank(host))
		return -1;
	set_host(n, host, bracketed || is_lmtp ? NEXTHOP_HOST : NEXTHOP_DOMAIN);
	*why = "the port is no number and no name of a service";
	if (port.len > 0 &&
	    (port.data[0] != ':' || !nexthop_port(slice_part(port, 1, port.len), &n->port)))
		return -1;
	return 1;
}

int nexthop_next(struct slice *rest, bool is_lmtp, uint16_t default_port, struct nexthop *n,
    const char **why)
{
	struct slice item;

	if (!text_next_word(rest, ", \t\r\n", &item))
		return 0;
	*n = (struct nexthop){ .port = default_port };
	if (is_lmtp && slice_starts_nocase(item, SLICE("unix:"))) {
		n->kind = NEXTHOP_UNIX;
		n->name = slice_part(item, 5, item.len);
		*why = "the path of the socket is missing";
		return n->name.len > 0 ? 1 : -1;
	}
	if (is_lmtp && slice_starts_nocase(item, SLICE("inet:")))
		item = slice_part(item, 5, item.len);
	return parse(item, is_lmtp, n, why);
}
