/* SPDX-License-Identifier: ISC */
/*
 * A message in, a message out: the header is made whole the same way however the content is cut, and
 * no content makes the pass slow or large.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "cleanup/cleanup.h"
#include "cleanup/header_pass.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

/* Mon, 23 Nov 2026 14:53:48 +0000 */
static const int64_t arrival = INT64_C(1795445628) * 1000000;

static const char trace[] = "Received: from client.example (name.example [192.0.2.1])\r\n"
			    "\tby mx.here.example (Gatepost) with ESMTP id ID\r\n"
			    "\tfor <u@here.example>; Mon, 23 Nov 2026 14:53:48 +0000 (UTC)\r\n";

static struct msg_admit message;
static struct header_context context;
static unsigned questions;

/* Stands for rewrite. */
static bool complete(void *arg, struct wire_texts texts, struct slice *answers, struct arena *a)
{
	(void)arg;
	questions++;
	assert_true(texts.count <= RCPTS_PER_FRAME);
	for (size_t i = 0; i < texts.count; i++)
		answers[i] = slice_of(arena_printf(a, "%.*s%s", (int)texts.items[i].len,
		    texts.items[i].data,
		    slice_find(texts.items[i], '@') == -1 ? "@here.example" : ".here.example"));
	return true;
}

static bool no_answer(void *arg, struct wire_texts texts, struct slice *answers, struct arena *a)
{
	(void)arg;
	(void)texts;
	(void)answers;
	(void)a;
	return false;
}

static int set_up(void **state)
{
	(void)state;
	cleanup_settings = (struct cleanup_settings){
		.myhostname = "mx.here.example",
		.mail_name = "Gatepost",
		.message_drop_headers = "bcc, content-length, resent-bcc, return-path",
		.undisclosed_recipients_header = "",
		.hopcount_limit = 50,
		.header_size_limit = 102400,
	};
	message = (struct msg_admit){ .id = SLICE("ID"),
		.arrival_us = arrival,
		.protocol = SLICE("ESMTP"),
		.client_helo = SLICE("client.example"),
		.client_name = SLICE("name.example"),
		.client_address = SLICE("192.0.2.1") };
	context = (struct header_context){ .admit = &message,
		.sender = SLICE("s@else.example"),
		.only_recipient = SLICE("u@here.example") };
	questions = 0;
	return 0;
}

static enum pass_result pass(struct slice in, size_t piece, struct buf *out, struct buf *id)
{
	struct header_pass *p = header_pass_new(&context, out);
	enum pass_result result = PASS_OK;

	for (size_t at = 0; result == PASS_OK && at < in.len; at += piece)
		result = header_pass_feed(p, slice_part(in, at, piece), out);
	if (result == PASS_OK)
		result = header_pass_end(p, out);
	if (id != NULL)
		buf_put_slice(id, header_pass_message_id(p));
	header_pass_free(p);
	return result;
}

/* Whatever the pieces, this comes out behind the trace header. */
static void assert_pass(const char *in, const char *expected)
{
	static const size_t pieces[] = { 100000, 1, 2, 3, 7, 64 };

	for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
		struct buf out = { 0 };

		assert_int_equal(pass(slice_of(in), pieces[i], &out, NULL), PASS_OK);
		assert_int_equal(strncmp(buf_text(&out), trace, sizeof(trace) - 1), 0);
		assert_string_equal(buf_text(&out) + sizeof(trace) - 1, expected);
		buf_clear(&out);
	}
}

