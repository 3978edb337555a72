/* SPDX-License-Identifier: ISC */
/*
 * recover.c - opening: from segments on a disk to the index, whatever happened before.
 *
 * Nothing read here is believed before the segment was flushed and its cache dropped: after a kill or
 * a failed flush the cache shows what the disk may not have. Segments are replayed in the order of
 * their numbers; the newest MESSAGE of an id replaces what was known of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

struct recovery {
	struct store *store;
	struct arena *arena;	   /* of one record */
	uint64_t oldest;	   /* as far as it is known */
	struct segment **headless; /* files without a valid header */
	size_t headless_count;
	char *why; /* the log can't be opened */
};

/* --- finding the segments --------------------------------------------------------------------- */

static bool segment_file_number(const char *name, uint32_t *number)
{
	char *end;

	if (strlen(name) != 8 || strspn(name, "0123456789abcdef") != 8)
		return false;
	*number = (uint32_t)strtoul(name, &end, 16);
	return true;
}

static void refuse(struct recovery *rec, const char *name, const char *why)
{
	if (rec->why == NULL)
		rec->why = mem_printf("the queue's log can't be opened: %s: %s", name, why);
}

/* Flushes the file and forgets what is cached of it. NULL when it can't be opened. */
static struct segment *open_segment(struct recovery *rec, const char *name)
{
	struct store *s = rec->store;
	struct segment *seg = mem_alloc(sizeof(*seg));

	TAILQ_INIT(&seg->live);
	seg->directory.fd = -1;
	snprintf(seg->name, sizeof(seg->name), "log/%s", name);
	seg->fd = s->io->open(s->io->arg, s->options.directory, seg->name, O_RDWR, 0);
	if (seg->fd == -1) {
		if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
			store_report(s, "%s: no file: passed over", seg->name);
		else
			refuse(rec, seg->name, strerror(errno));
		free(seg);
		return NULL;
	}
	seg->failed = s->io->fdatasync(s->io->arg, seg->fd) == -1;
	if (seg->failed)
		store_report(s, "%s: flush failed at opening: %s", seg->name, strerror(errno));
	s->io->drop_cache(s->io->arg, seg->fd);
	directory_open(s, seg);
	return seg;
}

/* What is gone is zeros from here on: damage where something was promised, else an end. */
static void mend_length(struct store *s, struct segment *seg)
{
	off_t size = s->io->size(s->io->arg, seg->fd);

	if (size >= 0 && (uint64_t)size >= s->segment_size)
		return;
	directory_close(s, seg);
	store_report(s, "%s: cut short: %lld of %" PRIu64 " bytes are there", seg->name,
	    (long long)size, s->segment_size);
	s->set_aside++;
	if (s->io->truncate(s->io->arg, seg->fd, (off_t)s->segment_size) == -1)
		store_report(s, "%s: can't be made longer: %s", seg->name, strerror(errno));
}

static void visit_file(void *arg, const char *name)
{
	struct recovery *rec = arg;
	struct store *s = rec->store;
	struct segment *seg;
	uint64_t version;
	uint32_t number;
	char why[80];

	if (!segment_file_number(name, &number))
		return;
	if (number >= s->next_name)
		s->next_name = number + 1;
	seg = open_segment(rec, name);
	if (seg == NULL)
		return;
	version = segment_version(s, seg);
	if (segment_read_header(s, seg)) {
		segment_list_add(&s->used, &s->used_count, seg);
		if (seg->size == s->segment_size)
			mend_length(s, seg);
		else
			refuse(rec, seg->name, "a segment of another size");
		return;
	}
	if (version != 0 && version != SEGMENT_VERSION) {
		/* Not ours to write over: whoever goes back to a newer program finds it. */
		snprintf(why, sizeof(why), "format version %" PRIu64 ", this program knows %d",
		    version, SEGMENT_VERSION);
		refuse(rec, seg->name, why);
	}
	segment_list_add(&rec->headless, &rec->headless_count, seg);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = (*(struct segment *const *)a)->number,
		 y = (*(struct segment *const *)b)->number;

	return x < y ? -1 : x > y;
}

static void add_spare(struct store *s, struct segment *seg)
{
	if (seg->failed)
		segment_list_add(&s->broken, &s->broken_count, seg);
	else
		segment_list_add(&s->spare, &s->spare_count, seg);
}

