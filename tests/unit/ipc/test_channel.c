/* SPDX-License-Identifier: ISC */
/*
 * test_channel.c - two ends of a channel in one process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/task/task.h"

static struct channel *left, *right; /* left asks, right answers */
static int left_closed, right_closed, raw[2];
static uint64_t eaten;

static void closed(struct channel *c, void *arg)
{
	(void)c;
	++*(int *)arg;
}

static void answer_double(struct request *r, struct frame *first)
{
	struct msg_list *question = first->message;
	struct msg_list_end answer = { question->limit * 2 };

	task_yield();
	request_send(r, &table_list_end, &answer, -1, true, DEADLINE_NEVER);
}

static void give_up(struct request *r, struct frame *first)
{
	(void)r;
	(void)first;
}

/* Eats content slowly, then tells how much it was. */
static void eat(struct request *r, struct frame *first)
{
	struct msg_reply reply = { .code = 250, .text = SLICE("eaten") };
	struct frame *f;

	(void)first;
	while ((f = request_receive(r, DEADLINE_NEVER)) != NULL && f->table == &table_data) {
		eaten += ((struct msg_data *)f->message)->data.len;
		task_yield();
	}
	request_send(r, &table_reply, &reply, -1, true, DEADLINE_NEVER);
}

static void pass_descriptor(struct request *r, struct frame *first)
{
	struct msg_large_file file = { 1 };
	int fd = open("/dev/null", O_WRONLY);

	(void)first;
	request_send(r, &table_large_file, &file, fd, true, DEADLINE_NEVER);
	close(fd);
}

static void refuse_early(struct request *r, struct frame *first)
{
	struct msg_reply reply = { .code = 552, .text = SLICE("too big") };

	(void)first;
	request_send(r, &table_reply, &reply, -1, true, DEADLINE_NEVER);
}

static void never_read(struct request *r, struct frame *first)
{
	(void)first;
	while (!channel_is_closed(request_channel(r)))
		task_yield();
}

static const struct handler handlers[] = {
	{ &table_list, ROLE_BIT(ROLE_SHOWQ), answer_double },
	{ &table_lookup, ROLE_BIT(ROLE_SHOWQ), give_up },
	{ &table_admit, ROLE_BIT(ROLE_SHOWQ), eat },
	{ &table_large_wanted, ROLE_BIT(ROLE_SHOWQ), pass_descriptor },
	{ &table_store, ROLE_BIT(ROLE_SHOWQ), refuse_early },
	{ &table_expand, ROLE_BIT(ROLE_SHOWQ), never_read },
	{ &table_user, ROLE_BIT(ROLE_SMTPD), give_up },
	{ 0 },
};

static void in_task(void (*run)(void *))
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, raw), 0);
	left_closed = right_closed = 0;
	left = channel_new(raw[0], ROLE_QMGR, NULL, closed, &left_closed);
	right = channel_new(raw[1], ROLE_SHOWQ, handlers, closed, &right_closed);
	assert_non_null(task_start("test", run, NULL));
	task_run();
	channel_close(left);
	channel_close(right);
}

static size_t running;

static void ask_one(void *arg)
{
	struct msg_list question = { (uint64_t)(uintptr_t)arg };
	struct msg_list_end *answer;
	struct request *r;

	assert_int_equal(request_call(left, &table_list, &question, &table_list_end,
			     (void **)&answer, &r, DEADLINE_NEVER),
	    0);
	assert_int_equal(answer->count, question.limit * 2);
	request_close(r);
	if (--running == 0)
		task_stop();
}

static void ask_many(void *arg)
{
	(void)arg;
	running = 1000;
	for (uintptr_t i = 1; i <= 1000; i++)
		assert_non_null(task_start("asker", ask_one, (void *)i));
}

static void many_requests_share_a_channel(void **state)
{
	(void)state;
	in_task(ask_many);
}

