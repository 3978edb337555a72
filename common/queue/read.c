/* SPDX-License-Identifier: ISC */
/*
 * read.c - a message read back: its MESSAGE record, the STATUS records behind it, and over both the
 * state in the index, which is newer than any of them.
 *
 * A segment may be freed and used again while an I/O thread reads in it. The key of the record tells:
 * it does not fit any more, the message has a new place by then, and the read starts again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

/* The payload of the record, in the arena; its error otherwise. */
static int read_payload(struct store *s, struct arena *arena, const struct read_part *part,
    enum record_type type, struct slice *payload)
{
	struct segment seg = { .key = part->key };
	struct frame f;
	char *data = arena_alloc(arena, part->place.len);

	if (io_pread_all(s, part->fd, data, part->place.len, part->place.offset) == -1)
		return EIO;
	if (!frame_header(&seg, part->place.offset, data, &f) || f.type != type ||
	    frame_size(f.len) != part->place.len || !frame_payload_ok(&seg, data, &f))
		return EBADMSG;
	*payload = slice_new(data + FRAME_HEADER, f.len);
	return 0;
}

static void make_lists(struct read_job *r)
{
	struct record_message *m = &r->record;
	size_t count = m->put.address.count;

	if (m->dsn.count == 0)
		m->dsn.items = arena_alloc(r->arena, count * sizeof(struct slice));
	if (m->reason.count == 0)
		m->reason.items = arena_alloc(r->arena, count * sizeof(struct slice));
	if (m->state.count == 0)
		m->state.items = arena_alloc(r->arena, count * sizeof(uint64_t));
	m->dsn.count = m->reason.count = m->state.count = count;
}

static int apply_message(struct read_job *r, struct slice payload)
{
	const char *why;

	if (!wire_decode(&record_message_table, payload, &r->record, r->arena, &why) ||
	    !record_message_is_sound(&r->record))
		return EBADMSG;
	make_lists(r);
	return 0;
}

static int apply_status(struct read_job *r, struct slice payload)
{
	struct record_status status = { 0 };
	const char *why;

	if (!wire_decode(&record_status_table, payload, &status, r->arena, &why) ||
	    status.dsn.count != status.index.count || status.reason.count != status.index.count)
		return EBADMSG;
	for (size_t i = 0; i < status.index.count; i++) {
		uint64_t rcpt = status.index.items[i];

		if (rcpt >= r->record.dsn.count)
			return EBADMSG;
		r->record.dsn.items[rcpt] = status.dsn.items[i];
		r->record.reason.items[rcpt] = status.reason.items[i];
	}
	return 0;
}

static void read_run(struct store *s, struct job *job)
{
	struct read_job *r = (struct read_job *)job;
	char name[LARGE_NAME];
	struct slice payload;

	r->error = read_payload(s, r->arena, &r->parts[0], RECORD_MESSAGE, &payload);
	if (r->error == 0)
		r->error = apply_message(r, payload);
	/* A damaged STATUS costs the texts that it held: the states are in the index. */
	for (size_t i = 1; r->error == 0 && i < r->count; i++)
		if (read_payload(s, r->arena, &r->parts[i], RECORD_STATUS, &payload) == 0)
			apply_status(r, payload);
	if (r->error != 0 || !r->want_large || r->record.put.large_size == 0)
		return;
	large_name(name, r->record.put.id);
	r->large_fd = s->io->open(s->io->arg, s->options.directory, name, O_RDONLY, 0);
	if (r->large_fd == -1)
		r->error = errno == ENOENT ? EBADMSG : errno;
}

/* The record is still in memory: nothing to wait for. */
static bool read_from_memory(struct store *s, struct read_job *r)
{
	struct entry *e = r->entry;

	if (e->hot == NULL || e->status_count > 0 || (r->want_large && e->large))
		return false;
	r->error = apply_message(r, arena_copy(r->arena, buf_slice(&e->hot->payload)));
	pthread_mutex_lock(&s->lock);
	s->jobs_open++;
	STAILQ_INSERT_TAIL(&s->jobs_finished, &r->job, link);
	pthread_mutex_unlock(&s->lock);
	work_wake(s);
	return true;
}

static void add_part(struct store *s, struct read_job *r, struct place place)
{
	struct segment *seg = segment_find(s, place.segment);

	r->parts[r->count++] = (struct read_part){ place, seg->fd, seg->key };
}

