/* SPDX-License-Identifier: ISC */
/*
 * deliver.c - whom to try, in which order, and when to stop (RFC 5321, section 5.1).
 *
 * First a session that is open already; then the hosts of each next hop. A host is tried once.
 */
#include <errno.h>

#include "common/ipc/messages.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "smtp/names.h"
#include "smtp/pool.h"
#include "smtp/transaction.h"

enum { TRIED_MOST = 32 };

struct search {
	struct delivery *d;
	struct pool *pool;
	bool opening;	  /* the pool counts on a session of ours */
	bool over;	  /* no further host */
	bool unsaid;	  /* why the last host did not do is not in the log yet */
	int64_t sessions; /* with hosts of this next hop */
	struct host tried[TRIED_MOST];
	size_t tried_count;
};

static bool has_open(const struct delivery *d)
{
	for (size_t i = 0; i < d->m->index.count; i++)
		if (!d->targets[i].is_done)
			return true;
	return false;
}

/* For all that are open. */
static void set_last(struct delivery *d, const struct verdict *v)
{
	for (size_t i = 0; i < d->m->index.count; i++)
		if (!d->targets[i].is_done)
			d->targets[i].last = *v;
}

static void settle_all(struct delivery *d)
{
	for (size_t i = 0; i < d->m->index.count; i++)
		if (!d->targets[i].is_done)
			delivery_settle(d, i, &d->targets[i].last, SUCCESS_DELIVERED);
}

/* Why the next host gets it too. */
static void log_last(const struct delivery *d)
{
	for (size_t i = 0; i < d->m->index.count; i++) {
		const struct verdict *v = &d->targets[i].last;

		if (d->targets[i].is_done || v->relay.len == 0)
			continue;
		log_info("%.*s: %.*s", (int)d->m->id.len, d->m->id.data, (int)v->text.len,
		    v->text.data);
		return;
	}
}

/* --- hosts ---------------------------------------------------------------------------------------- */

static bool was_tried(const struct search *s, const struct host *h)
{
	for (size_t i = 0; i < s->tried_count; i++) {
		const struct host *t = &s->tried[i];

		if (t->port == h->port && net_address_equal(&t->address, &h->address) &&
		    (h->address.family != AF_UNSPEC || slice_equal(t->name, h->name)))
			return true;
	}
	return false;
}

static void note_tried(struct search *s, struct slice name, const struct net_address *a,
    uint16_t port)
{
	if (s->tried_count < TRIED_MOST)
		s->tried[s->tried_count++] = (struct host){ name, *a, port, 0 };
}

/* False: it was dead, and nothing has happened. */
static bool use(struct search *s, struct session *session)
{
	enum transaction_result result;

	s->d->connected_us = clock_wall_us();
	result = transaction_run(session, s->d);
	if (result == TRANSACTION_STALE) {
		pool_drop(session);
		return false;
	}
	s->d->greeted = true;
	s->over |= result == TRANSACTION_UNSURE;
	pool_give(session);
	return true;
}

static void try_pool(struct search *s)
{
	struct session *session;

	while ((session = pool_take(s->pool)) != NULL) {
		struct slice name = arena_copy(s->d->arena, session->name);
		struct net_address address = session->address;
		uint16_t port = session->port;

		if (!use(s, session))
			continue;
		s->sessions++;
		s->unsaid = true;
		note_tried(s, name, &address, port);
		return;
	}
}

static void try_host(struct search *s, const struct host *h)
{
	struct verdict v = { 0 };
	struct session *session;
	bool connected;

	if (!s->opening) {
		pool_opening(s->pool);
		s->opening = true;
	}
	if (s->unsaid)
		log_last(s->d);
	s->unsaid = true;
	note_tried(s, h->name, &h->address, h->port);
	session = session_open(h, s->d->arena, &connected, &v);
	s->sessions += connected;
	if (session != NULL) {
		pool_opened(s->pool, session);
		s->opening = false;
		use(s, session);
		return;
	}
	if (!connected)
		log_info("%.*s", (int)v.text.len, v.text.data);
	set_last(s->d, &v);
	if (v.outcome == OUTCOME_BOUNCED) {
		s->d->greeted = true;
		settle_all(s->d);
	}
}

/* --- next hops ------------------------------------------------------------------------------------ */

static void try_nexthop(struct search *s, const struct nexthop *n)
{
	struct route *route = arena_alloc(s->d->arena, sizeof(*route));
	struct verdict v;

	if (!route_find(n, names_lookup, s->d->arena, route, &v)) {
		set_last(s->d, &v);
		return;
	}
	for (size_t i = 0; i < route->count && !s->over && has_open(s->d); i++) {
		if (was_tried(s, &route->hosts[i]))
			continue;
		if (client_settings.mx_session_limit > 0 &&
		    s->sessions >= client_settings.mx_session_limit)
			break;
		try_host(s, &route->hosts[i]);
	}
	s->sessions = 0;
}

static void try_list(struct search *s, struct slice list)
{
	uint16_t port = 0;
	struct nexthop n;
	const char *why;
	int rc;

	nexthop_port(slice_of(client_settings.tcp_port), &port);
	while (!s->over && has_open(s->d) &&
	    (rc = nexthop_next(&list, client_settings.is_lmtp, port, &n, &why)) != 0) {
		struct verdict v;

		if (rc == 1) {
			try_nexthop(s, &n);
			continue;
		}
		verdict_put(&v, s->d->arena, "4.3.5", "the next hop %.*s can't be used: %s",
		    (int)s->d->m->nexthop.len, s->d->m->nexthop.data, why);
		set_last(s->d, &v);
	}
}

void deliver_run(struct delivery *d)
{
	struct search *s = arena_alloc(d->arena, sizeof(*s));
	struct verdict none;

	verdict_put(&none, d->arena, "4.3.5", "there is no next hop to try");
	set_last(d, &none);
	s->d = d;
	s->pool = pool_enter(d->m->nexthop);
	try_pool(s);
	if (has_open(d) && !s->over) {
		if (s->sessions == 0) {
			/* Names too are asked for once. */
			pool_opening(s->pool);
			s->opening = true;
		}
		try_list(s, d->m->nexthop);
		try_list(s, slice_of(client_settings.fallback_relay));
	}
	if (s->opening)
		pool_opened(s->pool, NULL);
	pool_leave(s->pool);
	d->out.destination_down = has_open(d) && !d->greeted &&
	    d->targets[0].last.outcome != OUTCOME_BOUNCED;
	settle_all(d);
}
