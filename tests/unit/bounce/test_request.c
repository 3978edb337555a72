/* SPDX-License-Identifier: ISC */
/*
 * From qmgr's request to what cleanup gets, over real channels: who is told, from whom, and what qmgr
 * hears when that fails.
 */
#include "scene.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"

static struct channel *to_bounce, *at_bounce, *to_cleanup, *at_cleanup;

/* What cleanup got: one line for each message, and the last one's content. */
static struct {
	struct buf envelopes, content;
	unsigned count;
	uint64_t flags;
	uint64_t code;	  /* its answer */
	bool at_once;	  /* before the content */
	unsigned refuses; /* the how-manyth message; 0: none */
} cleanup;

struct channel *service_channel(const char *entry, deadline when)
{
	(void)when;
	assert_string_equal(entry, "cleanup");
	return to_cleanup;
}

uint32_t service_process_number(void)
{
	return 7;
}

void service_session_begin(void)
{
}

void service_session_end(void)
{
}

static void answer(struct request *r)
{
	uint64_t code = cleanup.count == cleanup.refuses ? 451 : cleanup.code;
	struct msg_reply reply = { code, SLICE("2.0.0"), SLICE("says cleanup") };

	request_send(r, &table_reply, &reply, -1, true, DEADLINE_NEVER);
}

static void admit(struct request *r, struct frame *first)
{
	const struct msg_admit *m = first->message;
	struct frame *f;

	cleanup.count++;
	cleanup.flags = m->flags;
	buf_reset(&cleanup.content);
	buf_printf(&cleanup.envelopes, "<%.*s>", (int)m->sender.len, m->sender.data);
	while ((f = request_receive(r, DEADLINE_NEVER)) != NULL) {
		if (f->table == &table_rcpts) {
			const struct msg_rcpts *rcpts = f->message;

			assert_int_equal(rcpts->address.count, 1);
			buf_printf(&cleanup.envelopes, "%.*s\n", (int)rcpts->address.items[0].len,
			    rcpts->address.items[0].data);
			if (cleanup.at_once) {
				answer(r);
				return;
			}
		} else if (f->table == &table_data) {
			buf_put_slice(&cleanup.content, ((struct msg_data *)f->message)->data);
		} else if (f->table == &table_end) {
			assert_int_equal(((struct msg_end *)f->message)->size, cleanup.content.len);
			answer(r);
			return;
		}
	}
}

static const struct handler others[] = {
	{ &table_admit, ROLE_BIT(ROLE_BOUNCE), admit },
	{ 0 },
};

static void join(struct channel **asks, enum role asks_role, struct channel **serves,
    enum role serves_role, const struct handler *handlers)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*asks = channel_new(pair[0], serves_role, NULL, NULL, NULL);
	*serves = channel_new(pair[1], asks_role, handlers, NULL, NULL);
}

static int set_up(void **state)
{
	scene_begin(state);
	memset(&cleanup, 0, sizeof(cleanup));
	cleanup.code = 250;
	join(&to_bounce, ROLE_QMGR, &at_bounce, ROLE_BOUNCE, bounce_handlers);
	join(&to_cleanup, ROLE_BOUNCE, &at_cleanup, ROLE_CLEANUP, others);
	return 0;
}

static int tear_down(void **state)
{
	struct channel *all[] = { to_bounce, at_bounce, to_cleanup, at_cleanup };

	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		channel_close(all[i]);
	buf_clear(&cleanup.envelopes);
	buf_clear(&cleanup.content);
	return scene_end(state);
}

/* --- what qmgr asks ------------------------------------------------------------------------------- */

static void send_rcpts(struct request *r, const uint64_t *notify, size_t count, bool last)
{
	struct slice text[RCPTS_PER_FRAME];
	uint64_t number[RCPTS_PER_FRAME] = { 0 };
	struct wire_texts texts = { text, count };
	struct msg_notice_rcpts m = { texts, texts, texts, { number, count }, texts, texts, texts,
		texts, { number, count } };

	for (size_t i = 0; i < count; i++) {
		text[i] = slice_of(arena_printf(request_arena(r), "r%zu@x.example", i));
		number[i] = notify == NULL ? 0 : notify[i];
	}
	m.success.items = (uint64_t[RCPTS_PER_FRAME]){ 0 };
	assert_int_equal(request_send(r, &table_notice_rcpts, &m, -1, last, DEADLINE_NEVER), 0);
}

static uint64_t take_code(struct request *r)
{
	struct frame *f = request_receive(r, deadline_after(10 * CLOCK_SECOND));
	uint64_t code = f == NULL ? 0 : ((struct msg_reply *)f->message)->code;

	request_close(r);
	return code;
}

static uint64_t ask_with(struct msg_notice m, int fd, const uint64_t *notify, size_t count)
{
	struct request *r;

	m.id = SLICE("4bXyZ01234z5");
	m.arrival_us = INT64_C(1700000000000000);
	r = request_open(to_bounce, &table_notice, &m, fd, false, DEADLINE_NEVER);
	assert_non_null(r);
	send_rcpts(r, notify, count, true);
	return take_code(r);
}

