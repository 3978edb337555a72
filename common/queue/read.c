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
static int read_frame(struct store *s, struct arena *arena, const struct read_part *part,
    enum record_type type, struct found_record *found)
{
	struct segment seg = { .key = part->key };
	struct frame f;
	char *data = arena_alloc(arena, part->place.len);

	if (io_pread_all(s, part->fd, data, part->place.len, part->place.offset) == -1)
		return EIO;
	if (!frame_header(&seg, part->place.offset, data, &f) || f.type != type ||
	    frame_size(f.len) != part->place.len || !frame_payload_ok(&seg, data, &f))
		return EBADMSG;
	*found = (struct found_record){ .type = type,
		.payload = slice_new(data + FRAME_HEADER, f.len) };
	return 0;
}

/* The same from its directory where that will do, else from the segment. */
static int read_part(struct store *s, struct read_job *r, const struct read_part *part,
    enum record_type type, struct directory_window *window, struct found_record *found)
{
	if (part->directory_fd == -1 ||
	    !directory_entry(s, window, part->directory_fd, &part->key, &part->place, found) ||
	    found->type != type)
		return read_frame(s, r->arena, part, type, found);
	found->payload = arena_copy(r->arena, found->payload);
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

/* Windows: of MESSAGE, and of STATUS, which lies elsewhere. */
static void read_message(struct store *s, struct read_job *r, struct directory_window windows[2])
{
	struct found_record found;
	char name[LARGE_NAME];

	r->error = read_part(s, r, &r->parts[0], RECORD_MESSAGE, &windows[0], &found);
	if (r->error == 0)
		r->error = apply_message(r, found.payload);
	r->is_damaged = r->error == EBADMSG;
	/* A damaged STATUS costs the texts that it held: the states are in the index. */
	for (size_t i = 1; r->error == 0 && i < r->count; i++)
		if (read_part(s, r, &r->parts[i], RECORD_STATUS, &windows[1], &found) == 0)
			apply_status(r, found.payload);
	if (r->error != 0 || r->wish != READ_ALL || r->record.put.large_size == 0)
		return;
	large_name(name, r->record.put.id);
	r->large_fd = s->io->open(s->io->arg, s->options.directory, name, O_RDONLY, 0);
	if (r->large_fd == -1)
		r->error = errno == ENOENT ? EBADMSG : errno;
}

static void read_run(struct store *s, struct job *job)
{
	struct directory_window windows[2] = { { .size = BLOCK, .fd = -1 },
		{ .size = BLOCK, .fd = -1 } };

	read_message(s, (struct read_job *)job, windows);
	buf_clear(&windows[0].bytes);
	buf_clear(&windows[1].bytes);
}

/* The record is still in memory: nothing to read. */
static bool read_from_memory(struct read_job *r)
{
	struct entry *e = r->entry;

	if (e->hot == NULL || e->status_count > 0 || (r->wish == READ_ALL && e->large))
		return false;
	r->error = apply_message(r, arena_copy(r->arena, buf_slice(&e->hot->payload)));
	return true;
}

static void add_part(struct store *s, struct read_job *r, struct place place)
{
	struct segment *seg = segment_find(s, place.segment);
	bool use = r->wish == READ_ENVELOPE && place.directory != 0 && seg->directory.ready;

	r->parts[r->count++] = (struct read_part){ place, seg->fd, use ? seg->directory.fd : -1,
		seg->key };
}

/* What is to be read, in parts; none when it was in memory. */
static struct read_job *read_new(struct store *s, struct entry *e, enum read_wish wish)
{
	struct read_job *r = mem_alloc(sizeof(*r));

