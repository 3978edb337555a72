/* SPDX-License-Identifier: ISC */
/*
 * device.h - a disk in memory that keeps apart what was written and what was flushed.
 *
 * device_crash makes the disk that a power cut would leave: what was flushed, and of the rest any
 * sectors and any names, or none, or all. device_kill makes the one that a killed process leaves: the
 * machine runs on, so all is seen, and what was not flushed still isn't. Faults and lies are switched on by members. Included by the
 * tests of this folder.
 */
#ifndef GP_TEST_DEVICE_H
#define GP_TEST_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/queue/store.h"

enum { DEV_SECTOR = 512, DEV_FILES = 512, DEV_NAMES = 256, DEV_FD = 100000, DEV_DIR_FD = 99990 };
enum { DEV_ROOT, DEV_LOG, DEV_LARGE };
enum dev_sector { DEV_CLEAN, DEV_DIRTY, DEV_FORGOTTEN }; /* forgotten: its flush failed */
enum dev_crash { DEV_LOSE_ALL, DEV_KEEP_SOME, DEV_KEEP_ALL };

struct dev_file {
	size_t size, durable_size, room;
	char *data, *durable;
	unsigned char *sector;
	size_t dirty; /* sectors that are not clean */
	bool failed;  /* a write or flush did: not to be trusted until it is opened anew */
};

struct device {
	struct store_io io;
	struct dev_file file[DEV_FILES];
	int files;
	struct dev_names {
		char name[96];
		int file;
	} names[DEV_NAMES], durable_names[DEV_NAMES];
	int name_count, durable_name_count;
	uint64_t random;

	/* Faults: how many of the next calls fail; how many bytes fit; what is not done. */
	int fail_fdatasync, fail_pwrite, fail_pread, fail_open;
	size_t capacity;
	off_t unreadable;		      /* the byte that no read may touch; 0: none */
	const struct dev_file *unreadable_in; /* NULL: in any file */
	bool lie_flush, lie_flush_late, lie_directory;
	int late;  /* file whose flush is still to be done */
	bool dead; /* nothing has an effect any more */
	const char *network;

	/* Called before each change; a write's data are there then. */
	void (*before)(void *arg, const char *op);
	void *arg;
	const char *write_data;
	size_t write_len;
	off_t write_at;
	bool write_in_log;
	unsigned long changes, flushes, untrusted_writes;
};

static inline uint64_t dev_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void dev_before(struct device *d, const char *op)
{
	d->changes++;
	if (d->before != NULL && !d->dead)
		d->before(d->arg, op);
}

static struct dev_file *dev_file(struct device *d, int fd)
{
	if (fd < DEV_FD || fd >= DEV_FD + d->files)
		panic("test device: bad descriptor %d", fd);
	return &d->file[fd - DEV_FD];
}

static int dev_find(const struct dev_names *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i].name, name) == 0)
			return i;
	return -1;
}

static size_t dev_used(const struct device *d)
{
	size_t used = 0;

	for (int i = 0; i < d->name_count; i++)
		used += d->file[d->names[i].file].size;
	return used;
}

static void dev_resize(struct dev_file *f, size_t size)
{
	size_t room = (size + DEV_SECTOR - 1) / DEV_SECTOR * DEV_SECTOR;

	if (room > f->room) {
		f->data = mem_resize_array(f->data, room, 1);
		f->durable = mem_resize_array(f->durable, room, 1);
		f->sector = mem_resize_array(f->sector, room / DEV_SECTOR, 1);
		memset(f->data + f->room, 0, room - f->room);
		memset(f->durable + f->room, 0, room - f->room);
		memset(f->sector + f->room / DEV_SECTOR, 0, (room - f->room) / DEV_SECTOR);
		f->room = room;
	}
	if (size > f->size)
		f->size = size;
}

