/* SPDX-License-Identifier: ISC */
/*
 * channel_output.c - frames on their way out.
 *
 * What is to be sent gathers in the channel's buffer; all of it leaves in one write before the loop
 * sleeps. Only when the socket is full does a task wait for it, and only as long as that lasts.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/internal.h"
#include "common/task/task.h"

enum { KEPT_OUTPUT_SIZE = 4 * READ_SIZE }; /* an empty buffer that is larger is given back */

/* Channels with output, until the loop sleeps. */
static TAILQ_HEAD(, channel) dirty = TAILQ_HEAD_INITIALIZER(dirty);

static void mark_dirty(struct channel *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&dirty, c, dirty_entry);
}

/* Sends up to the next descriptor, or up to the end behind it. 1 all gone, 0 the socket is full,
 * -1 the channel is of no use any more: both ends' readers hear that, in order. */
static int send_out(struct channel *c)
{
	size_t sent = 0, fds_sent = 0;
	int result = 1;

	while (sent < c->out.len) {
		bool with_fd = fds_sent < c->out_fds_count && c->out_fds[fds_sent].at == sent;
		size_t next = fds_sent + with_fd;
		size_t end = next < c->out_fds_count ? c->out_fds[next].at : c->out.len;
		ssize_t rc = io_send_fd(c->fd, c->out.data + sent, end - sent,
		    with_fd ? c->out_fds[fds_sent].fd : -1);

		if (rc == -1 && errno == EINTR)
			continue;
		if (rc == -1) {
			result = errno == EAGAIN ? 0 : -1;
			/* The kernel may lack memory while the peer lives: it must not wait for ever. */
			if (result == -1)
				shutdown(c->fd, SHUT_RDWR);
			break;
		}
		if (with_fd)
			close(c->out_fds[fds_sent++].fd);
		sent += (size_t)rc;
	}
	buf_consume(&c->out, sent);
	c->out_fds_count -= fds_sent;
	if (c->out_fds_count > 0)
		memmove(c->out_fds, c->out_fds + fds_sent, c->out_fds_count * sizeof(*c->out_fds));
	for (size_t i = 0; i < c->out_fds_count; i++)
		c->out_fds[i].at -= sent;
	if (c->out.len == 0 && c->out.size > KEPT_OUTPUT_SIZE)
		buf_clear(&c->out);
	return result;
}

/* Waits for a full socket to take more; lives only as long as that lasts. */
static void write_on(void *arg)
{
	struct channel *c = arg;

	while (!c->is_closed && task_wait_fd(c->fd, TASK_WRITE, DEADLINE_NEVER) != -1 &&
	    send_out(c) == 0)
		;
	c->writer_runs = false;
	channel_release(c);
}

static void flush_one(struct channel *c)
{
	if (c->writer_runs || send_out(c) != 0)
		return;
	c->references++;
	c->writer_runs = true;
	if (task_start("channel writer", write_on, c) == NULL)
		panic("no task for a channel's output: %zu tasks", task_count());
}

void channel_output_flush(void)
{
	struct channel *c;

	while ((c = TAILQ_FIRST(&dirty)) != NULL) {
		TAILQ_REMOVE(&dirty, c, dirty_entry);
		c->is_dirty = false;
		flush_one(c);
	}
}

static void before_sleep(void *arg)
{
	(void)arg;
	channel_output_flush();
}

void channel_output_start(void)
{
	static bool started;

	if (!started)
		task_before_sleep(before_sleep, NULL);
	started = true;
}

void channel_output_forget(struct channel *c)
{
	while (c->out_fds_count > 0)
		close(c->out_fds[--c->out_fds_count].fd);
	if (c->is_dirty)
		TAILQ_REMOVE(&dirty, c, dirty_entry);
	c->is_dirty = false;
}

/* Length u32 with the header, type u16, flags u16, request id u32; little-endian. */
static void put_header(char *at, size_t length, uint16_t type, unsigned flags, uint32_t id)
{
	uint32_t wire_length = htole32((uint32_t)length), wire_id = htole32(id);
	uint16_t wire_type = htole16(type), wire_flags = htole16((uint16_t)flags);

	memcpy(at, &wire_length, 4);
	memcpy(at + 4, &wire_type, 2);
	memcpy(at + 6, &wire_flags, 2);
	memcpy(at + 8, &wire_id, 4);
}

void channel_output_bare(struct request *r, unsigned flags, struct slice bytes)
{
	struct channel *c = r->channel;
	char header[HEADER_SIZE];

	put_header(header, HEADER_SIZE + bytes.len, 0, flags | (r->mine ? FRAME_FROM_OPENER : 0),
	    r->id);
	buf_append(&c->out, header, sizeof(header));
	buf_put_slice(&c->out, bytes);
	mark_dirty(c);
}

void channel_output_drain(struct channel *c)
{
	char header[HEADER_SIZE];

	put_header(header, HEADER_SIZE, 0, FRAME_DRAIN, 0);
	buf_append(&c->out, header, sizeof(header));
	mark_dirty(c);
}

static void keep_fd(struct channel *c, size_t at, int fd)
{
	if (c->out_fds_count == c->out_fds_size) {
		c->out_fds_size = c->out_fds_size == 0 ? 4 : c->out_fds_size * 2;
		c->out_fds = mem_resize_array(c->out_fds, c->out_fds_size, sizeof(*c->out_fds));
	}
	c->out_fds[c->out_fds_count++] = (struct sent_fd){ at, fd };
}

int channel_output_message(struct request *r, const struct wire_table *table, const void *message,
    int fd, unsigned flags)
{
	struct channel *c = r->channel;
	size_t start = c->out.len, length;
	const char *why;
	int copy = -1;

	if (fd != -1) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy == -1)
			return -1;
	}
	buf_reserve(&c->out, HEADER_SIZE);
	c->out.len += HEADER_SIZE;
	if (!wire_encode(table, message, &c->out, &why))
		panic("message %s can't be sent: %s", table->name, why);
	length = c->out.len - start;
	if (length > CHANNEL_FRAME_LIMIT)
		panic("message %s is larger than a frame: %zu bytes", table->name, length);
	if (copy != -1) {
		keep_fd(c, start, copy);
		flags |= FRAME_HAS_FD;
	}
	put_header(c->out.data + start, length, table->type,
	    flags | (r->mine ? FRAME_FROM_OPENER : 0), r->id);
	r->outstanding += length - HEADER_SIZE;
	c->outstanding += length - HEADER_SIZE;
	if (flags & FRAME_LAST)
		r->sent_last = true;
	mark_dirty(c);
	return 0;
}
