/* SPDX-License-Identifier: ISC */
/*
 * policy.c - whose mail is taken for whom: relaying only from our networks or to our domains, and only
 * recipients that exist.
 */
#include "smtpd/smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

enum { CACHE_SLOTS = 256, CACHE_SECONDS = 5, ASK_SECONDS = 60, DEFER_RELAYING = 454 };

static struct match_list *networks, *newline_exclusions, *event_exceptions;

/* What rewrite said of an address a moment ago; only good answers are kept. */
static struct cached {
	char *address;
	enum address_class class;
	deadline until;
} cache[CACHE_SLOTS];

struct answer {
	enum resolve_status status;
	enum address_class class;
	enum known known;
	bool
	    may_wait; /* temporary by an administrator's choice (retry:), not for lack of an answer */
	char why[200];
};

static struct match_list *open_networks(const char *name, const char *value)
{
	char *why = NULL;
	struct match_list *list = match_list_open(service_config_directory(), value, MATCH_NETWORK,
	    false, &why);

	if (list == NULL)
		log_fatal("%s: %s", name, why);
	return list;
}

/* A list that can refuse a stranger's mail for strangers. What stands behind permit is never asked. */
static bool refuses_relaying(const char *list)
{
	static const char refusals[] =
	    "reject_unauth_destination defer_unauth_destination reject defer";
	struct slice rest = slice_of(list), word;

	while (text_next_word(&rest, ", \t\r\n", &word) &&
	    !slice_equal_nocase(word, SLICE("permit")))
		if (list_has_word(refusals, word))
			return true;
	return false;
}

static bool is_in(struct match_list *list, const struct net_address *a)
{
	char text[INET6_ADDRSTRLEN];

	return match_list_has(list, slice_of(net_address_text(a, text))) == 1;
}

bool policy_is_trusted(const struct net_address *a)
{
	return is_in(networks, a);
}

bool policy_limits_connections(const struct net_address *a)
{
	return a->family != AF_UNSPEC && !is_in(event_exceptions, a);
}

bool policy_rejects_bare_newline(const struct session *s)
{
	return strcmp(settings.smtpd_forbid_bare_newline, "reject") == 0 &&
	    !is_in(newline_exclusions, &s->client->address);
}

/* Whether the client is meant by a word of local_header_rewrite_clients; *is_known: if it is one. */
static bool header_client(const struct session *s, struct slice word, bool *is_known)
{
	*is_known = true;
	if (slice_equal_nocase(word, SLICE("permit_mynetworks")))
		return s != NULL && s->is_trusted;
	if (slice_equal_nocase(word, SLICE("permit_inet_interfaces")))
		return s != NULL &&
		    net_address_equal(&s->client->address, &s->client->server_address);
	if (slice_equal(word, SLICE("static:all")))
		return true;
	*is_known = false;
	return false;
}

bool policy_completes_headers(const struct session *s)
{
	struct slice rest = slice_of(settings.local_header_rewrite_clients), word;
	bool is_known, is_meant = false;

	while (!is_meant && text_next_word(&rest, ", \t\r\n", &word))
		is_meant = header_client(s, word, &is_known);
	return is_meant;
}

static void check_header_clients(void)
{
	struct slice rest = slice_of(settings.local_header_rewrite_clients), word;
	bool is_known;

	while (text_next_word(&rest, ", \t\r\n", &word)) {
		header_client(NULL, word, &is_known);
		if (!is_known)
			log_warning("local_header_rewrite_clients: %.*s matches nobody yet; use "
				    "permit_mynetworks, "
				    "permit_inet_interfaces or static:all",
			    (int)word.len, word.data);
	}
}

void policy_open(void)
{
	/* main.cf was checked for this, but master.cf may say otherwise for one service. */
	if (!refuses_relaying(settings.smtpd_relay_restrictions) &&
	    !refuses_relaying(settings.smtpd_recipient_restrictions))
		log_fatal("neither smtpd_relay_restrictions nor smtpd_recipient_restrictions of "
			  "service %s refuses "
			  "anything, so everybody could relay; add reject_unauth_destination",
		    service_entry_name());
	networks = open_networks("mynetworks", settings.mynetworks);
	newline_exclusions = open_networks("smtpd_forbid_bare_newline_exclusions",
	    settings.smtpd_forbid_bare_newline_exclusions);
	event_exceptions = open_networks("smtpd_client_event_limit_exceptions",
	    settings.smtpd_client_event_limit_exceptions);
	check_header_clients();
}

