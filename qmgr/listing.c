/* SPDX-License-Identifier: ISC */
/*
 * listing.c - the queue for showq: message by message in the order of ids, so that a long queue never is
 * in memory as a whole.
 */
#include "qmgr/qmgr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum {
	PATIENCE_SECONDS = 60,
	WAIT_SECONDS = 300,
	REASONS_SIZE = 32 * 1024,
	PAGE_SIZE = 256,
	PAGE_RCPTS = 1000
};

/* One that was never put off has its turn as soon as there is room. */
const char *listing_queue(const struct store_summary *s)
{
	if (s->held)
		return "hold";
	return message_find(slice_of(s->id)) != NULL || s->due_us == 0 ? "active" : "deferred";
}

static bool is_open(const struct store_loaded *l, size_t i)
{
	return l->state[i] != RCPT_DELIVERED && l->state[i] != RCPT_BOUNCED;
}

enum { CROWD = 16, ARENA_STEP = 64 * 1024 };

/* One message, with its open recipients in frames of bounded size. */
static int send_entry(struct request *r, const struct store_summary *s,
    const struct store_loaded *l)
{
	struct slice *lists = arena_alloc(request_arena(r), 3 * RCPTS_PER_FRAME * sizeof(*lists));
	struct slice *address = lists, *original = lists + RCPTS_PER_FRAME,
		     *reason = lists + 2 * RCPTS_PER_FRAME;
	struct msg_list_entry m = { .queue = slice_of(listing_queue(s)),
		.id = l->message.id,
		.arrival_us = s->arrival_us,
		.size = s->size,
		.expired = (s->marks & STORE_EXPIRE) != 0,
		.sender = l->message.sender,
		.address = { address, 0 },
		.original = { original, 0 },
		.reason = { reason, 0 } };
	size_t n = 0, bytes = 0;

	for (size_t i = 0; i <= l->message.address.count; i++) {
		bool end = i == l->message.address.count;

		if ((end && (n > 0 || !m.continued)) || n == RCPTS_PER_FRAME ||
		    bytes > REASONS_SIZE) {
			m.address.count = m.original.count = m.reason.count = n;
			if (request_send(r, &table_list_entry, &m, -1, false,
				deadline_after(PATIENCE_SECONDS * CLOCK_SECOND)) == -1)
				return -1;
			m.continued = 1;
			n = bytes = 0;
		}
		if (end || !is_open(l, i))
			continue;
		address[n] = l->message.address.items[i];
		original[n] = l->message.original.items[i];
		reason[n] = l->reason[i];
		bytes += address[n].len + original[n].len + reason[n].len;
		n++;
	}
	return 0;
}

/* Some messages at once: the store reads them by one job. */
struct page {
	struct store_summary summary[PAGE_SIZE];
	char texts[PAGE_SIZE][ID_LIMIT + 1]; /* of the ids: the store's go with their messages */
	struct slice ids[PAGE_SIZE];
	struct store_loaded *loaded[PAGE_SIZE];
	size_t count;
};

/* The messages after the page's last one. */
static void next_page(struct page *p, uint64_t most)
{
	char last[ID_LIMIT + 1] = "";
	struct slice after = slice_of(last);
	size_t rcpts = 0, n = 0;

	if (p->count > 0) {
		memcpy(last, p->texts[p->count - 1], sizeof(last));
		after = slice_of(last);
	}
	while (n < PAGE_SIZE && n < most && rcpts < PAGE_RCPTS &&
	    store_next(store, after, &p->summary[n])) {
		snprintf(p->texts[n], sizeof(p->texts[n]), "%s", p->summary[n].id);
		p->summary[n].id = p->texts[n];
		after = p->ids[n] = slice_of(p->texts[n]);
		rcpts += p->summary[n].rcpt_count;
		n++;
	}
	p->count = n;
	store_read_several_wait(p->ids, p->loaded, n);
}

/* -1: the asker is gone. */
static int send_page(struct request *r, struct page *p, uint64_t *count)
{
	int rc = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (p->loaded[i] == NULL)
			continue; /* gone meanwhile */
		if (rc == 0)
			rc = send_entry(r, &p->summary[i], p->loaded[i]);
		store_loaded_free(p->loaded[i]);
		++*count;
	}
	return rc;
}

/* Readers may be slow, and any user may read: of many listings each holds little. */
static uint64_t page_size(unsigned listings)
{
	return listings > CROWD ? 1 : PAGE_SIZE;
}

void listing_list(struct request *r, struct frame *first)
{
	static unsigned running;
	uint64_t limit = ((struct msg_list *)first->message)->limit; /* the arena is reset below */
	struct msg_list_end end = { 0 };
	struct page *p = mem_alloc(sizeof(*p));
	int rc = 0;

	running++;
	do {
		uint64_t most = page_size(running);

		next_page(p, limit == 0 || limit - end.count > most ? most : limit - end.count);
		rc = send_page(r, p, &end.count);
		if (arena_used(request_arena(r)) > ARENA_STEP)
			arena_reset(request_arena(r));
		task_yield_if_long();
	} while (rc == 0 && p->count > 0);
	running--;
	free(p);
	if (rc == 0)
		request_send(r, &table_list_end, &end, -1, true,
		    deadline_after(PATIENCE_SECONDS * CLOCK_SECOND));
}