static uint64_t ask(enum notice_kind kind, const char *sender, const uint64_t *notify, size_t count)
{
	struct msg_notice m = { .kind = kind,
		.sender = slice_of(sender),
		.content = SLICE("Subject: x\r\n\r\nthe body\r\n"),
		.content_size = 24 };

	return ask_with(m, -1, notify, count);
}

static bool told(const char *text)
{
	return strstr(buf_text(&cleanup.content), text) != NULL;
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void a_sender_is_told_of_those_it_wants_to_hear_of(void **state)
{
	static const uint64_t notify[] = { 0, NOTIFY_NEVER, NOTIFY_FAILURE, NOTIFY_SUCCESS };

	(void)state;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", notify, 4), 250);
	assert_string_equal(buf_text(&cleanup.envelopes), "<>a@b.example\n");
	assert_int_equal(cleanup.flags, ADMIT_INTERNAL | ADMIT_LOCAL);
	assert_true(told("<r0@x.example>") && told("<r2@x.example>"));
	assert_false(told("<r1@x.example>") || told("<r3@x.example>"));
	assert_true(told("\r\nthe body\r\n"));
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", notify + 1, 1), 250);
	assert_int_equal(ask(NOTICE_SUCCESS, "a@b.example", notify, 3), 250);
	assert_int_equal(ask(NOTICE_DELAY, "a@b.example", notify + 1, 3), 250);
	assert_int_equal(cleanup.count, 1);
	assert_int_equal(ask(NOTICE_SUCCESS, "a@b.example", notify, 4), 250);
	assert_int_equal(cleanup.count, 2);
	assert_false(told("the body"));
	/* Who asks about recipients hears of all. */
	assert_int_equal(ask(NOTICE_VERIFY, "a@b.example", notify, 4), 250);
	assert_int_equal(cleanup.count, 3);
	assert_true(told("<r0@x.example>") && told("<r1@x.example>") && told("<r3@x.example>"));
	assert_false(told("the body"));
}

static void no_notice_leads_to_notices_for_ever(void **state)
{
	static const struct {
		const char *classes, *sender;
		enum notice_kind kind;
		const char *envelopes;
	} cases[] = {
		{ "resource, software", "", NOTICE_FAILURE, "" },
		{ "2bounce", "", NOTICE_FAILURE, "<double-bounce@mx.example>postmaster\n" },
		{ "bounce", "", NOTICE_FAILURE, "<double-bounce@mx.example>postmaster\n" },
		{ "delay", "", NOTICE_FAILURE, "" },
		{ "delay", "", NOTICE_DELAY, "<double-bounce@mx.example>postmaster\n" },
		{ "bounce, 2bounce, delay", "Double-Bounce@mx.example", NOTICE_FAILURE, "" },
		{ "bounce, 2bounce, delay", "double-bounce@mx.example", NOTICE_DELAY, "" },
		{ "bounce, 2bounce, delay", "double-bounce@mx.example", NOTICE_SUCCESS, "" },
		{ "bounce, 2bounce, delay", "", NOTICE_SUCCESS, "" },
		{ "bounce, 2bounce, delay", "", NOTICE_VERIFY, "" },
		{ "bounce, 2bounce, delay", "double-bounce@mx.example", NOTICE_VERIFY, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t notify = cases[i].kind == NOTICE_SUCCESS ? NOTIFY_SUCCESS : 0;

		bounce_settings.notify_classes = cases[i].classes;
		buf_reset(&cleanup.envelopes);
		assert_int_equal(ask(cases[i].kind, cases[i].sender, &notify, 1), 250);
		assert_string_equal(buf_text(&cleanup.envelopes), cases[i].envelopes);
	}
}

static void the_postmaster_gets_a_copy_of_the_header(void **state)
{
	static const uint64_t never = NOTIFY_NEVER;

	(void)state;
	bounce_settings.notify_classes = "bounce, delay";
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", &never, 1), 250);
	assert_string_equal(buf_text(&cleanup.envelopes), "<double-bounce@mx.example>postmaster\n");
	assert_true(told("\r\nSubject: Postmaster Copy: Undelivered Mail\r\n"));
	assert_true(told("\r\nAuto-Submitted: auto-generated\r\n") &&
	    told("\r\nSender: a@b.example\r\n"));
	assert_true(told("text/rfc822-headers") && !told("the body"));
	buf_reset(&cleanup.envelopes);
	assert_int_equal(ask(NOTICE_DELAY, "a@b.example", NULL, 1), 250);
	assert_string_equal(buf_text(&cleanup.envelopes),
	    "<>a@b.example\n<double-bounce@mx.example>postmaster\n");
	buf_reset(&cleanup.envelopes);
	assert_int_equal(ask(NOTICE_FAILURE, "Postmaster", NULL, 1), 250);
	assert_string_equal(buf_text(&cleanup.envelopes), "<>Postmaster\n");
	/* Nobody else gets this one. */
	assert_int_equal(ask(NOTICE_FAILURE, "", NULL, 1), 250);
	assert_true(told("the body"));
}

static void a_failure_repeats_nothing_that_was_sent(void **state)
{
	(void)state;
	bounce_settings.notify_classes = "bounce, 2bounce";
	cleanup.refuses = 1;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 451);
	assert_string_equal(buf_text(&cleanup.envelopes), "<>a@b.example\n");
	cleanup.refuses = 3;
	buf_reset(&cleanup.envelopes);
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 250);
	assert_string_equal(buf_text(&cleanup.envelopes),
	    "<>a@b.example\n<double-bounce@mx.example>postmaster\n");
	cleanup.refuses = 4; /* of a message that nobody else hears of */
	assert_int_equal(ask(NOTICE_FAILURE, "", NULL, 1), 451);
}

