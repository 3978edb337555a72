/* SPDX-License-Identifier: ISC */
/*
 * directory.c - what a sealed segment holds, without the content of its messages, in a file beside it
 * (log/NAME.directory): opening and lists read megabytes instead of gigabytes.
 *
 * A directory is never needed. It is written after its segment was sealed, which is after every one of its
 * records was flushed, by a thread that nobody waits for; when it is missing, of an earlier use of the segment,
 * or not whole to the bit, the segment is scanned. So its own flush needs no order, and a full disk costs time only.
 *
 * The key of all checks is that of the segment's use. File: check, magic, number, end of the segment, bytes,
 * entries (u64 each), then the entries. Entry: check of all behind it, the record's offset with the highest
 * bit set (which no frame has), length of the payload here u32, of the frame u32, of the content left out u32,
 * type u32; payload; zeros to a multiple of 8. All little-endian.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum {
	CHECK_SIZE = 8,
	MAGIC_AT = 8,
	NUMBER_AT = 16,
	END_AT = 24,
	BYTES_AT = 32,
	COUNT_AT = 40,
	HEADER_SIZE = 48,

	WHERE_AT = 8,
	PAYLOAD_LEN_AT = 16,
	FRAME_LEN_AT = 20,
	CONTENT_LEN_AT = 24,
	TYPE_AT = 28,
	ENTRY_HEADER = 32,

	/* Of records that are hardly larger than their entries, which are read as fast. */
	SHARE_OF_SEGMENT = 4
};

#define ENTRY_BIT (UINT64_C(1) << 63)

static const char magic[8] = "GPqdir 1";

static uint64_t check_of(const struct keyhash *key, const char *data, size_t len)
{
	return keyhash(*key, data + CHECK_SIZE, len - CHECK_SIZE);
}

/* --- collecting ----------------------------------------------------------------------------------- */

void directory_start(struct store *s, struct segment *seg)
{
	directory_drop(seg);
	seg->directory.wanted = true;
	/* Megabytes that are touched anew for each segment cost more than what is written into them. */
	pthread_mutex_lock(&s->lock);
	seg->directory.bytes = s->directory_memory;
	s->directory_memory = (struct buf){ 0 };
	pthread_mutex_unlock(&s->lock);
	buf_reset(&seg->directory.bytes);
	memset(buf_reserve(&seg->directory.bytes, HEADER_SIZE), 0, HEADER_SIZE);
	seg->directory.bytes.len = HEADER_SIZE;
}

void directory_drop(struct segment *seg)
{
	seg->directory.wanted = false;
	seg->directory.count = 0;
	buf_clear(&seg->directory.bytes);
}

/* The payload in front of the content and behind it; the content's length. */
static uint32_t leave_out_content(enum record_type type, struct slice payload,
    struct slice parts[2])
{
	struct slice content;

	parts[0] = payload;
	parts[1] = slice_new(payload.data + payload.len, 0);
	if (type != RECORD_MESSAGE || !wire_find(payload, RECORD_CONTENT_TAG, &content))
		return 0;
	parts[0].len = (size_t)(content.data - payload.data) - WIRE_MEMBER_HEADER;
	parts[1] = slice_part(payload, (size_t)(content.data - payload.data) + content.len,
	    payload.len);
	return (uint32_t)content.len;
}

void directory_collect(struct store *s, struct segment *seg, enum record_type type,
    struct place *place, struct slice payload)
{
	struct buf *out = &seg->directory.bytes;
	struct slice parts[2];
	uint32_t content, len;
	size_t size;
	char *at;

	if (!seg->directory.wanted || type == RECORD_CUT)
		return;
	content = leave_out_content(type, payload, parts);
	len = (uint32_t)(parts[0].len + parts[1].len);
	size = ENTRY_HEADER + ((len + CHECK_SIZE - 1) & ~(size_t)(CHECK_SIZE - 1));
	if (out->len + size > s->segment_size / SHARE_OF_SEGMENT ||
	    out->len / DIRECTORY_ALIGN > PLACE_DIRECTORY_MAX) {
		directory_drop(seg);
		return;
	}
	at = buf_reserve(out, size);
	memset(at + size - CHECK_SIZE, 0, CHECK_SIZE);
	put64(at + WHERE_AT, place->offset | ENTRY_BIT);
	put32(at + PAYLOAD_LEN_AT, len);
	put32(at + FRAME_LEN_AT, place->len);
	put32(at + CONTENT_LEN_AT, content);
	put32(at + TYPE_AT, type);
	memcpy(at + ENTRY_HEADER, parts[0].data, parts[0].len);
	memcpy(at + ENTRY_HEADER + parts[0].len, parts[1].data, parts[1].len);
	put64(at, check_of(&seg->key, at, size));
	place->directory = out->len / DIRECTORY_ALIGN;
	out->len += size;
	seg->directory.count++;
}

/* --- writing -------------------------------------------------------------------------------------- */