/* Moves `count` segments in use, from this one on, to the spares. */
static void release(struct store *s, size_t from, size_t count)
{
	if (count == 0)
		return;
	for (size_t i = from; i < from + count; i++)
		add_spare(s, s->used[i]);
	s->used_count -= count;
	memmove(s->used + from, s->used + from + count, (s->used_count - from) * sizeof(*s->used));
}

static void release_below(struct store *s, uint64_t oldest)
{
	size_t count = 0;

	while (count < s->used_count && s->used[count]->number < oldest)
		count++;
	release(s, 0, count);
}

enum fate { UNSEALED, SEALED, VOID };

/* What the newest one behind it that speaks of this segment says, and the end when it is sealed. */
static enum fate fate_of(const struct store *s, uint64_t number, uint64_t *end)
{
	for (size_t i = s->used_count; i-- > 0 && s->used[i]->number > number;) {
		const struct segment_end *previous = &s->used[i]->previous;

		*end = previous->end;
		if (previous->number <= number)
			return previous->number == number ? SEALED : VOID;
	}
	*end = 0;
	return UNSEALED;
}

static bool is_present(const struct store *s, uint64_t number)
{
	for (size_t i = 0; i < s->used_count; i++)
		if (s->used[i]->number == number)
			return true;
	return false;
}

/* Segments that others speak of, that hold records and that are not here. */
static void look_for_missing(struct recovery *rec)
{
	struct store *s = rec->store;

	for (size_t i = 0; i < s->used_count; i++) {
		uint64_t number = s->used[i]->previous.number, end;

		if (number == 0 || number < rec->oldest || is_present(s, number) ||
		    fate_of(s, number, &end) != SEALED)
			continue;
		store_report(s, "segment %" PRIu64 " of the log is missing", number);
		s->set_aside++;
	}
}

/* --- replaying -------------------------------------------------------------------------------- */

static bool replay_message(struct recovery *rec, const struct found_record *found)
{
	struct record_message m = { 0 };
	struct entry *old, *e;
	const char *why;

	if (!wire_decode(&record_message_table, found->payload, &m, rec->arena, &why))
		return false;
	if (found->left_out > 0)
		m.put.content = slice_new(NULL, found->left_out);
	if (!record_message_is_sound(&m))
		return false;
	old = entry_find(rec->store, m.put.id);
	if (old != NULL)
		entry_remove(rec->store, old);
	e = entry_add(rec->store, &m);
	entry_place_message(rec->store, e, found->place);
	return true;
}

static bool replay_status(struct recovery *rec, struct place place, struct slice payload)
{
	struct record_status r = { 0 };
	struct entry *e;
	const char *why;

	if (!wire_decode(&record_status_table, payload, &r, rec->arena, &why))
		return false;
	e = entry_find(rec->store, r.id);
	if (e == NULL)
		return true;
	if (!change_apply_status(e, &r))
		return false;
	if (r.last)
		entry_remove(rec->store, e);
	else
		entry_place_status(rec->store, e, place);
	return true;
}

static bool replay_note(struct recovery *rec, enum record_type type, struct slice payload)
{
	struct record_note r = { 0 };
	struct entry *e;
	const char *why;

	if (!wire_decode(&record_note_table, payload, &r, rec->arena, &why))
		return false;
	e = entry_find(rec->store, r.id);
	if (e == NULL)
		return true;
	if (type == RECORD_DONE)
		entry_remove(rec->store, e);
	else
		change_apply_note(e, type);
	return true;
}

static bool replay_mark(struct recovery *rec, struct slice payload)
{
	struct record_mark r = { 0 };
	struct entry *e;
	const char *why;

	if (!wire_decode(&record_mark_table, payload, &r, rec->arena, &why))
		return false;
	e = entry_find(rec->store, r.id);
	if (e != NULL)
		e->marks |= (uint8_t)r.marks;
	return true;
}

static bool replay_tail(struct recovery *rec, const struct segment *seg, struct slice payload)
{
	struct record_tail r = { 0 };
	const char *why;

	if (!wire_decode(&record_tail_table, payload, &r, rec->arena, &why) ||
	    r.oldest > seg->number)
		return false;
	if (r.oldest > rec->oldest)
		rec->oldest = r.oldest;
	return true;
}

