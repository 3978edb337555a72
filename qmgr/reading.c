/* SPDX-License-Identifier: ISC */
/*
 * reading.c - one message of the queue whole, for postcat.
 */
#include "qmgr/qmgr.h"

#include <string.h>

enum { PATIENCE_SECONDS = 60, TEXTS_SIZE = 64 * 1024 };

static deadline patience(void)
{
	return deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
}

static int send_message(struct request *r, struct store_loaded *l, const struct store_summary *s)
{
	struct envelope e = { 0 };
	const char *why;
	struct msg_queue_message m = { .id = l->message.id,
		.queue = slice_of(listing_queue(s)),
		.sender = l->message.sender,
		.arrival_us = l->message.arrival_us,
		.due_us = l->due_us,
		.flags = l->message.flags,
		.attempts = l->attempts,
		.deaths = l->deaths,
		.expired = (l->marks & STORE_EXPIRE) != 0,
		.content_size = s->size,
		.rcpt_count = s->rcpt_count,
		.content = l->message.content };

	if (wire_decode(&envelope_table, l->message.envelope, &e, request_arena(r), &why)) {
		m.client_name = e.client_name;
		m.client_address = e.client_address;
		m.client_port = e.client_port;
		m.client_helo = e.client_helo;
		m.protocol = e.protocol;
		m.envid = e.envid;
		m.ret = e.ret;
	}
	return request_send(r, &table_queue_message, &m, l->large_fd, false, patience());
}

/* From this recipient on, as many as a frame takes. */
static size_t fill(struct msg_queue_rcpts *m, const struct store_loaded *l, size_t at,
    uint64_t *done)
{
	const struct store_message *s = &l->message;
	size_t n = 0, bytes = 0;

	while (at + n < s->address.count && n < RCPTS_PER_FRAME && bytes < TEXTS_SIZE) {
		size_t i = at + n++;

		done[n - 1] = l->state[i] == RCPT_DELIVERED || l->state[i] == RCPT_BOUNCED;
		bytes += s->address.items[i].len + s->original.items[i].len +
		    s->orcpt.items[i].len + l->reason[i].len;
	}
	*m = (struct msg_queue_rcpts){ .address = { s->address.items + at, n },
		.original = { s->original.items + at, n },
		.orcpt = { s->orcpt.items + at, n },
		.dsn = { l->dsn + at, n },
		.reason = { l->reason + at, n },
		.notify = { s->notify.items + at, n },
		.done = { done, n } };
	return n;
}

static void send_rcpts(struct request *r, const struct store_loaded *l)
{
	uint64_t done[RCPTS_PER_FRAME];
	struct msg_queue_rcpts m;
	size_t count = l->message.address.count, at = 0;

	do {
		at += fill(&m, l, at, done);
		if (request_send(r, &table_queue_rcpts, &m, -1, at == count, patience()) == -1)
			return;
	} while (at < count);
}

void reading_read(struct request *r, struct frame *first)
{
	const struct msg_queue_read *wanted = first->message;
	struct store_summary s;
	int error;
	struct store_loaded *l = store_read_wait(wanted->id, wanted->with_content != 0, &error);

	if (l == NULL || !store_summary(store, wanted->id, &s)) {
		struct msg_queue_message m = { .id = wanted->id,
			.why = slice_of(l == NULL ? strerror(error) : "it has gone") };

		store_loaded_free(l);
		request_send(r, &table_queue_message, &m, -1, true, patience());
		return;
	}
	if (send_message(r, l, &s) == 0)
		send_rcpts(r, l);
	store_loaded_free(l);
}

void reading_clients(struct request *r, struct frame *first)
{
	const struct wire_texts ids = ((struct msg_queue_clients *)first->message)->ids;
	struct store_loaded **loaded = arena_alloc(request_arena(r),
	    (ids.count + 1) * sizeof(*loaded));
	struct slice *texts = arena_alloc(request_arena(r), 2 * (ids.count + 1) * sizeof(*texts));
	struct msg_queue_clients_told answer = { { texts, ids.count },
		{ texts + ids.count, ids.count } };
	const char *why;

	store_read_several_wait(ids.items, loaded, ids.count);
	for (size_t i = 0; i < ids.count; i++) {
		struct envelope e = { 0 };

		if (loaded[i] == NULL ||
		    !wire_decode(&envelope_table, loaded[i]->message.envelope, &e, request_arena(r),
			&why))
			continue;
		answer.name.items[i] = e.client_name;
		answer.address.items[i] = e.client_address;
	}
	request_send(r, &table_queue_clients_told, &answer, -1, true, patience());
	for (size_t i = 0; i < ids.count; i++)
		store_loaded_free(loaded[i]);
}
