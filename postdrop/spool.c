/* SPDX-License-Identifier: ISC */
/*
 * spool.c - memory first, then a file that vanishes with its process.
 */
#include "postdrop/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/io.h"

enum { MEMORY_LIMIT = 1024 * 1024 };

/* Where no directory can be written, memory must do. */
static int open_file(void)
{
	const char *directory = getenv("TMPDIR");
	int fd = open(directory == NULL || *directory == '\0' ? "/tmp" : directory,
	    O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);

	return fd != -1 ? fd : memfd_create("message", MFD_CLOEXEC);
}

static int move_to_file(struct spool *s)
{
	s->fd = open_file();
	if (s->fd == -1)
		return -1;
	s->in_file = true;
	if (io_write_all(s->fd, s->memory.data, s->memory.len) == -1)
		return -1;
	buf_clear(&s->memory);
	return 0;
}

int spool_append(struct spool *s, struct slice data)
{
	if (!s->in_file && s->memory.len + data.len > MEMORY_LIMIT && move_to_file(s) == -1)
		return -1;
	if (!s->in_file)
		buf_put_slice(&s->memory, data);
	else if (io_write_all(s->fd, data.data, data.len) == -1)
		return -1;
	s->size += data.len;
	return 0;
}

ssize_t spool_read(const struct spool *s, uint64_t at, void *data, size_t len)
{
	struct slice part;
	ssize_t got;

	if (s->in_file) {
		do
			got = pread(s->fd, data, len, (off_t)at);
		while (got == -1 && errno == EINTR);
		return got;
	}
	part = slice_part(buf_slice(&s->memory), (size_t)at, len);
	if (part.len > 0)
		memcpy(data, part.data, part.len);
	return (ssize_t)part.len;
}

void spool_clear(struct spool *s)
{
	if (s->in_file)
		close(s->fd);
	buf_clear(&s->memory);
	*s = (struct spool){ 0 };
}