static void mail_of_strangers_keeps_its_header(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n" },
		{ "Subject: x\r\n folded\r\n\tmore\r\nTo: root\r\n\r\n..dot\r\n",
		    "Subject: x\r\n folded\r\n\tmore\r\nTo: root\r\n\r\n..dot\r\n" },
		{ "Return-Path: <a@b>\r\nBCC: x,\r\n y\r\nSubject: x\r\nContent-Length: "
		  "5\r\n\r\nb\r\n",
		    "Subject: x\r\n\r\nb\r\n" },
		{ "Resent-Bcc : x\r\nA: b\r\n\r\n", "A: b\r\n\r\n" },
		{ "From \t: a@b\r\nX : y\r\n : z\r\n\r\n", "From: a@b\r\nX: y\r\n : z\r\n\r\n" },
		{ "no header\r\n", "\r\nno header\r\n" },
		{ "A: b\r\nno field here\r\n\r\nx\r\n", "A: b\r\n\r\nno field here\r\n\r\nx\r\n" },
		{ "A: b\r\n", "A: b\r\n\r\n" },
		{ "A: b", "A: b\r\n\r\n" },
		{ "", "\r\n" },
		{ "\r\n", "\r\n" },
		{ "\r\nbody: x\r\nReturn-Path: y\r\n", "\r\nbody: x\r\nReturn-Path: y\r\n" },
		{ " blank first\r\n", "\r\n blank first\r\n" },
		{ "From a@b Mon Nov 23\r\nA: b\r\n\r\nbody\r\n",
		    "X-Mailbox-Line: From a@b Mon Nov 23\r\nA: b\r\n\r\nbody\r\n" },
		{ ">From x\r\n\r\n", "X-Mailbox-Line: >From x\r\n\r\n" },
		{ "From x", "X-Mailbox-Line: From x\r\n\r\n" },
		{ "A: b\r\nFrom x\r\n", "A: b\r\n\r\nFrom x\r\n" },
		{ ": no name\r\n", "\r\n: no name\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_pass(cases[i].in, cases[i].out);
}

static void what_local_mail_lacks_is_added(void **state)
{
	static const char id[] = "Message-Id: <20261123145348.ID@mx.here.example>\r\n";
	static const char date[] = "Date: Mon, 23 Nov 2026 14:53:48 +0000 (UTC)\r\n";
	static const char from[] = "From: s@else.example\r\n";
	char expected[1000];

	(void)state;
	context.add_missing = true;
	snprintf(expected, sizeof(expected), "A: b\r\n%s%s%s\r\nbody\r\n", id, date, from);
	assert_pass("A: b\r\n\r\nbody\r\n", expected);
	snprintf(expected, sizeof(expected), "message-ID: <x>\r\n%s%s\r\n", date, from);
	assert_pass("message-ID: <x>\r\n\r\n", expected);
	assert_pass("Message-ID: <x>\r\nDate: y\r\nFrom: z@z.example\r\n\r\n",
	    "Message-ID: <x>\r\nDate: y\r\nFrom: z@z.example\r\n\r\n");
	snprintf(expected, sizeof(expected),
	    "Resent-To: a@b.c\r\nFrom: z\r\n"
	    "Resent-%sResent-%sResent-%s\r\n",
	    id, date, from);
	assert_pass("Resent-To: a@b.c\r\nFrom: z\r\n\r\n", expected);
	context.sender = SLICE("");
	cleanup_settings.undisclosed_recipients_header = "To: undisclosed-recipients:;";
	snprintf(expected, sizeof(expected),
	    "%s%sFrom: MAILER-DAEMON@mx.here.example (Mail Delivery System)\r\n"
	    "To: undisclosed-recipients:;\r\n\r\n",
	    id, date);
	assert_pass("\r\n", expected);
	snprintf(expected, sizeof(expected), "From: a@b.c\r\n%s%s\r\n", id, date);
	assert_pass("Bcc: x@y.z\r\nFrom: a@b.c\r\n\r\n", expected);
}

static void bare_addresses_of_local_mail_are_completed_where_they_stand(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "root", "root@here.example" },
		{ "root, bob", "root@here.example, bob@here.example" },
		{ "root,\r\n\tbob (Bob, who (never) writes) , a@b.example",
		    "root@here.example,\r\n\tbob@here.example (Bob, who (never) writes) , "
		    "a@b.example" },
		{ "Charlie Root <root>", "Charlie Root <root@here.example>" },
		{ "\"Root, C. <x>\" <root> (note)", "\"Root, C. <x>\" <root@here.example> (note)" },
		{ "friends: a, B <b>, c@d.example;, e",
		    "friends: a@here.example, B <b@here.example>, c@d.example;, e@here.example" },
		{ "\"a b\" <\"c d\">", "\"a b\" <\"c d\">" },
		{ "\"cd\"", "\"cd\"@here.example" },
		{ "two words", "two words" },
		{ "<a> <b>", "<a@here.example> <b>" },
		{ "<@x.example:a>", "<@x.example:a>" },
		{ "(only a comment", "(only a comment" },
		{ "\"open, root", "\"open, root" },
		{ "root (open", "root (open" },
		{ "a\\,b", "a\\,b" },
		{ "<root", "<root" },
		{ ",,,", ",,," },
		{ "r\xc3\xa4t", "r\xc3\xa4t" },
		{ "a@b", "a@b" },
	};

	(void)state;
	context.complete = complete;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char in[300], out[300];

		snprintf(in, sizeof(in), "To: %s\r\nSubject: root\r\n\r\nTo: root\r\n",
		    cases[i].in);
		snprintf(out, sizeof(out), "To: %s\r\nSubject: root\r\n\r\nTo: root\r\n",
		    cases[i].out);
		assert_pass(in, out);
	}
	cleanup_settings.append_dot_mydomain = true;
	assert_pass("From: a@b\r\n\r\n", "From: a@b.here.example\r\n\r\n");
}