struct read_job *read_begin(struct store *s, struct entry *e, bool want_large,
    void (*finish)(struct store *, struct job *))
{
	struct read_job *r = mem_alloc(sizeof(*r));

	r->job.run = read_run;
	r->job.finish = finish;
	r->entry = e;
	entry_ref(e);
	r->version = e->version;
	r->want_large = want_large;
	r->large_fd = -1;
	r->arena = arena_new();
	r->parts = mem_alloc_array((size_t)e->status_count + 1, sizeof(*r->parts));
	if (read_from_memory(s, r))
		return r;
	add_part(s, r, e->message);
	for (uint32_t i = 0; i < e->status_count; i++)
		add_part(s, r, entry_statuses(e)[i]);
	job_submit(s, &r->job);
	return r;
}

void read_free(struct store *s, struct read_job *r)
{
	if (r->large_fd != -1)
		s->io->close(s->io->arg, r->large_fd);
	entry_unref(r->entry);
	arena_free(r->arena);
	free(r->parts);
	free(r);
}

void read_overlay(struct read_job *r)
{
	const struct entry *e = r->entry;
	struct record_message *m = &r->record;

	for (size_t i = 0; i < m->state.count; i++)
		m->state.items[i] = entry_state(e, i);
	m->due_us = e->due_us;
	m->attempts = e->attempts;
	m->deaths = e->deaths;
	m->open_attempts = e->open_attempts;
	m->held = e->held;
	m->marks = e->marks;
}

/* --- store_read ------------------------------------------------------------------------------- */

static struct store_loaded *loaded_new(struct read_job *r)
{
	struct store_loaded *l = arena_alloc(r->arena, sizeof(*l));
	const struct record_message *m = &r->record;

	l->message = m->put;
	if (!r->with_content)
		l->message.content = slice_new(NULL, 0);
	l->state = arena_alloc(r->arena, m->state.count * sizeof(*l->state));
	for (size_t i = 0; i < m->state.count; i++)
		l->state[i] = (enum rcpt_state)m->state.items[i];
	l->dsn = m->dsn.items;
	l->reason = m->reason.items;
	l->due_us = m->due_us;
	l->attempts = (uint32_t)m->attempts;
	l->deaths = (uint32_t)m->deaths;
	l->held = m->held != 0;
	l->marks = m->marks;
	l->in_doubt = r->entry->in_doubt;
	l->large_fd = r->large_fd;
	l->arena = r->arena;
	r->arena = NULL;
	r->large_fd = -1;
	return l;
}

static void load(struct store *, struct entry *, bool with_content, store_read_done *, void *arg);

static void load_finish(struct store *s, struct job *job)
{
	struct read_job *r = (struct read_job *)job;
	struct entry *e = r->entry;
	struct store_loaded *l = NULL;
	store_read_done *done = r->done;
	void *arg = r->arg;
	int error = r->error;

	if (e->gone)
		error = ENOENT;
	if (error == EBADMSG && r->count > 0 && e->message.segment != r->parts[0].place.segment) {
		load(s, e, r->with_content, done, arg);
		read_free(s, r);
		return;
	}
	if (error == 0) {
		read_overlay(r);
		l = loaded_new(r);
	}
	read_free(s, r);
	done(arg, l, error);
}

static void load(struct store *s, struct entry *e, bool with_content, store_read_done *done,
    void *arg)
{
	struct read_job *r = read_begin(s, e, with_content, load_finish);

	r->with_content = with_content;
	r->done = done;
	r->arg = arg;
}

/* No such message: told from store_poll like everything else. */
struct nothing {
	struct job job;
	store_read_done *done;
	void *arg;
};

static void nothing_run(struct store *s, struct job *job)
{
	(void)s;
	(void)job;
}

static void nothing_finish(struct store *s, struct job *job)
{
	struct nothing n = *(struct nothing *)job;

	(void)s;
	free(job);
	n.done(n.arg, NULL, ENOENT);
}

void store_read(struct store *s, struct slice id, bool with_content, store_read_done *done,
    void *arg)
{
	struct entry *e = entry_living(s, id);
	struct nothing *n;

	if (e != NULL) {
		load(s, e, with_content, done, arg);
		return;
	}
	n = mem_alloc(sizeof(*n));
	n->job.run = nothing_run;
	n->job.finish = nothing_finish;
	n->done = done;
	n->arg = arg;
	job_submit(s, &n->job);
}

void store_loaded_free(struct store_loaded *l)
{
	if (l == NULL)
		return;
	if (l->large_fd != -1)
		close(l->large_fd);
	arena_free(l->arena);
}
