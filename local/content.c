/* SPDX-License-Identifier: ISC */
/*
 * content.c - wire form in, mailbox form out, in one pass with one buffer.
 */
#include "local/content.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"

enum { PIECE = 65536 };

void content_head(const struct act_request *r, bool from_line, struct buf *out)
{
	if (from_line) {
		time_t now = time(NULL);
		struct tm tm;
		char date[32];

		localtime_r(&now, &tm);
		strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
		buf_puts(out, "From ");
		buf_put_slice(out, r->sender.len == 0 ? SLICE("MAILER-DAEMON") : r->sender);
		buf_printf(out, "  %s\n", date);
	}
	buf_puts(out, "Return-Path: <");
	buf_put_slice(out, r->sender);
	buf_puts(out, ">\n");
	if (r->original.len > 0) {
		buf_puts(out, "X-Original-To: ");
		buf_put_slice(out, r->original);
		buf_putc(out, '\n');
	}
	buf_puts(out, "Delivered-To: ");
	buf_put_slice(out, r->recipient);
	buf_putc(out, '\n');
}

struct filter {
	struct buf line_start; /* bytes of a line whose beginning is not decided yet */
	struct buf out;
	bool at_line_start;
	bool quote_from;
};

/* The beginning of a line is complete enough to decide, or the line is over. */
static void put_line_start(struct filter *f)
{
	struct slice s = buf_slice(&f->line_start);

	if (s.len > 0 && s.data[0] == '.')
		s = slice_part(s, 1, s.len);
	if (f->quote_from && s.len >= 5 && memcmp(s.data, "From ", 5) == 0)
		buf_putc(&f->out, '>');
	buf_put_slice(&f->out, s);
	buf_reset(&f->line_start);
	f->at_line_start = false;
}

static void filter_bytes(struct filter *f, const char *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		if (f->at_line_start && data[i] != '\r' && data[i] != '\n' &&
		    f->line_start.len < 6) {
			buf_putc(&f->line_start, data[i++]);
			continue;
		}
		if (f->at_line_start)
			put_line_start(f);
		/* The rest of the line in one piece: the queue holds no CR but before LF. */
		const char *lf = memchr(data + i, '\n', len - i);
		size_t end = lf == NULL ? len : (size_t)(lf - data);
		size_t stop = end > i && data[end - 1] == '\r' ? end - 1 : end;

		buf_append(&f->out, data + i, stop - i);
		if (lf == NULL)
			return;
		buf_putc(&f->out, '\n');
		f->at_line_start = true;
		i = end + 1;
	}
}

static int read_piece(const struct act_request *r, int fd, uint64_t done, char *piece,
    struct slice *got)
{
	uint64_t left = r->content_size - done;
	ssize_t n;

	*got = SLICE("");
	if (fd == -1 && done == 0)
		*got = r->content;
	if (fd == -1 || left == 0)
		return 0;
	do
		n = pread(fd, piece, left < PIECE ? (size_t)left : PIECE,
		    (off_t)(r->content_offset + done));
	while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = EIO; /* shorter than the queue says */
	if (n <= 0)
		return -1;
	*got = slice_new(piece, (size_t)n);
	return 0;
}

int content_copy(const struct act_request *r, int fd, bool from_line, bool quote_from,
    content_put *put, void *arg)
{
	struct filter f = { .at_line_start = true, .quote_from = quote_from };
	char *piece = fd == -1 ? NULL : mem_alloc(PIECE);
	struct slice got;
	uint64_t done = 0;
	int rc = -1;

	content_head(r, from_line, &f.out);
	for (;;) {
		if (read_piece(r, fd, done, piece, &got) == -1)
			goto out;
		if (got.len == 0)
			break;
		filter_bytes(&f, got.data, got.len);
		done += got.len;
		if (put(arg, f.out.data, f.out.len) == -1)
			goto out;
		buf_reset(&f.out);
	}
	if (f.line_start.len > 0)
		put_line_start(&f);
	if (!f.at_line_start)
		buf_putc(&f.out, '\n');
	rc = f.out.len == 0 ? 0 : put(arg, f.out.data, f.out.len);
out:
	buf_clear(&f.out);
	buf_clear(&f.line_start);
	free(piece);
	return rc;
}

int content_put_fd(void *arg, const char *data, size_t len)
{
	return io_write_all(*(int *)arg, data, len);
}

int content_put_file(void *file, const char *data, size_t len)
{
	struct content_file *out = file;

	out->size += (off_t)len;
	if (out->limit > 0 && out->size > out->limit) {
		errno = EFBIG;
		return -1;
	}
	return content_put_fd(&out->fd, data, len);
}