/* --- what the address means ----------------------------------------------------------------------- */

static struct cached *slot_of(struct slice address)
{
	size_t hash = 5381;

	for (size_t i = 0; i < address.len; i++)
		hash = hash * 33 + (unsigned char)address.data[i];
	return &cache[hash % CACHE_SLOTS];
}

static bool cached_answer(struct slice address, struct answer *a)
{
	struct cached *c = slot_of(address);

	if (c->address == NULL || clock_now() > c->until ||
	    !slice_equal(slice_of(c->address), address))
		return false;
	*a = (struct answer){ RESOLVE_OK, c->class, KNOWN_YES, false, "" };
	return true;
}

static void keep_answer(struct slice address, const struct answer *a)
{
	struct cached *c = slot_of(address);

	if (a->status != RESOLVE_OK || a->known != KNOWN_YES)
		return;
	free(c->address);
	c->address = slice_dup(address);
	c->class = a->class;
	c->until = deadline_after(CACHE_SECONDS * CLOCK_SECOND);
}

/* False: nobody can say now. */
static bool ask(struct session *s, struct slice address, struct answer *a)
{
	struct msg_resolve question = { s->t.sender, { &address, 1 }, 1 };
	struct msg_resolved *m;
	struct request *r;
	bool ok;

	if (cached_answer(address, a))
		return true;
	if (service_ask(settings.rewrite_service_name, &table_resolve, &question, &table_resolved,
		(void **)&m, &r, deadline_after(ASK_SECONDS * CLOCK_SECOND)) == -1) {
		log_warning("service %s does not answer: %m", settings.rewrite_service_name);
		return false;
	}
	ok = m->status.count == 1 && m->class.count == 1 && m->known.count == 1 &&
	    m->why.count == 1 && m->transport.count == 1;
	if (ok) {
		a->status = (enum resolve_status)m->status.items[0];
		a->class = (enum address_class)m->class.items[0];
		a->known = (enum known)m->known.items[0];
		a->may_wait = slice_equal(m->transport.items[0], SLICE("retry"));
		snprintf(a->why, sizeof(a->why), "%.*s", (int)m->why.items[0].len,
		    m->why.items[0].data);
		keep_answer(address, a);
	}
	request_close(r);
	return ok;
}

/* --- restrictions --------------------------------------------------------------------------------- */

enum verdict { NEXT, PERMIT, REFUSED };

static enum verdict permit_mynetworks(struct session *s, struct slice rcpt, const struct answer *a)
{
	(void)rcpt;
	(void)a;
	return s->is_trusted ? PERMIT : NEXT;
}

static enum verdict permit(struct session *s, struct slice rcpt, const struct answer *a)
{
	(void)s;
	(void)rcpt;
	(void)a;
	return PERMIT;
}

static enum verdict never(struct session *s, struct slice rcpt, const struct answer *a)
{
	(void)s;
	(void)rcpt;
	(void)a;
	return NEXT;
}

static enum verdict relaying(struct session *s, struct slice rcpt, const struct answer *a,
    int64_t code)
{
	if (a->class != CLASS_DEFAULT)
		return NEXT;
	reject(s, "RCPT", rcpt, "%d %d.7.1 <%.*s>: Relay access denied", (int)code, (int)code / 100,
	    (int)rcpt.len, rcpt.data);
	return REFUSED;
}

static enum verdict reject_unauth_destination(struct session *s, struct slice rcpt,
    const struct answer *a)
{
	return relaying(s, rcpt, a, settings.relay_domains_reject_code);
}

static enum verdict defer_unauth_destination(struct session *s, struct slice rcpt,
    const struct answer *a)
{
	return relaying(s, rcpt, a, DEFER_RELAYING);
}

static enum verdict refuse_all(struct session *s, struct slice rcpt, const struct answer *a)
{
	(void)a;
	reject(s, "RCPT", rcpt, "%d %d.7.1 <%.*s>: Recipient address rejected: Access denied",
	    (int)settings.reject_code, (int)settings.reject_code / 100, (int)rcpt.len, rcpt.data);
	return REFUSED;
}

static enum verdict defer_all(struct session *s, struct slice rcpt, const struct answer *a)
{
	(void)a;
	reject(s, "RCPT", rcpt, "%d 4.7.1 <%.*s>: Recipient address rejected: Try again later",
	    (int)settings.defer_code, (int)rcpt.len, rcpt.data);
	return REFUSED;
}

