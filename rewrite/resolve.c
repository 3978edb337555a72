/* SPDX-License-Identifier: ISC */
/*
 * resolve.c - the class of an address. Our own domains are taken off first, again and again: what
 * "user%there"@here or there!user@here means is user@there, so such an address never passes for local.
 */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/mail_address.h"
#include "rewrite/rewrite.h"

enum { HOPS = 20 }; /* domains of ours in one address */

static const struct slice no_answer = { "4.3.0 Temporary lookup failure", 30 };
static const struct slice bad_syntax = { "5.1.3 bad address syntax", 24 };

/* An address while its local domains come off. */
struct parts {
	struct slice local; /* external form */
	struct slice domain;
	bool is_local;
};

static void refuse(struct resolution *r, enum resolve_status status, struct slice why)
{
	r->status = status;
	r->why = why;
}

static bool is_quoted(struct slice local)
{
	return local.len > 0 && local.data[0] == '"';
}

/* user@there, where that stands in a local part. */
static bool routed_part(const struct rewrite_settings *s, struct slice local, struct arena *a,
    struct parts *out)
{
	struct buf raw = { 0 }, quoted = { 0 };
	struct slice user, domain;
	ptrdiff_t at;
	bool found;

	if (is_quoted(local) && !s->resolve_dequoted_address)
		return false;
	local_part_unquote(local, &raw);
	at = slice_find_last(buf_slice(&raw), '@');
	if (at > 0) {
		user = slice_part(buf_slice(&raw), 0, (size_t)at);
		domain = slice_part(buf_slice(&raw), (size_t)at + 1, raw.len);
		found = true;
	} else {
		found = address_unroute(s, buf_slice(&raw), &user, &domain);
	}
	if (found) {
		local_part_quote(user, &quoted);
		out->local = arena_copy(a, buf_slice(&quoted));
		out->domain = arena_copy(a, domain);
	}
	buf_clear(&raw);
	buf_clear(&quoted);
	return found;
}

static struct slice numeric_domain(const struct rewrite_settings *s, struct slice domain,
    struct arena *a)
{
	struct net_address address;

	if (!s->resolve_numeric_domain || !net_address_parse(domain, &address))
		return domain;
	return slice_of(arena_printf(a, "[%.*s]", (int)domain.len, domain.data));
}

static void split(const struct rewrite_settings *s, struct slice address, struct arena *a,
    struct parts *p)
{
	struct slice whole = address_complete(s, true, address, a);
	struct mail_address m = mail_address_split(whole);

	p->local = m.local;
	p->domain = m.domain;
	if (p->domain.len == 0 && (m.local.len == whole.len || s->resolve_null_domain))
		p->domain = slice_of(s->myhostname);
}

/* False when it was refused. */
static bool take_off_local_domains(const struct tables *t, struct parts *p, struct arena *a,
    struct resolution *r)
{
	for (int hop = 0; hop < HOPS; hop++) {
		int ours;

		p->domain = numeric_domain(t->settings, p->domain, a);
		if (!domain_is_valid(p->domain) || p->local.len == 0) {
			refuse(r, RESOLVE_PERMANENT, bad_syntax);
			return false;
		}
		ours = tables_has_local_domain(t, p->domain);
		if (ours == -1) {
			refuse(r, RESOLVE_TEMPORARY, no_answer);
			return false;
		}
		p->is_local = ours == 1;
		if (!p->is_local || !routed_part(t->settings, p->local, a, p))
			return true;
		split(t->settings,
		    slice_of(arena_printf(a, "%.*s@%.*s", (int)p->local.len, p->local.data,
			(int)p->domain.len, p->domain.data)),
		    a, p);
	}
	refuse(r, RESOLVE_PERMANENT, bad_syntax);
	return false;
}

/* 1, 0, or -1. The class of a domain that is not local. */
static int find_class(const struct tables *t, struct slice domain, enum address_class *class)
{
	const struct {
		struct match_list *list;
		enum address_class class;
	} classes[] = {
		{ t->virtual_alias_domains, CLASS_VIRTUAL_ALIAS },
		{ t->virtual_mailbox_domains, CLASS_VIRTUAL_MAILBOX },
		{ t->relay_domains, CLASS_RELAY },
	};

	*class = CLASS_DEFAULT;
	for (size_t i = 0; i < ARRAY_LENGTH(classes); i++) {
		int rc = match_list_has(classes[i].list, domain);

		if (rc == 1)
			*class = classes[i].class;
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* The next server might take the rest of such an address for a route of its own: whoever may not
 * relay at all must not have it relayed through us and him. */
static bool has_route(struct slice local)
{
	for (size_t i = 0; i < local.len; i++)
		if (local.data[i] == '@' || local.data[i] == '%' || local.data[i] == '!')
			return true;
	return false;
}

static void alias_only(const struct tables *t, bool validate, struct resolution *r)
{
	r->transport = slice_of(t->settings->error_service_name);
	r->nexthop = t->settings->show_user_unknown_table_name
	    ? SLICE("5.1.1 User unknown in virtual alias table")
	    : SLICE("5.1.1 User unknown");
	/* Who asks before aliases are expanded hears it from known. */
	if (!validate)
		refuse(r, RESOLVE_PERMANENT, r->nexthop);
}

static void validate_recipient(const struct tables *t, struct resolution *r)
{
	enum known known;

	known = recipient_known(t, r->class, r->recipient);
	r->known = known;
	/* An alias takes the mail elsewhere before this transport could refuse it. */
	if (known == KNOWN_YES && r->status != RESOLVE_OK && r->class != CLASS_VIRTUAL_ALIAS) {
		struct buf value = { 0 };
		struct slice extension;

		if (alias_lookup(t, r->recipient, &value, &extension) == 1)
			refuse(r, RESOLVE_OK, SLICE(""));
		buf_clear(&value);
	}
}

void address_resolve(const struct tables *t, struct slice address, bool validate, struct arena *a,
    struct resolution *r)
{
	const struct rewrite_settings *s = t->settings;
	struct parts p = { 0 };

	*r = (struct resolution){ .status = RESOLVE_OK,
		.class = CLASS_DEFAULT,
		.known = validate ? KNOWN_YES : 0,
		.recipient = address };
	split(s, address.len == 0 ? slice_of(s->empty_address_recipient) : address, a, &p);
	if (!take_off_local_domains(t, &p, a, r))
		return;
	/* A program might take it for an option. */
	if (!s->allow_min_user && p.local.len > 0 && p.local.data[0] == '-') {
		refuse(r, RESOLVE_PERMANENT, bad_syntax);
		return;
	}
	r->recipient = slice_of(arena_printf(a, "%.*s@%.*s", (int)p.local.len, p.local.data,
	    (int)p.domain.len, p.domain.data));
	if (p.is_local) {
		r->class = CLASS_LOCAL;
	} else if (find_class(t, p.domain, &r->class) == -1) {
		refuse(r, RESOLVE_TEMPORARY, no_answer);
		return;
	}
	if (r->class == CLASS_VIRTUAL_ALIAS)
		alias_only(t, validate, r);
	else
		transport_choose(t, p.domain, a, r);
	if (validate)
		validate_recipient(t, r);
	if (r->class == CLASS_RELAY && has_route(p.local))
		r->class = CLASS_DEFAULT;
}