	r->entry = e;
	entry_ref(e);
	r->version = e->version;
	r->wish = wish;
	r->large_fd = -1;
	r->arena = arena_new();
	r->parts = mem_alloc_array((size_t)e->status_count + 1, sizeof(*r->parts));
	if (read_from_memory(r))
		return r;
	add_part(s, r, e->message);
	for (uint32_t i = 0; i < e->status_count; i++)
		add_part(s, r, entry_statuses(e)[i]);
	return r;
}

struct read_job *read_begin(struct store *s, struct entry *e, enum read_wish wish,
    void (*finish)(struct store *, struct job *))
{
	struct read_job *r = read_new(s, e, wish);

	r->job.run = read_run;
	r->job.finish = finish;
	if (r->count == 0)
		job_answer(s, &r->job);
	else
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

void read_failed(struct store *s, const struct read_job *r)
{
	if (r->entry->gone || (r->error != EIO && !r->is_damaged))
		return;
	directory_distrust(s, segment_find(s, r->parts[0].place.segment));
	if (r->is_damaged)
		damage_give_up(s, r->entry);
}

/* --- store_read ------------------------------------------------------------------------------- */

static struct store_loaded *loaded_new(struct read_job *r)
{
	struct store_loaded *l = arena_alloc(r->arena, sizeof(*l));
	const struct record_message *m = &r->record;

	l->message = m->put;
	if (r->wish == READ_ENVELOPE)
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

static void load(struct store *, struct entry *, enum read_wish, store_read_done *, void *arg);

/* The result, or NULL and the error. */
static struct store_loaded *take_loaded(struct store *s, struct read_job *r, int *error)
{
	*error = r->entry->gone ? ENOENT : r->error;
	if (*error != 0) {
		read_failed(s, r);
		return NULL;
	}
	read_overlay(r);
	return loaded_new(r);
}

/* Its segment was freed while it was read: it lies elsewhere now. */
static bool has_moved(const struct read_job *r)
{
	return r->error == EBADMSG && !r->entry->gone && r->count > 0 &&
	    r->entry->message.segment != r->parts[0].place.segment;
}

static void load_finish(struct store *s, struct job *job)
{
	struct read_job *r = (struct read_job *)job;
	struct store_loaded *l;
	store_read_done *done = r->done;
	void *arg = r->arg;
	int error;

	if (has_moved(r)) {
		load(s, r->entry, r->wish, done, arg);
		read_free(s, r);
		return;
	}
	l = take_loaded(s, r, &error);
	read_free(s, r);
	done(arg, l, error);
}

static void load(struct store *s, struct entry *e, enum read_wish wish, store_read_done *done,
    void *arg)
{
	struct read_job *r = read_begin(s, e, wish, load_finish);

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
		load(s, e, with_content ? READ_ALL : READ_ENVELOPE, done, arg);
		return;
	}
	n = mem_alloc(sizeof(*n));
	n->job.run = nothing_run;
	n->job.finish = nothing_finish;
	n->done = done;
	n->arg = arg;
	job_submit(s, &n->job);
}

/* --- store_read_page -------------------------------------------------------------------------- */

enum { PAGE_WINDOW = 64 << 10 };

struct page_job {
	struct job job;
	struct read_job **reads; /* NULL: no such message */
	struct store_loaded **loaded;
	size_t count, open; /* open: those that are read again, and the page itself */
	store_page_done *done;
	void *arg;
};

static void page_run(struct store *s, struct job *job)
{
	struct page_job *p = (struct page_job *)job;
	struct directory_window windows[2] = { { .size = PAGE_WINDOW, .fd = -1 },
		{ .size = PAGE_WINDOW, .fd = -1 } };

	for (size_t i = 0; i < p->count; i++)
		if (p->reads[i] != NULL && p->reads[i]->count > 0)
			read_message(s, p->reads[i], windows);
	buf_clear(&windows[0].bytes);
	buf_clear(&windows[1].bytes);
}

static void page_part_done(struct page_job *p)
{
	if (--p->open > 0)
		return;
	p->done(p->arg, p->loaded, p->count);
	free(p->loaded);
	free(p->reads);
	free(p);
}

/* One of the page, read again. */
struct page_item {
	struct page_job *page;
	size_t index;
};

static void item_done(void *arg, struct store_loaded *l, int error)
{
	struct page_item item = *(struct page_item *)arg;

	(void)error;
	free(arg);
	item.page->loaded[item.index] = l;
	page_part_done(item.page);
}

static void page_finish(struct store *s, struct job *job)
{
	struct page_job *p = (struct page_job *)job;
	int error;

	for (size_t i = 0; i < p->count; i++) {
		struct read_job *r = p->reads[i];

		if (r == NULL)
			continue;
		if (has_moved(r)) {
			struct page_item *item = mem_alloc(sizeof(*item));

			*item = (struct page_item){ p, i };
			p->open++;
			load(s, r->entry, READ_ENVELOPE, item_done, item);
		} else {
			p->loaded[i] = take_loaded(s, r, &error);
		}
		read_free(s, r);
	}
	page_part_done(p);
}

void store_read_page(struct store *s, const struct slice *ids, size_t count, store_page_done *done,
    void *arg)
{
	struct page_job *p = mem_alloc(sizeof(*p));

	p->job.run = page_run;
	p->job.finish = page_finish;
	p->reads = mem_alloc_array(count + 1, sizeof(struct read_job *));
	p->loaded = mem_alloc_array(count + 1, sizeof(struct store_loaded *));
	p->count = count;
	p->open = 1;
	p->done = done;
	p->arg = arg;
	for (size_t i = 0; i < count; i++) {
		struct entry *e = entry_living(s, ids[i]);

		p->reads[i] = e == NULL ? NULL : read_new(s, e, READ_ENVELOPE);
	}
	job_submit(s, &p->job);
}

void store_loaded_free(struct store_loaded *l)
{
	if (l == NULL)
		return;
	if (l->large_fd != -1)
		close(l->large_fd);
	arena_free(l->arena);
}