static void replay(void *arg, struct segment *seg, const struct found_record *found)
{
	struct recovery *rec = arg;
	bool ok = false;

	arena_reset(rec->arena);
	switch (found->type) {
	case RECORD_MESSAGE:
		ok = replay_message(rec, found);
		break;
	case RECORD_STATUS:
		ok = replay_status(rec, found->place, found->payload);
		break;
	case RECORD_ATTEMPT:
	case RECORD_HOLD:
	case RECORD_RELEASE:
	case RECORD_DEATH:
	case RECORD_DONE:
		ok = replay_note(rec, found->type, found->payload);
		break;
	case RECORD_MARK:
		ok = replay_mark(rec, found->payload);
		break;
	case RECORD_CUT:
		ok = true;
		break;
	case RECORD_TAIL:
		ok = replay_tail(rec, seg, found->payload);
		break;
	}
	if (!ok)
		scan_set_aside(rec->store, seg, found->place.offset, found->place.len,
		    "a record of unknown form");
}

/* By its directory when it has one, else record by record. */
static void replay_segment(struct recovery *rec, struct segment *seg, uint64_t end)
{
	struct store *s = rec->store;

	if (end != 0 && directory_replay(s, seg, end, replay, rec)) {
		seg->end = end;
		return;
	}
	scan_segment(s, seg, end, replay, rec);
	if (end != 0)
		directory_write(s, seg);
}

static void replay_all(struct recovery *rec)
{
	struct store *s = rec->store;

	for (size_t i = 0; i < s->used_count;) {
		struct segment *seg = s->used[i];
		uint64_t end;

		if (fate_of(s, seg->number, &end) == VOID) {
			/* Its first flush failed; what it holds was repeated elsewhere. */
			release(s, i, 1);
			continue;
		}
		replay_segment(rec, seg, end);
		i++;
	}
}

/* What lies in segments that TAIL freed is done, or was copied forward. */
static void drop_freed(struct recovery *rec)
{
	struct store *s = rec->store;
	struct entry *e, *next;

	RB_FOREACH_SAFE(e, entry_tree, &s->index, next)
		if (e->message.segment < rec->oldest || e->rcpt_open == 0)
			entry_remove(s, e);
		else
			e->in_doubt = e->open_attempts > 0;
	release_below(s, rec->oldest);
}

/* --- large files ------------------------------------------------------------------------------ */

struct names {
	char (*items)[RECORD_ID_LIMIT + 1];
	size_t count, size;
};

static void visit_large(void *arg, const char *name)
{
	struct names *n = arg;

	if (strlen(name) > RECORD_ID_LIMIT)
		return;
	if (n->count == n->size) {
		n->size = n->size == 0 ? 64 : n->size * 2;
		n->items = mem_resize_array(n->items, n->size, sizeof(*n->items));
	}
	strcpy(n->items[n->count++], name);
}

/* The message can't be delivered without it: held, so that an administrator sees it. */
static void check_large(struct store *s)
{
	struct entry *e;
	char name[LARGE_NAME];

	RB_FOREACH(e, entry_tree, &s->index) {
		off_t size = -1;
		int fd;

		if (!e->large)
			continue;
		fd = large_name(name, slice_of(e->id))
		    ? s->io->open(s->io->arg, s->options.directory, name, O_RDONLY, 0)
		    : -1;
		if (fd != -1) {
			size = s->io->size(s->io->arg, fd);
			s->io->close(s->io->arg, fd);
		}
		if (size >= 0 && (uint64_t)size == e->size)
			continue;
		store_report(s, "%s: its content large/%s is missing or damaged: held", e->id,
		    e->id);
		e->held = true;
		s->set_aside++;
	}
}

/* Litter; but with damage in the log it may be content whose record is gone. */
static void remove_orphan(struct store *s, const char *id)
{
	char name[LARGE_NAME], kept[LARGE_NAME];

	if (!large_name(name, slice_of(id)))
		return;
	if (s->set_aside == 0) {
		s->io->unlink(s->io->arg, s->options.directory, name);
		return;
	}
	snprintf(kept, sizeof(kept), "large/damaged-%s", id);
	s->io->rename(s->io->arg, s->options.directory, name, kept);
	store_report(s, "%s has no record, and the log is damaged: kept as %s", name, kept);
}