static const struct restriction {
	const char *name;
	enum verdict (*run)(struct session *, struct slice rcpt, const struct answer *);
} restrictions[] = {
	{ "permit", permit },
	{ "permit_mynetworks", permit_mynetworks },
	/* Nobody has authenticated, by password or certificate, before that can be done. */
	{ "permit_sasl_authenticated", never },
	{ "permit_tls_clientcerts", never },
	{ "permit_tls_all_clientcerts", never },
	{ "reject_unauth_destination", reject_unauth_destination },
	{ "defer_unauth_destination", defer_unauth_destination },
	{ "reject", refuse_all },
	{ "defer", defer_all },
};

static const struct restriction *restriction_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(restrictions); i++)
		if (slice_equal_nocase(slice_of(restrictions[i].name), name))
			return &restrictions[i];
	return NULL;
}

/* One list of restrictions, up to the first that decides. True: not refused. */
static bool passes(struct session *s, const char *list, struct slice rcpt, const struct answer *a)
{
	struct slice rest = slice_of(list), word;

	while (text_next_word(&rest, ", \t\r\n", &word)) {
		const struct restriction *r = restriction_find(word);
		enum verdict v;

		if (r == NULL) {
			/* The checks of the configuration refuse it; nothing is let through by mistake. */
			log_error("restriction %.*s is not supported", (int)word.len, word.data);
			reject(s, "RCPT", rcpt, "451 4.3.5 Server configuration error");
			return false;
		}
		v = r->run(s, rcpt, a);
		if (v != NEXT)
			return v == PERMIT;
	}
	return true;
}

/* --- recipients that exist ------------------------------------------------------------------------ */

static bool is_known(struct session *s, struct slice rcpt, const struct answer *a)
{
	static const char *const tables[] = { [CLASS_LOCAL] = "local recipient",
		[CLASS_VIRTUAL_ALIAS] = "virtual alias",
		[CLASS_VIRTUAL_MAILBOX] = "virtual mailbox",
		[CLASS_RELAY] = "relay recipient" };
	const int64_t codes[] = { [CLASS_LOCAL] = settings.unknown_local_recipient_reject_code,
		[CLASS_VIRTUAL_ALIAS] = settings.unknown_virtual_alias_reject_code,
		[CLASS_VIRTUAL_MAILBOX] = settings.unknown_virtual_mailbox_reject_code,
		[CLASS_RELAY] = settings.unknown_relay_recipient_reject_code };
	bool has_table = a->class >= CLASS_LOCAL && a->class <= CLASS_RELAY;

	if (a->known == KNOWN_TEMPORARY) {
		reject(s, "RCPT", rcpt, "451 4.3.0 <%.*s>: Temporary lookup failure", (int)rcpt.len,
		    rcpt.data);
		return false;
	}
	if (a->known != KNOWN_NO || !settings.smtpd_reject_unlisted_recipient)
		return true;
	reject(s, "RCPT", rcpt, "%d %s <%.*s>: Recipient address rejected: User unknown%s%s%s",
	    has_table ? (int)codes[a->class] : 550,
	    has_table && codes[a->class] < 500 ? "4.1.1" : "5.1.1", (int)rcpt.len, rcpt.data,
	    has_table && settings.show_user_unknown_table_name ? " in " : "",
	    has_table && settings.show_user_unknown_table_name ? tables[a->class] : "",
	    has_table && settings.show_user_unknown_table_name ? " table" : "");
	return false;
}

/* "5.7.1 why" of an error transport. */
static void undeliverable(struct session *s, struct slice rcpt, const struct answer *a)
{
	size_t code = strcspn(a->why, " ");

	reject(s, "RCPT", rcpt, "550 %.*s <%.*s>: Recipient address rejected:%s", (int)code, a->why,
	    (int)rcpt.len, rcpt.data, a->why + code);
}

bool policy_recipient(struct session *s, struct slice rcpt)
{
	struct answer a;

	if (!ask(s, rcpt, &a) || (a.status == RESOLVE_TEMPORARY && !a.may_wait)) {
		reject(s, "RCPT", rcpt, "451 4.3.0 <%.*s>: Temporary lookup failure", (int)rcpt.len,
		    rcpt.data);
		return false;
	}
	if (!passes(s, settings.smtpd_relay_restrictions, rcpt, &a) ||
	    !passes(s, settings.smtpd_recipient_restrictions, rcpt, &a))
		return false;
	if (a.status == RESOLVE_PERMANENT) {
		undeliverable(s, rcpt, &a);
		return false;
	}
	return is_known(s, rcpt, &a);
}
