/* SPDX-License-Identifier: ISC */
/*
 * index.c - what is known of each message without touching the disk, ordered by id.
 *
 * The state here runs ahead of the disk: it changes when a call is made, not when its record is
 * flushed. Copying forward writes this state, so what a failed record did not tell the copy tells.
 */
#include <stddef.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { STATE_BITS = 2, STATES_IN_WORD = 64 / STATE_BITS };

static int compare_ids(struct slice a, struct slice b)
{
	int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

static int entry_compare(struct entry *a, struct entry *b)
{
	return compare_ids(slice_of(a->id), slice_of(b->id));
}

RB_GENERATE(entry_tree, entry, link, entry_compare)

struct entry *entry_find(struct store *s, struct slice id)
{
	struct entry *e = RB_ROOT(&s->index);

	while (e != NULL) {
		int order = compare_ids(id, slice_of(e->id));

		if (order == 0)
			return e;
		e = order < 0 ? RB_LEFT(e, link) : RB_RIGHT(e, link);
	}
	return NULL;
}

struct entry *entry_living(struct store *s, struct slice id)
{
	struct entry *e = entry_find(s, id);

	return e == NULL || e->arriving ? NULL : e;
}

struct entry *entry_after(struct store *s, struct slice id)
{
	struct entry *e = RB_ROOT(&s->index), *best = NULL;

	while (e != NULL) {
		if (id.len == 0 || compare_ids(id, slice_of(e->id)) < 0) {
			best = e;
			e = RB_LEFT(e, link);
		} else {
			e = RB_RIGHT(e, link);
		}
	}
	return best;
}

static uint64_t *state_word(struct entry *e, uint64_t index)
{
	return e->rcpt_count <= STATES_IN_WORD ? &e->states.word
					       : &e->states.words[index / STATES_IN_WORD];
}

enum rcpt_state entry_state(const struct entry *e, uint64_t index)
{
	uint64_t word = *state_word((struct entry *)(uintptr_t)e, index);

	return word >> index % STATES_IN_WORD * STATE_BITS & 3;
}

static bool is_open(enum rcpt_state state)
{
	return state == RCPT_QUEUED || state == RCPT_DEFERRED;
}

void entry_set_state(struct entry *e, uint64_t index, enum rcpt_state state)
{
	uint64_t *word = state_word(e, index);
	unsigned shift = index % STATES_IN_WORD * STATE_BITS;

	e->rcpt_open -= is_open(entry_state(e, index));
	e->rcpt_open += is_open(state);
	*word = (*word & ~(UINT64_C(3) << shift)) | (uint64_t)state << shift;
}

struct entry *entry_add(struct store *s, const struct record_message *m)
{
	struct slice id = m->put.id;
	struct entry *e = mem_alloc(offsetof(struct entry, id) + id.len + 1);

	memcpy(e->id, id.data, id.len);
	e->refs = 1;
	e->arrival_us = m->put.arrival_us;
	e->due_us = m->due_us;
	e->large = m->put.large_size > 0;
	e->size = e->large ? m->put.large_size : m->put.content.len;
	e->rcpt_count = e->rcpt_open = (uint32_t)m->put.address.count;
	e->attempts = (uint32_t)m->attempts;
	e->deaths = (uint32_t)m->deaths;
	e->open_attempts = (uint32_t)m->open_attempts;
	e->held = m->held != 0;
	e->marks = (uint8_t)m->marks;
	if (e->rcpt_count > STATES_IN_WORD)
		e->states.words = mem_alloc_array(e->rcpt_count / STATES_IN_WORD + 1,
		    sizeof(uint64_t));
	for (size_t i = 0; i < m->state.count; i++)
		entry_set_state(e, i, (enum rcpt_state)m->state.items[i]);
	RB_INSERT(entry_tree, &s->index, e);
	s->messages++;
	return e;
}

void entry_ref(struct entry *e)
{
	e->refs++;
}

static void forget_statuses(struct entry *e)
{
	if (e->has_many)
		free(e->status.many);
	e->has_many = false;
	e->status_count = 0;
}

const struct place *entry_statuses(const struct entry *e)
{
	return e->has_many ? e->status.many : &e->status.one;
}

void entry_unref(struct entry *e)
{
	if (e == NULL || --e->refs > 0)
		return;
	forget_statuses(e);
	if (e->rcpt_count > STATES_IN_WORD)
		free(e->states.words);
	free(e);
}

static void unlink_from_segment(struct store *s, struct entry *e)
{
	if (!e->linked)
		return;
	TAILQ_REMOVE(&segment_find(s, e->message.segment)->live, e, in_segment);
	e->linked = false;
	s->live_bytes -= e->message.len;
	for (uint32_t i = 0; i < e->status_count; i++)
		s->live_bytes -= entry_statuses(e)[i].len;
}

void entry_remove(struct store *s, struct entry *e)
{
	unlink_from_segment(s, e);
	hot_drop(s, e);
	RB_REMOVE(entry_tree, &s->index, e);
	s->messages--;
	e->gone = true;
	entry_unref(e);
}

void entry_place_message(struct store *s, struct entry *e, struct place place)
{
	unlink_from_segment(s, e);
	forget_statuses(e);
	e->message = place;
	TAILQ_INSERT_TAIL(&segment_find(s, place.segment)->live, e, in_segment);
	e->linked = true;
	s->live_bytes += place.len;
}

void entry_place_status(struct store *s, struct entry *e, struct place place)
{
	uint32_t count = e->status_count;
	struct place first = e->status.one;

	/* Doubles when full: at 1, 2, 4, 8... */
	if (count > 0 && (count & (count - 1)) == 0) {
		e->status.many = mem_resize_array(e->has_many ? e->status.many : NULL,
		    (size_t)count * 2, sizeof(place));
		if (!e->has_many)
			e->status.many[0] = first;
		e->has_many = true;
	}
	*(e->has_many ? &e->status.many[count] : &e->status.one) = place;
	e->status_count++;
	if (e->linked)
		s->live_bytes += place.len;
}

void entry_summary(const struct entry *e, struct store_summary *out)
{
	*out = (struct store_summary){
		.id = e->id,
		.arrival_us = e->arrival_us,
		.size = e->size,
		.rcpt_count = e->rcpt_count,
		.rcpt_open = e->rcpt_open,
		.due_us = e->due_us,
		.attempts = e->attempts,
		.deaths = e->deaths,
		.held = e->held,
		.marks = e->marks,
	};
}
