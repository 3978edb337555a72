/* SPDX-License-Identifier: ISC */
/*
 * recycle.c - keeps the log short and spare segments ready.
 *
 * Oldest first, always: the record that ends a message then lies behind the message until both are
 * gone, so no delivered mail comes back. A live message of the oldest segment is copied forward with
 * its state folded in; when none is left, TAIL tells the new oldest number, and only after TAIL is
 * flushed may the segment be written again.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { SEGMENTS_MIN = 8, COPIES_MAX = 16, FOLD_AT = 32 };

/* --- copying forward -------------------------------------------------------------------------- */

static void copy_ended(struct store *s, struct entry *e, int error)
{
	e->copying = false;
	s->recycling.copies--;
	if (error != 0)
		s->recycling.after = deadline_after(CLOCK_SECOND);
}

static void copy_finish(struct store *s, struct append *a)
{
	struct entry *e = a->entry;

	copy_ended(s, e, a->error);
	if (a->error == 0 && !e->gone) {
		/* The record in memory lacks what was folded in. */
		hot_drop(s, e);
		entry_place_message(s, e, a->place);
		s->copied_bytes += a->place.len;
	}
	append_free(a);
}

static bool encode_copy(const struct store *s, struct append *a, const struct read_job *r)
{
	buf_clear(&a->payload);
	if (!append_encode(a, &record_message_table, &r->record))
		panic("%s: a record that was read can't be written", r->entry->id);
	return record_fits(s, a->payload.len);
}

/* The outcomes' texts of many recipients can outgrow a segment: what only tells people more goes first. A record
 * without them fits, see put.c; one that an older program took may not, and stays where it is. */
static bool encode_in_segment(const struct store *s, struct append *a, struct read_job *r)
{
	if (encode_copy(s, a, r))
		return true;
	r->record.reason.count = 0;
	if (encode_copy(s, a, r))
		return true;
	r->record.dsn.count = 0;
	return encode_copy(s, a, r);
}

static void copy_read(struct store *s, struct job *job)
{
	struct read_job *r = (struct read_job *)job;
	struct entry *e = r->entry;
	struct append *a;

	if (e->gone || r->error != 0 || e->version != r->version) {
		copy_ended(s, e, r->error == EBADMSG ? 0 : r->error);
		if (r->error != 0)
			read_failed(s, r);
		read_free(s, r);
		return;
	}
	read_overlay(r);
	a = append_new(RECORD_MESSAGE, e);
	a->owed = false;
	a->is_copy = true;
	a->finish = copy_finish;
	if (encode_in_segment(s, a, r)) {
		log_submit(s, a);
	} else {
		store_report(s,
		    "%s: its record is too large to be copied: it keeps the log long until the "
		    "message is done",
		    e->id);
		e->stays = true;
		copy_ended(s, e, 0);
		append_free(a);
	}
	read_free(s, r);
}

static void copy(struct store *s, struct entry *e)
{
	/* A STATUS on its way has no place yet that the copy could read. */
	if (e->copying || e->damaged || e->stays || e->pending > 0 ||
	    clock_now() < s->recycling.after)
		return;
	e->copying = true;
	s->recycling.copies++;
	read_begin(s, e, READ_RECORD, copy_read);
}

void recycle_fold(struct store *s, struct entry *e)
{
	if (e->status_count >= FOLD_AT && !s->closing)
		copy(s, e);
}

