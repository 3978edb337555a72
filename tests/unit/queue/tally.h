/* SPDX-License-Identifier: ISC */
/*
 * tally.h - at which crash points a store was tried: for each operation of the disk and each type of
 * record that was on its way, by kind of crash, and how many of the disks left were distinct. What has
 * no row, or a row without a crash point, fails: so a new record can't be forgotten.
 */
#ifndef GP_TEST_TALLY_H
#define GP_TEST_TALLY_H

#include "common/queue/inspect.h"
#include "common/queue/internal.h"
#include "tests/unit/queue/device.h"

enum { TALLY_KILL = DEV_KEEP_ALL + 1, TALLY_KINDS, TALLY_TYPES = 32, TALLY_ROOM = 1 << 20 };

static const char *const tally_ops[] = { "create", "write", "write directory", "flush", "unlink",
	"sync directory" };

struct tally_row {
	unsigned long points[TALLY_KINDS], distinct;
};

struct tally {
	struct tally_row op[ARRAY_LENGTH(tally_ops)], type[TALLY_TYPES];
	unsigned long points, distinct;
	uint64_t *seen; /* hashes of disks; 0: free */
	/* What the disk is about to do, and a bit for each type of record in the last write. */
	struct tally_at {
		size_t op;
		uint32_t types;
	} at;
};

/* The types of the records in a write to a segment; 0 for any other. */
static uint32_t tally_types(const struct device *d)
{
	uint32_t types = 0, len;
	uint16_t type;

	if (d->write_to == NULL || strncmp(d->write_to, "log/", strlen("log/")) != 0)
		return 0;
	for (size_t at = 0; d->write_at >= SEGMENT_DATA && at + FRAME_HEADER <= d->write_len;) {
		memcpy(&len, d->write_data + at + 16, sizeof(len));
		memcpy(&type, d->write_data + at + 20, sizeof(type));
		if (type == 0 || type >= TALLY_TYPES || len > d->write_len)
			break;
		types |= 1u << type;
		at += frame_size(len);
	}
	return types;
}

/* A write to the file beside a segment counts by itself. */
static const char *tally_op(const struct device *d, const char *op)
{
	return strcmp(op, "write") == 0 && d->write_to != NULL &&
		strstr(d->write_to, DIRECTORY_SUFFIX) != NULL
	    ? "write directory"
	    : op;
}

static void tally_before(struct tally *t, const struct device *d, const char *op)
{
	op = tally_op(d, op);
	for (t->at.op = 0; t->at.op < ARRAY_LENGTH(tally_ops); t->at.op++)
		if (strcmp(op, tally_ops[t->at.op]) == 0)
			break;
	if (t->at.op == ARRAY_LENGTH(tally_ops))
		panic("tally: the operation \"%s\" has no row", op);
	if (strcmp(op, "write") == 0)
		t->at.types = tally_types(d);
}

static uint64_t tally_hash(const struct device *d)
{
	uint64_t hash = 14695981039346656037u, word;

	for (int i = 0; i < d->name_count; i++) {
		const struct dev_file *f = &d->file[d->names[i].file];

		for (const char *c = d->names[i].name; *c != '\0'; c++)
			hash = (hash ^ (unsigned char)*c) * 1099511628211u;
		hash = (hash ^ f->size) * 1099511628211u;
		for (size_t at = 0; at + sizeof(word) <= f->room; at += sizeof(word)) {
			memcpy(&word, f->data + at, sizeof(word));
			hash = (hash ^ word) * 1099511628211u;
			hash ^= hash >> 29;
		}
	}
	return hash | 1;
}

static bool tally_is_new(struct tally *t, uint64_t hash)
{
	size_t at = (hash >> 20) % TALLY_ROOM;

	if (t->seen == NULL)
		t->seen = mem_alloc_array(TALLY_ROOM, sizeof(*t->seen));
	for (; t->seen[at] != 0; at = (at + 1) % TALLY_ROOM)
		if (t->seen[at] == hash)
			return false;
	if (t->distinct < TALLY_ROOM / 2)
		t->seen[at] = hash;
	return true;
}

/* This disk is left by such a crash, and is opened. */
static void tally_crash(struct tally *t, const struct device *left, int kind)
{
	bool is_new = tally_is_new(t, tally_hash(left));

	t->points++;
	t->distinct += is_new;
	t->op[t->at.op].points[kind]++;
	t->op[t->at.op].distinct += is_new;
	for (size_t i = 0; i < TALLY_TYPES; i++)
		if (t->at.types & 1u << i) {
			t->type[i].points[kind]++;
			t->type[i].distinct += is_new;
		}
}

/* False when the row is empty. */
static inline bool tally_print_row(const char *name, const struct tally_row *r)
{
	print_message("%-16s %9lu %9lu %9lu %9lu %9lu\n", name, r->points[DEV_LOSE_ALL],
	    r->points[DEV_KEEP_SOME], r->points[DEV_KEEP_ALL], r->points[TALLY_KILL], r->distinct);
	return r->distinct > 0;
}

/* False when something was never tried. */
static inline bool tally_print(const struct tally *t)
{
	bool all = true;

	print_message("%-16s %9s %9s %9s %9s %9s\n", "", "lost", "some kept", "all kept", "killed",
	    "distinct");
	for (size_t i = 0; i < ARRAY_LENGTH(tally_ops); i++)
		all = tally_print_row(tally_ops[i], &t->op[i]) && all;
	for (enum record_type i = RECORD_MESSAGE; record_name(i) != NULL; i++)
		all = tally_print_row(record_name(i), &t->type[i]) && all;
	print_message("%lu crashes, %lu of them left distinct disks\n", t->points, t->distinct);
	return all;
}

#endif
