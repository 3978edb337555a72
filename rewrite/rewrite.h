/* SPDX-License-Identifier: ISC */
/*
 * rewrite.h - what an address means and where its mail goes.
 *
 * Addresses are in external form throughout (common/mail/mail_address.h). What comes from a table is no
 * more trusted than what comes from a client: it is checked before it becomes part of an answer.
 */
#ifndef GP_REWRITE_H
#define GP_REWRITE_H

#include "common/base/arena.h"
#include "common/dict/dict.h"
#include "common/ipc/messages.h"
#include "common/net/address.h"

/* Parameters of main.cf by their own names. */
struct rewrite_settings {
	const char *myhostname, *mydomain, *myorigin, *mydestination;
	const char *inet_interfaces, *proxy_interfaces;
	const char *virtual_alias_domains, *virtual_alias_maps;
	const char *virtual_mailbox_domains, *virtual_mailbox_maps;
	const char *relay_domains, *relay_recipient_maps, *local_recipient_maps;
	const char *parent_domain_matches_subdomains;
	const char *transport_maps, *relayhost;
	const char *local_transport, *virtual_transport, *relay_transport, *default_transport;
	const char *error_service_name;
	const char *recipient_delimiter, *empty_address_recipient, *double_bounce_sender;
	const char *remote_header_rewrite_domain, *propagate_unmatched_extensions;
	const char *proxymap_service_name;
	bool append_at_myorigin, append_dot_mydomain, swap_bangpath, allow_min_user,
	    allow_percent_hack;
	bool resolve_dequoted_address, resolve_null_domain, resolve_numeric_domain;
	bool show_user_unknown_table_name;
	int64_t virtual_alias_recursion_limit, virtual_alias_expansion_limit;
	int64_t virtual_alias_address_length_limit;
	int64_t ipc_timeout;
};
extern struct rewrite_settings rewrite_settings;

/* Longest parts of an answer, so that a full batch fits into one frame. */
enum { NEXTHOP_LIMIT = 512, TRANSPORT_LIMIT = 100, WHY_LIMIT = 512, EXPANSION_BYTES = 128 * 1024 };

/* Every table of the settings, opened; constant from then on. */
struct tables {
	const struct rewrite_settings *settings;
	struct match_list *mydestination, *virtual_alias_domains, *virtual_mailbox_domains;
	struct match_list *relay_domains;
	struct dict_maps *transport, *virtual_alias, *virtual_mailbox, *local_recipient,
	    *relay_recipient;
	bool transport_subdomains; /* "domain" in transport_maps also means what is below it */
	bool propagate_extension;  /* virtual aliases keep the extension of the address */
	struct net_address *own;   /* of this system: user@[address] is local */
	size_t own_count;
};

/* directory: of main.cf. ask: how proxy: and unix: tables are looked up. NULL with a reason on the
 * heap, which names the parameter. */
struct tables *tables_open(int directory, const struct rewrite_settings *, dict_ask *ask, void *arg,
    char **why);
void tables_free(struct tables *);
/* The parameter whose table was changed since, or NULL. */
const char *tables_changed(const struct tables *);
/* 1: mail for this domain (or literal) is ours to deliver to users of the system. -1: no answer. */
int tables_has_local_domain(const struct tables *, struct slice domain);

/* own_address.c: fills in what inet_interfaces and proxy_interfaces say. */
void own_addresses_find(struct tables *);
bool own_address_is(const struct tables *, struct slice literal);

/* An address with its missing parts: site!user, user%domain, user, user@host. local: by $myorigin and
 * $mydomain, else by $remote_header_rewrite_domain. The result is the argument or in the arena. */
struct slice address_complete(const struct rewrite_settings *, bool local, struct slice,
    struct arena *);
/* One step of site!user -> user@site, user%domain -> user@domain, on a local part without quoting. */
bool address_unroute(const struct rewrite_settings *, struct slice raw, struct slice *user,
    struct slice *domain);

struct resolution {
	enum resolve_status status;
	enum address_class class;
	enum known known; /* 0 without validate */
	struct slice transport, nexthop, recipient, why;
};
/* Waits when a table is in another process. */
void address_resolve(const struct tables *, struct slice address, bool validate, struct arena *,
    struct resolution *);
/* transport.c: transport and nexthop by class, relayhost and transport_maps. domain: of the recipient.
 * Sets status and why too. Waits. */
void transport_choose(const struct tables *, struct slice domain, struct arena *,
    struct resolution *);
/* known.c: whether the recipient exists. Waits. */
enum known recipient_known(const struct tables *, enum address_class, struct slice address);
/* The address (or the part of it that decides) is in virtual_alias_maps. 1, 0, -1. Waits. */
int alias_lookup(const struct tables *, struct slice address, struct buf *value,
    struct slice *extension);

/* Recipients that one address stands for, appended to the list (room: how many more it may take). why
 * is set ("4.6.0 ...") when status is not OK. Waits. */
struct expansion {
	struct slice *items;
	size_t count, size;
	size_t bytes;
};
enum resolve_status address_expand(const struct tables *, bool local, struct slice address,
    struct arena *, struct expansion *, struct slice *why);

/* ask.c: a dict_ask that asks proxymap and remembers its answers for some seconds. Waits. */
dict_ask proxymap_ask;

#endif
