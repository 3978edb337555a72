/* SPDX-License-Identifier: ISC */
/*
 * segment.c - segments and the frames of records in them.
 *
 * A segment is a file of fixed size that is used again and again. Each use has its own number and
 * nonce; what an earlier use left behind is noise, because its checksums had another key. The header
 * is there twice, each copy flushed by itself, so that neither a torn write nor one bad sector costs
 * more than a copy.
 *
 * Header: magic, version, number, nonce, oldest, segment size, the previous segment's number and end, checksum.
 * Frame: check of the next 24 bytes, check of the payload, length u32, type u16, flags u16, batch u32,
 * 0 u32; payload; zeros to a multiple of 8. All little-endian. The offset goes into the first check.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum {
	MAGIC_AT = 0,
	VERSION_AT = 8,
	NUMBER_AT = 16,
	NONCE_AT = 24,
	OLDEST_AT = 40,
	SIZE_AT = 48,
	PREVIOUS_AT = 56,
	PREVIOUS_END_AT = 64,
	CHECK_AT = 72,
	HEADER_SIZE = CHECK_AT + 8,
	SECTOR = 512,
	FLAG_LAST = 1,
	FILL_SIZE = 1 << 20,
	BLANK_SIZE = 2 * BLOCK /* second header and first batch */
};
_Static_assert(HEADER_SIZE <= SECTOR, "a header must fit in one sector");

static const char magic[8] = "GPqueue";