static void stream_megabytes(void *arg)
{
	static char content[CHUNK_LIMIT];
	struct msg_admit admit = { .id = SLICE("id") };
	struct msg_data data = { slice_new(content, sizeof(content)) };
	struct msg_end end = { 0 };
	struct request *r = request_open(left, &table_admit, &admit, -1, false, DEADLINE_NEVER);
	struct frame *f;

	(void)arg;
	eaten = 0;
	for (int i = 0; i < 320; i++)
		assert_int_equal(request_send(r, &table_data, &data, -1, false, DEADLINE_NEVER), 0);
	/* The window: what the receiver has not taken is never more than this. */
	assert_true(320 * sizeof(content) - eaten <= CHANNEL_WINDOW + 2 * sizeof(content));
	assert_int_equal(request_send(r, &table_end, &end, -1, true, DEADLINE_NEVER), 0);
	f = request_receive(r, DEADLINE_NEVER);
	assert_non_null(f);
	assert_int_equal(((struct msg_reply *)f->message)->code, 250);
	assert_int_equal(eaten, 320 * sizeof(content));
	assert_null(request_receive(r, DEADLINE_NEVER));
	assert_int_equal(errno, ENODATA);
	request_close(r);
	task_stop();
}

static void a_slow_receiver_holds_back_the_sender(void **state)
{
	(void)state;
	in_task(stream_megabytes);
}

static void abandoned(void *arg)
{
	struct msg_lookup question = { .table = SLICE("t") };
	void *answer;
	struct request *r;

	(void)arg;
	assert_int_equal(request_call(left, &table_lookup, &question, &table_looked_up, &answer, &r,
			     DEADLINE_NEVER),
	    -1);
	assert_int_equal(errno, ECONNABORTED);
	task_stop();
}

static void a_handler_that_gives_up_is_told(void **state)
{
	(void)state;
	in_task(abandoned);
}

static void early_answer(void *arg)
{
	static char content[CHUNK_LIMIT];
	struct msg_store store = { .id = SLICE("id") };
	struct msg_data data = { slice_new(content, sizeof(content)) };
	struct request *r = request_open(left, &table_store, &store, -1, false, DEADLINE_NEVER);
	struct frame *f;
	int sent = 0;

	(void)arg;
	while (sent < 1000 && request_send(r, &table_data, &data, -1, false, DEADLINE_NEVER) == 0)
		sent++;
	assert_true(sent < 1000);
	assert_int_equal(errno, ECONNABORTED);
	f = request_receive(r, DEADLINE_NEVER);
	assert_non_null(f);
	assert_int_equal(((struct msg_reply *)f->message)->code, 552);
	request_close(r);
	task_stop();
}

static void an_early_answer_reaches_a_sender_in_the_middle(void **state)
{
	(void)state;
	in_task(early_answer);
}

static void take_descriptor(void *arg)
{
	struct msg_large_wanted wanted = { 10 };
	struct request *r = request_open(left, &table_large_wanted, &wanted, -1, true,
	    DEADLINE_NEVER);
	struct frame *f = request_receive(r, DEADLINE_NEVER);
	int fd;

	(void)arg;
	assert_non_null(f);
	assert_true(f->fd >= 0);
	fd = f->fd;
	f->fd = -1;
	request_close(r);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	task_stop();
}

static void a_descriptor_travels_with_its_frame(void **state)
{
	(void)state;
	in_task(take_descriptor);
}

static void wrong_role(void *arg)
{
	struct msg_user user = { .name = SLICE("root") };
	void *answer;
	struct request *r;

	(void)arg;
	assert_int_equal(request_call(left, &table_user, &user, &table_user_info, &answer, &r,
			     DEADLINE_NEVER),
	    -1);
	assert_int_equal(errno, EPIPE);
	while (right_closed == 0)
		task_yield();
	assert_true(channel_is_closed(right));
	task_stop();
}

static void a_role_may_ask_only_what_its_row_allows(void **state)
{
	(void)state;
	in_task(wrong_role);
}

static void garbage(void *arg)
{
	static const char junk[] = "\xff\xff\xff\xff junk that is no frame";

	(void)arg;
	assert_int_equal(write(raw[0], junk, sizeof(junk)), sizeof(junk));
	while (right_closed == 0 || left_closed == 0)
		task_yield();
	assert_true(channel_is_closed(right) && channel_is_closed(left));
	task_stop();
}

static void garbage_costs_the_channel(void **state)
{
	(void)state;
	in_task(garbage);
}

static void ask_with_deadline(void *arg)
{
	struct msg_admit admit = { .id = SLICE("id") };
	struct request *r = request_open(left, &table_admit, &admit, -1, false, DEADLINE_NEVER);

	(void)arg;
	assert_null(request_receive(r, deadline_after(10 * CLOCK_MS)));
	assert_int_equal(errno, ETIMEDOUT);
	request_close(r);
	while (channel_load(right) > 0)
		task_yield();
	task_stop();
}

