/* SPDX-License-Identifier: ISC */
/*
 * log.c - records become durable: batches, flushes, the change of segments, and what happens when a
 * write or a flush fails.
 *
 * A flush that failed may have lost anything since the last good one, and asking again proves nothing
 * (the kernel marks the pages clean). So that segment is never written again: the next one says in
 * its header where the valid part of this one ends, and the batch is repeated there from memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { BATCH_LIMIT = 4 << 20, BEGIN_TRIES = 3 };

struct append *append_new(enum record_type type, struct entry *e)
{
	struct append *a = mem_alloc(sizeof(*a));

	a->type = type;
	a->urgent = a->owed = true;
	a->entry = e;
	if (e != NULL)
		entry_ref(e);
	return a;
}

void append_free(struct append *a)
{
	if (a == NULL)
		return;
	entry_unref(a->entry);
	buf_clear(&a->payload);
	free(a);
}

bool append_encode(struct append *a, const struct wire_table *table, const void *record)
{
	const char *why;

	return wire_encode(table, record, &a->payload, &why);
}

/* The thread sleeps until there is something, and on until somebody waits for it. */
static void hand_in(struct store *s, struct append_list *list, size_t count, bool hurry)
{
	bool news;

	pthread_mutex_lock(&s->lock);
	news = STAILQ_EMPTY(&s->submitted) || (hurry && !s->hurry);
	STAILQ_CONCAT(&s->submitted, list);
	s->appends_open += count;
	s->hurry |= hurry;
	if (news)
		pthread_cond_signal(&s->log_wanted);
	pthread_mutex_unlock(&s->lock);
	if (s->options.no_threads)
		work_wake(s);
}

void log_submit(struct store *s, struct append *a)
{
	struct append_list one = STAILQ_HEAD_INITIALIZER(one);

	if (s->gathering) {
		STAILQ_INSERT_TAIL(&s->gathered, a, link);
		s->gathered_count++;
		s->gathered_hurry |= !a->lazy;
		return;
	}
	STAILQ_INSERT_TAIL(&one, a, link);
	hand_in(s, &one, 1, !a->lazy);
}

void log_gather(struct store *s)
{
	s->gathering = true;
}

void log_submit_gathered(struct store *s)
{
	s->gathering = false;
	if (s->gathered_count > 0)
		hand_in(s, &s->gathered, s->gathered_count, s->gathered_hurry);
	s->gathered_count = 0;
	s->gathered_hurry = false;
}

static void answered(struct store *s, struct append *a, int error)
{
	a->error = error;
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->finished, a, link);
	pthread_mutex_unlock(&s->lock);
}

void log_answer(struct store *s, store_done *done, void *arg, int error)
{
	struct append *a = append_new(0, NULL);

	a->done = done;
	a->arg = arg;
	pthread_mutex_lock(&s->lock);
	s->appends_open++;
	pthread_mutex_unlock(&s->lock);
	answered(s, a, error);
	work_wake(s);
}

/* A record that can't be written now. What memory holds already stays owed; its caller hears. */
static void give_up(struct store *s, struct append *a, int error)
{
	struct append *notice;

	if (!a->owed) {
		answered(s, a, error);
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->owed_count++;
	pthread_mutex_unlock(&s->lock);
	if (a->done != NULL) {
		notice = append_new(0, NULL);
		notice->done = a->done;
		notice->arg = a->arg;
		a->done = NULL;
		pthread_mutex_lock(&s->lock);
		s->appends_open++;
		pthread_mutex_unlock(&s->lock);
		answered(s, notice, error);
	}
	STAILQ_INSERT_TAIL(&s->owed, a, link);
}

/* --- which segment ---------------------------------------------------------------------------- */

/* Whether the disk could still hold `segments` more and what new mail must leave free. */
static bool disk_has(struct store *s, size_t segments, uint64_t besides)
{
	int64_t bytes = s->io->free_bytes(s->io->arg, s->options.directory);

	return bytes == -1 || (uint64_t)bytes >= segments * s->segment_size + besides;
}

static bool room_for_mail(struct store *s)
{
	size_t spare;

	pthread_mutex_lock(&s->lock);
	spare = s->spare_count;
	pthread_mutex_unlock(&s->lock);
	return spare >= s->reserve || disk_has(s, s->reserve - spare, s->options.minfree);
}

/* The last spare is for outcomes, and for going on after a crash amid the copying. */
static bool room_for_copies(struct store *s)
{
	size_t spare;

	pthread_mutex_lock(&s->lock);
	spare = s->spare_count;
	pthread_mutex_unlock(&s->lock);
	return spare > 1 || disk_has(s, 2, 0);
}

static struct segment *take_spare(struct store *s, size_t leave)
{
	struct segment *seg = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->spare_count > leave)
		seg = s->spare[--s->spare_count];
	pthread_mutex_unlock(&s->lock);
	return seg;
}

static struct segment *obtain(struct store *s, bool urgent)
{
	struct segment *seg = take_spare(s, urgent ? 0 : s->reserve);

	/* While the disk can make good what is taken, the reserve is only spare segments. */
	if (seg == NULL && !urgent && disk_has(s, s->reserve + 1, s->options.minfree))
		seg = take_spare(s, 0);
	if (seg != NULL)
		return seg;
	if (disk_has(s, 1, urgent ? 0 : s->options.minfree))
		return segment_create(s);
	errno = ENOSPC;
	return NULL;
}

/* What comes behind its end does not count from here on; one without records is passed over. */
static void leave_segment(struct store *s)
{
	struct segment *seg = s->current;

	if (seg != NULL && seg->end > SEGMENT_DATA)
		s->previous = (struct segment_end){ seg->number, seg->end };
	if (seg != NULL)
		directory_write(s, seg);
	s->current = NULL;
}

