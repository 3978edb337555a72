/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as an address: the class is that of the address that the mail would go to, whatever way it
 * was written, and what a table made of it can travel.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/mail_address.h"
#include "rewrite/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rewrite_settings settings = {
	.myhostname = "mx.here.example",
	.mydomain = "here.example",
	.myorigin = "here.example",
	.mydestination = "mx.here.example, here.example, localhost, l",
	.inet_interfaces = "127.0.0.1",
	.proxy_interfaces = "",
	.virtual_alias_domains = "a",
	.virtual_mailbox_domains = "b",
	.relay_domains = "r",
	.virtual_alias_maps = "pcre:{ {/^(.*)@a$/ $1@l x$1@b, $1} {/^(.*)@b$/ @r} } inline:{u=v@a}",
	.local_recipient_maps = "inline:{u=x}",
	.transport_maps = "inline:{*=star:, .x=x:y}",
	.parent_domain_matches_subdomains = "relay_domains",
	.relayhost = "smart",
	.local_transport = "local",
	.virtual_transport = "virtual",
	.relay_transport = "relay",
	.default_transport = "smtp",
	.error_service_name = "error",
	.recipient_delimiter = "+-",
	.empty_address_recipient = "MAILER-DAEMON",
	.remote_header_rewrite_domain = "",
	.propagate_unmatched_extensions = "virtual",
	.append_at_myorigin = true,
	.append_dot_mydomain = true,
	.swap_bangpath = true,
	.allow_percent_hack = true,
	.resolve_dequoted_address = true,
	.virtual_alias_recursion_limit = 20,
	.virtual_alias_expansion_limit = 50,
	.virtual_alias_address_length_limit = 500,
};
static struct tables *tables;

static void check_clean(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr("\r\n", s.data[i]) != NULL)
			abort();
}

static void check_resolution(const struct resolution *r)
{
	struct mail_address parts = mail_address_split(r->recipient);

	check_clean(r->transport);
	check_clean(r->nexthop);
	check_clean(r->why);
	if (r->status != RESOLVE_OK)
		return;
	if ((r->class == CLASS_LOCAL) != (tables_has_local_domain(tables, parts.domain) == 1))
		abort();
	if (r->class == CLASS_RELAY &&
	    (slice_find(parts.local, '%') != -1 || slice_find(parts.local, '@') != -1 ||
		slice_find(parts.local, '!') != -1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice address = slice_new(data, size), why;
	struct arena *arena = arena_new();
	struct expansion out = { 0 };
	struct resolution r;
	char *reason;

	if (tables == NULL)
		tables = tables_open(AT_FDCWD, &settings, NULL, NULL, &reason);
	if (tables == NULL)
		abort();
	/* Such bytes do not come over a channel. */
	if (size <= ADDRESS_LIMIT && memchr(data, '\0', size) == NULL &&
	    memchr(data, '\r', size) == NULL && memchr(data, '\n', size) == NULL) {
		address_resolve(tables, address, true, arena, &r);
		check_resolution(&r);
		address_expand(tables, true, address, arena, &out, &why);
		for (size_t i = 0; i < out.count; i++)
			check_clean(out.items[i]);
		check_clean(why);
	}
	arena_free(arena);
	return 0;
}
