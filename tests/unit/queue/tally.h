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
#include "tests/unit/queue/crash.h"

enum { TALLY_KILL = DEV_KEEP_ALL + 1, TALLY_KINDS, TALLY_ROOM = 1 << 20 };
/* What is written besides records: numbers behind those of the types. */
enum { TALLY_HEADER = 24, TALLY_DIRECTORY, TALLY_LARGE, TALLY_ZEROS, TALLY_TYPES };

static const char *const tally_ops[] = { "create", "write", "flush", "unlink", "rename", "truncate",
	"sync directory" };

static const char *const tally_others[TALLY_TYPES] = {
	[TALLY_HEADER] = "segment header",
	[TALLY_DIRECTORY] = "directory",
	[TALLY_LARGE] = "large content",
	[TALLY_ZEROS] = "new segment",
};

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

/* A bit for each type of what this write holds. */
static uint32_t tally_types(const struct device *d)
{
	uint32_t types = 0, len;
	uint16_t type;

	if (d->write_name == NULL)
		return 0;
	if (dev_is_in(d->write_name, DEV_LARGE))
		return 1u << TALLY_LARGE;
	if (strstr(d->write_name, DIRECTORY_SUFFIX) != NULL)
		return 1u << TALLY_DIRECTORY;
	if (d->write_at < SEGMENT_DATA)
		return 1u << (d->write_data[0] == 0 ? TALLY_ZEROS : TALLY_HEADER);
	for (size_t at = 0; at + FRAME_HEADER <= d->write_len; at += frame_size(len)) {
		memcpy(&len, d->write_data + at + 16, sizeof(len));
		memcpy(&type, d->write_data + at + 20, sizeof(type));
		if (type == 0 || type >= TALLY_HEADER || len > d->write_len)
			break;
		types |= 1u << type;
	}
	return types;
}

static void tally_before(struct tally *t, const struct device *d, const char *op)
{
	for (t->at.op = 0; t->at.op < ARRAY_LENGTH(tally_ops); t->at.op++)
		if (strcmp(op, tally_ops[t->at.op]) == 0)
			break;
	if (t->at.op == ARRAY_LENGTH(tally_ops))
		panic("tally: the operation \"%s\" has no row", op);
	if (strcmp(op, "write") == 0)
		t->at.types = tally_types(d);
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
	bool is_new = tally_is_new(t, device_hash(left));

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
	print_message("%-16s", name);
	for (int i = 0; i < TALLY_KINDS; i++)
		print_message(" %9lu", r->points[i]);
	print_message(" %9lu\n", r->distinct);
	return r->distinct > 0;
}

/* False when something was never tried. */
static inline bool tally_print(const struct tally *t)
{
	bool all = true;

	print_message("%-16s %9s %9s %9s %9s %9s %9s\n", "", "lost", "some kept", "torn",
	    "all kept", "killed", "distinct");
	for (size_t i = 0; i < ARRAY_LENGTH(tally_ops); i++)
		all = tally_print_row(tally_ops[i], &t->op[i]) && all;
	for (enum record_type i = RECORD_MESSAGE; record_name(i) != NULL; i++)
		all = tally_print_row(record_name(i), &t->type[i]) && all;
	for (size_t i = TALLY_HEADER; i < TALLY_TYPES; i++)
		all = tally_print_row(tally_others[i], &t->type[i]) && all;
	print_message("%lu crashes, %lu of them left distinct disks\n", t->points, t->distinct);
	return all;
}

#endif
