/* SPDX-License-Identifier: ISC */
/*
 * recipients.c - recipients on their way to qmgr. One alias may become a thousand, so what comes of
 * them is passed on frame by frame and never held as a whole.
 */
#include "cleanup/recipients.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>

#include "cleanup/ask.h"
#include "cleanup/cleanup.h"
#include "common/base/mem.h"
#include "common/task/task.h"

enum {
	BYTES_LIMIT = 16 * 1024 * 1024, /* of a message's recipients as they came */
	FRAME_BYTES = 96 * 1024
};

enum recipients_added recipients_add(struct recipients *all, const struct msg_rcpts *m,
    struct arena *arena)
{
	size_t count = m->address.count;

	if (count == 0 || m->original.count != count || m->orcpt.count != count ||
	    m->notify.count != count)
		return RECIPIENTS_MALFORMED;
	if (all->count + count > all->size) {
		all->size = (all->count + count) * 2;
		all->items = mem_resize_array(all->items, all->size, sizeof(*all->items));
	}
	for (size_t i = 0; i < count; i++) {
		struct slice address = m->address.items[i], original = m->original.items[i],
			     orcpt = m->orcpt.items[i];

		if (address.len > ADDRESS_LIMIT || original.len > ADDRESS_LIMIT ||
		    orcpt.len > ADDRESS_LIMIT)
			return RECIPIENTS_MALFORMED;
		all->bytes += address.len + original.len + orcpt.len + sizeof(*all->items);
		if (all->bytes > BYTES_LIMIT)
			return RECIPIENTS_TOO_MANY;
		all->items[all->count++] = (struct recipient){ arena_copy(arena, address),
			arena_copy(arena, original), arena_copy(arena, orcpt), m->notify.items[i] };
	}
	return RECIPIENTS_ADDED;
}

void recipients_clear(struct recipients *all)
{
	free(all->items);
	*all = (struct recipients){ 0 };
}

/* --- repeated ones -------------------------------------------------------------------------------- */

struct seen {
	RB_ENTRY(seen) entry;
	const char *key;
};

static int compare(const struct seen *x, const struct seen *y)
{
	return strcasecmp(x->key, y->key);
}

RB_HEAD(seen_tree, seen);
RB_GENERATE_INTERNAL(seen_tree, seen, entry, compare, static inline)

/* --- frames to qmgr ------------------------------------------------------------------------------- */

struct sending {
	struct request *store;
	struct arena *arena;
	struct msg_reply *reply;
	struct seen_tree seen;
	int64_t seen_count;
	struct buf key;
	/* The frame being filled; its texts are the arena's or the answer's of rewrite. */
	struct slice address[RCPTS_PER_FRAME], original[RCPTS_PER_FRAME], orcpt[RCPTS_PER_FRAME];
	uint64_t notify[RCPTS_PER_FRAME];
	size_t count, bytes;
};

static bool refuse(struct sending *s, uint64_t code, struct slice enhanced, struct slice text)
{
	s->reply->code = code;
	s->reply->enhanced = arena_copy(s->arena, enhanced);
	s->reply->text = arena_copy(s->arena, text);
	return false;
}

static bool flush(struct sending *s)
{
	struct msg_rcpts frame = { { s->address, s->count }, { s->original, s->count },
		{ s->orcpt, s->count }, { s->notify, s->count } };

	if (s->count == 0)
		return true;
	s->count = s->bytes = 0;
	return request_send(s->store, &table_rcpts, &frame, -1, false, ask_deadline()) == 0;
}

/* The same mailbox twice gets one copy; if the original address is kept, one for each of them. */
static bool is_repeated(struct sending *s, const struct recipient *r)
{
	int64_t limit = cleanup_settings.duplicate_filter_limit;
	struct slice original = cleanup_settings.enable_original_recipient ? r->original
									   : SLICE("");
	struct seen *entry, find;

	buf_reset(&s->key);
	buf_printf(&s->key, "%.*s\n%.*s\n%.*s\n%llu", (int)r->address.len, r->address.data,
	    (int)original.len, original.data, (int)r->orcpt.len, r->orcpt.data,
	    (unsigned long long)r->notify);
	find.key = buf_text(&s->key);
	if (RB_FIND(seen_tree, &s->seen, &find) != NULL)
		return true;
	if (limit > 0 && s->seen_count >= limit)
		return false;
	s->seen_count++;
	entry = arena_alloc(s->arena, sizeof(*entry));
	entry->key = arena_text(s->arena, buf_slice(&s->key));
	RB_INSERT(seen_tree, &s->seen, entry);
	return false;
}

