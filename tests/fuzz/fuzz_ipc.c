/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as each message, and any bytes on a channel: what decodes can be encoded again and means the
 * same; a channel fails its requests and nothing else.
 *
 * Input: for messages, a frame type (1 byte) and the members. For a channel, the bytes as they come.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/log/log.h"
#include "common/task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const struct wire_table *table, struct slice bytes)
{
	struct arena *arena = arena_new();
	void *first = arena_alloc(arena, table->size), *second = arena_alloc(arena, table->size);
	struct buf again = { 0 }, printed[2] = { { 0 }, { 0 } };
	const char *why;

	if (wire_decode(table, bytes, first, arena, &why)) {
		if (!wire_encode(table, first, &again, &why) ||
		    !wire_decode(table, buf_slice(&again), second, arena, &why))
			abort();
		wire_print(table, first, &printed[0]);
		wire_print(table, second, &printed[1]);
		if (!slice_equal(buf_slice(&printed[0]), buf_slice(&printed[1])))
			abort();
	}
	buf_clear(&again);
	buf_clear(&printed[0]);
	buf_clear(&printed[1]);
	arena_free(arena);
}

/* Reads what comes and echoes what may be echoed. */
static void answer(struct request *r, struct frame *first)
{
	struct frame *f;

	(void)first;
	while ((f = request_receive(r, deadline_after(CLOCK_MS))) != NULL && !f->last)
		;
	request_send(r, &table_list_end, &(struct msg_list_end){ 1 }, -1, true,
	    deadline_after(CLOCK_MS));
}

static const struct handler handlers[] = {
	{ &table_admit, ROLE_BIT(ROLE_SMTPD), answer },
	{ &table_list, ROLE_BIT(ROLE_SMTPD), answer },
	{ &table_connected, ROLE_BIT(ROLE_SMTPD), answer },
	{ 0 },
};

static struct slice input;

static void run_channel(void *arg)
{
	int pair[2];
	struct channel *c;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		abort();
	c = channel_new(pair[0], ROLE_SMTPD, handlers, NULL, NULL);
	if (write(pair[1], input.data, input.len) == -1 && input.len > 0)
		abort();
	shutdown(pair[1], SHUT_WR);
	while (!channel_is_closed(c))
		task_yield();
	while (channel_load(c) > 0)
		task_yield();
	channel_close(c);
	close(pair[1]);
	task_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;

	if (!started) {
		log_open("postfix", "fuzz");
		log_to_socket(open("/dev/null", O_WRONLY));
		task_init();
		started = true;
	}
	if (size > 0 && message_of_type(data[0]) != NULL)
		check_message(message_of_type(data[0]),
		    slice_new((const char *)data + 1, size - 1));
	if (size > 65536)
		return 0;
	input = slice_new((const char *)data, size);
	if (task_start("channel", run_channel, NULL) == NULL)
		abort();
	task_run();
	log_flush();
	return 0;
}
