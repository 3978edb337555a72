/* SPDX-License-Identifier: ISC */
/*
 * test_reply.c - replies as servers send them, whole and byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/task/task.h"
#include "smtp/reply.h"

static const struct row {
	struct slice sent;
	enum reply_result result;
	unsigned code;
	const char *enhanced, *flat;
} rows[] = {
	{ { "250 2.1.5 Ok\r\n", 14 }, REPLY_OK, 250, "2.1.5", "250 2.1.5 Ok" },
	{ { "250\r\n", 5 }, REPLY_OK, 250, "2.0.0", "250" },
	{ { "354 \r\n", 6 }, REPLY_OK, 354, "3.0.0", "354" },
	{ { "450 x\n", 6 }, REPLY_OK, 450, "4.0.0", "450 x" },
	{ { "550-5.1.1 a\r\n550 5.1.2 b\r\n", 26 }, REPLY_OK, 550, "5.1.2",
	    "550-5.1.1 a 550 5.1.2 b" },
	/* The last line decides. */
	{ { "250-a\r\n550 b\r\n", 14 }, REPLY_OK, 550, "5.0.0", "250-a 550 b" },
	{ { "550-a\r\n250 b\r\n", 14 }, REPLY_OK, 250, "2.0.0", "550-a 250 b" },
	/* Not of this class, or no status at all. */
	{ { "250 5.1.1 x\r\n", 13 }, REPLY_OK, 250, "2.0.0", "250 5.1.1 x" },
	{ { "550 5.1 x\r\n", 11 }, REPLY_OK, 550, "5.0.0", "550 5.1 x" },
	{ { "550 5.1.1x\r\n", 12 }, REPLY_OK, 550, "5.0.0", "550 5.1.1x" },
	{ { "550 5.1234.1\r\n", 14 }, REPLY_OK, 550, "5.0.0", "550 5.1234.1" },
	{ { "550 5..1 x\r\n", 12 }, REPLY_OK, 550, "5.0.0", "550 5..1 x" },
	{ { "550 5.123.456\r\n", 15 }, REPLY_OK, 550, "5.123.456", "550 5.123.456" },
	/* Nothing that a terminal or a log would act on. */
	{ { "250 \x1b[1m\0\xff\xc3\xbc\r\n", 14 }, REPLY_OK, 250, "2.0.0", "250 ?[1m??\xc3\xbc" },
	{ { "250 a\rb\r\n", 9 }, REPLY_OK, 250, "2.0.0", "250 a?b" },
	/* No replies. */
	{ { "hello\r\n", 7 }, REPLY_BAD, 0, NULL, "hello" },
	{ { "\r\n", 2 }, REPLY_BAD, 0, NULL, "" },
	{ { "2500 x\r\n", 8 }, REPLY_BAD, 0, NULL, "2500 x" },
	{ { "25 x\r\n", 6 }, REPLY_BAD, 0, NULL, "25 x" },
	{ { "150 x\r\n", 7 }, REPLY_BAD, 0, NULL, "150 x" },
	{ { "650 x\r\n", 7 }, REPLY_BAD, 0, NULL, "650 x" },
	{ { "250-a\r\nb\r\n", 10 }, REPLY_BAD, 0, NULL, "250-a b" },
	/* Cut off. */
	{ { "", 0 }, REPLY_LOST, 0, NULL, "" },
	{ { "250 Ok", 6 }, REPLY_LOST, 0, NULL, "" },
	{ { "250-a\r\n", 7 }, REPLY_LOST, 0, NULL, "250-a" },
};

struct sender {
	int fd;
	struct slice bytes;
	bool singly;
};

static void send_all(void *arg)
{
	struct sender *s = arg;
	size_t step = s->singly ? 1 : s->bytes.len;

	for (size_t at = 0; at < s->bytes.len;) {
		ssize_t n = send(s->fd, s->bytes.data + at,
		    step < s->bytes.len - at ? step : s->bytes.len - at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -1 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
		if (n == -1 || s->singly)
			task_sleep_until(deadline_after(CLOCK_MS / 20));
	}
	close(s->fd);
}

static enum reply_result answer(struct slice bytes, bool singly, struct arena *arena,
    struct reply *r)
{
	struct sender sender = { .bytes = bytes, .singly = singly };
	enum reply_result result;
	struct stream *s;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	sender.fd = ends[1];
	assert_non_null(task_start("sender", send_all, &sender));
	s = stream_new(ends[0], REPLY_LINE_LIMIT);
	result = reply_read(s, arena, deadline_after(20 * CLOCK_SECOND), r);
	stream_free(s);
	task_sleep_until(deadline_after(CLOCK_MS));
	return result;
}

static void check(const struct row *row, bool singly)
{
	struct arena *arena = arena_new();
	struct reply r;
	struct slice flat;

	assert_int_equal(answer(row->sent, singly, arena, &r), row->result);
	flat = reply_flat(&r, 1000, arena);
	assert_true(slice_equal(flat, slice_of(row->flat)));
	assert_int_equal(r.code, row->code);
	if (row->enhanced != NULL)
		assert_true(slice_equal(r.enhanced, slice_of(row->enhanced)));
	arena_free(arena);
}

static void run_rows(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		check(&rows[i], false);
		check(&rows[i], true);
	}
	task_stop();
}

static void replies_are_read(void **state)
{
	(void)state;
	task_start("test", run_rows, NULL);
	task_run();
}

static enum reply_result repeated(const char *head, const char *text, size_t count,
    const char *tail, size_t *len)
{
	struct arena *arena = arena_new();
	struct buf bytes = { 0 };
	enum reply_result result;
	struct reply r;

	buf_puts(&bytes, head);
	for (size_t i = 0; i < count; i++)
		buf_puts(&bytes, text);
	buf_puts(&bytes, tail);
	result = answer(buf_slice(&bytes), false, arena, &r);
	*len = r.text.len;
	buf_clear(&bytes);
	arena_free(arena);
	return result;
}

static void run_limits(void *arg)
{
	size_t len;

	(void)arg;
	assert_int_equal(repeated("", "250-x\r\n", REPLY_LINES_LIMIT - 1, "250 x\r\n", &len),
	    REPLY_OK);
	assert_int_equal(repeated("", "250-x\r\n", REPLY_LINES_LIMIT, "250 x\r\n", &len),
	    REPLY_BAD);
	/* A long line is cut; the next reply starts behind it. */
	assert_int_equal(repeated("250 ", "x", 10000, "\r\n", &len), REPLY_OK);
	assert_in_range(len, REPLY_LINE_LIMIT - 2, REPLY_LINE_LIMIT);
	assert_int_equal(repeated("250-", "x", 10000, "\r\n550 y\r\n", &len), REPLY_OK);
	assert_int_equal(repeated("250 ", "x", REPLY_BYTES_LIMIT, "\r\n", &len), REPLY_BAD);
	assert_int_equal(repeated("",
			     "250-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
			     400, "250 x\r\n", &len),
	    REPLY_BAD);
	task_stop();
}

static void replies_have_limits(void **state)
{
	(void)state;
	task_start("test", run_limits, NULL);
	task_run();
}

static int set_up(void **state)
{
	(void)state;
	task_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read),
		cmocka_unit_test(replies_have_limits),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