static void whole_addresses_are_no_question(void **state)
{
	(void)state;
	context.complete = complete;
	assert_pass("To: a@b.example, C <d@e.example>\r\n\r\n",
	    "To: a@b.example, C <d@e.example>\r\n\r\n");
	assert_int_equal(questions, 0);
	context.complete = no_answer;
	{
		struct buf out = { 0 };

		assert_int_equal(pass(SLICE("To: a\r\n\r\n"), 10, &out, NULL), PASS_NO_ANSWER);
		buf_clear(&out);
	}
}

static void many_addresses_are_asked_in_batches(void **state)
{
	struct buf in = { 0 }, out = { 0 };
	size_t found = 0;

	(void)state;
	context.complete = complete;
	buf_puts(&in, "To: u0");
	for (unsigned i = 1; i < 1000; i++)
		buf_printf(&in, ",%su%u", i % 10 == 0 ? "\r\n " : "", i);
	buf_puts(&in, "\r\n\r\n");
	assert_int_equal(pass(buf_slice(&in), 1000, &out, NULL), PASS_OK);
	for (const char *at = buf_text(&out); (at = strstr(at, "@here.example,")) != NULL; at++)
		found++;
	assert_int_equal(found, 999);
	assert_in_range(questions, 10, 11);
	buf_clear(&in);
	buf_clear(&out);
}

static void loops_end_at_the_hopcount_limit(void **state)
{
	struct buf in = { 0 }, out = { 0 };

	(void)state;
	for (int i = 0; i < 48; i++)
		buf_puts(&in, "received: x\r\n");
	buf_puts(&in, "\r\nReceived: x\r\nReceived: x\r\n");
	assert_int_equal(pass(buf_slice(&in), 10, &out, NULL), PASS_OK);
	buf_reset(&in);
	for (int i = 0; i < 49; i++)
		buf_puts(&in, "Received: x\r\n");
	assert_int_equal(pass(buf_slice(&in), 10, &out, NULL), PASS_TOO_MANY_HOPS);
	buf_clear(&in);
	buf_clear(&out);
}

static void a_header_that_is_too_long_is_cut(void **state)
{
	(void)state;
	cleanup_settings.header_size_limit = 20;
	assert_pass("A: 1\r\n 2345\r\n 6789012345\r\n more\r\nB: 1\r\n\r\nbody\r\n",
	    "A: 1\r\n 2345\r\nB: 1\r\n\r\nbody\r\n");
	assert_pass("A: 1234567890123456789012345\r\nB: 1\r\n\r\nbody\r\n",
	    "A: 12345678901234567\r\nB: 1\r\n\r\nbody\r\n");
	assert_pass("A23456789012345678901234567890: x\r\nB: 1\r\n\r\nbody\r\n",
	    "B: 1\r\n\r\nbody\r\n");
	assert_pass("A: 1234567890123456789012345\r\n", "A: 12345678901234567\r\n\r\n");
}