static void a_request_that_is_closed_ends_at_the_other_side(void **state)
{
	(void)state;
	in_task(ask_with_deadline);
}

static void drain_it(void *arg)
{
	struct msg_list question = { 21 };
	struct msg_list_end *answer;
	struct request *r = request_open(left, &table_list, &question, -1, true, DEADLINE_NEVER);
	struct frame *f;

	(void)arg;
	channel_drain(right);
	f = request_receive(r, DEADLINE_NEVER);
	assert_non_null(f);
	answer = f->message;
	assert_int_equal(answer->count, 42);
	request_close(r);
	while (!channel_is_drained(right))
		task_yield();
	assert_true(channel_is_draining(left));
	assert_null(request_open(left, &table_list, &question, -1, true, DEADLINE_NEVER));
	assert_int_equal(errno, EPIPE);
	task_stop();
}

static void a_drained_channel_fails_nothing(void **state)
{
	(void)state;
	in_task(drain_it);
}

/* Everything that waits for a channel fails with it, and touches it no more. */
static void fill_request(void *arg)
{
	static char content[CHUNK_LIMIT];
	struct msg_expand opener = { 0 };
	struct msg_data data = { slice_new(content, sizeof(content)) };
	struct request *r = request_open(left, &table_expand, &opener, -1, false, DEADLINE_NEVER);

	(void)arg;
	while (r != NULL && request_send(r, &table_data, &data, -1, false, DEADLINE_NEVER) == 0)
		;
	assert_int_equal(errno, EPIPE);
	request_close(r);
	if (--running == 0)
		task_stop();
}

static void fill_the_channel(void *arg)
{
	enum { FILLERS = CHANNEL_TOTAL / CHANNEL_WINDOW + 20 };

	(void)arg;
	running = FILLERS;
	for (int i = 0; i < FILLERS; i++)
		assert_non_null(task_start("filler", fill_request, NULL));
	for (int turn = 0; turn < 100; turn++)
		task_yield();
	assert_true(running == FILLERS && channel_load(left) < FILLERS);
	channel_close(left);
	left = NULL;
}

static void those_who_wait_for_a_full_channel_fail_with_it(void **state)
{
	(void)state;
	in_task(fill_the_channel);
}

/* --- a peer that keeps no rule -------------------------------------------------------------------- */

enum { LAST = 1, FROM_OPENER = 2, FIRST = 4, HAS_FD = 8, CREDIT = 32 };

static void put_frame(struct buf *out, const struct wire_table *table, const void *message,
    unsigned flags, uint32_t id)
{
	size_t start = out->len;
	const char *why;
	uint32_t words[3] = { 0 };

	buf_append(out, words, sizeof(words));
	if (table != NULL)
		assert_true(wire_encode(table, message, out, &why));
	words[0] = htole32((uint32_t)(out->len - start));
	words[1] = htole32((table == NULL ? 0 : table->type) | flags << 16);
	words[2] = htole32(id);
	memcpy(out->data + start, words, sizeof(words));
}

static void put_chunks(struct buf *out, const struct wire_table *opener, const void *message,
    int count)
{
	static char content[CHUNK_LIMIT];
	struct msg_data data = { slice_new(content, sizeof(content)) };

	put_frame(out, opener, message, FIRST | FROM_OPENER, 1);
	for (int i = 0; i < count; i++)
		put_frame(out, &table_data, &data, FROM_OPENER, 1);
}

static void fill_flood(struct buf *out)
{
	put_chunks(out, &table_expand, &(struct msg_expand){ 0 }, 9);
}

static void fill_window(struct buf *out)
{
	put_chunks(out, &table_expand, &(struct msg_expand){ 0 }, 4);
}

static void fill_twice(struct buf *out)
{
	put_chunks(out, &table_expand, &(struct msg_expand){ 0 }, 0);
	put_chunks(out, &table_expand, &(struct msg_expand){ 0 }, 0);
}

static void fill_after_last(struct buf *out)
{
	put_frame(out, &table_expand, &(struct msg_expand){ 0 }, FIRST | FROM_OPENER | LAST, 1);
	put_frame(out, &table_end, &(struct msg_end){ 1 }, FROM_OPENER, 1);
}

static void fill_unknown_type(struct buf *out)
{
	static const struct wire_table unknown = { .name = "unknown", .type = 9999 };

	put_frame(out, &unknown, NULL, FIRST | FROM_OPENER, 1);
}