static void what_cleanup_refuses_is_asked_for_again(void **state)
{
	(void)state;
	cleanup.code = 451;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 451);
	cleanup.at_once = true;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 451);
	cleanup.code = 554;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 451);
	channel_close(to_cleanup);
	to_cleanup = NULL;
	assert_int_equal(ask(NOTICE_FAILURE, "a@b.example", NULL, 1), 451);
}

static void content_comes_in_a_descriptor_too(void **state)
{
	struct msg_notice m = { .kind = NOTICE_FAILURE,
		.sender = SLICE("a@b.example"),
		.content_offset = 5,
		.content_size = 70000 };
	int fd = memfd_create("content", MFD_CLOEXEC);
	char *start;

	(void)state;
	bounce_settings.bounce_size_limit = 100000;
	assert_int_equal(ftruncate(fd, 70000), 0);
	assert_int_equal(pwrite(fd, "junk\nSubject: x\r\n\r\n..\r\n", 23, 0), 23);
	assert_int_equal(ask_with(m, fd, NULL, 1), 451); /* shorter than it says */
	assert_int_equal(cleanup.count, 0);
	assert_int_equal(pwrite(fd, "\xe9 end", 5, 70000), 5);
	assert_int_equal(ask_with(m, fd, NULL, 1), 250);
	assert_int_equal(cleanup.flags, ADMIT_INTERNAL | ADMIT_LOCAL | ADMIT_8BIT);
	start = strstr(buf_text(&cleanup.content),
	    "message/rfc822\r\nContent-Transfer-Encoding: 8bit");
	assert_non_null(start);
	start = strstr(start, "\r\nReturn-Path: <a@b.example>\r\nSubject: x\r\n\r\n..\r\n");
	assert_non_null(start);
	assert_non_null(memmem(cleanup.content.data + cleanup.content.len - 100, 100,
	    "\xe9 end\r\n\r\n--4bXyZ01234z5.", 23));
	bounce_settings.bounce_size_limit = 69999;
	assert_int_equal(ask_with(m, fd, NULL, 1), 250);
	assert_true(told("text/rfc822-headers") && !told("\r\n..\r\n") && told("Subject: x\r\n"));
	m.ret = 2;
	bounce_settings.bounce_size_limit = 100000;
	assert_int_equal(ask_with(m, fd, NULL, 1), 250);
	assert_true(told("text/rfc822-headers"));
	close(fd);
}

static void ten_thousand_recipients_are_one_notice(void **state)
{
	struct msg_notice m = {
		.kind = NOTICE_FAILURE, .id = SLICE("ID"), .sender = SLICE("a@b.example")
	};
	struct request *r = request_open(to_bounce, &table_notice, &m, -1, false, DEADLINE_NEVER);

	(void)state;
	for (size_t i = 1; i <= 100; i++)
		send_rcpts(r, NULL, RCPTS_PER_FRAME, i == 100);
	assert_int_equal(take_code(r), 250);
	assert_int_equal(cleanup.count, 1);
	assert_true(told("The same is true of 9000 more recipients."));
}

static void what_makes_no_sense_gets_no_answer(void **state)
{
	struct msg_notice m = { .kind = NOTICE_FAILURE,
		.id = SLICE("ID"),
		.sender = SLICE("a@b.example"),
		.content_size = 10 };

	(void)state;
	assert_int_equal(ask_with(m, -1, NULL, 1), 0);
	m.kind = 0;
	m.content_size = 0;
	assert_int_equal(ask_with(m, -1, NULL, 1), 0);
	assert_int_equal(cleanup.count, 0);
}

struct run {
	const struct CMUnitTest *tests;
	size_t count;
	int failed;
};

static void run_all(void *arg)
{
	struct run *r = arg;

	r->failed = _cmocka_run_group_tests("request", r->tests, r->count, NULL, NULL);
	task_stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_sender_is_told_of_those_it_wants_to_hear_of),
		TEST(no_notice_leads_to_notices_for_ever),
		TEST(the_postmaster_gets_a_copy_of_the_header),
		TEST(a_failure_repeats_nothing_that_was_sent),
		TEST(what_cleanup_refuses_is_asked_for_again),
		TEST(content_comes_in_a_descriptor_too),
		TEST(ten_thousand_recipients_are_one_notice),
		TEST(what_makes_no_sense_gets_no_answer),
	};
	struct run r = { tests, ARRAY_LENGTH(tests), 1 };

	task_init();
	if (task_start("tests", run_all, &r) == NULL)
		return 1;
	task_run();
	return r.failed;
}
