/* SPDX-License-Identifier: ISC */
/*
 * stream.c - a buffered connection. It reads first and waits only when nothing is there, so that a
 * pipelined group costs one system call.
 */
#include "common/net/stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/task/task.h"

enum { READ_MIN = 512, READ_FIRST = 4096, WRITE_LIMIT = 65536 };

struct stream {
	int fd;
	char *data; /* what was read: [at, end) is not consumed yet */
	size_t at, end, size;
	size_t limit;
	bool ended;
	bool wait_first;
	struct buf out;
};

struct stream *stream_new(int fd, size_t read_limit)
{
	struct stream *s = mem_alloc(sizeof(*s));

	io_set_nonblocking(fd);
	s->fd = fd;
	s->limit = read_limit < READ_MIN ? READ_MIN : read_limit;
	return s;
}

void stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	task_forget_fd(s->fd);
	close(s->fd);
	free(s->data);
	buf_clear(&s->out);
	free(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

/* Room for at least one more byte; false when the limit is reached. */
static bool make_room(struct stream *s)
{
	if (s->at > 0) {
		memmove(s->data, s->data + s->at, s->end - s->at);
		s->end -= s->at;
		s->at = 0;
	}
	if (s->end < s->size)
		return true;
	if (s->size == s->limit)
		return false;
	s->size = s->size == 0 ? READ_FIRST : s->size * 4;
	if (s->size > s->limit)
		s->size = s->limit;
	s->data = mem_resize_array(s->data, s->size, 1);
	return true;
}

/* Reads what is there. 1, 0 at the end, -1. */
static int fill(struct stream *s, deadline when)
{
	if (s->ended)
		return 0;
	if (!make_room(s)) {
		errno = EMSGSIZE;
		return -1;
	}
	if (s->wait_first) {
		s->wait_first = false;
		if (task_wait_fd(s->fd, TASK_READ, when) == -1)
			return -1;
	}
	for (;;) {
		ssize_t got = read(s->fd, s->data + s->end, s->size - s->end);

		if (got > 0) {
			s->end += (size_t)got;
			return 1;
		}
		if (got == 0) {
			s->ended = true;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		/* An idle session keeps no buffer. */
		if (s->end == 0 && s->data != NULL) {
			free(s->data);
			s->data = NULL;
			s->size = 0;
		}
		if (task_wait_fd(s->fd, TASK_READ, when) == -1)
			return -1;
		if (!make_room(s))
			return -1;
	}
}

int stream_line(struct stream *s, struct slice *line, deadline when)
{
	size_t seen = 0;

	for (;;) {
		const char *start = s->data + s->at;
		const char *lf = s->end - s->at > seen
		    ? memchr(start + seen, '\n', s->end - s->at - seen)
		    : NULL;
		int rc;

		if (lf != NULL) {
			*line = slice_new(start, (size_t)(lf - start));
			s->at += line->len + 1;
			if (line->len > 0 && line->data[line->len - 1] == '\r')
				line->len--;
			return 1;
		}
		seen = s->end - s->at;
		rc = fill(s, when);
		if (rc == 1)
			continue;
		if (rc == -1 && errno == EMSGSIZE) {
			*line = slice_new(s->data + s->at, s->end - s->at);
			s->at = s->end;
		}
		return rc;
	}
}

int stream_peek(struct stream *s, struct slice *piece, deadline when)
{
	int rc = 1;

	if (s->at == s->end)
		rc = fill(s, when);
	*piece = slice_new(s->data + s->at, s->end - s->at);
	return rc;
}

int stream_peek_more(struct stream *s, struct slice *piece, deadline when)
{
	int rc = fill(s, when);

	*piece = slice_new(s->data + s->at, s->end - s->at);
	return rc;
}

void stream_consume(struct stream *s, size_t count)
{
	if (count > s->end - s->at)
		panic("more consumed than was read");
	s->at += count;
}

bool stream_has_input(const struct stream *s)
{
	return s->at < s->end;
}

void stream_drop_input(struct stream *s)
{
	s->at = s->end;
}

int stream_flush(struct stream *s, deadline when)
{
	size_t sent = 0;

	while (sent < s->out.len) {
		ssize_t rc = write(s->fd, s->out.data + sent, s->out.len - sent);

		if (rc >= 0) {
			sent += (size_t)rc;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || task_wait_fd(s->fd, TASK_WRITE, when) == -1) {
			buf_consume(&s->out, sent);
			return -1;
		}
	}
	buf_reset(&s->out);
	return 0;
}

int stream_write(struct stream *s, struct slice bytes, deadline when)
{
	buf_put_slice(&s->out, bytes);
	return s->out.len > WRITE_LIMIT ? stream_flush(s, when) : 0;
}

int stream_printf(struct stream *s, deadline when, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text)) {
		errno = EMSGSIZE;
		return -1;
	}
	return stream_write(s, slice_new(text, (size_t)len), when);
}

/* Moves over what was sent. */
static void skip(struct iovec *iov, size_t count, size_t sent)
{
	for (size_t i = 0; i < count && sent > 0; i++) {
		size_t n = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		iov[i].iov_base = (char *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
		sent -= n;
	}
}

int stream_send(struct stream *s, const struct slice *parts, size_t count, int64_t patience,
    size_t *left)
{
	struct iovec iov[1 + STREAM_PARTS] = { { s->out.data, s->out.len } };

	if (count > STREAM_PARTS)
		panic("%zu parts at once", count);
	*left = s->out.len;
	for (size_t i = 0; i < count; i++) {
		iov[i + 1] = (struct iovec){ (void *)(uintptr_t)parts[i].data, parts[i].len };
		*left += parts[i].len;
	}
	while (*left > 0) {
		ssize_t rc = writev(s->fd, iov, (int)count + 1);

		if (rc > 0) {
			skip(iov, count + 1, (size_t)rc);
			*left -= (size_t)rc;
			continue;
		}
		if (rc == -1 && errno == EINTR)
			continue;
		if (rc == -1 && errno == EAGAIN &&
		    task_wait_fd(s->fd, TASK_WRITE, deadline_after(patience)) != -1)
			continue;
		buf_reset(&s->out);
		return -1;
	}
	buf_reset(&s->out);
	return 0;
}

void stream_wait_first(struct stream *s)
{
	s->wait_first = s->at == s->end;
}

bool stream_is_quiet(struct stream *s)
{
	char byte;

	return s->at == s->end && !s->ended &&
	    recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

bool stream_try(struct stream *s, struct slice bytes)
{
	buf_reset(&s->out);
	return write(s->fd, bytes.data, bytes.len) == (ssize_t)bytes.len;
}
