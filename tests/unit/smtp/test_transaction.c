/* SPDX-License-Identifier: ISC */
/*
 * test_transaction.c - what is said to a server that offers this or that, and that neither side waits for
 * the other when there are many recipients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/ipc/delivery.h"
#include "common/task/task.h"
#include "smtp/transaction.h"

static struct channel *to_qmgr;

/* --- the server ------------------------------------------------------------------------------------ */

static struct server {
	struct stream *stream;
	struct buf heard;      /* commands and content, as they came */
	const char *rcpt_says; /* to each */
	bool kills_qmgr;       /* before it asks for the content */
	struct task *client;   /* then: whose wait for another queue manager it ends */
	bool ended;
} server;

static void answer(const char *text)
{
	stream_write(server.stream, slice_of(text), deadline_after(5 * CLOCK_SECOND));
	stream_flush(server.stream, deadline_after(5 * CLOCK_SECOND));
}

static void serve(void *arg)
{
	bool in_content = false;
	struct slice line;

	(void)arg;
	while (stream_line(server.stream, &line, deadline_after(5 * CLOCK_SECOND)) == 1) {
		bool is_dot = in_content && slice_equal(line, SLICE("."));

		buf_put_slice(&server.heard, line);
		buf_putc(&server.heard, '|');
		if (in_content && !is_dot)
			continue;
		if (server.kills_qmgr && slice_equal(line, SLICE("DATA")))
			channel_close(to_qmgr);
		if (is_dot)
			answer("250 2.0.0 queued\r\n");
		else if (slice_starts_nocase(line, SLICE("RCPT")))
			answer(server.rcpt_says);
		else
			answer(slice_equal(line, SLICE("DATA")) ? "354 go\r\n"
								: "250 2.1.0 Ok\r\n");
		in_content = !is_dot && slice_equal(line, SLICE("DATA"));
		if (in_content && server.kills_qmgr) {
			task_sleep_until(deadline_after(20 * CLOCK_MS));
			task_cancel(server.client);
		}
	}
	stream_free(server.stream);
	server.ended = true;
}

/* --- the delivery ---------------------------------------------------------------------------------- */

static void hold(struct request *r, struct frame *first)
{
	(void)first;
	request_receive(r, deadline_after(60 * CLOCK_SECOND));
}

static const struct handler handlers[] = {
	{ &table_heard, ROLE_BIT(ROLE_QMGR), hold },
	{ 0 },
};

static struct session *new_session(unsigned features, int room)
{
	struct session *s = mem_alloc(sizeof(*s));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (int i = 0; i < 2 && room > 0; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	buf_reset(&server.heard);
	server.stream = stream_new(pair[1], 100000);
	server.ended = false;
	*s = (struct session){ .stream = stream_new(pair[0], REPLY_LINE_LIMIT),
		.arena = arena_new(),
		.host = SLICE("mx.example"),
		.peer = SLICE("mx.example[192.0.2.1]"),
		.relay = SLICE("mx.example[192.0.2.1]:25"),
		.features = features,
		.uses = 1 };
	assert_non_null(task_start("server", serve, NULL));
	return s;
}

static void end_session(struct session *s)
{
	s->is_broken = true;
	session_close(s);
	while (!server.ended)
		task_sleep_until(deadline_after(CLOCK_MS));
}

static struct msg_deliver message(struct arena *arena, size_t count, const char *name)
{
	static int deliveries;
	struct msg_deliver m = { .id = slice_of(arena_printf(arena, "id%d", ++deliveries)),
		.sender = SLICE("s@example.com"),
		.content = SLICE("A: b\r\n\r\n..\r\n"),
		.content_size = 12,
		.flags = ADMIT_8BIT,
		.envid = SLICE("QQ314159"),
		.ret = 2,
		.index = { arena_alloc(arena, count * sizeof(uint64_t)), count },
		.notify = { arena_alloc(arena, count * sizeof(uint64_t)), count },
		.address = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.original = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.orcpt = { arena_alloc(arena, count * sizeof(struct slice)), count } };

