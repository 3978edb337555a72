/* SPDX-License-Identifier: ISC */
/*
 * change.c - what happens to a message after it was put: outcomes, holds, deaths, its end.
 *
 * The index changes with the call, so that callers see their own changes; the record follows. A
 * record that can't be written stays owed and goes out when the disk allows.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

static void attempt_ended(struct entry *e)
{
	if (e->open_attempts > 0)
		e->open_attempts--;
	e->in_doubt = false;
}

bool change_apply_status(struct entry *e, const struct record_status *r)
{
	if (r->index.count != r->state.count || r->dsn.count != r->index.count ||
	    r->reason.count != r->index.count)
		return false;
	for (size_t i = 0; i < r->index.count; i++)
		if (r->index.items[i] >= e->rcpt_count || r->state.items[i] > RCPT_BOUNCED)
			return false;
	for (size_t i = 0; i < r->index.count; i++)
		entry_set_state(e, r->index.items[i], (enum rcpt_state)r->state.items[i]);
	if (r->due_us != 0)
		e->due_us = r->due_us;
	attempt_ended(e);
	return true;
}

void change_apply_note(struct entry *e, enum record_type type)
{
	switch (type) {
	case RECORD_ATTEMPT:
		e->attempts++;
		e->open_attempts++;
		break;
	case RECORD_DEATH:
		e->deaths++;
		attempt_ended(e);
		break;
	case RECORD_HOLD:
		e->held = true;
		break;
	case RECORD_RELEASE:
		e->held = false;
		break;
	default:
		break;
	}
}

/* --- STATUS ----------------------------------------------------------------------------------- */

/* The record that ended the message is flushed. */
static void ended(struct store *s, struct entry *e)
{
	if (e->large && !e->damaged)
		large_remove(s, slice_of(e->id));
}

static void status_finish(struct store *s, struct append *a)
{
	struct entry *e = a->entry;

	e->pending--;
	if (!e->gone) {
		entry_place_status(s, e, a->place);
		recycle_fold(s, e);
	} else if (a->ends) {
		ended(s, e);
	}
	append_free(a);
}

/* The lists of the record, in the arena. */
static struct record_status status_record(const struct entry *e, const struct store_status *status,
    size_t count, int64_t due_us, struct arena *arena)
{
	struct record_status r = { .id = slice_of(e->id), .due_us = due_us };

	r.index.items = arena_alloc(arena, (count + 1) * sizeof(uint64_t));
	r.state.items = arena_alloc(arena, (count + 1) * sizeof(uint64_t));
	r.dsn.items = arena_alloc(arena, (count + 1) * sizeof(struct slice));
	r.reason.items = arena_alloc(arena, (count + 1) * sizeof(struct slice));
	r.index.count = r.state.count = r.dsn.count = r.reason.count = count;
	for (size_t i = 0; i < count; i++) {
		r.index.items[i] = status[i].index;
		r.state.items[i] = status[i].state;
		r.dsn.items[i] = status[i].dsn;
		r.reason.items[i] = status[i].reason;
	}
	return r;
}

/* 0 or errno; on success the append is on its way. */
static int submit_status(struct store *s, struct entry *e, struct record_status *r,
    store_done *done, void *arg)
{
	struct append *a = append_new(RECORD_STATUS, e);

	/* Sizes are checked before anything changes. */
	r->last = 1;
	if (!append_encode(a, &record_status_table, r) ||
	    frame_size(a->payload.len) > s->segment_size - SEGMENT_DATA ||
	    !change_apply_status(e, r)) {
		append_free(a);
		return EINVAL;
	}
	if (e->rcpt_open > 0) {
		r->last = 0;
		buf_reset(&a->payload);
		append_encode(a, &record_status_table, r);
	}
	a->ends = r->last != 0;
	a->finish = status_finish;
	a->done = done;
	a->arg = arg;
	a->lazy = true;
	e->version++;
	e->pending++;
	if (a->ends)
		entry_remove(s, e);
	log_submit(s, a);
	return 0;
}

void store_status(struct store *s, struct slice id, const struct store_status *status, size_t count,
    int64_t due_us, store_done *done, void *arg)
{
	struct entry *e = entry_living(s, id);
	struct arena *arena;
	struct record_status r;
	int error;

	if (e == NULL) {
		log_answer(s, done, arg, ENOENT);
		return;
	}
	arena = arena_new();
	r = status_record(e, status, count, due_us, arena);
	error = submit_status(s, e, &r, done, arg);
	arena_free(arena);
	if (error != 0)
		log_answer(s, done, arg, error);
}

/* --- notes ------------------------------------------------------------------------------------ */

static void done_finish(struct store *s, struct append *a)
{
	ended(s, a->entry);
	append_free(a);
}

static void submit_note(struct store *s, struct entry *e, enum record_type type, store_done *done,
    void *arg)
{
	struct record_note r = { .id = slice_of(e->id) };
	struct append *a = append_new(type, e);

	if (!append_encode(a, &record_note_table, &r))
		panic("queue id of %zu bytes in the index", r.id.len);
	a->finish = type == RECORD_DONE ? done_finish : NULL;
	a->done = done;
	a->arg = arg;
	a->lazy = done == NULL;
	change_apply_note(e, type);
	if (type == RECORD_DONE)
		entry_remove(s, e);
	log_submit(s, a);
}

void change_end(struct store *s, struct entry *e)
{
	submit_note(s, e, RECORD_DONE, NULL, NULL);
}

static void note(struct store *s, struct slice id, enum record_type type, store_done *done,
    void *arg)
{
	struct entry *e = entry_living(s, id);

	if (e == NULL)
		log_answer(s, done, arg, ENOENT);
	else
		submit_note(s, e, type, done, arg);
}

void store_attempt(struct store *s, struct slice id)
{
	struct entry *e = entry_living(s, id);

	if (e != NULL)
		submit_note(s, e, RECORD_ATTEMPT, NULL, NULL);
}

uint32_t store_death(struct store *s, struct slice id, store_done *done, void *arg)
{
	struct entry *e = entry_living(s, id);

	note(s, id, RECORD_DEATH, done, arg);
	return e == NULL ? 0 : e->deaths;
}

void store_hold(struct store *s, struct slice id, store_done *done, void *arg)
{
	note(s, id, RECORD_HOLD, done, arg);
}

void store_release(struct store *s, struct slice id, store_done *done, void *arg)
{
	note(s, id, RECORD_RELEASE, done, arg);
}

void store_mark(struct store *s, struct slice id, uint64_t marks, store_done *done, void *arg)
{
	struct entry *e = entry_living(s, id);
	struct record_mark r = { id, marks };
	struct append *a;

	if (e == NULL || marks > RECORD_MARKS_LIMIT) {
		log_answer(s, done, arg, e == NULL ? ENOENT : EINVAL);
		return;
	}
	a = append_new(RECORD_MARK, e);
	if (!append_encode(a, &record_mark_table, &r))
		panic("queue id of %zu bytes in the index", id.len);
	a->done = done;
	a->arg = arg;
	a->lazy = done == NULL;
	e->marks |= (uint8_t)marks;
	log_submit(s, a);
}

void store_delete(struct store *s, struct slice id, store_done *done, void *arg)
{
	note(s, id, RECORD_DONE, done, arg);
}