struct directory_job {
	struct job job;
	struct segment *segment; /* which may be in another use by then */
	uint64_t number;
	char name[sizeof(((struct segment *)0)->name) + sizeof(DIRECTORY_SUFFIX)];
	int fd; /* -1: it has none yet */
	struct buf bytes;
	bool ok;
	bool failed; /* the file is not to be written again: nobody knows what it holds */
};

static void name_directory(const struct segment *seg, char *name, size_t size)
{
	snprintf(name, size, "%s" DIRECTORY_SUFFIX, seg->name);
}

/* Into the file of the segment's last use, or a new one. */
static void write_run(struct store *s, struct job *job)
{
	struct directory_job *d = (struct directory_job *)job;

	if (d->fd == -1)
		d->fd = s->io->open(s->io->arg, s->options.directory, d->name, O_RDWR | O_CREAT,
		    0600);
	d->ok = d->fd != -1 && io_pwrite_all(s, d->fd, d->bytes.data, d->bytes.len, 0) == 0 &&
	    s->io->fdatasync(s->io->arg, d->fd) == 0;
	d->failed = d->fd != -1 && !d->ok && errno != ENOSPC && errno != EDQUOT;
}

static void write_finish(struct store *s, struct job *job)
{
	struct directory_job *d = (struct directory_job *)job;
	struct segment *seg = segment_find(s, d->number);
	int other;

	pthread_mutex_lock(&s->lock);
	other = d->segment->directory.fd;
	if (other == -1)
		d->segment->directory.fd = d->fd;
	d->segment->directory.failed |= d->failed;
	pthread_mutex_unlock(&s->lock);
	/* Two uses of the segment were sealed before the first one's was written. */
	if (other != -1 && other != d->fd)
		s->io->close(s->io->arg, d->fd);
	if (seg == d->segment)
		seg->directory.ready = d->ok;
	pthread_mutex_lock(&s->lock);
	if (s->directory_memory.data == NULL) {
		s->directory_memory = d->bytes;
		d->bytes = (struct buf){ 0 };
	}
	pthread_mutex_unlock(&s->lock);
	buf_clear(&d->bytes);
	free(d);
}

void directory_write(struct store *s, struct segment *seg)
{
	struct directory_job *d;
	char *header = seg->directory.bytes.data;
	bool failed;
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = seg->directory.fd;
	failed = seg->directory.failed;
	pthread_mutex_unlock(&s->lock);
	if (!seg->directory.wanted || seg->failed || failed || seg->directory.count == 0) {
		directory_drop(seg);
		return;
	}
	memcpy(header + MAGIC_AT, magic, sizeof(magic));
	put64(header + NUMBER_AT, seg->number);
	put64(header + END_AT, seg->end);
	put64(header + BYTES_AT, seg->directory.bytes.len);
	put64(header + COUNT_AT, seg->directory.count);
	put64(header, check_of(&seg->key, header, HEADER_SIZE));
	d = mem_alloc(sizeof(*d));
	d->job.run = write_run;
	d->job.finish = write_finish;
	d->segment = seg;
	d->number = seg->number;
	name_directory(seg, d->name, sizeof(d->name));
	d->fd = fd;
	d->bytes = seg->directory.bytes;
	seg->directory.bytes = (struct buf){ 0 };
	directory_drop(seg);
	job_submit(s, &d->job);
}

/* --- no trust any more --------------------------------------------------------------------------- */

struct distrust_job {
	struct job job;
	struct segment *segment;
	int fd;
	bool failed;
};

static void distrust_run(struct store *s, struct job *job)
{
	static const char none[CHECK_SIZE];
	struct distrust_job *d = (struct distrust_job *)job;

	d->failed = io_pwrite_all(s, d->fd, none, sizeof(none), 0) == -1;
}

static void distrust_finish(struct store *s, struct job *job)
{
	struct distrust_job *d = (struct distrust_job *)job;

	pthread_mutex_lock(&s->lock);
	d->segment->directory.failed |= d->failed;
	pthread_mutex_unlock(&s->lock);
	free(d);
}

void directory_distrust(struct store *s, struct segment *seg)
{
	struct distrust_job *d;

	if (seg == NULL || !seg->directory.ready)
		return;
	seg->directory.ready = false;
	d = mem_alloc(sizeof(*d));
	d->job.run = distrust_run;
	d->job.finish = distrust_finish;
	d->segment = seg;
	d->fd = seg->directory.fd;
	job_submit(s, &d->job);
}

/* --- reading -------------------------------------------------------------------------------------- */

void directory_open(struct store *s, struct segment *seg)
{
	char name[sizeof(seg->name) + sizeof(DIRECTORY_SUFFIX)];

	name_directory(seg, name, sizeof(name));
	seg->directory.fd = s->io->open(s->io->arg, s->options.directory, name, O_RDWR, 0);
}

void directory_close(struct store *s, struct segment *seg)
{
	directory_drop(seg);
	seg->directory.ready = false;
	if (seg->directory.fd != -1)
		s->io->close(s->io->arg, seg->directory.fd);
	seg->directory.fd = -1;
}