static bool put(struct sending *s, const struct recipient *r)
{
	if (is_repeated(s, r))
		return true;
	if ((s->count == RCPTS_PER_FRAME || s->bytes > FRAME_BYTES) && !flush(s))
		return false;
	s->address[s->count] = r->address;
	s->original[s->count] = cleanup_settings.enable_original_recipient ? r->original
									   : r->address;
	s->orcpt[s->count] = r->orcpt;
	s->notify[s->count] = r->notify;
	s->bytes += r->address.len + s->original[s->count].len + r->orcpt.len;
	s->count++;
	return true;
}

static bool put_expanded(struct sending *s, const struct recipient *batch,
    const struct msg_expanded *m)
{
	for (size_t i = 0; i < m->address.count; i++) {
		struct recipient r = batch[m->origin.items[i]];

		r.address = m->address.items[i];
		if (r.address.len == 0 || r.address.len > ADDRESS_LIMIT)
			return refuse(s, 451, SLICE("4.6.0"), SLICE("Error: bad alias expansion"));
		if (!put(s, &r))
			return false;
	}
	return flush(s); /* its texts go with the answer */
}

/* "4.6.0 text" as a reply. */
static bool refuse_with(struct sending *s, struct slice why)
{
	ptrdiff_t blank = slice_find(why, ' ');
	bool permanent = why.len > 0 && why.data[0] == '5';

	if (blank < 5 || (why.data[0] != '4' && !permanent))
		return refuse(s, 451, SLICE("4.3.0"), SLICE("Error: temporary lookup failure"));
	return refuse(s, permanent ? 554 : 451, slice_part(why, 0, (size_t)blank),
	    slice_of(arena_printf(s->arena, "Error: %.*s", (int)(why.len - (size_t)blank - 1),
		why.data + blank + 1)));
}

/* *again: together they are too many; ask for each alone. */
static bool expand_batch(struct sending *s, const struct recipient *batch, size_t count,
    bool *again)
{
	struct slice addresses[RCPTS_PER_FRAME];
	const struct msg_expanded *m;
	struct request *r;
	bool ok;

	for (size_t i = 0; i < count; i++)
		addresses[i] = batch[i].address;
	m = ask_expand((struct wire_texts){ addresses, count }, &r);
	*again = m != NULL && m->status != RESOLVE_OK && count > 1;
	if (m == NULL)
		return refuse(s, 451, SLICE("4.3.0"), SLICE("Error: temporary lookup failure"));
	if (m->status == RESOLVE_OK)
		ok = put_expanded(s, batch, m);
	else
		ok = *again || refuse_with(s, m->why);
	request_close(r);
	return ok;
}

static bool send_all(struct sending *s, const struct recipients *all)
{
	bool again = false, ok = true;

	for (size_t at = 0; ok && at < all->count; at += RCPTS_PER_FRAME) {
		size_t count = all->count - at < RCPTS_PER_FRAME ? all->count - at
								 : RCPTS_PER_FRAME;

		ok = expand_batch(s, all->items + at, count, &again);
		for (size_t i = 0; ok && again && i < count; i++) {
			bool unused;

			ok = expand_batch(s, all->items + at + i, 1, &unused);
		}
		task_yield_if_long();
	}
	return ok;
}

bool recipients_send(const struct recipients *all, struct request *store, struct arena *arena,
    struct msg_reply *reply)
{
	struct sending *s = mem_alloc(sizeof(*s));
	bool ok;

	s->store = store;
	s->arena = arena;
	s->reply = reply;
	RB_INIT(&s->seen);
	ok = send_all(s, all);
	buf_clear(&s->key);
	free(s);
	return ok;
}
