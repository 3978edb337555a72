/* SPDX-License-Identifier: ISC */
/*
 * queue_history.c - from records to messages.
 *
 * The same rules as the queue manager's index: the newest MESSAGE of an id replaces what was known. Unlike the
 * index, it keeps messages that ended, and it says when a record contradicts the ones before it.
 */
#include "admin/queue_history.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

static int history_compare(struct history_message *a, struct history_message *b)
{
	return strcmp(a->id, b->id);
}

RB_GENERATE(history_tree, history_message, link, history_compare)

struct history_message *history_find(struct history *h, struct slice id)
{
	struct history_message *m = RB_ROOT(&h->messages);

	while (m != NULL) {
		struct slice own = slice_of(m->id);
		size_t least = own.len < id.len ? own.len : id.len;
		int order = memcmp(id.data, own.data, least);

		if (order == 0)
			order = id.len < own.len ? -1 : id.len > own.len;
		if (order == 0)
			return m;
		m = order < 0 ? RB_LEFT(m, link) : RB_RIGHT(m, link);
	}
	return NULL;
}

const char *history_state_name(size_t state)
{
	static const char *const names[] = { "queued", "deferred", "delivered", "bounced",
		"removed" };

	return state < ARRAY_LENGTH(names) ? names[state] : "unknown";
}

static bool is_open(uint64_t state)
{
	return state == RCPT_QUEUED || state == RCPT_DEFERRED;
}

static size_t open_count(const struct history_message *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->rcpt_count; i++)
		count += is_open(m->state[i]);
	return count;
}

void history_count(const struct history_message *m, uint64_t count[STATE_COUNT])
{
	for (size_t i = 0; i < m->rcpt_count; i++)
		count[m->state[i]]++;
}

/* --- records -------------------------------------------------------------------------------------- */

static void forget(struct history *h, struct history_message *m)
{
	RB_REMOVE(history_tree, &h->messages, m);
	free(m->state);
	free(m);
}

/* A copy of a message that is queued must not know less than the records before it. */
static const char *contradiction(const struct history_message *old,
    const struct record_message *record)
{
	if (old->rcpt_count != record->put.address.count)
		return "a copy of a message has other recipients than the message";
	for (size_t i = 0; i < old->rcpt_count; i++)
		if (!is_open(old->state[i]) &&
		    (record->state.count == 0 || is_open(record->state.items[i])))
			return "a copy of a message forgot that a recipient is done";
	return NULL;
}

static const char *take_message(struct history *h, uint64_t segment,
    const struct record_message *record)
{
	struct history_message *m = history_find(h, record->put.id);
	const char *fault = NULL;

	if (m != NULL) {
		fault = m->fate == FATE_QUEUED ? contradiction(m, record) : NULL;
		forget(h, m);
	}
	m = mem_alloc(sizeof(*m));
	snprintf(m->id, sizeof(m->id), "%.*s", (int)record->put.id.len, record->put.id.data);
	m->segment = segment;
	m->arrival_us = record->put.arrival_us;
	m->due_us = record->due_us;
	m->large = record->put.large_size > 0;
	m->size = m->large ? record->put.large_size : record->put.content.len;
	m->attempts = record->attempts;
	m->deaths = record->deaths;
	m->marks = record->marks;
	m->held = record->held != 0;
	m->rcpt_count = record->put.address.count;
	m->state = mem_alloc(m->rcpt_count);
	for (size_t i = 0; i < record->state.count; i++)
		m->state[i] = (uint8_t)record->state.items[i];
	RB_INSERT(history_tree, &h->messages, m);
	return fault;
}

static struct history_message *living(struct history *h, struct slice id)
{
	struct history_message *m = history_find(h, id);

	if (m == NULL)
		h->records_of_others++;
	return m != NULL && m->fate == FATE_QUEUED ? m : NULL;
}

static const char *take_status(struct history *h, const struct record_status *r)
{
	struct history_message *m = living(h, r->id);
	const char *fault = NULL;

	if (m == NULL)
		return NULL;
	if (r->index.count != r->state.count)
		return "an outcome that does not say whose it is";
	for (size_t i = 0; i < r->index.count; i++) {
		if (r->index.items[i] >= m->rcpt_count || r->state.items[i] > RCPT_BOUNCED)
			return "an outcome for a recipient that the message does not have";
		if (!is_open(m->state[r->index.items[i]]) && is_open(r->state.items[i]))
			fault = "a recipient that was done is open again";
		m->state[r->index.items[i]] = (uint8_t)r->state.items[i];
	}
	if (r->due_us != 0)
		m->due_us = r->due_us;
	if (r->last != (open_count(m) == 0))
		fault = r->last != 0 ? "the message is called done, but recipients are open"
				     : "no recipient is open, but the message is not called done";
	if (r->last != 0)
		m->fate = FATE_DONE;
	return fault;
}

static void take_note(struct history *h, enum record_type type, const struct record_note *r)
{
	struct history_message *m = living(h, r->id);

	if (m == NULL)
		return;
	m->attempts += type == RECORD_ATTEMPT;
	m->deaths += type == RECORD_DEATH;
	if (type == RECORD_HOLD || type == RECORD_RELEASE)
		m->held = type == RECORD_HOLD;
	if (type != RECORD_DONE)
		return;
	m->fate = FATE_REMOVED;
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (is_open(m->state[i]))
			m->state[i] = STATE_REMOVED;
}

const char *history_take(struct history *h, const struct inspect_record *r)
{
	const struct record_mark *mark = r->record;
	struct history_message *m;

	switch (r->type) {
	case RECORD_MESSAGE:
		return take_message(h, r->segment, r->record);
	case RECORD_STATUS:
		return take_status(h, r->record);
	case RECORD_ATTEMPT:
	case RECORD_HOLD:
	case RECORD_RELEASE:
	case RECORD_DEATH:
	case RECORD_DONE:
		take_note(h, r->type, r->record);
		break;
	case RECORD_MARK:
		m = living(h, mark->id);
		if (m != NULL)
			m->marks |= mark->marks;
		break;
	default:
		break;
	}
	return NULL;
}

/* --- the end -------------------------------------------------------------------------------------- */

void history_settle(struct history *h, uint64_t oldest)
{
	struct history_message *m, *next;

	RB_FOREACH_SAFE(m, history_tree, &h->messages, next)
		if (m->segment < oldest)
			forget(h, m);
}

void history_clear(struct history *h)
{
	struct history_message *m, *next;

	RB_FOREACH_SAFE(m, history_tree, &h->messages, next)
		forget(h, m);
}
