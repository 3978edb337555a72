/* SPDX-License-Identifier: ISC */
/*
 * scan.c - the records of one segment, as opening finds them; damage told apart from a torn tail.
 *
 * A batch is written only after the flush before it returned. So bytes that are no record, with a
 * record of a later batch behind them, were once flushed and are damage: set aside, and the scan goes
 * on behind them. Without one they are the tail that a crash tore: nobody was promised anything, and
 * the segment ends before them. In a segment whose end its successor tells, all before it is promised.
 *
 * When new work goes on in a segment whose tail was torn, a CUT record says so. Whole records of the torn
 * batch may still lie about; their batch number is lower than that of what was written later.
 *
 * Only a window of the segment is in memory: a pointer into it holds until the next call of bytes().
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { WINDOWS = 64, DESCRIPTION = 128 };

struct scan {
	struct store *store;
	struct segment *seg;
	uint64_t size; /* how far it is looked at */
	bool sealed;   /* size is its end as promised */
	uint64_t at;
	uint32_t batch; /* that the next record belongs to */

	char *window;
	uint64_t window_size;	/* as allocated */
	uint64_t start, loaded; /* what of the segment is in it */
	bool *unreadable;	/* blocks: once zeros, always zeros */
};

/* --- the window ------------------------------------------------------------------------------- */

/* 1 MiB of the usual segment; more only while a record needs it. */
static void fit_window(struct scan *c, uint64_t needed)
{
	uint64_t size = (c->store->segment_size / WINDOWS + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);

	if (size < needed)
		size = needed;
	if (size == c->window_size)
		return;
	free(c->window);
	c->window = mem_alloc(size);
	c->window_size = size;
}

static void load_block(struct scan *c, uint64_t at, char *data, uint64_t len)
{
	struct store *s = c->store;

	if (!c->unreadable[at / BLOCK]) {
		if (io_pread_all(s, c->seg->fd, data, len, at) == 0)
			return;
		store_report(s, "%s: can't read at %" PRIu64 ": %s", c->seg->name, at,
		    strerror(errno));
		c->unreadable[at / BLOCK] = true;
	}
	memset(data, 0, len);
}

static bool has_unreadable(const struct scan *c)
{
	return memchr(c->unreadable + c->start / BLOCK, true, (c->loaded + BLOCK - 1) / BLOCK) !=
	    NULL;
}

/* Reads what can be read; a block that can't is zeros, and so is found to be damaged. */
static void load(struct scan *c, uint64_t at, uint64_t len)
{
	uint64_t end;

	c->start = at & ~(uint64_t)(BLOCK - 1);
	fit_window(c, at + len - c->start);
	end = c->size - c->start < c->window_size ? c->size : c->start + c->window_size;
	c->loaded = end - c->start;
	if (!has_unreadable(c) &&
	    io_pread_all(c->store, c->seg->fd, c->window, c->loaded, c->start) == 0)
		return;
	for (at = c->start; at < end; at += BLOCK)
		load_block(c, at, c->window + (at - c->start), end - at < BLOCK ? end - at : BLOCK);
}

/* These bytes of the segment, which lie before size. */
static const char *bytes(struct scan *c, uint64_t at, uint64_t len)
{
	if (at < c->start || at + len > c->start + c->loaded)
		load(c, at, len);
	return c->window + (at - c->start);
}

/* --- frames ----------------------------------------------------------------------------------- */

/* A frame whose header is valid, that was not cut, and whose payload lies inside. */
static bool frame_at(struct scan *c, uint64_t at, struct frame *f)
{
	return at + FRAME_HEADER <= c->size &&
	    frame_header(c->seg, at, bytes(c, at, FRAME_HEADER), f) && f->batch >= c->batch &&
	    frame_size(f->len) <= c->size - at;
}

/* Its payload; false when it is damaged. */
static bool payload_at(struct scan *c, uint64_t at, const struct frame *f, struct slice *payload)
{
	const char *frame = bytes(c, at, frame_size(f->len));

	*payload = slice_new(frame + FRAME_HEADER, f->len);
	return frame_payload_ok(c->seg, frame, f);
}

/* The next frame at or behind `at`; its place, or size. */
static uint64_t next_frame(struct scan *c, uint64_t at, struct frame *f)
{
	for (; at + FRAME_HEADER <= c->size; at += FRAME_ALIGN)
		if (frame_at(c, at, f))
			return at;
	return c->size;
}

/* A CUT promises nothing, and what it has behind it comes in later batches than its own: one that a
 * crash tore says nothing about what lies before it. */
static bool is_torn_cut(struct scan *c, uint64_t at, const struct frame *f)
{
	struct slice payload;

	return f->type == RECORD_CUT && !payload_at(c, at, f, &payload);
}

/* Steps over no frame: one that was cut may reach into what was written later. */
static bool is_later_batch_behind(struct scan *c, uint64_t at)
{
	struct frame f;

	for (; (at = next_frame(c, at, &f)) < c->size; at += FRAME_ALIGN)
		if (f.batch > c->batch && !is_torn_cut(c, at, &f))
			return true;
	return false;
}

static bool is_cut_from(struct scan *c, uint64_t at, const struct frame *f, uint64_t from)
{
	struct record_cut cut = { 0 };
	struct slice payload;
	struct arena *arena;
	const char *why;
	bool is;

	if (f->type != RECORD_CUT || !payload_at(c, at, f, &payload))
		return false;
	arena = arena_new();
	is = wire_decode(&record_cut_table, payload, &cut, arena, &why) && cut.from == from;
	arena_free(arena);
	return is;
}

