/* SPDX-License-Identifier: ISC */
/*
 * crash.h - the disks that a crash leaves of a disk in memory.
 *
 * A power cut leaves what was flushed, and of the rest any sectors and any names, or none, or all; sectors may
 * be torn inside. A kill leaves a machine that runs on: all is seen, and what was not flushed still isn't.
 * Faults and lies end with it.
 */
#ifndef GP_TEST_CRASH_H
#define GP_TEST_CRASH_H

#include "tests/unit/queue/device.h"

enum dev_crash { DEV_LOSE_ALL, DEV_KEEP_SOME, DEV_TORN, DEV_KEEP_ALL };

static inline bool dev_keeps(struct device *to, enum dev_crash how)
{
	return how == DEV_KEEP_ALL || (how != DEV_LOSE_ALL && (dev_random(&to->random) >> 20 & 1));
}

/* One sector of those written comes to the disk, or when it tears, a part of it. */
static void dev_keep_sector(struct device *to, struct dev_file *copy, const struct dev_file *f,
    size_t i, enum dev_crash how)
{
	size_t from = i * DEV_SECTOR, len = DEV_SECTOR, end;

	if (how == DEV_TORN && dev_random(&to->random) >> 20 & 1) {
		len = dev_random(&to->random) % DEV_SECTOR;
		if (dev_random(&to->random) >> 20 & 1) {
			from += len;
			len = DEV_SECTOR - len;
		}
	}
	end = from + len < f->size ? from + len : f->size;
	memcpy(copy->flushed->at + from, f->now->at + from, len);
	if (end > copy->size)
		copy->size = end;
}

static int dev_copy_file(struct device *to, const struct dev_file *f, enum dev_crash how)
{
	struct dev_file *copy = &to->file[to->files];

	if (to->files == DEV_FILES)
		panic("test device: too many files");
	copy->room = f->room;
	copy->size = how == DEV_KEEP_ALL ? f->size : f->durable_size;
	copy->flushed = dev_bytes_ref(how == DEV_KEEP_ALL ? f->now : f->flushed);
	if (f->dirty > 0 && (how == DEV_KEEP_SOME || how == DEV_TORN)) {
		dev_own(&copy->flushed, f->room, f->room);
		for (size_t i = 0; i < f->room / DEV_SECTOR; i++)
			if (f->sector[i] != DEV_CLEAN && dev_keeps(to, how))
				dev_keep_sector(to, copy, f, i, how);
	}
	copy->now = dev_bytes_ref(copy->flushed);
	copy->durable_size = copy->size;
	return to->files++;
}

static bool dev_has_name(const struct dev_names *names, int count, const struct dev_names *wanted,
    int near)
{
	int i = near < count && strcmp(names[near].name, wanted->name) == 0
	    ? near
	    : dev_find(names, count, wanted->name);

	return i >= 0 && names[i].file == wanted->file;
}

/* The disk that is there after a power cut at this moment. */
static inline struct device *device_crash(const struct device *d, enum dev_crash how, uint64_t seed)
{
	struct device *to = device_new(seed);
	int file[DEV_FILES];

	memset(file, -1, sizeof(file));
	for (int pass = 0; pass < 2; pass++) {
		const struct dev_names *names = pass == 0 ? d->durable_names : d->names;
		const struct dev_names *others = pass == 0 ? d->names : d->durable_names;
		int count = pass == 0 ? d->durable_name_count : d->name_count;
		int other_count = pass == 0 ? d->name_count : d->durable_name_count;

		for (int i = 0; i < count; i++) {
			bool both = dev_has_name(others, other_count, &names[i], i);

			/* A name that is both flushed and present stays; others may or may not be there. */
			if (pass == 1 && both)
				continue;
			if (!both &&
			    (pass == 0 ? (how != DEV_LOSE_ALL && dev_keeps(to, how))
				       : !dev_keeps(to, how)))
				continue;
			if (!both && dev_find(to->names, to->name_count, names[i].name) >= 0)
				continue;
			if (file[names[i].file] == -1)
				file[names[i].file] = dev_copy_file(to, &d->file[names[i].file],
				    how);
			strcpy(to->names[to->name_count].name, names[i].name);
			to->names[to->name_count++].file = file[names[i].file];
		}
	}
	memcpy(to->durable_names, to->names, (size_t)to->name_count * sizeof(to->names[0]));
	to->durable_name_count = to->name_count;
	return to;
}

/* The disk that a process finds whose forerunner was killed at this moment. */
static inline struct device *device_kill(const struct device *d)
{
	struct device *to = device_new(1);

	to->files = d->files;
	for (int i = 0; i < d->files; i++) {
		const struct dev_file *f = &d->file[i];

		to->file[i] = *f;
		to->file[i].failed = false;
		dev_bytes_ref(f->now);
		dev_bytes_ref(f->flushed);
		if (f->sector != NULL)
			to->file[i].sector = memcpy(mem_alloc(f->room / DEV_SECTOR), f->sector,
			    f->room / DEV_SECTOR);
	}
	memcpy(to->names, d->names, sizeof(d->names));
	memcpy(to->durable_names, d->durable_names, sizeof(d->durable_names));
	to->name_count = d->name_count;
	to->durable_name_count = d->durable_name_count;
	return to;
}

/* How many sectors and names a power cut may keep or lose. */
static inline size_t device_unflushed(const struct device *d)
{
	size_t count = 0;

	for (int i = 0; i < d->name_count; i++)
		count += d->file[d->names[i].file].dirty +
		    !dev_has_name(d->durable_names, d->durable_name_count, &d->names[i], i);
	for (int i = 0; i < d->durable_name_count; i++)
		count += !dev_has_name(d->names, d->name_count, &d->durable_names[i], i);
	return count;
}

/* Equal for disks that show the same files with the same bytes. */
static inline uint64_t dev_bytes_hash(struct dev_bytes *b, size_t room)
{
	uint64_t lane[4] = { 1, 2, 3, 4 }, word[4];

	if (b == NULL || b->hash != 0)
		return b == NULL ? 1 : b->hash;
	for (size_t at = 0; at < room; at += sizeof(word)) {
		memcpy(word, b->at + at, sizeof(word));
		for (size_t i = 0; i < 4; i++) {
			lane[i] = (lane[i] ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
			lane[i] ^= lane[i] >> 29;
		}
	}
	b->hash = ((lane[0] * 31 + lane[1]) * 31 + lane[2]) * 31 + lane[3];
	b->hash |= 1;
	return b->hash;
}

static inline uint64_t device_hash(const struct device *d)
{
	uint64_t all = 0;

	/* Summed, because names have no order. */
	for (int i = 0; i < d->name_count; i++) {
		const struct dev_file *f = &d->file[d->names[i].file];
		uint64_t hash = 14695981039346656037u;

		for (const char *c = d->names[i].name; *c != '\0'; c++)
			hash = (hash ^ (unsigned char)*c) * 1099511628211u;
		hash = (hash ^ f->size) * 1099511628211u;
		hash = (hash ^ dev_bytes_hash(f->now, f->room)) * 1099511628211u;
		all += hash ^ hash >> 29;
	}
	return all | 1;
}

#endif
