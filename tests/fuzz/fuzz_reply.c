/* SPDX-License-Identifier: ISC */
/*
 * Any bytes from a server, read as replies until they end: what is kept is bounded, can be shown as it is,
 * and a reply that counts has a code and an enhanced code of its class.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/task/task.h"
#include "smtp/reply.h"

enum { INPUT_LIMIT = 150000, FLAT = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct reply *r, enum reply_result how, struct arena *arena)
{
	struct slice flat = reply_flat(r, FLAT, arena);

	if (flat.len > FLAT || !text_is_utf8(flat) ||
	    r->text.len > REPLY_LINES_LIMIT * (REPLY_LINE_LIMIT + 1))
		abort();
	for (size_t i = 0; i < flat.len; i++)
		if ((unsigned char)flat.data[i] < ' ' || flat.data[i] == 0x7f)
			abort();
	if (how == REPLY_OK &&
	    (r->code < 200 || r->code > 599 || r->enhanced.len < 5 ||
		r->enhanced.data[0] != (char)('0' + r->code / 100)))
		abort();
}

static void read_all(void *arg)
{
	struct stream *s = stream_new(*(int *)arg, REPLY_LINE_LIMIT);
	enum reply_result how;

	do {
		struct arena *arena = arena_new();
		struct reply r;

		how = reply_read(s, arena, deadline_after(CLOCK_SECOND), &r);
		check(&r, how, arena);
		arena_free(arena);
	} while (how == REPLY_OK || how == REPLY_BAD);
	stream_free(s);
	task_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_set_up;
	int ends[2], room = 2 * INPUT_LIMIT;

	if (!is_set_up)
		task_init();
	is_set_up = true;
	if (size > INPUT_LIMIT || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return 0;
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (write(ends[1], data, size) != (ssize_t)size || shutdown(ends[1], SHUT_WR) == -1 ||
	    task_start("reader", read_all, &ends[0]) == NULL)
		abort();
	task_run();
	close(ends[1]);
	return 0;
}
