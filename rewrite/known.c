/* SPDX-License-Identifier: ISC */
/*
 * known.c - does the recipient exist? Asked while the client still waits, so that nobody gets a
 * bounce for mail that he never sent.
 */
#include "common/mail/mail_address.h"
#include "rewrite/rewrite.h"

/* A name without domain is looked up for addresses of this system. 1, 0, -1. */
static int is_own_domain(const struct tables *t, struct slice domain)
{
	if (domain.len == 0 || slice_equal_nocase(domain, slice_of(t->settings->myorigin)))
		return 1;
	return tables_has_local_domain(t, domain);
}

int alias_lookup(const struct tables *t, struct slice address, struct buf *value,
    struct slice *extension)
{
	int own;

	*extension = SLICE("");
	if (dict_maps_is_empty(t->virtual_alias))
		return 0;
	own = is_own_domain(t, mail_address_split(address).domain);
	if (own == -1)
		return -1;
	return dict_maps_lookup_address(t->virtual_alias, address, t->settings->recipient_delimiter,
	    own == 1, value, extension);
}

static int lookup_as(const struct tables *t, struct dict_maps *maps, struct slice address,
    bool is_local)
{
	struct buf value = { 0 };
	struct slice extension;
	int rc = dict_maps_lookup_address(maps, address, t->settings->recipient_delimiter, is_local,
	    &value, &extension);

	buf_clear(&value);
	return rc;
}

/* A quoted local part as it is, then as tables of names have it. */
static int lookup(const struct tables *t, struct dict_maps *maps, struct slice address,
    bool is_local)
{
	struct mail_address parts = mail_address_split(address);
	struct buf plain = { 0 };
	int rc = lookup_as(t, maps, address, is_local);

	if (rc != 0 || parts.local.len == 0 || parts.local.data[0] != '"')
		return rc;
	local_part_unquote(parts.local, &plain);
	buf_putc(&plain, '@');
	buf_put_slice(&plain, parts.domain);
	rc = lookup_as(t, maps, buf_slice(&plain), is_local);
	buf_clear(&plain);
	return rc;
}

/* The sender of notices to postmasters must be able to receive, or other servers' answers to them would go
 * round; qmgr drops what comes. */
static bool is_double_bounce(const struct tables *t, enum address_class class, struct slice address)
{
	return class == CLASS_LOCAL &&
	    slice_equal_nocase(mail_address_split(address).local,
		slice_of(t->settings->double_bounce_sender));
}

enum known recipient_known(const struct tables *t, enum address_class class, struct slice address)
{
	struct dict_maps *const by_class[] = { [CLASS_LOCAL] = t->local_recipient,
		[CLASS_VIRTUAL_MAILBOX] = t->virtual_mailbox,
		[CLASS_RELAY] = t->relay_recipient,
		[CLASS_DEFAULT] = NULL };
	struct dict_maps *maps = class == CLASS_VIRTUAL_ALIAS ? NULL : by_class[class];
	struct buf value = { 0 };
	struct slice extension;
	int rc = alias_lookup(t, address, &value, &extension);

	buf_clear(&value);
	if (rc == 0 && class == CLASS_VIRTUAL_ALIAS)
		return KNOWN_NO;
	if (rc == 0 &&
	    (maps == NULL || dict_maps_is_empty(maps) || is_double_bounce(t, class, address)))
		return KNOWN_YES;
	if (rc == 0)
		rc = lookup(t, maps, address, class == CLASS_LOCAL);
	return rc == 1 ? KNOWN_YES : rc == 0 ? KNOWN_NO : KNOWN_TEMPORARY;
}