int log_next_segment(struct store *s, bool urgent)
{
	for (int i = 0; i < BEGIN_TRIES; i++) {
		struct segment *seg = obtain(s, urgent);
		uint64_t oldest;

		if (seg == NULL)
			return errno;
		leave_segment(s);
		pthread_mutex_lock(&s->lock);
		oldest = s->oldest;
		pthread_mutex_unlock(&s->lock);
		if (segment_begin(s, seg, s->next_number++, oldest, s->previous) == 0) {
			pthread_mutex_lock(&s->lock);
			segment_list_add(&s->used, &s->used_count, seg);
			pthread_mutex_unlock(&s->lock);
			s->current = seg;
			return 0;
		}
		store_report(s, "%s: the header can't be written: %s", seg->name, strerror(errno));
		pthread_mutex_lock(&s->lock);
		segment_list_add(&s->broken, &s->broken_count, seg);
		pthread_mutex_unlock(&s->lock);
	}
	return EIO;
}

/* --- batches ---------------------------------------------------------------------------------- */

static int write_batch(struct store *s, struct append_list *batch)
{
	struct segment *seg = s->current;
	struct append *a;
	size_t padding;

	buf_reset(&s->out);
	STAILQ_FOREACH(a, batch, link) {
		struct frame f = {
			.len = (uint32_t)a->payload.len,
			.type = (uint16_t)a->type,
			.last = STAILQ_NEXT(a, link) == NULL,
			.batch = seg->batch,
		};
		uint64_t offset = seg->end + s->out.len;

		frame_put(seg, offset, &f, a->payload.data, &s->out);
		a->place = (struct place){ .segment = seg->number,
			.offset = (uint32_t)offset,
			.len = (uint32_t)frame_size(f.len) };
		directory_collect(s, seg, a->type, &a->place, buf_slice(&a->payload));
	}
	padding = -s->out.len & (BLOCK - 1);
	memset(buf_reserve(&s->out, padding), 0, padding);
	s->out.len += padding;
	if (io_pwrite_all(s, seg->fd, s->out.data, s->out.len, seg->end) == -1 ||
	    s->io->fdatasync(s->io->arg, seg->fd) == -1)
		return -1;
	seg->end += s->out.len;
	seg->batch++;
	return 0;
}

int log_go_on(struct store *s, struct segment *seg)
{
	struct append_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct record_cut cut = { seg->end };
	struct append *a = append_new(RECORD_CUT, NULL);
	int rc;

	append_encode(a, &record_cut_table, &cut);
	STAILQ_INSERT_TAIL(&batch, a, link);
	seg->end = (seg->end + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
	s->current = seg;
	rc = write_batch(s, &batch);
	append_free(a);
	if (rc == 0)
		return 0;
	store_report(s, "%s: write or flush failed at %llu: %s", seg->name,
	    (unsigned long long)seg->end, strerror(errno));
	seg->end = cut.from;
	seg->failed = true;
	leave_segment(s);
	return log_next_segment(s, true);
}

/* Writes and flushes the batch; once more in a fresh segment when that fails. */
static void commit(struct store *s, struct append_list *batch)
{
	struct append *a;
	int error = 0;

	if (STAILQ_EMPTY(batch))
		return;
	for (int tries = 0; tries < 2; tries++) {
		if (s->current == NULL)
			error = log_next_segment(s, true);
		if (s->current == NULL)
			break;
		error = write_batch(s, batch) == -1 ? errno : 0;
		if (error == 0)
			break;
		store_report(s, "%s: write or flush failed at %llu: %s", s->current->name,
		    (unsigned long long)s->current->end, strerror(error));
		s->current->failed = true;
		leave_segment(s);
	}
	pthread_mutex_lock(&s->lock);
	s->batches++;
	s->flushes += error == 0;
	pthread_mutex_unlock(&s->lock);
	while ((a = STAILQ_FIRST(batch)) != NULL) {
		STAILQ_REMOVE_HEAD(batch, link);
		if (error == 0)
			answered(s, a, 0);
		else
			give_up(s, a, error);
	}
	work_wake(s);
}

static uint64_t room(struct store *s)
{
	return s->current == NULL ? 0 : s->segment_size - s->current->end;
}

void log_work(struct store *s, struct append_list *work)
{
	struct append_list batch = STAILQ_HEAD_INITIALIZER(batch),
			   todo = STAILQ_HEAD_INITIALIZER(todo);
	struct append *a;
	uint64_t bytes = 0;

	STAILQ_CONCAT(&todo, &s->owed);
	STAILQ_CONCAT(&todo, work);
	pthread_mutex_lock(&s->lock);
	s->owed_count = 0;
	pthread_mutex_unlock(&s->lock);
	while ((a = STAILQ_FIRST(&todo)) != NULL) {
		uint64_t need = frame_size(a->payload.len);
		int error = 0;

		if (bytes > 0 && (bytes + need > room(s) || bytes + need > BATCH_LIMIT)) {
			commit(s, &batch);
			bytes = 0;
		}
		STAILQ_REMOVE_HEAD(&todo, link);
		if (!STAILQ_EMPTY(&s->owed))
			error = EIO; /* What comes later must not overtake it. */
		else if (!record_fits(s, a->payload.len))
			error = EMSGSIZE;
		else if (!a->urgent && !room_for_mail(s))
			error = ENOSPC;
		else if (need > room(s) && a->is_copy && !room_for_copies(s))
			error = ENOSPC;
		else if (need > room(s))
			error = log_next_segment(s, a->urgent);
		if (error != 0) {
			give_up(s, a, error);
			continue;
		}
		STAILQ_INSERT_TAIL(&batch, a, link);
		bytes += need;
	}
	commit(s, &batch);
	work_wake(s);
}
