/* SPDX-License-Identifier: ISC */
/*
 * damage.h - random bytes written over in ten places of a log, or a segment cut short: what they did not hit is
 * there as promised; of what they hit, each message that is lost lies in a file that was set aside and reported.
 * The power fails while the damage is met, too.
 *
 * Where records lie is learned from an opening before the damage.
 */
#ifndef GP_TEST_DAMAGE_H
#define GP_TEST_DAMAGE_H

#include "tests/unit/queue/world.h"

enum { PLACES = 10, DAMAGE_MAX = 40, RECORDS_MAX = 4000 };

struct record_at {
	enum record_type type;
	struct place place;
	char id[16];
};

/* A use of a file. */
struct use {
	char name[32];
	uint64_t number;
};

struct damaged {
	struct world *world;
	struct device *device;
	struct record_at record[RECORDS_MAX];
	size_t records, uses, hits;
	struct use use[DEV_NAMES];
	/* Of each living message: any of its records, the one that it lies in. */
	bool hit[LIVE_MAX], lost[LIVE_MAX];
	/* A STATUS: the workload takes deliveries back, so that without it all may be delivered. */
	bool may_be_done[LIVE_MAX];
	struct place at[LIVE_MAX];
	struct buf *reports; /* of the opening at hand */
	unsigned long messages_lost;
};

static inline void on_record(void *arg, struct segment *seg, const struct found_record *found)
{
	struct damaged *d = arg;
	struct record_at *r = &d->record[d->records];
	struct slice id;

	(void)seg;
	if (d->records++ == RECORDS_MAX)
		panic("damage: too many records");
	*r = (struct record_at){ .type = found->type, .place = found->place };
	if (found->type != RECORD_TAIL && found->type != RECORD_CUT &&
	    wire_find(found->payload, 1, &id))
		snprintf(r->id, sizeof(r->id), "%.*s", (int)id.len, id.data);
}

/* Opens a copy and looks where all lies. */
static inline void learn_places(struct damaged *d)
{
	struct device *copy = device_kill(d->device);
	char *why = NULL, id[16];
	struct store *s = open_on(copy, &why);

	assert_non_null(s);
	d->records = d->uses = 0;
	for (size_t i = 0; i < d->world->live_count; i++) {
		snprintf(id, sizeof(id), "M%06u", d->world->live[i]->number);
		assert_non_null(entry_find(s, slice_of(id)));
		d->at[i] = entry_find(s, slice_of(id))->message;
	}
	for (size_t i = 0; i < s->used_count; i++) {
		struct use *u = &d->use[d->uses++];

		snprintf(u->name, sizeof(u->name), "%s", s->used[i]->name);
		u->number = s->used[i]->number;
		scan_segment(s, s->used[i], s->used[i]->end, on_record, d);
	}
	copy->dead = true;
	store_close(s);
	device_free(copy);
}

static inline bool overlaps(const struct record_at *r, uint64_t number, size_t at, size_t len)
{
	return r->place.segment == number && r->place.offset < at + len &&
	    at < (size_t)r->place.offset + r->place.len;
}

/* False when it hits what no log can do without: the last record, behind which damage is told from a torn
 * tail, a CUT, or the whole of a header. */
static inline bool note_hits(struct damaged *d, uint64_t number, size_t at, size_t len)
{
	if (at < SEGMENT_DATA)
		return at >= BLOCK;
	for (size_t i = 0; i < d->records; i++) {
		struct record_at *r = &d->record[i];

		if (!overlaps(r, number, at, len))
			continue;
		d->hits++;
		/* An opening writes CUT behind all others. */
		if (r->type == RECORD_CUT)
			return false;
		for (size_t m = 0; m < d->world->live_count; m++) {
			char id[16];

			snprintf(id, sizeof(id), "M%06u", d->world->live[m]->number);
			if (strcmp(id, r->id) != 0)
				continue;
			d->hit[m] = true;
			d->may_be_done[m] |= r->type == RECORD_STATUS;
			d->lost[m] |= r->place.segment == d->at[m].segment &&
			    r->place.offset == d->at[m].offset;
		}
	}
	return true;
}

static inline struct dev_file *damaged_file(struct damaged *d, const char *name)
{
	int i = dev_find(d->device->names, d->device->name_count, name);

	return &d->device->file[d->device->names[i].file];
}

static inline bool write_over_somewhere(struct damaged *d)
{
	struct world *w = d->world;
	const struct use *u = &d->use[roll(w, (unsigned)d->uses)];
	size_t at = roll(w, SEGMENT), len = 1 + roll(w, DAMAGE_MAX);
	struct dev_file *f = damaged_file(d, u->name);

	if (at + len > SEGMENT)
		len = SEGMENT - at;
	for (size_t i = 0; i < len; i++) {
		char byte = (char)roll(w, 256);

		dev_spoil(f, at + i, &byte, 1);
	}
	return note_hits(d, u->number, at, len);
}

/* Never the newest: nobody knows how far it should go. */
static inline bool cut_short_somewhere(struct damaged *d)
{
	static const char zeros[SEGMENT];
	const struct use *u = &d->use[roll(d->world, (unsigned)d->uses)];
	size_t at = SEGMENT_DATA + roll(d->world, SEGMENT - SEGMENT_DATA);
	struct dev_file *f = damaged_file(d, u->name);

	if (u == &d->use[d->uses - 1])
		return true;
	dev_spoil(f, at, zeros, SEGMENT - at);
	f->size = f->durable_size = at;
	return note_hits(d, u->number, at, SEGMENT - at);
}