static double seconds_of_pass(struct slice in, size_t piece, size_t *size)
{
	struct buf out = { 0 };
	clock_t start = clock();

	assert_int_equal(pass(in, piece, &out, NULL), PASS_OK);
	*size = out.len;
	buf_clear(&out);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void hostile_headers_take_linear_time(void **state)
{
	static const char *const units[] = { "A: b\r\n", " \r\n", "\r", "\n", "a", ":", "\r\r\n",
		"(", "\"", "<", ",", "a,", "\\" };
	enum { SIZE = 2000000 };
	char *text = mem_alloc(SIZE + 10);

	(void)state;
	context.complete = complete;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		size_t len = strlen(units[i]), at = 4, size;

		memcpy(text, "To: ", 4);
		for (; at + len <= SIZE; at += len)
			memcpy(text + at, units[i], len);
		for (size_t piece = 16; piece <= 65536; piece *= 4096)
			assert_true(seconds_of_pass(slice_new(text, at), piece, &size) < 5);
		assert_true(size < 2 * SIZE + 10000 + 14 * 102400);
	}
	free(text);
}

static void the_message_id_is_shown_clean(void **state)
{
	static const struct {
		const char *in, *id;
	} cases[] = {
		{ "Message-ID:\r\n  <a@b> \r\n\r\n", "<a@b>" },
		{ "Message-ID: <a\x01@b>\r\n\r\n", "<a?@b>" },
		{ "Message-ID: one\r\nMessage-ID: two\r\n\r\n", "one" },
		{ "A: b\r\n\r\nMessage-ID: x\r\n", "" },
		{ "Resent-Message-ID: <r@b>\r\n\r\n", "" },
	};
	struct header_pass *p;
	struct buf ignored = { 0 };

	(void)state;
	p = header_pass_new(&context, &ignored);
	header_pass_feed(p, SLICE("Message-ID: x\r\nResent-Message-ID: <r@b>\r\n\r\n"), &ignored);
	header_pass_end(p, &ignored);
	assert_true(slice_equal(header_pass_resent_message_id(p), SLICE("<r@b>")));
	header_pass_free(p);
	buf_clear(&ignored);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf out = { 0 }, id = { 0 };

		pass(slice_of(cases[i].in), 5, &out, &id);
		assert_string_equal(buf_text(&id), cases[i].id);
		buf_clear(&out);
		buf_clear(&id);
	}
}

static void the_trace_header_tells_nothing_but_the_truth(void **state)
{
	struct buf out = { 0 };

	(void)state;
	message.client_helo = SLICE("x (trusted.example [127.0.0.1])\"@\x7f");
	message.client_name = SLICE("unknown");
	message.client_address = SLICE("2001:db8::1");
	message.delivered_to = SLICE("u@here.example");
	context.only_recipient = SLICE("");
	trace_put(&context, &out);
	assert_string_equal(buf_text(&out),
	    "Received: from x??trusted.example?[127.0.0.1]???? (unknown [IPv6:2001:db8::1])\r\n"
	    "\tby mx.here.example (Gatepost) with ESMTP id ID; "
	    "Mon, 23 Nov 2026 14:53:48 +0000 (UTC)\r\n"
	    "Delivered-To: u@here.example\r\n");
	buf_reset(&out);
	message = (struct msg_admit){
		.id = SLICE("ID"), .arrival_us = arrival, .received_by = SLICE("from userid 1000")
	};
	trace_put(&context, &out);
	assert_string_equal(buf_text(&out),
	    "Received: by mx.here.example (Gatepost, from userid 1000)\r\n"
	    "\tid ID; Mon, 23 Nov 2026 14:53:48 +0000 (UTC)\r\n");
	buf_clear(&out);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mail_of_strangers_keeps_its_header),
		TEST(what_local_mail_lacks_is_added),
		TEST(bare_addresses_of_local_mail_are_completed_where_they_stand),
		TEST(whole_addresses_are_no_question),
		TEST(many_addresses_are_asked_in_batches),
		TEST(loops_end_at_the_hopcount_limit),
		TEST(a_header_that_is_too_long_is_cut),
		TEST(hostile_headers_take_linear_time),
		TEST(the_message_id_is_shown_clean),
		TEST(the_trace_header_tells_nothing_but_the_truth),
	};

	setenv("TZ", "UTC0", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
