/* SPDX-License-Identifier: ISC */
/*
 * transport.c - which transport delivers, and to where: the transport of the address's class, a
 * relayhost in place of the domain, and transport_maps, which wins over both.
 */
#include <string.h>

#include "common/base/extension.h"
#include "common/base/text.h"
#include "common/mail/mail_address.h"
#include "rewrite/rewrite.h"

static void refuse(struct resolution *r, enum resolve_status status, struct slice why)
{
	r->status = status;
	r->why = why;
}

/* "transport:nexthop"; what is missing stays as it was, but a transport without nexthop means the
 * domain of the address, not a relayhost. */
static void apply(struct slice entry, struct slice domain, struct arena *a, struct resolution *r)
{
	ptrdiff_t colon = slice_find(entry, ':');
	struct slice transport = slice_trim(slice_part(entry, 0,
	    colon == -1 ? entry.len : (size_t)colon));
	struct slice nexthop = SLICE("");

	if (colon != -1)
		nexthop = slice_trim(slice_part(entry, (size_t)colon + 1, entry.len));
	if (transport.len > 0)
		r->transport = arena_copy(a, transport);
	if (nexthop.len > 0)
		r->nexthop = arena_copy(a, nexthop);
	else if (transport.len > 0)
		r->nexthop = domain;
}

static void choose_by_class(const struct tables *t, struct slice domain, struct arena *a,
    struct resolution *r)
{
	const struct rewrite_settings *s = t->settings;
	const char *const specs[] = { [CLASS_LOCAL] = s->local_transport,
		[CLASS_VIRTUAL_MAILBOX] = s->virtual_transport,
		[CLASS_RELAY] = s->relay_transport,
		[CLASS_DEFAULT] = s->default_transport };
	bool remote = r->class == CLASS_RELAY || r->class == CLASS_DEFAULT;
	struct slice next = remote && *s->relayhost != '\0' ? slice_of(s->relayhost) : domain;

	r->nexthop = domain;
	apply(slice_of(specs[r->class]), next, a, r);
}

/* The keys of one address, from the whole to "*", as transport(5) of Postfix orders them. */
static int lookup(const struct tables *t, struct slice address, struct slice domain,
    struct buf *value)
{
	struct mail_address parts = mail_address_split(address);
	struct slice user, extension, key = domain;
	int rc = dict_maps_lookup(t->transport, address, value);

	if (rc == 0 &&
	    extension_split(parts.local, t->settings->recipient_delimiter, &user, &extension)) {
		struct buf plain = { 0 };

		buf_printf(&plain, "%.*s@%.*s", (int)user.len, user.data, (int)parts.domain.len,
		    parts.domain.data);
		rc = dict_maps_lookup_part(t->transport, buf_slice(&plain), value);
		buf_clear(&plain);
	}
	while (rc == 0 && key.len > 0) {
		ptrdiff_t dot;

		rc = dict_maps_lookup_part(t->transport, key, value);
		if (rc != 0 || key.data[0] == '[')
			break;
		dot = slice_find(slice_part(key, 1, key.len), '.');
		if (dot == -1)
			break;
		/* ".parent", or "parent" where a domain stands for all below it. */
		key = slice_part(key, (size_t)dot + (t->transport_subdomains ? 2 : 1), key.len);
	}
	return rc != 0 ? rc : dict_maps_lookup_part(t->transport, SLICE("*"), value);
}

static bool has_code(struct slice text, char class)
{
	return text.len >= 5 && text.data[0] == class && text.data[1] == '.' &&
	    text.data[2] >= '0' && text.data[2] <= '9';
}

/* error: and retry: say why in place of a nexthop. */
static void judge(const struct tables *t, struct arena *a, struct resolution *r)
{
	bool is_retry = slice_equal(r->transport, SLICE("retry"));
	char class = is_retry ? '4' : '5';
	struct slice text = r->nexthop;
	char *why;

	if (!is_retry && !slice_equal(r->transport, slice_of(t->settings->error_service_name)))
		return;
	if (text.len > WHY_LIMIT)
		text.len = WHY_LIMIT;
	if (has_code(text, '4') || has_code(text, '5'))
		why = arena_text(a, text);
	else
		why = arena_printf(a, "%c.0.0 %.*s", class, (int)text.len, text.data);
	text_neuter(why, strlen(why));
	refuse(r, is_retry || why[0] == '4' ? RESOLVE_TEMPORARY : RESOLVE_PERMANENT, slice_of(why));
}

static bool has_control_bytes(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

static bool is_usable(const struct resolution *r)
{
	return r->transport.len > 0 && r->transport.len <= TRANSPORT_LIMIT &&
	    text_is_printable_ascii(r->transport) && r->nexthop.len <= NEXTHOP_LIMIT &&
	    !has_control_bytes(r->nexthop);
}

void transport_choose(const struct tables *t, struct slice domain, struct arena *a,
    struct resolution *r)
{
	struct buf value = { 0 };
	int rc;

	choose_by_class(t, domain, a, r);
	rc = lookup(t, r->recipient, domain, &value);
	if (rc == 1)
		apply(slice_trim(buf_slice(&value)), domain, a, r);
	buf_clear(&value);
	if (rc == -1)
		refuse(r, RESOLVE_TEMPORARY, SLICE("4.3.0 Temporary lookup failure"));
	else if (!is_usable(r))
		refuse(r, RESOLVE_TEMPORARY,
		    SLICE("4.3.5 unusable transport or next hop in the "
			  "configuration"));
	else
		judge(t, a, r);
	if (!is_usable(r))
		r->transport = r->nexthop = SLICE(""); /* it must not travel */
}