static inline void spoil_directories(struct damaged *d)
{
	for (int i = 0; i < d->device->name_count; i++) {
		struct dev_file *f = &d->device->file[d->device->names[i].file];
		char byte = (char)roll(d->world, 256);

		if (strstr(d->device->names[i].name, DIRECTORY_SUFFIX) != NULL && f->size > 0 &&
		    roll(d->world, 2))
			dev_spoil(f, roll(d->world, (unsigned)f->size), &byte, 1);
	}
}

/* --- looking --------------------------------------------------------------------------------------- */

static inline void on_damage_report(void *arg, const char *text)
{
	buf_printf(arg, "%s\n", text);
}

/* The file that the place was saved in, and a report that names it. */
static inline bool is_set_aside(const struct damaged *d, const struct device *disk,
    struct place place)
{
	for (int i = 0; i < disk->name_count; i++) {
		const struct dev_names *n = &disk->names[i];
		unsigned long number, offset;

		if (sscanf(n->name, "log/damaged-%lu-%lu", &number, &offset) == 2 &&
		    number == place.segment && offset <= place.offset &&
		    place.offset < offset + disk->file[n->file].size &&
		    strstr(buf_text(d->reports), n->name) != NULL)
			return true;
	}
	return false;
}

static inline void check_hit(struct damaged *d, struct device *disk, size_t i, const struct look *l)
{
	const struct message *m = d->world->live[i];

	if (l->loaded != NULL && !is_content_right(disk, l->loaded, m))
		loss(d->world, "content is wrong after damage", m->number);
	if (l->loaded != NULL || (d->may_be_done[i] && !d->lost[i]))
		return;
	d->messages_lost++;
	if (!d->lost[i])
		loss(d->world, "damage of another record cost a message", m->number);
	else if (!d->may_be_done[i] && !is_set_aside(d, disk, d->at[i]))
		loss(d->world, "a damaged message was not set aside", m->number);
}

/* Opens the damaged disk and compares; NULL when it can't be opened, which is a loss. */
static inline void check_damaged(struct damaged *d, struct device *disk)
{
	struct buf reports = { 0 };
	struct store_options options = {
		.directory = -1,
		.io = &disk->io,
		.segment_size = SEGMENT,
		.no_threads = true,
		.report = on_damage_report,
		.arg = &reports,
	};
	struct world *w = d->world;
	struct look look[LIVE_MAX] = { 0 };
	char *why = NULL, id[16];
	struct store *s;

	s = store_open(&options, NULL, NULL, &why);
	disk->before = NULL;
	if (s == NULL) {
		loss(w, why, 0);
		free(why);
		buf_clear(&reports);
		return;
	}
	d->reports = &reports;
	for (size_t i = 0; i < w->live_count; i++) {
		snprintf(id, sizeof(id), "M%06u", w->live[i]->number);
		store_read(s, slice_of(id), true, on_read, &look[i]);
	}
	for (int polls = 0; polls < 20; polls++)
		store_poll(s);
	for (size_t i = 0; i < w->live_count; i++) {
		if (d->hit[i])
			check_hit(d, disk, i, &look[i]);
		else
			check_message(w, disk, w->live[i], &look[i]);
		store_loaded_free(look[i].loaded);
	}
	disk->dead = true;
	store_close(s);
	buf_clear(&reports);
}

/* The power fails while the damaged disk is opened. */
static inline void before_change_of_damaged(void *arg, const char *op)
{
	struct damaged *d = arg;
	struct world *w = d->world;
	enum dev_crash how = (enum dev_crash)roll(w, DEV_KEEP_ALL + 1);
	struct device *copy;

	tally_before(w->tally, d->device, op);
	if (roll(w, 3) != 0 && strcmp(op, "truncate") != 0 && strcmp(op, "rename") != 0)
		return;
	copy = device_crash(d->device, how, dev_random(&w->random));
	tally_crash(w->tally, copy, how);
	check_damaged(d, copy);
	device_free(copy);
}

/* One log, spoiled once. */
static inline void spoil_and_check(struct damaged *d)
{
	struct world *w = d->world;
	bool told = true;

	memset(d->hit, 0, sizeof(d->hit));
	memset(d->lost, 0, sizeof(d->lost));
	memset(d->may_be_done, 0, sizeof(d->may_be_done));
	d->device = device_kill(w->device);
	if (roll(w, 4) == 0)
		told = cut_short_somewhere(d);
	for (int i = 0; i < PLACES && told; i++)
		told = write_over_somewhere(d);
	if (roll(w, 2) == 0)
		spoil_directories(d);
	if (told) {
		d->device->before = before_change_of_damaged;
		d->device->arg = d;
		check_damaged(d, d->device);
	}
	device_free(d->device);
}

/* Logs of a world that goes on, each spoiled so many times. */
static inline void work_and_spoil(struct damaged *d, unsigned logs, unsigned times)
{
	struct world *w = d->world;

	for (unsigned log = 0; log < logs && w->losses == 0; log++) {
		for (int step = 0; step < 120; step++) {
			if (roll(w, 3) == 0)
				do_put(w);
			else
				do_change(w);
			if (roll(w, 2) == 0)
				store_poll(w->store);
		}
		close_and_open(w);
		w->checking = false;
		d->device = w->device;
		learn_places(d);
		for (unsigned i = 0; i < times && w->losses == 0; i++)
			spoil_and_check(d);
	}
}

#endif