static void fill_no_type(struct buf *out)
{
	put_frame(out, NULL, NULL, FROM_OPENER, 1);
}

static void fill_missing_fd(struct buf *out)
{
	put_frame(out, &table_large_file, &(struct msg_large_file){ 0 }, HAS_FD, 1);
}

static void fill_wrong_fd(struct buf *out)
{
	put_frame(out, &table_expand, &(struct msg_expand){ 0 }, FIRST | FROM_OPENER | HAS_FD, 1);
}

static void fill_one(struct buf *out)
{
	put_frame(out, &table_expand, &(struct msg_expand){ 0 }, FIRST | FROM_OPENER, 1);
}

static void fill_answers_to_nothing(struct buf *out)
{
	char credit[] = "\xff\xff\xff\xff";

	put_frame(out, &table_reply, &(struct msg_reply){ .code = 250 }, LAST, 77);
	put_frame(out, &table_reply, &(struct msg_reply){ .code = 250 }, FROM_OPENER, 78);
	put_frame(out, NULL, NULL, CREDIT, 79);
	buf_append(out, credit, 4);
	out->data[out->len - 16] += 4;
}

static const struct {
	const char *what;
	void (*fill)(struct buf *);
	bool with_fd, costs_the_channel;
} offences[] = {
	{ "more than its credit", fill_flood, false, true },
	{ "all of its credit", fill_window, false, false },
	{ "the same request twice", fill_twice, false, true },
	{ "after the last message", fill_after_last, false, true },
	{ "a type that nobody knows", fill_unknown_type, false, true },
	{ "no type", fill_no_type, false, true },
	{ "an announced descriptor is missing", fill_missing_fd, false, true },
	{ "a message without descriptors announces one", fill_wrong_fd, true, true },
	{ "a descriptor nobody announced", fill_one, true, true },
	{ "answers to what was never asked", fill_answers_to_nothing, false, false },
};

static const struct handler careless[] = {
	{ &table_expand, ROLE_BIT(ROLE_SHOWQ), never_read },
	{ 0 },
};

/* Writes it all; a peer that hangs up in the middle is fine. */
static void write_bytes(struct slice bytes, int fd)
{
	ssize_t sent = io_send_fd(raw[0], bytes.data, 1, fd);

	for (size_t at = 1; sent > 0 && at < bytes.len; at += (size_t)sent) {
		if (task_wait_fd(raw[0], TASK_WRITE, deadline_after(CLOCK_SECOND)) == -1)
			return;
		sent = send(raw[0], bytes.data + at, bytes.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void offend(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(offences) / sizeof(offences[0]); i++) {
		struct buf bytes = { 0 };

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, raw), 0);
		right_closed = 0;
		right = channel_new(raw[1], ROLE_SHOWQ, careless, closed, &right_closed);
		offences[i].fill(&bytes);
		write_bytes(buf_slice(&bytes), offences[i].with_fd ? raw[0] : -1);
		for (int turn = 0; turn < 200 && right_closed == 0; turn++)
			task_yield();
		if (right_closed != offences[i].costs_the_channel)
			fail_msg("%s: %sclosed", offences[i].what, right_closed ? "" : "not ");
		buf_clear(&bytes);
		channel_close(right);
		task_forget_fd(raw[0]);
		close(raw[0]);
	}
	task_stop();
}

static void who_breaks_a_rule_loses_the_channel(void **state)
{
	(void)state;
	assert_non_null(task_start("test", offend, NULL));
	task_run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_requests_share_a_channel),
		cmocka_unit_test(a_slow_receiver_holds_back_the_sender),
		cmocka_unit_test(a_handler_that_gives_up_is_told),
		cmocka_unit_test(an_early_answer_reaches_a_sender_in_the_middle),
		cmocka_unit_test(a_descriptor_travels_with_its_frame),
		cmocka_unit_test(a_role_may_ask_only_what_its_row_allows),
		cmocka_unit_test(garbage_costs_the_channel),
		cmocka_unit_test(a_request_that_is_closed_ends_at_the_other_side),
		cmocka_unit_test(a_drained_channel_fails_nothing),
		cmocka_unit_test(those_who_wait_for_a_full_channel_fail_with_it),
		cmocka_unit_test(who_breaks_a_rule_loses_the_channel),
	};

	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