static void clean_large(struct store *s)
{
	struct names n = { 0 };

	if (s->io->list(s->io->arg, s->large_dir, visit_large, &n) == -1)
		store_report(s, "large: can't be listed: %s", strerror(errno));
	for (size_t i = 0; i < n.count; i++) {
		struct entry *e = entry_find(s, slice_of(n.items[i]));

		if (e == NULL || !e->large)
			remove_orphan(s, n.items[i]);
	}
	free(n.items);
	check_large(s);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A file that was never begun is a spare, when it was filled; else it held records once. */
static void sort_headless(struct recovery *rec)
{
	struct store *s = rec->store;

	for (size_t i = 0; i < rec->headless_count; i++) {
		struct segment *seg = rec->headless[i];
		char kept[64];

		seg->number = 0;
		if (!segment_is_blank(s, seg)) {
			snprintf(kept, sizeof(kept), "log/damaged-file-%s",
			    seg->name + strlen("log/"));
			s->io->rename(s->io->arg, s->options.directory, seg->name, kept);
			store_report(s, "%s has no header: kept as %s", seg->name, kept);
			s->set_aside++;
		} else if (s->io->size(s->io->arg, seg->fd) == (off_t)s->segment_size) {
			add_spare(s, seg);
			continue;
		} else {
			s->io->unlink(s->io->arg, s->options.directory, seg->name);
		}
		directory_remove(s, seg);
		segment_free(s, seg);
	}
}

static void forget_headless(struct recovery *rec)
{
	for (size_t i = 0; i < rec->headless_count; i++)
		segment_free(rec->store, rec->headless[i]);
}

/* New records go behind a cut: in the newest segment while it has room, so that opening often does
 * not eat the disk. */
static int begin_anew(struct recovery *rec)
{
	struct store *s = rec->store;
	struct segment *newest;

	s->oldest = rec->oldest;
	s->next_number = 1;
	if (s->used_count == 0)
		return log_next_segment(s, true);
	newest = s->used[s->used_count - 1];
	s->next_number = newest->number + 1;
	s->previous = newest->previous;
	if (!newest->failed && newest->end + 2 * BLOCK <= s->segment_size)
		return log_go_on(s, newest);
	/* Told by the next header: what lies behind its end is cut. */
	if (newest->end > SEGMENT_DATA)
		s->previous = (struct segment_end){ newest->number, newest->end };
	directory_write(s, newest);
	return log_next_segment(s, true);
}

/* False when there is something that this program must not touch. */
static bool find_segments(struct recovery *rec)
{
	struct store *s = rec->store;

	/* What is here may have a name that is not flushed: its maker was killed, or didn't care. */
	if (s->io->sync_directory(s->io->arg, s->options.directory) == -1 ||
	    s->io->sync_directory(s->io->arg, s->log_dir) == -1 ||
	    s->io->list(s->io->arg, s->log_dir, visit_file, rec) == -1)
		refuse(rec, "log", strerror(errno));
	if (rec->why != NULL)
		return false;
	if (s->used_count > 0) {
		qsort(s->used, s->used_count, sizeof(*s->used), by_number);
		rec->oldest = s->used[s->used_count - 1]->oldest;
	}
	return true;
}

bool recover(struct store *s, char **why)
{
	struct recovery rec = { .store = s, .arena = arena_new() };
	int error = 0;

	if (find_segments(&rec)) {
		release_below(s, rec.oldest);
		replay_all(&rec);
		look_for_missing(&rec);
		drop_freed(&rec);
		sort_headless(&rec);
		clean_large(s);
		error = begin_anew(&rec);
	} else {
		forget_headless(&rec);
	}
	free(rec.headless);
	arena_free(rec.arena);
	if (rec.why != NULL) {
		*why = rec.why;
		return false;
	}
	if (error == 0)
		return true;
	/* What is queued can be read and delivered; outcomes are owed until the disk has room. */
	store_report(s, "the queue's log can't be written: %s", strerror(error));
	if (s->used_count > 0)
		return true;
	*why = mem_printf("the queue's log can't be made: %s", strerror(error));
	return false;
}
