/* SPDX-License-Identifier: ISC */
/*
 * worker.c - takes deliveries from qmgr and answers with their outcomes.
 */
#include "smtp/worker.h"

#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "smtp/nexthop.h"
#include "smtp/pool.h"
#include "smtp/route.h"
#include "smtp/smtp.h"

/* --- outcomes ------------------------------------------------------------------------------------ */

void delivery_settle(struct delivery *d, size_t at, const struct verdict *v, enum success success)
{
	struct delivery_times times = { d->start_us, d->connected_us, clock_wall_us(), v->use };
	struct msg_outcomes *out = &d->out;

	/* Without a connection all the time went into trying to have one. */
	if (v->relay.len == 0)
		times.connected_us = times.end_us;
	d->targets[at].is_done = true;
	out->outcome.items[at] = v->outcome;
	out->dsn.items[at] = v->dsn;
	out->text.items[at] = v->text;
	out->remote.items[at] = v->remote;
	out->diagnostic.items[at] = v->diagnostic;
	out->success.items[at] = v->outcome == OUTCOME_SENT ? success : SUCCESS_DELIVERED;
	delivery_log(d->m, at, &times, v->relay.len > 0 ? v->relay : SLICE("none"), v->outcome,
	    v->dsn, v->text);
}

/* --- requests ------------------------------------------------------------------------------------- */

/* What the tables can't say: lists run parallel, and content is where it should be. */
static bool is_consistent(const struct msg_deliver *m, int fd)
{
	size_t count = m->index.count;

	return count > 0 && m->address.count == count && m->original.count == count &&
	    m->orcpt.count == count && m->notify.count == count &&
	    (fd != -1 || m->content.len == m->content_size);
}

static struct wire_texts new_texts(struct arena *arena, size_t count)
{
	struct wire_texts texts = { arena_alloc(arena, count * sizeof(struct slice)), count };

	for (size_t i = 0; i < count; i++)
		texts.items[i] = SLICE("");
	return texts;
}

static struct wire_numbers new_numbers(struct arena *arena, size_t count)
{
	return (struct wire_numbers){ arena_alloc(arena, count * sizeof(uint64_t)), count };
}

static void fill(struct delivery *d, struct request *request, const struct frame *frame)
{
	const struct msg_deliver *m = frame->message;
	size_t count = m->index.count;

	d->m = m;
	d->fd = frame->fd;
	d->arena = request_arena(request);
	d->targets = arena_alloc(d->arena, count * sizeof(*d->targets));
	d->start_us = clock_wall_us();
	d->out = (struct msg_outcomes){ .index = m->index,
		.outcome = new_numbers(d->arena, count),
		.dsn = new_texts(d->arena, count),
		.text = new_texts(d->arena, count),
		.remote = new_texts(d->arena, count),
		.diagnostic = new_texts(d->arena, count),
		.success = new_numbers(d->arena, count) };
}

static void run_deliver(struct request *request, struct frame *frame)
{
	const struct msg_deliver *m = frame->message;
	struct delivery d = { 0 };
	struct delivery_run *run;

	if (!is_consistent(m, frame->fd)) {
		log_error("%.*s: the delivery request makes no sense", (int)m->id.len, m->id.data);
		return;
	}
	service_session_begin();
	run = delivery_begin(request, m);
	if (run != NULL) {
		d.run = run;
		fill(&d, request, frame);
		deliver_run(&d);
		delivery_end(run, request, &d.out);
	}
	service_session_end();
}

const struct handler worker_handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), run_deliver },
	{ &table_reclaim, ROLE_BIT(ROLE_QMGR), delivery_reclaim },
	{ 0 },
};

void worker_drain(enum drain_reason reason)
{
	(void)reason;
	pool_drain();
}

void worker_open(void)
{
	uint16_t port;

	nexthop_open();
	route_open();
	if (!nexthop_port(slice_of(client_settings.tcp_port), &port))
		log_fatal("%s_tcp_port = %s: no number, and no name in the file services",
		    client_settings.is_lmtp ? "lmtp" : "smtp", client_settings.tcp_port);
}