static void copy_forward(struct store *s, struct segment *seg)
{
	struct entry *e;

	TAILQ_FOREACH(e, &seg->live, in_segment) {
		if (s->recycling.copies >= COPIES_MAX)
			break;
		copy(s, e);
	}
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void tail_finish(struct store *s, struct append *a)
{
	size_t gone = 0;

	s->recycling.tail_pending = false;
	pthread_mutex_lock(&s->lock);
	if (a->error == 0) {
		s->oldest = a->oldest;
		for (; s->used[gone]->number < a->oldest; gone++) {
			struct segment *seg = s->used[gone];

			seg->directory.ready = false;
			if (seg->failed)
				segment_list_add(&s->broken, &s->broken_count, seg);
			else
				segment_list_add(&s->spare, &s->spare_count, seg);
		}
		s->used_count -= gone;
		memmove(s->used, s->used + gone, s->used_count * sizeof(*s->used));
	}
	pthread_mutex_unlock(&s->lock);
	append_free(a);
}

struct append *tail_record(struct store *s, uint64_t oldest)
{
	struct record_tail r = { oldest };
	struct append *a = append_new(RECORD_TAIL, NULL);

	append_encode(a, &record_tail_table, &r);
	a->owed = false;
	a->oldest = oldest;
	a->finish = tail_finish;
	s->recycling.tail_pending = true;
	return a;
}

static void write_tail(struct store *s, uint64_t oldest)
{
	struct append *a = tail_record(s, oldest);

	a->lazy = true;
	log_submit(s, a);
}

/* --- what is wanted --------------------------------------------------------------------------- */

struct usage {
	size_t used, spare;
	struct segment *oldest;
	uint64_t first_wanted; /* number of the first segment that is not empty of live mail */
};

/* Segments from drained_below on may hold records that the index does not know yet. */
static struct usage look(struct store *s)
{
	struct usage u;
	size_t i = 0;

	pthread_mutex_lock(&s->lock);
	u.used = s->used_count;
	u.spare = s->spare_count;
	u.oldest = s->used[0];
	while (i + 1 < s->used_count && s->used[i]->number < s->drained_below &&
	    TAILQ_EMPTY(&s->used[i]->live))
		i++;
	u.first_wanted = s->used[i]->number;
	pthread_mutex_unlock(&s->lock);
	return u;
}

static bool is_log_long(const struct store *s, const struct usage *u)
{
	size_t live = s->live_bytes / (s->segment_size - SEGMENT_DATA) + 1;

	/* With the reserve broken into, a little that can be won is worth the copying. */
	if (u->spare < s->reserve)
		return u->used > live + live / 4 + 1;
	return u->used > SEGMENTS_MIN && u->used > 2 * live;
}

/* --- spares ----------------------------------------------------------------------------------- */

struct refill_job {
	struct job job;
	struct segment *seg;
	int error;
};

static void refill_run(struct store *s, struct job *job)
{
	struct refill_job *r = (struct refill_job *)job;
	int64_t bytes = s->io->free_bytes(s->io->arg, s->options.directory);

	r->error = ENOSPC;
	if (bytes != -1 && (uint64_t)bytes < s->segment_size)
		return;
	r->seg = segment_create(s);
	r->error = r->seg == NULL ? errno : 0;
}

static void refill_finish(struct store *s, struct job *job)
{
	struct refill_job *r = (struct refill_job *)job;

	s->refilling = false;
	if (r->error != 0) {
		s->refill_after = deadline_after(CLOCK_SECOND);
	} else {
		pthread_mutex_lock(&s->lock);
		segment_list_add(&s->spare, &s->spare_count, r->seg);
		pthread_mutex_unlock(&s->lock);
	}
	free(r);
}

static void refill(struct store *s)
{
	struct refill_job *r;

	if (s->refilling || clock_now() < s->refill_after)
		return;
	r = mem_alloc(sizeof(*r));
	r->job.run = refill_run;
	r->job.finish = refill_finish;
	s->refilling = true;
	job_submit(s, &r->job);
}

void recycle(struct store *s)
{
	struct usage u;

	if (s->closing)
		return;
	u = look(s);
	/* One more than the reserve, so that the log thread never waits for zeros. */
	if (u.spare <= s->reserve)
		refill(s);
	if (s->recycling.tail_pending)
		return;
	if (u.first_wanted > u.oldest->number)
		write_tail(s, u.first_wanted);
	else if (u.oldest->number < s->drained_below && is_log_long(s, &u))
		copy_forward(s, u.oldest);
}
