/* SPDX-License-Identifier: ISC */
/*
 * store_fill.c - fills a queue with deferred messages as qmgr would leave them: one recipient each, at a
 * thousand domains, one failed attempt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/store_load.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/queue_envelope.h"

enum { UNDER_WAY = 500, DOMAINS = 1000, DAY = 24 * 3600, PROGRESS = 10000 };
#define SECOND_US INT64_C(1000000)

struct fill {
	struct store *store;
	unsigned long open, failed, next;
	char content[1 << 16];
	struct buf envelope;
};
struct filled {
	struct fill *fill;
	char id[QUEUE_ID_SIZE];
};

static void on_put(void *arg, int error)
{
	struct filled m = *(struct filled *)arg;
	struct store_status status = { .index = 0,
		.state = RCPT_DEFERRED,
		.dsn = SLICE("4.4.1"),
		.reason = SLICE("connect to mail.example[192.0.2.1]:25: Connection timed out") };

	free(arg);
	m.fill->open--;
	m.fill->failed += error != 0;
	store_attempt(m.fill->store, slice_of(m.id));
	store_status(m.fill->store, slice_of(m.id), &status, 1, clock_wall_us() + DAY * SECOND_US,
	    NULL, NULL);
}

static void put(struct fill *f, size_t size)
{
	struct filled *m = mem_alloc(sizeof(*m));
	char sender[64], rcpt[64];
	struct slice address, original, orcpt = SLICE("");
	uint64_t notify = 0;
	struct store_message s = { .envelope = buf_slice(&f->envelope),
		.address = { &address, 1 },
		.original = { &original, 1 },
		.orcpt = { &orcpt, 1 },
		.notify = { &notify, 1 },
		.content = slice_new(f->content, size) };

	m->fill = f;
	s.arrival_us = clock_wall_us();
	load_id(m->id, s.arrival_us);
	snprintf(sender, sizeof(sender), "sender%lu@sender%lu.example", f->next, f->next % 17);
	snprintf(rcpt, sizeof(rcpt), "recipient%lu@domain%lu.example", f->next, f->next % DOMAINS);
	f->next++;
	s.id = slice_of(m->id);
	s.sender = slice_of(sender);
	address = original = slice_of(rcpt);
	f->open++;
	store_put(f->store, &s, on_put, m);
}

int fill_main(const char *directory, unsigned long count, size_t size)
{
	static struct fill f;
	struct envelope e = { .client_name = SLICE("client.example"),
		.client_address = SLICE("192.0.2.9"),
		.client_helo = SLICE("client.example"),
		.protocol = SLICE("ESMTP") };
	bool terminal = isatty(STDERR_FILENO);
	const char *why;

	for (size_t i = 0; i < size; i++)
		f.content[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
	if (!wire_encode(&envelope_table, &e, &f.envelope, &why))
		panic("envelope: %s", why);
	f.store = load_open(directory);
	while (f.next < count || f.open > 0) {
		while (f.next < count && f.open < UNDER_WAY)
			put(&f, size);
		load_wait(f.store);
		if (terminal && f.next % PROGRESS == 0)
			fprintf(stderr, "\r%lu of %lu", f.next, count);
	}
	store_close(f.store);
	buf_clear(&f.envelope);
	if (f.failed > 0)
		fprintf(stderr, "%lu of %lu messages were refused\n", f.failed, count);
	return f.failed > 0;
}