void directory_remove(struct store *s, struct segment *seg)
{
	char name[sizeof(seg->name) + sizeof(DIRECTORY_SUFFIX)];

	if (seg->directory.fd == -1)
		return;
	name_directory(seg, name, sizeof(name));
	directory_close(s, seg);
	s->io->unlink(s->io->arg, s->options.directory, name);
}

/* The size of the entry that starts here, of which at least the header is there; 0 when it can't be one. */
static size_t entry_size(const char *at)
{
	uint64_t len = get32(at + PAYLOAD_LEN_AT);

	return ENTRY_HEADER + ((len + CHECK_SIZE - 1) & ~(uint64_t)(CHECK_SIZE - 1));
}

/* Takes a whole entry apart; false when it is none of this segment's. */
static bool decode_entry(const struct keyhash *key, const char *at, size_t size,
    struct found_record *found)
{
	uint64_t where = get64(at + WHERE_AT);

	if (!(where & ENTRY_BIT) || get64(at) != check_of(key, at, size))
		return false;
	found->place.offset = (uint32_t)where;
	found->place.len = get32(at + FRAME_LEN_AT);
	found->type = (enum record_type)get32(at + TYPE_AT);
	found->left_out = get32(at + CONTENT_LEN_AT);
	found->payload = slice_new(at + ENTRY_HEADER, get32(at + PAYLOAD_LEN_AT));
	return true;
}

/* The file's bytes when it is this use's directory, by its header; empty otherwise. */
static struct buf load_file(struct store *s, const struct segment *seg, uint64_t end)
{
	char header[HEADER_SIZE];
	struct buf bytes = { 0 };
	uint64_t size;

	if (seg->directory.fd == -1 ||
	    io_pread_all(s, seg->directory.fd, header, sizeof(header), 0) == -1 ||
	    memcmp(header + MAGIC_AT, magic, sizeof(magic)) != 0 ||
	    get64(header) != check_of(&seg->key, header, HEADER_SIZE) ||
	    get64(header + NUMBER_AT) != seg->number || get64(header + END_AT) != end)
		return bytes;
	size = get64(header + BYTES_AT);
	buf_reserve(&bytes, size);
	if (io_pread_all(s, seg->directory.fd, bytes.data, size, 0) == 0)
		bytes.len = size;
	return bytes;
}

/* Each entry in turn; false at the first that is not whole. seen may be NULL. */
static bool walk(struct segment *seg, const struct buf *bytes, scan_seen *seen, void *arg)
{
	uint64_t left = get64(bytes->data + COUNT_AT);

	for (size_t at = HEADER_SIZE, size; at < bytes->len; at += size, left--) {
		struct found_record found = { 0 };

		if (bytes->len - at < ENTRY_HEADER)
			return false;
		size = entry_size(bytes->data + at);
		if (size > bytes->len - at ||
		    !decode_entry(&seg->key, bytes->data + at, size, &found))
			return false;
		found.place.segment = seg->number;
		found.place.directory = at / DIRECTORY_ALIGN;
		if (seen != NULL)
			seen(arg, seg, &found);
	}
	return left == 0;
}

bool directory_replay(struct store *s, struct segment *seg, uint64_t end, scan_seen *seen,
    void *arg)
{
	struct buf bytes = load_file(s, seg, end);
	bool whole = bytes.len > 0 && walk(seg, &bytes, NULL, NULL);

	if (whole)
		walk(seg, &bytes, seen, arg);
	buf_clear(&bytes);
	seg->directory.ready = whole;
	return whole;
}

/* --- single entries ------------------------------------------------------------------------------- */

/* These bytes of the file, which may be fewer; they hold until the next call. */
static struct slice window_bytes(struct store *s, struct directory_window *w, int fd, uint64_t at,
    size_t len)
{
	size_t size = len > w->size ? len : w->size;
	ssize_t n;

	if (fd != w->fd || at < w->start || at + len > w->start + w->bytes.len) {
		buf_reset(&w->bytes);
		n = s->io->pread(s->io->arg, fd, buf_reserve(&w->bytes, size), size, (off_t)at);
		w->bytes.len = n > 0 ? (size_t)n : 0;
		w->fd = fd;
		w->start = at;
	}
	return slice_part(buf_slice(&w->bytes), at - w->start, len);
}

bool directory_entry(struct store *s, struct directory_window *w, int fd, const struct keyhash *key,
    const struct place *place, struct found_record *found)
{
	uint64_t at = (uint64_t)place->directory * DIRECTORY_ALIGN;
	struct slice bytes = window_bytes(s, w, fd, at, ENTRY_HEADER);
	size_t size;

	if (bytes.len < ENTRY_HEADER)
		return false;
	size = entry_size(bytes.data);
	if (size > DIRECTORY_ENTRY_MAX)
		return false;
	bytes = window_bytes(s, w, fd, at, size);
	return bytes.len == size && decode_entry(key, bytes.data, size, found) &&
	    found->place.offset == place->offset;
}