int io_pread_all(struct store *s, int fd, void *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = s->io->pread(s->io->arg, fd, data, len, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		data = (char *)data + n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int io_pwrite_all(struct store *s, int fd, const void *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = s->io->pwrite(s->io->arg, fd, data, len, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		data = (const char *)data + n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int fill_with_zeros(struct store *s, int fd)
{
	size_t chunk = s->segment_size < FILL_SIZE ? s->segment_size : FILL_SIZE;
	char *zeros = mem_alloc(chunk);
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < s->segment_size; at += chunk)
		rc = io_pwrite_all(s, fd, zeros,
		    s->segment_size - at < chunk ? s->segment_size - at : chunk, at);
	free(zeros);
	if (rc == 0)
		rc = s->io->fdatasync(s->io->arg, fd);
	return rc;
}

struct segment *segment_create(struct store *s)
{
	struct segment *seg = mem_alloc(sizeof(*seg));
	int saved;

	TAILQ_INIT(&seg->live);
	seg->directory.fd = -1;
	pthread_mutex_lock(&s->lock);
	snprintf(seg->name, sizeof(seg->name), "log/%08x", s->next_name++);
	pthread_mutex_unlock(&s->lock);
	seg->fd = s->io->open(s->io->arg, s->options.directory, seg->name,
	    O_RDWR | O_CREAT | O_EXCL, 0600);
	if (seg->fd == -1) {
		free(seg);
		return NULL;
	}
	if (fill_with_zeros(s, seg->fd) == 0 && s->io->sync_directory(s->io->arg, s->log_dir) == 0)
		return seg;
	saved = errno;
	s->io->unlink(s->io->arg, s->options.directory, seg->name);
	segment_free(s, seg);
	errno = saved;
	return NULL;
}

void segment_free(struct store *s, struct segment *seg)
{
	s->io->close(s->io->arg, seg->fd);
	directory_close(s, seg);
	free(seg);
}

static void encode_header(const struct segment *seg, char out[SECTOR])
{
	memset(out, 0, SECTOR);
	memcpy(out + MAGIC_AT, magic, sizeof(magic));
	put64(out + VERSION_AT, SEGMENT_VERSION);
	put64(out + NUMBER_AT, seg->number);
	memcpy(out + NONCE_AT, seg->nonce, sizeof(seg->nonce));
	put64(out + OLDEST_AT, seg->oldest);
	put64(out + SIZE_AT, seg->size);
	put64(out + PREVIOUS_AT, seg->previous.number);
	put64(out + PREVIOUS_END_AT, seg->previous.end);
	put64(out + CHECK_AT, keyhash(seg->key, out, CHECK_AT));
}

int segment_begin(struct store *s, struct segment *seg, uint64_t number, uint64_t oldest,
    struct segment_end previous)
{
	char block[SECTOR];

	arc4random_buf(seg->nonce, sizeof(seg->nonce));
	seg->number = number;
	seg->key = keyhash_start(seg->nonce, number);
	seg->oldest = oldest;
	seg->size = s->segment_size;
	seg->previous = previous;
	seg->end = SEGMENT_DATA;
	seg->batch = 1;
	directory_start(s, seg);
	encode_header(seg, block);
	for (uint64_t at = 0; at < SEGMENT_DATA; at += BLOCK)
		if (io_pwrite_all(s, seg->fd, block, sizeof(block), at) == -1 ||
		    s->io->fdatasync(s->io->arg, seg->fd) == -1)
			return -1;
	return 0;
}

static bool decode_header(const char in[SECTOR], struct segment *seg)
{
	memcpy(seg->nonce, in + NONCE_AT, sizeof(seg->nonce));
	seg->number = get64(in + NUMBER_AT);
	seg->key = keyhash_start(seg->nonce, seg->number);
	seg->oldest = get64(in + OLDEST_AT);
	seg->size = get64(in + SIZE_AT);
	seg->previous.number = get64(in + PREVIOUS_AT);
	seg->previous.end = get64(in + PREVIOUS_END_AT);
	seg->end = SEGMENT_DATA;
	seg->batch = 1;
	return memcmp(in, magic, sizeof(magic)) == 0 && get64(in + VERSION_AT) == SEGMENT_VERSION &&
	    seg->number > 0 && keyhash(seg->key, in, CHECK_AT) == get64(in + CHECK_AT);
}

bool segment_read_header(struct store *s, struct segment *seg)
{
	struct segment best = *seg, copy = *seg;
	char block[SECTOR];
	bool found = false;

	best.number = 0;
	for (uint64_t at = 0; at < SEGMENT_DATA; at += BLOCK)
		if (io_pread_all(s, seg->fd, block, sizeof(block), at) == 0 &&
		    decode_header(block, &copy) && copy.number > best.number) {
			best = copy;
			found = true;
		}
	*seg = best;
	TAILQ_INIT(&seg->live);
	return found;
}

uint64_t segment_version(struct store *s, const struct segment *seg)
{
	char block[SECTOR];

	for (uint64_t at = 0; at < SEGMENT_DATA; at += BLOCK)
		if (io_pread_all(s, seg->fd, block, sizeof(block), at) == 0 &&
		    memcmp(block, magic, sizeof(magic)) == 0)
			return get64(block + VERSION_AT);
	return 0;
}

bool segment_is_blank(struct store *s, const struct segment *seg)
{
	off_t size = s->io->size(s->io->arg, seg->fd);
	char *data = mem_alloc(BLANK_SIZE);
	size_t len = 0;
	bool blank;

	if (size > BLOCK)
		len = size - BLOCK < BLANK_SIZE ? (size_t)size - BLOCK : BLANK_SIZE;
	blank = size >= 0 && io_pread_all(s, seg->fd, data, len, BLOCK) == 0;
	for (size_t i = 0; i < len; i++)
		blank = blank && data[i] == 0;
	free(data);
	return blank;
}

uint64_t frame_size(size_t payload)
{
	return FRAME_HEADER +
	    (((uint64_t)payload + FRAME_ALIGN - 1) & ~(uint64_t)(FRAME_ALIGN - 1));
}

bool record_fits(const struct store *s, uint64_t payload)
{
	return frame_size(payload) <= s->segment_size - SEGMENT_DATA;
}

/* The key of one frame: its place is part of it. */
static uint64_t header_check(const struct segment *seg, uint64_t offset, const char *frame)
{
	char placed[FRAME_HEADER];

	put64(placed, offset);
	memcpy(placed + 8, frame + 8, FRAME_HEADER - 8);
	return keyhash(seg->key, placed, sizeof(placed));
}

void frame_put(const struct segment *seg, uint64_t offset, const struct frame *f,
    const char *payload, struct buf *out)
{
	size_t size = frame_size(f->len);
	uint32_t len = htole32(f->len), batch = htole32(f->batch);
	uint16_t type = htole16(f->type), flags = htole16(f->last ? FLAG_LAST : 0);
	char *at = buf_reserve(out, size);

	memset(at, 0, FRAME_HEADER);
	memset(at + size - FRAME_ALIGN, 0, FRAME_ALIGN);
	if (f->len > 0)
		memcpy(at + FRAME_HEADER, payload, f->len);
	put64(at + 8, keyhash(seg->key, payload, f->len));
	memcpy(at + 16, &len, sizeof(len));
	memcpy(at + 20, &type, sizeof(type));
	memcpy(at + 22, &flags, sizeof(flags));
	memcpy(at + 24, &batch, sizeof(batch));
	put64(at, header_check(seg, offset, at));
	out->len += size;
}

bool frame_header(const struct segment *seg, uint64_t offset, const char *data, struct frame *f)
{
	uint32_t len, batch;
	uint16_t type, flags;
	uint64_t check = get64(data);

	if (check == 0 || check != header_check(seg, offset, data))
		return false;
	memcpy(&len, data + 16, sizeof(len));
	memcpy(&type, data + 20, sizeof(type));
	memcpy(&flags, data + 22, sizeof(flags));
	memcpy(&batch, data + 24, sizeof(batch));
	f->len = le32toh(len);
	f->type = le16toh(type);
	f->last = (le16toh(flags) & FLAG_LAST) != 0;
	f->batch = le32toh(batch);
	return true;
}

bool frame_payload_ok(const struct segment *seg, const char *frame_data, const struct frame *f)
{
	return keyhash(seg->key, frame_data + FRAME_HEADER, f->len) == get64(frame_data + 8);
}

void segment_list_add(struct segment ***list, size_t *count, struct segment *seg)
{
	*list = mem_resize_array(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = seg;
}

struct segment *segment_find(struct store *s, uint64_t number)
{
	struct segment *found = NULL;
	size_t low = 0, high;

	pthread_mutex_lock(&s->lock);
	for (high = s->used_count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (s->used[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < s->used_count && s->used[low]->number == number)
		found = s->used[low];
	pthread_mutex_unlock(&s->lock);
	return found;
}