	for (size_t i = 0; i < count; i++) {
		m.address.items[i] = slice_of(arena_printf(arena, "%zu%s", i, name));
		m.original.items[i] = m.orcpt.items[i] = SLICE("");
	}
	return m;
}

static struct request *asking;

static enum transaction_result run(struct session *s, struct delivery *d,
    const struct msg_deliver *m)
{
	size_t count = m->index.count;

	d->m = m;
	d->fd = -1;
	asking = request_open(to_qmgr, &table_heard, &(struct msg_heard){ 1 }, -1, false,
	    DEADLINE_NEVER);
	d->run = delivery_begin(asking, m);
	d->targets = arena_alloc(d->arena, count * sizeof(*d->targets));
	d->out.outcome.items = arena_alloc(d->arena, count * sizeof(uint64_t));
	d->out.success.items = arena_alloc(d->arena, count * sizeof(uint64_t));
	d->out.dsn.items = arena_alloc(d->arena, count * sizeof(struct slice));
	d->out.text.items = arena_alloc(d->arena, count * sizeof(struct slice));
	d->out.remote.items = arena_alloc(d->arena, count * sizeof(struct slice));
	d->out.diagnostic.items = arena_alloc(d->arena, count * sizeof(struct slice));
	return transaction_run(s, d);
}

/* --- tests ----------------------------------------------------------------------------------------- */

static void what_is_offered_is_used(void)
{
	static const struct {
		unsigned features;
		const char *heard;
		enum success success[2];
	} rows[] = {
		{ 0, "MAIL FROM:<s@example.com>|RCPT TO:<0@x>|RCPT TO:<1@x>|DATA|A: b||..|.|",
		    { SUCCESS_RELAYED, SUCCESS_RELAYED } },
		{ FEATURE_PIPELINING | FEATURE_SIZE | FEATURE_8BITMIME,
		    "MAIL FROM:<s@example.com> SIZE=12 BODY=8BITMIME|RCPT TO:<0@x>|RCPT TO:<1@x>|"
		    "DATA|A: b||..|.|",
		    { SUCCESS_RELAYED, SUCCESS_RELAYED } },
		{ FEATURE_SMTPUTF8,
		    "MAIL FROM:<s@example.com> SMTPUTF8|RCPT TO:<0@x>|RCPT TO:<1@x>|DATA|A: "
		    "b||..|.|",
		    { SUCCESS_RELAYED, SUCCESS_RELAYED } },
		{ FEATURE_DSN,
		    "MAIL FROM:<s@example.com> RET=HDRS ENVID=QQ314159|"
		    "RCPT TO:<0@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b|RCPT TO:<1@x>|DATA|"
		    "A: b||..|.|",
		    { SUCCESS_PASSED, SUCCESS_RELAYED } },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct delivery d = { .arena = arena_new() };
		struct msg_deliver m = message(d.arena, 2, "@x");
		struct session *s = new_session(rows[i].features, 0);

		m.flags |= ADMIT_SMTPUTF8; /* the envelope does without it */
		m.notify.items[0] = NOTIFY_SUCCESS | NOTIFY_DELAY;
		m.orcpt.items[0] = SLICE("rfc822;a+40b");
		m.orcpt.items[1] = SLICE("rfc822;a b"); /* would be another parameter */
		assert_int_equal(run(s, &d, &m), TRANSACTION_DONE);
		assert_string_equal(buf_text(&server.heard), rows[i].heard);
		for (size_t n = 0; n < 2; n++) {
			assert_int_equal(d.out.outcome.items[n], OUTCOME_SENT);
			assert_int_equal(d.out.success.items[n], rows[i].success[n]);
			assert_true(slice_equal(d.out.diagnostic.items[n],
			    SLICE("smtp; 250 2.0.0 queued")));
			assert_true(slice_equal(d.out.remote.items[n], SLICE("mx.example")));
		}
		end_session(s);
		request_close(asking);
		arena_free(d.arena);
	}
}

static void who_only_asks_sends_no_data(void)
{
	static const unsigned features[] = { 0, FEATURE_PIPELINING };

	for (size_t i = 0; i < ARRAY_LENGTH(features); i++)
		for (int good = 0; good < 2; good++) {
			struct delivery d = { .arena = arena_new() };
			struct msg_deliver m = message(d.arena, 2, "@x");
			struct session *s = new_session(features[i], 0);

			m.flags = ADMIT_VERIFY;
			server.rcpt_says = good ? "250 2.1.5 Ok\r\n" : "550 5.1.1 no\r\n";
			assert_int_equal(run(s, &d, &m), TRANSACTION_DONE);
			assert_string_equal(buf_text(&server.heard),
			    "MAIL FROM:<s@example.com>|RCPT TO:<0@x>|RCPT TO:<1@x>|");
			for (size_t n = 0; n < 2; n++)
				assert_int_equal(d.out.outcome.items[n],
				    good ? OUTCOME_SENT : OUTCOME_BOUNCED);
			assert_true(slice_equal(d.out.diagnostic.items[1],
			    good ? SLICE("smtp; 250 2.1.5 Ok") : SLICE("smtp; 550 5.1.1 no")));
			/* The next message begins with RSET. */
			assert_true(s->needs_rset && !s->is_broken);
			end_session(s);
			request_close(asking);
			arena_free(d.arena);
		}
	server.rcpt_says = "250 2.1.5 Ok\r\n";
}

/* Each side's socket holds a part of what it says only. */
static void neither_side_waits_for_the_other(void)
{
	static char name[1000], says[2000];
	struct delivery d = { .arena = arena_new() };
	struct msg_deliver m;
	struct session *s;

	memset(name, 'x', sizeof(name) - 1);
	memset(says, 'y', sizeof(says) - 3);
	memcpy(says, "250 ", 4);
	memcpy(says + sizeof(says) - 3, "\r\n", 2);
	server.rcpt_says = says;
	m = message(d.arena, 1000, name);
	s = new_session(FEATURE_PIPELINING, 20000);
	assert_int_equal(run(s, &d, &m), TRANSACTION_DONE);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(d.out.outcome.items[i], OUTCOME_SENT);
	end_session(s);
	request_close(asking);
	arena_free(d.arena);
	server.rcpt_says = "250 2.1.5 Ok\r\n";
}

static void without_qmgr_there_is_no_dot(void)
{
	struct delivery d = { .arena = arena_new() };
	struct msg_deliver m = message(d.arena, 1, "@x");
	struct session *s = new_session(FEATURE_PIPELINING, 0);

	server.kills_qmgr = true;
	server.client = task_self();
	assert_int_equal(run(s, &d, &m), TRANSACTION_DONE);
	task_uncancel();
	assert_true(s->is_broken);
	assert_int_equal(d.targets[0].last.outcome, OUTCOME_DEFERRED);
	assert_true(slice_equal(d.targets[0].last.text, SLICE("the queue manager is gone")));
	end_session(s);
	assert_string_equal(buf_text(&server.heard),
	    "MAIL FROM:<s@example.com>|RCPT TO:<0@x>|DATA|");
	request_close(asking);
	arena_free(d.arena);
}

static void run_all(void *arg)
{
	(void)arg;
	what_is_offered_is_used();
	who_only_asks_sends_no_data();
	neither_side_waits_for_the_other();
	without_qmgr_there_is_no_dot();
	task_stop();
}

static void a_transaction_goes_as_the_server_can(void **state)
{
	int pair[2];

	(void)state;
	client_settings = (struct client_settings){ .myhostname = "us.example",
		.mail_timeout = 10 * CLOCK_SECOND,
		.rcpt_timeout = 10 * CLOCK_SECOND,
		.rset_timeout = 10 * CLOCK_SECOND,
		.data_init_timeout = 10 * CLOCK_SECOND,
		.data_xfer_timeout = 10 * CLOCK_SECOND,
		.data_done_timeout = 10 * CLOCK_SECOND,
		.skip_quit_response = true };
	server.rcpt_says = "250 2.1.5 Ok\r\n";
	task_init();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	to_qmgr = channel_new(pair[0], ROLE_AGENT, NULL, NULL, NULL);
	channel_new(pair[1], ROLE_QMGR, handlers, NULL, NULL);
	task_start("test", run_all, NULL);
	task_run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transaction_goes_as_the_server_can)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
