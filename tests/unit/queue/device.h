/* SPDX-License-Identifier: ISC */
/*
 * device.h - a disk in memory that keeps apart what was written and what was flushed.
 *
 * Faults and lies are switched on by members. What a crash leaves of it: crash.h. Bytes are shared by disks until
 * one of them writes, so that thousands of copies cost little. Included by the tests of this folder.
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

enum {
	DEV_SECTOR = 512,
	DEV_FILES = 512,
	DEV_NAMES = 256,
	DEV_NAME = 48,
	DEV_FD = 100000,
	DEV_DIR_FD = 99990
};
enum { DEV_ROOT, DEV_LOG, DEV_LARGE };
enum dev_sector { DEV_CLEAN, DEV_DIRTY, DEV_FORGOTTEN }; /* forgotten: its flush failed */

/* Of a file: never changed while two refer to it. */
struct dev_bytes {
	unsigned refs;
	uint64_t hash; /* 0: not known */
	char at[];
};

struct dev_file {
	size_t size, durable_size, room;
	struct dev_bytes *now, *flushed; /* the same while nothing is dirty; NULL: no room */
	unsigned char *sector;		 /* NULL: all clean */
	size_t dirty;			 /* sectors that are not clean */
	bool failed; /* a write or flush did: not to be trusted until it is opened anew */
};

struct device {
	struct store_io io;
	struct dev_file file[DEV_FILES];
	int files;
	struct dev_names {
		char name[DEV_NAME];
		int file;
	} names[DEV_NAMES], durable_names[DEV_NAMES];
	int name_count, durable_name_count;
	uint64_t random;

	/* Faults: how many of the next calls fail; how many bytes fit; what is not done. */
	int fail_fdatasync, fail_pwrite, fail_pread, fail_open, short_pwrite;
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
	const char *write_name; /* NULL: it has none any more */
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

static inline struct dev_bytes *dev_bytes_new(size_t room)
{
	struct dev_bytes *b = mem_alloc(sizeof(*b) + room);

	b->refs = 1;
	return b;
}

static inline struct dev_bytes *dev_bytes_ref(struct dev_bytes *b)
{
	if (b != NULL)
		b->refs++;
	return b;
}

static inline void dev_bytes_drop(struct dev_bytes *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

/* Bytes that are this one's alone, of this room. */
static void dev_own(struct dev_bytes **b, size_t room, size_t new_room)
{
	struct dev_bytes *old = *b;

	if (old != NULL && old->refs == 1 && room == new_room) {
		old->hash = 0;
		return;
	}
	*b = dev_bytes_new(new_room);
	if (old != NULL)
		memcpy((*b)->at, old->at, room);
	dev_bytes_drop(old);
}

/* Makes the file writable up to this size. */
static void dev_resize(struct dev_file *f, size_t size)
{
	size_t room = (size + DEV_SECTOR - 1) / DEV_SECTOR * DEV_SECTOR;

	if (room < f->room)
		room = f->room;
	if (room == 0)
		return;
	dev_own(&f->now, f->room, room);
	if (room > f->room)
		dev_own(&f->flushed, f->room, room);
	if (f->sector == NULL) {
		f->sector = mem_alloc(room / DEV_SECTOR);
	} else if (room > f->room) {
		f->sector = mem_resize_array(f->sector, room / DEV_SECTOR, 1);
		memset(f->sector + f->room / DEV_SECTOR, 0, (room - f->room) / DEV_SECTOR);
	}
	f->room = room;
	if (size > f->size)
		f->size = size;
}

/* Writes over what is there, flushed and all, as damage does. */
static inline void dev_spoil(struct dev_file *f, size_t at, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (at + len > f->room)
		panic("test device: damage behind the end");
	dev_own(&f->now, f->room, f->room);
	dev_own(&f->flushed, f->room, f->room);
	memcpy(f->now->at + at, data, len);
	memcpy(f->flushed->at + at, data, len);
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
	if (d->files == DEV_FILES || d->name_count == DEV_NAMES || strlen(name) >= DEV_NAME)
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
	memcpy(data, f->now->at + at, len);
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
	d->write_name = NULL;
	for (int i = 0; i < d->name_count; i++)
		if (d->names[i].file == fd - DEV_FD)
			d->write_name = d->names[i].name;
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
	if (d->short_pwrite > 0 && len > 1) {
		d->short_pwrite--;
		len = 1 + dev_random(&d->random) % (len - 1);
		end = (size_t)at + len;
	}
	d->untrusted_writes += f->failed;
	dev_resize(f, end);
	memcpy(f->now->at + at, data, len);
	for (size_t i = (size_t)at / DEV_SECTOR; i * DEV_SECTOR < end; i++) {
		f->dirty += f->sector[i] == DEV_CLEAN;
		f->sector[i] = DEV_DIRTY;
	}
	return (ssize_t)len;
}

/* Nothing is dirty any more. */
static void dev_clean(struct dev_file *f)
{
	dev_bytes_drop(f->flushed);
	f->flushed = dev_bytes_ref(f->now);
	free(f->sector);
	f->sector = NULL;
	f->dirty = 0;
}

static void dev_flush(struct dev_file *f)
{
	size_t forgotten = 0;

	f->durable_size = f->size;
	for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
		forgotten += f->sector[i] == DEV_FORGOTTEN;
	if (forgotten == 0) {
		dev_clean(f);
		return;
	}
	dev_own(&f->flushed, f->room, f->room);
	for (size_t i = 0; i < f->room / DEV_SECTOR; i++)
		if (f->sector[i] == DEV_DIRTY) {
			memcpy(f->flushed->at + i * DEV_SECTOR, f->now->at + i * DEV_SECTOR,
			    DEV_SECTOR);
			f->sector[i] = DEV_CLEAN;
			f->dirty--;
		}
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
		for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
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
	if (f->room > 0) {
		dev_own(&f->flushed, f->room, f->room);
		memset(f->now->at + size, 0, f->room - (size_t)size);
		memset(f->flushed->at + size, 0, f->room - (size_t)size);
	}
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

	if (f->dirty > 0)
		dev_own(&f->now, f->room, f->room);
	for (size_t i = 0; f->dirty > 0 && i < f->room / DEV_SECTOR; i++)
		if (f->sector[i] == DEV_FORGOTTEN) {
			memcpy(f->now->at + i * DEV_SECTOR, f->flushed->at + i * DEV_SECTOR,
			    DEV_SECTOR);
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
		dev_bytes_drop(d->file[i].now);
		dev_bytes_drop(d->file[i].flushed);
		free(d->file[i].sector);
	}
	free(d);
}

#endif
