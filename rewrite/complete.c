/* SPDX-License-Identifier: ISC */
/*
 * complete.c - addresses as people leave them, made whole.
 */
#include "common/mail/mail_address.h"
#include "rewrite/rewrite.h"

static struct slice join(struct arena *a, struct slice local, struct slice domain)
{
	return slice_of(arena_printf(a, "%.*s@%.*s", (int)local.len, local.data, (int)domain.len,
	    domain.data));
}

bool address_unroute(const struct rewrite_settings *s, struct slice raw, struct slice *user,
    struct slice *domain)
{
	ptrdiff_t bang = s->swap_bangpath ? slice_find(raw, '!') : -1;
	ptrdiff_t percent = s->allow_percent_hack ? slice_find_last(raw, '%') : -1;

	if (bang > 0 && (size_t)bang + 1 < raw.len) {
		*domain = slice_part(raw, 0, (size_t)bang);
		*user = slice_part(raw, (size_t)bang + 1, raw.len);
		if (domain_is_valid(*domain))
			return true;
	}
	if (percent > 0 && (size_t)percent + 1 < raw.len) {
		*user = slice_part(raw, 0, (size_t)percent);
		*domain = slice_part(raw, (size_t)percent + 1, raw.len);
		return domain_is_valid(*domain);
	}
	return false;
}

static struct slice complete_domain(const struct rewrite_settings *s, bool local,
    struct slice domain, struct arena *a)
{
	const char *parent = local ? s->mydomain : s->remote_header_rewrite_domain;

	if (domain.len > 1 && domain.data[domain.len - 1] == '.')
		domain.len--;
	if (domain.len == 0 || domain.data[0] == '[' || slice_find(domain, '.') != -1 ||
	    !s->append_dot_mydomain || *parent == '\0')
		return domain;
	return slice_of(arena_printf(a, "%.*s.%s", (int)domain.len, domain.data, parent));
}

struct slice address_complete(const struct rewrite_settings *s, bool local, struct slice address,
    struct arena *a)
{
	struct mail_address parts = mail_address_split(address);
	bool has_at = parts.local.len < address.len;
	struct slice domain, user;

	if (address.len == 0 || (!local && *s->remote_header_rewrite_domain == '\0'))
		return address;
	if (!has_at && address.data[0] != '"' && address_unroute(s, address, &user, &domain)) {
		parts = (struct mail_address){ user, domain };
		has_at = true;
	}
	if (!has_at && local && !s->append_at_myorigin)
		return address;
	if (!has_at)
		return join(a, address,
		    slice_of(local ? s->myorigin : s->remote_header_rewrite_domain));
	domain = complete_domain(s, local, parts.domain, a);
	return join(a, parts.local, domain);
}
