/* SPDX-License-Identifier: ISC */
/*
 * put.c - a new message: into the index at once, visible when its record is flushed.
 *
 * The record stays in memory for a while afterwards, because the first delivery wants to read it.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

/* What a backlog may hold of the process's memory; what falls out is read from the disk. */
enum { HOT_LIMIT = 8 << 20 };

/* What a copy adds at least, which must fit too: the state of each recipient and a few numbers. */
enum { COPY_STATE = 8, COPY_NUMBERS = 256 };

/* What the record takes, with the room that its buffer grew ahead. */
static size_t hot_size(const struct append *a)
{
	return sizeof(*a) + a->payload.size;
}

void hot_drop(struct store *s, struct entry *e)
{
	if (e->hot == NULL)
		return;
	TAILQ_REMOVE(&s->hot, e->hot, in_hot);
	s->hot_bytes -= hot_size(e->hot);
	append_free(e->hot);
	e->hot = NULL;
}

static void hot_keep(struct store *s, struct entry *e, struct append *a)
{
	/* The entry owns its record, not the other way round. */
	entry_unref(a->entry);
	a->entry = NULL;
	e->hot = a;
	a->owner = e;
	TAILQ_INSERT_TAIL(&s->hot, a, in_hot);
	s->hot_bytes += hot_size(a);
	while (s->hot_bytes > HOT_LIMIT)
		hot_drop(s, TAILQ_FIRST(&s->hot)->owner);
}

/* A record that was handed to the disk may be there although its flush failed: only a later record that
 * ends the message settles that, and until then the content stays with it. */
static void withdraw(struct store *s, struct entry *e, bool may_be_on_disk)
{
	if (may_be_on_disk) {
		change_end(s, e);
		return;
	}
	if (e->large)
		large_remove(s, slice_of(e->id));
	entry_remove(s, e);
}

void put_finish(struct store *s, struct append *a)
{
	struct entry *e = a->entry;

	if (a->error != 0) {
		withdraw(s, e, a->place.len > 0);
		append_free(a);
		return;
	}
	e->arriving = false;
	entry_place_message(s, e, a->place);
	hot_keep(s, e, a);
}

static bool is_parallel(size_t count, size_t rcpts)
{
	return count == 0 || count == rcpts;
}

bool record_message_is_sound(const struct record_message *m)
{
	size_t rcpts = m->put.address.count;

	for (size_t i = 0; i < m->state.count; i++)
		if (m->state.items[i] > RCPT_BOUNCED)
			return false;
	return m->put.id.len > 0 && m->put.id.len <= RECORD_ID_LIMIT &&
	    slice_find(m->put.id, '\0') == -1 && rcpts > 0 &&
	    is_parallel(m->put.original.count, rcpts) && is_parallel(m->put.orcpt.count, rcpts) &&
	    is_parallel(m->put.notify.count, rcpts) && is_parallel(m->state.count, rcpts) &&
	    is_parallel(m->dsn.count, rcpts) && is_parallel(m->reason.count, rcpts) &&
	    (m->put.content.len == 0 || m->put.large_size == 0);
}

/* Content that was written for it goes too, unless a message of this id has it. */
static void refuse(struct store *s, const struct store_message *put, store_done *done, void *arg,
    int error)
{
	const struct entry *e = entry_find(s, put->id);

	if (put->large_size > 0 && (e == NULL || !e->large))
		large_remove(s, put->id);
	log_answer(s, done, arg, error);
}

static void put_record(struct store *s, const struct record_message *m, store_done *done, void *arg)
{
	const struct store_message *put = &m->put;
	char name[LARGE_NAME];
	struct append *a;

	if (!record_message_is_sound(m) || (put->large_size > 0 && !large_name(name, put->id))) {
		refuse(s, put, done, arg, EINVAL);
		return;
	}
	if (entry_find(s, put->id) != NULL) {
		refuse(s, put, done, arg, EEXIST);
		return;
	}
	a = append_new(RECORD_MESSAGE, NULL);
	if (!append_encode(a, &record_message_table, m)) {
		append_free(a);
		refuse(s, put, done, arg, EINVAL);
		return;
	}
	if (!record_fits(s, a->payload.len + COPY_STATE * put->address.count + COPY_NUMBERS)) {
		append_free(a);
		refuse(s, put, done, arg, EMSGSIZE);
		return;
	}
	a->entry = entry_add(s, m);
	a->entry->arriving = true;
	entry_ref(a->entry);
	a->urgent = a->owed = false;
	a->finish = put_finish;
	a->done = done;
	a->arg = arg;
	if (put->large_size > 0)
		large_put(s, a);
	else
		log_submit(s, a);
}

void store_put(struct store *s, const struct store_message *put, store_done *done, void *arg)
{
	struct record_message m = { .put = *put };

	put_record(s, &m, done, arg);
}

void store_put_loaded(struct store *s, const struct store_loaded *l, store_done *done, void *arg)
{
	size_t count = l->message.address.count;
	struct record_message m = {
		.put = l->message,
		.dsn = { l->dsn, count },
		.reason = { l->reason, count },
		.due_us = l->due_us,
		.attempts = l->attempts,
		.deaths = l->deaths,
		.open_attempts = l->in_doubt,
		.held = l->held,
		.marks = l->marks,
	};

	m.state.items = mem_alloc_array(count + 1, sizeof(*m.state.items));
	m.state.count = count;
	for (size_t i = 0; i < count; i++)
		m.state.items[i] = l->state[i];
	put_record(s, &m, done, arg);
	free(m.state.items);
}
