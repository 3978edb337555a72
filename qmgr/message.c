/* SPDX-License-Identifier: ISC */
/*
 * message.c - an active message: where its recipients go, what became of them, when it is tried again.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/mail/mail_address.h"
#include "common/service/service.h"

enum { BUCKETS = 4096, RESOLVE_SECONDS = 100, DEATHS_LIMIT = 3 };

static LIST_HEAD(, message) active[BUCKETS];
static size_t active_count;

static size_t bucket_of(struct slice id)
{
	size_t hash = 5381;

	for (size_t i = 0; i < id.len; i++)
		hash = hash * 33 + (unsigned char)id.data[i];
	return hash % BUCKETS;
}

struct message *message_new(void)
{
	struct message *m = mem_alloc(sizeof(*m));

	m->arena = arena_new();
	return m;
}

struct message *message_find(struct slice id)
{
	struct message *m;

	LIST_FOREACH(m, &active[bucket_of(id)], link)
		if (slice_equal(m->id, id))
			return m;
	return NULL;
}

size_t message_count(void)
{
	return active_count;
}

void message_free(struct message *m)
{
	LIST_REMOVE(m, link);
	active_count--;
	intake_forget_content(m);
	arena_free(m->arena);
	free(m);
	due_look();
}

/* --- agents that died --------------------------------------------------------------------------------- */

/* Deliveries of the message that ended with the same process count once; from then on each is alone. */
void message_agent_died(struct job *job)
{
	struct message *m = job->message;
	bool counts = job->alone || !m->suspect;

	m->suspect = true;
	m->memory.cleared = false;
	m->in_doubt = true;
	if (!counts)
		return;
	if (store_death(store, m->id, NULL, NULL) < DEATHS_LIMIT) {
		log_warning("%.*s: the process of transport %s died with this message in hand; it "
			    "is tried again alone",
		    (int)m->id.len, m->id.data, job->destination->transport->name);
		return;
	}
	m->held = true;
	store_hold(store, m->id, NULL, NULL);
	log_event(LOG_HELD, { "id", m->id },
	    { "why", SLICE("delivery agents died three times with this message in hand") });
}

/* --- routing -------------------------------------------------------------------------------------- */

struct route {
	size_t index;
	struct slice transport, nexthop;
};

static int compare_routes(const void *a, const void *b)
{
	const struct route *left = a, *right = b;
	size_t shorter = left->transport.len < right->transport.len ? left->transport.len
								    : right->transport.len;
	int rc = memcmp(left->transport.data, right->transport.data, shorter);

	if (rc != 0 || left->transport.len != right->transport.len)
		return rc != 0 ? rc : left->transport.len < right->transport.len ? -1 : 1;
	shorter = left->nexthop.len < right->nexthop.len ? left->nexthop.len : right->nexthop.len;
	rc = memcmp(left->nexthop.data, right->nexthop.data, shorter);
	if (rc != 0 || left->nexthop.len != right->nexthop.len)
		return rc != 0 ? rc : left->nexthop.len < right->nexthop.len ? -1 : 1;
	return left->index < right->index ? -1 : 1;
}

/* Our own postmaster notices come from this address: what is sent to it is never a letter. */
static bool is_double_bounce(struct slice address)
{
	return slice_equal_nocase(mail_address_split(address).local,
	    slice_of(settings.double_bounce_sender));
}

/* A failure that needs no agent is told to one anyway (error, retry), so that it is logged like any
 * other: "5.1.1 why" or "4.3.0 why" is their nexthop. */
static void take_route(struct message *m, size_t index, const struct msg_resolved *a, size_t at,
    struct route *out)
{
	out->index = index;
	if (a->status.items[at] != RESOLVE_OK) {
		out->transport = a->status.items[at] == RESOLVE_PERMANENT ? SLICE("error")
									  : SLICE("retry");
		out->nexthop = arena_copy(m->arena, a->why.items[at]);
		return;
	}
	if (a->class.items[at] == CLASS_LOCAL && is_double_bounce(a->recipient.items[at])) {
		out->transport = SLICE("discard");
		out->nexthop = SLICE("undeliverable postmaster notification discarded");
		return;
	}
	out->transport = arena_copy(m->arena, a->transport.items[at]);
	out->nexthop = arena_copy(m->arena, a->nexthop.items[at]);
	if (a->recipient.items[at].len > 0 &&
	    !slice_equal(a->recipient.items[at], m->rcpts[index].address))
		m->rcpts[index].address = arena_copy(m->arena, a->recipient.items[at]);
}

static bool lists_fit(const struct msg_resolved *a, size_t count)
{
	return a->status.count == count && a->transport.count == count &&
	    a->nexthop.count == count && a->recipient.count == count && a->why.count == count &&
	    a->class.count == count;
}

/* Asks where up to a frame of recipients go. False: nobody can say now. */
static bool resolve_some(struct message *m, const size_t *index, size_t count, struct route *routes)
{
	struct slice addresses[RCPTS_PER_FRAME];
	struct msg_resolve question = { m->sender, { addresses, count }, 0 };
	struct msg_resolved *answer;
	struct request *r;
	bool ok;

	for (size_t i = 0; i < count; i++)
		addresses[i] = m->rcpts[index[i]].address;
	if (service_ask(settings.rewrite_service_name, &table_resolve, &question, &table_resolved,
		(void **)&answer, &r, deadline_after(RESOLVE_SECONDS * CLOCK_SECOND)) == -1)
		return false;
	ok = lists_fit(answer, count);
	for (size_t i = 0; ok && i < count; i++)
		take_route(m, index[i], answer, i, &routes[i]);
	request_close(r);
	return ok;
}