/* Goes on behind the tail that an opening cut here; false when none did. */
static bool pass_cut(struct scan *c)
{
	struct frame f;
	uint64_t at = c->at;

	for (; (at = next_frame(c, at, &f)) < c->size; at += FRAME_ALIGN)
		if (is_cut_from(c, at, &f, c->at)) {
			c->at = at;
			return true;
		}
	return false;
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Copies the bytes block by block; one that can't be read is zeros. 0 or errno. */
static int copy_bytes(struct store *s, int from, uint64_t offset, int to, uint64_t len)
{
	char *block = mem_alloc(BLOCK);
	int error = 0;

	for (uint64_t done = 0; done < len; done += BLOCK) {
		size_t part = len - done < BLOCK ? len - done : BLOCK;

		if (io_pread_all(s, from, block, part, offset + done) == -1) {
			error = errno;
			memset(block, 0, part);
		}
		if (io_pwrite_all(s, to, block, part, done) == -1)
			error = errno;
	}
	free(block);
	return s->io->fdatasync(s->io->arg, to) == -1 ? errno : error;
}

/* Whole, or not there: what a crash left of such a file is written anew. 0 or errno. */
static int save_bytes(struct store *s, int from, uint64_t offset, const char *name, uint64_t len)
{
	int fd = s->io->open(s->io->arg, s->options.directory, name, O_WRONLY | O_CREAT, 0600);
	int error;

	if (fd == -1)
		return errno;
	error = copy_bytes(s, from, offset, fd, len);
	s->io->close(s->io->arg, fd);
	if (error == 0 && s->io->sync_directory(s->io->arg, s->log_dir) == -1)
		error = errno;
	return error;
}

void scan_set_aside(struct store *s, const struct segment *seg, uint64_t offset, uint64_t len,
    const char *why)
{
	char name[64];
	int error;

	snprintf(name, sizeof(name), "log/damaged-%" PRIu64 "-%" PRIu64, seg->number, offset);
	error = save_bytes(s, seg->fd, offset, name, len);
	pthread_mutex_lock(&s->lock);
	s->set_aside++;
	pthread_mutex_unlock(&s->lock);
	store_report(s, "%s: %s: %" PRIu64 " bytes at %" PRIu64 " set aside as %s%s%s", seg->name,
	    why, len, offset, name,
	    error == 0 ? "" : ", but not whole: ", error == 0 ? "" : strerror(error));
}

/* What kind of damage it is: with the message's id when that can still be read. */
static void describe_damage(struct scan *c, const struct frame *f, char why[DESCRIPTION])
{
	struct record_message m = { 0 };
	struct slice payload;
	struct arena *arena = arena_new();
	char name[LARGE_NAME];
	const char *ignored;

	snprintf(why, DESCRIPTION, "damaged records");
	payload_at(c, c->at, f, &payload);
	if (f->type == RECORD_MESSAGE &&
	    wire_decode(&record_message_table, payload, &m, arena, &ignored) &&
	    large_name(name, m.put.id))
		snprintf(why, DESCRIPTION, "damaged record of message %.*s", (int)m.put.id.len,
		    m.put.id.data);
	arena_free(arena);
}

/* Nothing valid at c->at, where a record of c->batch should be. True: go on at c->at. */
static bool pass_damage(struct scan *c)
{
	char why[DESCRIPTION] = "damaged records";
	struct frame f;
	uint64_t next, from = c->at;

	if (pass_cut(c))
		return true;
	if (!c->sealed && !is_later_batch_behind(c, c->at))
		return false;
	/* A whole header with a bad payload says where the next record starts. */
	next = from + FRAME_ALIGN;
	if (frame_at(c, from, &f)) {
		next = from + frame_size(f.len);
		describe_damage(c, &f, why);
	}
	next = next_frame(c, next, &f);
	scan_set_aside(c->store, c->seg, from, next - from, why);
	c->at = next;
	return next < c->size;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The record at c->at. */
static void see(struct scan *c, const struct frame *f, struct slice payload, scan_seen *seen,
    void *arg)
{
	struct found_record found = {
		.type = (enum record_type)f->type,
		.place = { .segment = c->seg->number,
		    .offset = (uint32_t)c->at,
		    .len = (uint32_t)frame_size(f->len) },
		.payload = payload,
	};

	directory_collect(c->store, c->seg, found.type, &found.place, payload);
	seen(arg, c->seg, &found);
}

static void scan_records(struct scan *c, scan_seen *seen, void *arg)
{
	struct frame f;

	while (c->at < c->size) {
		uint64_t at = c->at, len;
		struct slice payload;

		if (!frame_at(c, at, &f) || !payload_at(c, at, &f, &payload)) {
			if (!pass_damage(c))
				break;
			continue;
		}
		len = frame_size(f.len);
		see(c, &f, payload, seen, arg);
		c->at = at + len;
		c->batch = f.batch;
		if (f.last) {
			c->at = (c->at + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
			c->batch++;
		}
	}
}

void scan_segment(struct store *s, struct segment *seg, uint64_t limit, scan_seen *seen, void *arg)
{
	struct scan c = {
		.store = s,
		.seg = seg,
		.sealed = limit != 0,
		.size = limit != 0 && limit < s->segment_size ? limit : s->segment_size,
		.at = SEGMENT_DATA,
		.batch = 1,
	};
	uint64_t set_aside = s->set_aside;

	c.unreadable = mem_alloc_array(c.size / BLOCK + 1, sizeof(*c.unreadable));
	directory_start(s, seg);
	scan_records(&c, seen, arg);
	/* What is damaged is told at each opening, so that nobody misses it. */
	if (s->set_aside > set_aside)
		directory_drop(seg);
	seg->end = c.at;
	seg->batch = c.batch + 1;
	free(c.window);
	free(c.unreadable);
}