static int dev_open(void *arg, int directory, const char *name, int flags, mode_t mode)
{
	struct device *d = arg;
	int i;

	(void)directory;
	(void)mode;
	if (strcmp(name, "log") == 0)
		return DEV_DIR_FD + DEV_LOG;
	if (strcmp(name, "large") == 0)
		return DEV_DIR_FD + DEV_LARGE;
	if (d->fail_open > 0) {
		d->fail_open--;
		errno = EMFILE;
		return -1;
	}
	i = dev_find(d->names, d->name_count, name);
	if (i >= 0 && (flags & O_CREAT) && (flags & O_EXCL)) {
		errno = EEXIST;
		return -1;
	}
	if (i >= 0) {
		d->file[d->names[i].file].failed = false;
		return DEV_FD + d->names[i].file;
	}
	if (!(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	dev_before(d, "create");
	if (d->files == DEV_FILES || d->name_count == DEV_NAMES || strlen(name) >= 96)
		panic("test device: too many files");
	strcpy(d->names[d->name_count].name, name);
	d->names[d->name_count++].file = d->files;
	return DEV_FD + d->files++;
}

static ssize_t dev_pread(void *arg, int fd, void *data, size_t len, off_t at)
{
	struct device *d = arg;
	struct dev_file *f = dev_file(d, fd);

	if (d->fail_pread > 0) {
		d->fail_pread--;
		errno = EIO;
		return -1;
	}
	if (d->unreadable >= at && d->unreadable < at + (off_t)len && d->unreadable != 0 &&
	    (d->unreadable_in == NULL || d->unreadable_in == f)) {
		errno = EIO;
		return -1;
	}
	if ((size_t)at >= f->size)
		return 0;
	if (len > f->size - (size_t)at)
		len = f->size - (size_t)at;
	memcpy(data, f->data + at, len);
	return (ssize_t)len;
}

static ssize_t dev_pwrite(void *arg, int fd, const void *data, size_t len, off_t at)
{
	struct device *d = arg;
	struct dev_file *f = dev_file(d, fd);
	size_t end = (size_t)at + len;

	d->write_data = data;
	d->write_len = len;
	d->write_at = at;
	d->write_in_log = false;
	for (int i = 0; i < d->name_count; i++)
		if (d->names[i].file == fd - DEV_FD)
			d->write_in_log = strncmp(d->names[i].name, "log/0", 5) == 0;
	dev_before(d, "write");
	if (d->dead)
		return (ssize_t)len;
	if (d->fail_pwrite > 0) {
		d->fail_pwrite--;
		f->failed = true;
		errno = EIO;
		return -1;
	}
	if (d->capacity > 0 && end > f->size && dev_used(d) + end - f->size > d->capacity) {
		errno = ENOSPC;
		return -1;
	}
	d->untrusted_writes += f->failed;
	dev_resize(f, end);
	memcpy(f->data + at, data, len);
	for (size_t i = (size_t)at / DEV_SECTOR; i * DEV_SECTOR < end; i++) {
		f->dirty += f->sector[i] == DEV_CLEAN;
		f->sector[i] = DEV_DIRTY;
	}
	return (ssize_t)len;
}

static void dev_flush(struct dev_file *f)
{
	for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
		if (f->sector[i] == DEV_DIRTY) {
			memcpy(f->durable + i * DEV_SECTOR, f->data + i * DEV_SECTOR, DEV_SECTOR);
			f->sector[i] = DEV_CLEAN;
			f->dirty--;
		}
	f->durable_size = f->size;
}

static int dev_fdatasync(void *arg, int fd)
{
	struct device *d = arg;
	struct dev_file *f = dev_file(d, fd);

	dev_before(d, "flush");
	d->flushes++;
	if (d->fail_fdatasync > 0) {
		d->fail_fdatasync--;
		f->failed = true;
		for (size_t i = 0; i < f->room / DEV_SECTOR; i++)
			if (f->sector[i] == DEV_DIRTY)
				f->sector[i] = DEV_FORGOTTEN;
		errno = EIO;
		return -1;
	}
	if (d->dead || d->lie_flush)
		return 0;
	if (d->lie_flush_late) {
		if (d->late >= 0)
			dev_flush(&d->file[d->late]);
		d->late = fd - DEV_FD;
		return 0;
	}
	dev_flush(f);
	return 0;
}

static int dev_close(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

static int dev_unlink(void *arg, int directory, const char *name)
{
	struct device *d = arg;
	int i = dev_find(d->names, d->name_count, name);

	(void)directory;
	dev_before(d, "unlink");
	if (d->dead)
		return 0;
	if (i < 0) {
		errno = ENOENT;
		return -1;
	}
	d->names[i] = d->names[--d->name_count];
	return 0;
}

static int dev_rename(void *arg, int directory, const char *from, const char *to)
{
	struct device *d = arg;
	int i = dev_find(d->names, d->name_count, from);

	dev_before(d, "rename");
	if (i < 0) {
		errno = ENOENT;
		return -1;
	}
	if (dev_find(d->names, d->name_count, to) >= 0)
		dev_unlink(d, directory, to);
	i = dev_find(d->names, d->name_count, from);
	snprintf(d->names[i].name, sizeof(d->names[i].name), "%s", to);
	return 0;
}

static bool dev_is_in(const char *name, int directory)
{
	static const char *const prefix[] = { [DEV_LOG] = "log/", [DEV_LARGE] = "large/" };

	return strncmp(name, prefix[directory], strlen(prefix[directory])) == 0;
}

static int dev_sync_directory(void *arg, int fd)
{
	struct device *d = arg;
	int directory = fd - DEV_DIR_FD, kept = 0;

	dev_before(d, "sync directory");
	if (d->dead || d->lie_directory || directory < DEV_LOG)
		return 0;
	for (int i = 0; i < d->durable_name_count; i++)
		if (!dev_is_in(d->durable_names[i].name, directory))
			d->durable_names[kept++] = d->durable_names[i];
	for (int i = 0; i < d->name_count; i++)
		if (dev_is_in(d->names[i].name, directory))
			d->durable_names[kept++] = d->names[i];
	d->durable_name_count = kept;
	return 0;
}

static int dev_list(void *arg, int directory, void (*visit)(void *visit_arg, const char *name),
    void *visit_arg)
{
	struct device *d = arg;

	/* Backwards: an unlink while listing moves the last one into the gap. */
	for (int i = d->name_count - 1; i >= 0; i--)
		if (dev_is_in(d->names[i].name, directory - DEV_DIR_FD))
			visit(visit_arg, strchr(d->names[i].name, '/') + 1);
	return 0;
}

static off_t dev_size(void *arg, int fd)
{
	return (off_t)dev_file(arg, fd)->size;
}

static int dev_truncate(void *arg, int fd, off_t size)
{
	struct dev_file *f = dev_file(arg, fd);

	dev_before(arg, "truncate");
	dev_resize(f, (size_t)size);
	memset(f->data + size, 0, f->room - (size_t)size);
	memset(f->durable + size, 0, f->room - (size_t)size);
	f->size = f->durable_size = (size_t)size;
	return 0;
}

static int64_t dev_free_bytes(void *arg, int directory)
{
	struct device *d = arg;

	(void)directory;
	if (d->capacity == 0)
		return INT64_MAX;
	return (int64_t)(d->capacity - dev_used(d));
}

static int dev_drop_cache(void *arg, int fd)
{
	struct dev_file *f = dev_file(arg, fd);

	for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
		if (f->sector[i] == DEV_FORGOTTEN) {
			memcpy(f->data + i * DEV_SECTOR, f->durable + i * DEV_SECTOR, DEV_SECTOR);
			f->sector[i] = DEV_CLEAN;
			f->dirty--;
		}
	return 0;
}

static int dev_mkdir(void *arg, int directory, const char *name, mode_t mode)
{
	(void)arg;
	(void)directory;
	(void)name;
	(void)mode;
	errno = EEXIST;
	return -1;
}

static int dev_lock(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

static const char *dev_network(void *arg, int directory)
{
	(void)directory;
	return ((struct device *)arg)->network;
}

static struct device *device_new(uint64_t seed)
{
	struct device *d = mem_alloc(sizeof(*d));

	d->random = seed * 2654435761u + 88172645463325252u;
	d->late = -1;
	d->io = (struct store_io){
		.arg = d,
		.open = dev_open,
		.pread = dev_pread,
		.pwrite = dev_pwrite,
		.fdatasync = dev_fdatasync,
		.close = dev_close,
		.rename = dev_rename,
		.unlink = dev_unlink,
		.sync_directory = dev_sync_directory,
		.list = dev_list,
		.size = dev_size,
		.truncate = dev_truncate,
		.free_bytes = dev_free_bytes,
		.drop_cache = dev_drop_cache,
		.mkdir = dev_mkdir,
		.lock = dev_lock,
		.network = dev_network,
	};
	return d;
}

static void device_free(struct device *d)
{
	for (int i = 0; i < d->files; i++) {
		free(d->file[i].data);
		free(d->file[i].durable);
		free(d->file[i].sector);
	}
	free(d);
}

static bool dev_keeps(struct device *to, enum dev_crash how)
{
	return how == DEV_KEEP_ALL || (how == DEV_KEEP_SOME && (dev_random(&to->random) >> 20 & 1));
}

static int dev_copy_file(struct device *to, const struct dev_file *f, enum dev_crash how)
{
	struct dev_file *copy = &to->file[to->files];
	size_t size = f->durable_size;

	if (to->files == DEV_FILES)
		panic("test device: too many files");
	if (f->room == 0)
		return to->files++;
	dev_resize(copy, f->room);
	memcpy(copy->durable, f->durable, f->room);
	for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
		if (f->sector[i] != DEV_CLEAN && dev_keeps(to, how)) {
			size_t end = (i + 1) * DEV_SECTOR;

			memcpy(copy->durable + i * DEV_SECTOR, f->data + i * DEV_SECTOR,
			    DEV_SECTOR);
			if (end > size)
				size = end < f->size ? end : f->size;
		}
	if (size < f->room)
		memset(copy->durable + size, 0, f->room - size);
	memcpy(copy->data, copy->durable, f->room);
	copy->size = copy->durable_size = size;
	return to->files++;
}

/* The disk that is there after a power cut at this moment. Faults and lies end with it. */
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
			int other = dev_find(others, other_count, names[i].name);
			bool both = other >= 0 && others[other].file == names[i].file;

			/* A name that is both flushed and present stays; others may or may not be there. */
			if (pass == 1 && both)
				continue;
			if (!both &&
			    (pass == 0 ? (how == DEV_KEEP_ALL ||
					     (how == DEV_KEEP_SOME && dev_keeps(to, how)))
				       : !dev_keeps(to, how)))
				continue;
			if (dev_find(to->names, to->name_count, names[i].name) >= 0)
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

static inline void *dev_duplicate(const void *from, size_t len)
{
	return len == 0 ? NULL : memcpy(mem_alloc(len), from, len);
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
		to->file[i].data = dev_duplicate(f->data, f->room);
		to->file[i].durable = dev_duplicate(f->durable, f->room);
		to->file[i].sector = dev_duplicate(f->sector, f->room / DEV_SECTOR);
	}
	memcpy(to->names, d->names, sizeof(d->names));
	memcpy(to->durable_names, d->durable_names, sizeof(d->durable_names));
	to->name_count = d->name_count;
	to->durable_name_count = d->durable_name_count;
	return to;
}

#endif