static void route_by_name(struct route *routes, const size_t *index, size_t count,
    struct slice transport, struct slice nexthop)
{
	for (size_t i = 0; i < count; i++)
		routes[i] = (struct route){ index[i], transport, nexthop };
}

static void route_all(struct message *m, const size_t *open, size_t count)
{
	struct route *routes = mem_alloc_array(count, sizeof(*routes));
	size_t *index = mem_alloc_array(count, sizeof(*index));

	for (size_t at = 0; at < count; at += RCPTS_PER_FRAME) {
		size_t some = count - at < RCPTS_PER_FRAME ? count - at : RCPTS_PER_FRAME;

		if (m->memory.requeue)
			route_by_name(routes + at, open + at, some, SLICE("pickup"), SLICE(""));
		else if (!resolve_some(m, open + at, some, routes + at))
			route_by_name(routes + at, open + at, some, SLICE("retry"),
			    SLICE("4.3.0 address resolver failure"));
	}
	qsort(routes, count, sizeof(*routes), compare_routes);
	m->open_jobs++; /* it must not end before all of it is scheduled */
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from;
		     to < count && slice_equal(routes[to].transport, routes[from].transport) &&
		     slice_equal(routes[to].nexthop, routes[from].nexthop);
		     to++)
			index[to - from] = routes[to].index;
		schedule_add(m, routes[from].transport, routes[from].nexthop, index, to - from);
	}
	free(routes);
	free(index);
	if (--m->open_jobs == 0)
		round_end(m, NULL);
}

/* As they are in the store: routing changes the addresses at hand. */
static uint32_t sites_of_rcpts(const struct message *m)
{
	struct slice *addresses = mem_alloc_array(m->rcpt_count + 1, sizeof(*addresses));
	uint32_t sites;

	for (size_t i = 0; i < m->rcpt_count; i++)
		addresses[i] = m->rcpts[i].address;
	sites = sites_of((struct wire_texts){ addresses, m->rcpt_count });
	free(addresses);
	return sites;
}

void message_activate(struct message *m)
{
	size_t *open = mem_alloc_array(m->rcpt_count + 1, sizeof(*open)), count = 0;
	struct store_summary now;
	char size[24], nrcpt[24];

	/* An administrator's order may have come since it was read or stored. */
	m->is_deleted = !store_summary(store, m->id, &now);
	m->held = !m->is_deleted && now.held;
	LIST_INSERT_HEAD(&active[bucket_of(m->id)], m, link);
	active_count++;
	m->active_us = clock_wall_us();
	m->memory.sites = sites_of_rcpts(m);
	if (m->is_expired)
		round_give_up(m);
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (m->rcpts[i].progress == WAITING)
			open[count++] = i;
	snprintf(size, sizeof(size), "%" PRIu64, m->size);
	snprintf(nrcpt, sizeof(nrcpt), "%zu", count);
	log_event(LOG_QUEUE_ACTIVE, { "id", m->id }, { "sender", m->sender },
	    { "size", slice_of(size) }, { "nrcpt", slice_of(nrcpt) });
	if (count > 0)
		route_all(m, open, count);
	else
		round_end(m, NULL);
	free(open);
}

/* --- from the store ------------------------------------------------------------------------------- */

static void take_loaded(struct message *m, const struct store_loaded *l)
{
	const struct store_message *s = &l->message;
	struct envelope e = { 0 };
	const char *why;

	m->id = arena_copy(m->arena, s->id);
	m->sender = arena_copy(m->arena, s->sender);
	m->arrival_us = s->arrival_us;
	m->flags = s->flags;
	m->is_large = s->large_size > 0;
	m->in_doubt = l->in_doubt || l->attempts > 0;
	m->suspect = l->deaths > 0 && !m->memory.cleared;
	m->is_warned = l->marks & STORE_WARNED;
	m->is_expired = l->marks & STORE_EXPIRE;
	/* The decoded texts point into the copy. */
	if (wire_decode(&envelope_table, arena_copy(m->arena, s->envelope), &e, m->arena, &why))
		m->envelope = e;
	m->rcpt_count = s->address.count;
	m->rcpts = arena_alloc(m->arena, (m->rcpt_count + 1) * sizeof(*m->rcpts));
	for (size_t i = 0; i < m->rcpt_count; i++) {
		struct recipient *r = &m->rcpts[i];
		r->address = arena_copy(m->arena, s->address.items[i]);
		r->original = arena_copy(m->arena, s->original.items[i]);
		r->orcpt = arena_copy(m->arena, s->orcpt.items[i]);
		r->notify = s->notify.items[i];
		r->dsn = arena_copy(m->arena, l->dsn[i]);
		r->reason = arena_copy(m->arena, l->reason[i]);
		round_take_state(m, r, l->state[i]);
	}
	/* ATTEMPT is not waited for: a crash may have taken the record of the first one. */
	if (m->arrival_us < queue_opened_us)
		m->in_doubt = true;
}

void message_load_and_activate(struct slice id, struct memory memory)
{
	struct store_summary summary;
	struct store_loaded *l;
	struct message *m;
	int error;

	if (message_find(id) != NULL || !store_summary(store, id, &summary) || summary.held)
		return;
	l = store_read_wait(id, false, &error);
	if (l == NULL) {
		if (error == ENOENT)
			return;
		log_error("%.*s: the message can't be read from the queue: %s; it is put on hold",
		    (int)id.len, id.data, strerror(error));
		store_hold(store, id, NULL, NULL);
		return;
	}
	if (message_find(id) != NULL) {
		store_loaded_free(l);
		return;
	}
	m = message_new();
	m->memory = memory;
	take_loaded(m, l);
	m->size = summary.size;
	store_loaded_free(l);
	message_activate(m);
}
