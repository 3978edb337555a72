/* SPDX-License-Identifier: ISC */
/*
 * The text of notices: compared as a whole, since programs read names, order and markers.
 */
#include "scene.h"

#include <string.h>

#include "common/base/mem.h"

static const struct msg_notice failed = {
	.kind = NOTICE_FAILURE,
	.id = { "4bXyZ01234z5", 12 },
	.sender = { "alice@far.example", 17 },
	.arrival_us = INT64_C(1700000000000000),
};

static struct buf compose(const struct msg_notice *about, struct notice_rcpt *rcpts, size_t count,
    const char *content, bool headers_only)
{
	struct notice_list list = { .items = rcpts, .count = count, .total = count };
	struct notice n = { .about = about,
		.list = &list,
		.to = about->sender,
		.headers_only = headers_only,
		.content = { slice_of(content), -1, 0, strlen(content) },
		.now_us = INT64_C(1700000001000000) };
	struct returned r;
	struct buf out = { 0 };

	assert_true(returned_measure(&n, &r));
	compose_head(&n, r.is_8bit, &out);
	buf_put_slice(&out, slice_part(n.content.small, 0, (size_t)r.size));
	if (!r.ends)
		buf_puts(&out, "\r\n");
	compose_tail(&n, &out);
	return out;
}

static void a_failure_reads_so(void **unused)
{
	struct notice_rcpt r[] = {
		{ .address = SLICE("bob@b.example"),
		    .original = SLICE("list@mx.example"),
		    .dsn = SLICE("5.1.1"),
		    .reason =
			SLICE("host mx.b.example[192.0.2.1] said: 550 5.1.1 <bob@b.example>: no "
			      "such user here, as far as we know (in reply to RCPT TO command)"),
		    .remote = SLICE("mx.b.example"),
		    .diagnostic =
			SLICE("smtp; 550 5.1.1 <bob@b.example>: no such user here, as far "
			      "as we know") },
		{ .address = SLICE("carl@c.example"),
		    .original = SLICE("carl@c.example"),
		    .orcpt = SLICE("rfc822;Carl+2Bx+0D+0AEvil:@c.example"),
		    .reason = SLICE("unknown user: \"carl\"") },
	};
	struct msg_notice m = failed;
	struct buf out;

	(void)unused;
	m.envid = SLICE("QQ+2B314159");
	out = compose(&m, r, 2, "Received: x\r\nSubject: hi\r\n\r\n..dot\r\nend", false);
	assert_string_equal(buf_text(&out),
	    "Date: Tue, 14 Nov 2023 22:13:21 +0000 (UTC)\r\n"
	    "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "Subject: Undelivered Mail Returned to Sender\r\n"
	    "To: alice@far.example\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"4bXyZ01234z5.1700000001000000/mx.example\"\r\n"
	    "\r\n"
	    "This is a MIME-encapsulated message.\r\n"
	    "\r\n"
	    "--4bXyZ01234z5.1700000001000000/mx.example\r\n"
	    "Content-Description: Notification\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail system at host mx.example.\r\n"
	    "\r\n"
	    "Your message did not reach the recipients below, and it is not tried\r\n"
	    "again. What the servers said stands behind each of them; your message,\r\n"
	    "or its header, is attached.\r\n"
	    "\r\n"
	    "If you need help, write to postmaster and enclose this report.\r\n"
	    "\r\n"
	    "<bob@b.example> (expanded from <list@mx.example>): host "
	    "mx.b.example[192.0.2.1]\r\n"
	    "    said: 550 5.1.1 <bob@b.example>: no such user here, as far as we know (in\r\n"
	    "    reply to RCPT TO command)\r\n"
	    "\r\n"
	    "<carl@c.example>: unknown user: \"carl\"\r\n"
	    "\r\n"
	    "--4bXyZ01234z5.1700000001000000/mx.example\r\n"
	    "Content-Description: Delivery report\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example\r\n"
	    "Original-Envelope-Id: QQ+314159\r\n"
	    "X-Postfix-Queue-ID: 4bXyZ01234z5\r\n"
	    "X-Postfix-Sender: rfc822; alice@far.example\r\n"
	    "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; bob@b.example\r\n"
	    "Original-Recipient: rfc822;list@mx.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.b.example\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 <bob@b.example>: no such user here, as far as\r\n"
	    "    we know\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; carl@c.example\r\n"
	    "Original-Recipient: rfc822;Carl+x??Evil:@c.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.0.0\r\n"
	    "Diagnostic-Code: X-Postfix; unknown user: \"carl\"\r\n"
	    "\r\n"
	    "--4bXyZ01234z5.1700000001000000/mx.example\r\n"
	    "Content-Description: Undelivered Message\r\n"
	    "Content-Type: message/rfc822\r\n"
	    "\r\n"
	    "Return-Path: <alice@far.example>\r\n"
	    "Received: x\r\n"
	    "Subject: hi\r\n"
	    "\r\n"
	    "..dot\r\n"
	    "end\r\n"
	    "\r\n"
	    "--4bXyZ01234z5.1700000001000000/mx.example--\r\n");
	buf_clear(&out);
}

static void other_kinds_differ_in_these(void **unused)
{
	static const struct {
		enum notice_kind kind;
		enum success success;
		const char *dsn, *has[5];
	} cases[] = {
		{ NOTICE_DELAY, 0, "",
		    { "Subject: Delayed Mail (still being retried)\r\n", "Action: delayed\r\n",
			"Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000 (UTC)\r\n",
			"waited for 4 hour(s)", "it is 5 day(s) old" } },
		{ NOTICE_SUCCESS, SUCCESS_DELIVERED, "",
		    { "Subject: Successful Mail Delivery Report\r\n", "Action: delivered\r\n",
			"Content-Description: Message Headers\r\n", "text/rfc822-headers",
			"Status: 2.0.0" } },
		{ NOTICE_SUCCESS, SUCCESS_RELAYED, "", { "Action: relayed\r\n" } },
		{ NOTICE_SUCCESS, SUCCESS_EXPANDED, "", { "Action: expanded\r\n" } },
		{ NOTICE_VERIFY, 0, "2.1.5",
		    { "Subject: Mail Delivery Status Report\r\n", "Action: deliverable\r\n",
			"Content-Description: Message Headers\r\n", "text/rfc822-headers",
			"Status: 2.1.5" } },
		{ NOTICE_VERIFY, 0, "4.4.1", { "Action: undeliverable\r\nStatus: 4.4.1\r\n" } },
		{ NOTICE_VERIFY, 0, "", { "Action: undeliverable\r\nStatus: 5.0.0\r\n" } },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct notice_rcpt r = { .address = SLICE("b@b.example"),
			.reason = SLICE("why"),
			.dsn = slice_of(cases[i].dsn),
			.success = cases[i].success };
		struct msg_notice m = failed;
		struct buf out;

		m.kind = cases[i].kind;
		m.retry_until_us = m.arrival_us + INT64_C(432000000000);
		out = compose(&m, &r, 1, "Subject: x\r\n\r\nsecret body\r\n", true);
		for (size_t k = 0; k < 5 && cases[i].has[k] != NULL; k++)
			if (strstr(buf_text(&out), cases[i].has[k]) == NULL)
				fail_msg("%s is not in\n%s", cases[i].has[k], buf_text(&out));
		assert_null(strstr(buf_text(&out), "secret body"));
		buf_clear(&out);
	}
}

static void bytes_above_127_are_declared(void **unused)
{
	struct notice_rcpt r = { .address = SLICE("b@b.example"),
		.reason = SLICE("gar\xc3\xa7on \xff") };
	struct buf out = compose(&failed, &r, 1, "Subject: x\r\n\r\n\xe9\r\n", false);

	(void)unused;
	assert_non_null(strstr(buf_text(&out),
	    "mx.example\"\r\nContent-Transfer-Encoding: 8bit\r\n"));
	assert_non_null(strstr(buf_text(&out),
	    "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"));
	assert_non_null(strstr(buf_text(&out),
	    "message/delivery-status\r\nContent-Transfer-Encoding: 8bit"));
	assert_non_null(strstr(buf_text(&out),
	    "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
	assert_non_null(strstr(buf_text(&out), "gar\xc3\xa7on ?\r\n"));
	assert_non_null(strstr(buf_text(&out), "\r\n\xe9\r\n"));
	buf_clear(&out);
}

/* RFC 6533: only where an address, or the message, asks for it. */
static void addresses_in_utf8_make_it_a_global_notice(void **unused)
{
	static const char *const global[] = { "Content-Type: message/global-delivery-status\r\n",
		"Content-Type: message/global\r\n" };
	static const struct {
		const char *sender, *address, *original;
		uint64_t flags;
		bool is_global;
		const char *has[3];
	} cases[] = {
		{ "a@a.example", "b@b.example", "b@b.example", 0, false,
		    { "X-Postfix-Sender: rfc822; a@a", "Final-Recipient: rfc822; b@b" } },
		{ "a@a.example", "b@b.example", "b@b.example", ADMIT_SMTPUTF8, true,
		    { "X-Postfix-Sender: rfc822; a@a", "Final-Recipient: rfc822; b@b" } },
		{ "\xc3\xa4@a.example", "b@b.example", "", 0, true,
		    { "X-Postfix-Sender: utf-8; \xc3\xa4@a", "Final-Recipient: rfc822; b@b" } },
		{ "a@a.example", "\xc3\xa4@b.example", "", 0, true,
		    { "Final-Recipient: utf-8; \xc3\xa4@b" } },
		{ "a@a.example", "b@b.example", "\xc3\xa4@b.example", 0, true,
		    { "Original-Recipient: utf-8;\xc3\xa4@b" } },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct notice_rcpt r = { .address = slice_of(cases[i].address),
			.original = slice_of(cases[i].original) };
		struct msg_notice m = failed;

		m.sender = slice_of(cases[i].sender);
		m.flags = cases[i].flags;
		for (int headers = 0; headers < 2; headers++) {
			struct buf out = compose(&m, &r, 1, "Subject: x\r\n\r\ny\r\n", headers);

			assert_int_equal(strstr(buf_text(&out), global[0]) != NULL,
			    cases[i].is_global);
			assert_int_equal(strstr(buf_text(&out),
					     headers ? "message/global-headers" : global[1]) !=
				NULL,
			    cases[i].is_global);
			for (size_t k = 0; k < 3 && cases[i].has[k] != NULL; k++)
				assert_non_null(strstr(buf_text(&out), cases[i].has[k]));
			buf_clear(&out);
		}
	}
}

static void a_notice_may_belong_to_the_thread(void **unused)
{
	static const struct {
		const char *content, *has;
	} cases[] = {
		{ "Message-ID: <1@a>\r\nReferences: <x@a>\r\n <y@a>\r\n\r\nMessage-ID: <2@a>\r\n",
		    "References: <x@a> <y@a> <1@a>\r\nIn-Reply-To: <1@a>\r\n" },
		{ "message-id : <1@a>\r\n\r\n", "References: <1@a>\r\nIn-Reply-To: <1@a>\r\n" },
		{ "References: <x@a>\r\n\r\n", "" },
	};
	struct notice_rcpt r = { .address = SLICE("b@b.example") };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf out;
		char *has;

		bounce_settings.enable_threaded_bounces = true;
		out = compose(&failed, &r, 1, cases[i].content, false);
		bounce_settings.enable_threaded_bounces = false;
		has = mem_printf("\r\nTo: alice@far.example\r\n%sAuto-Submitted: ", cases[i].has);
		assert_non_null(strstr(buf_text(&out), has));
		free(has);
		buf_clear(&out);
	}
}

static void an_address_is_not_folded(void **unused)
{
	static const char address[] =
	    "\"a   b cccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	    "ccccccccccc dddddddddddd\"@b.example";
	struct notice_rcpt r = { .address = SLICE(address), .original = SLICE(address) };
	struct msg_notice m = failed;
	struct buf out;

	(void)unused;
	m.sender = SLICE(address);
	out = compose(&m, &r, 1, "Subject: x\r\n\r\n", false);
	for (size_t i = 0; i < 5; i++) {
		static const char *const fields[] = { "To: ", "X-Postfix-Sender: rfc822; ",
			"Final-Recipient: rfc822; ", "Original-Recipient: rfc822;",
			"Return-Path: <" };
		char *field = mem_printf("\r\n%s%s", fields[i], address);

		assert_non_null(strstr(buf_text(&out), field));
		free(field);
	}
	buf_clear(&out);
}

static void a_header_that_is_too_long_is_cut_between_fields(void **unused)
{
	struct buf content = { 0 };
	struct notice n = { .headers_only = true };
	struct returned r;

	(void)unused;
	buf_puts(&content, "A: 1\r\nB: 2\r\n x\r\n");
	n.content = (struct message_content){ buf_slice(&content), -1, 0, content.len };
	assert_true(returned_measure(&n, &r));
	assert_int_equal(r.size, content.len); /* a header without a body */
	for (int i = 0; i < 30000; i++)
		buf_puts(&content, "C: 12345678\r\n");
	n.content = (struct message_content){ buf_slice(&content), -1, 0, content.len };
	for (size_t cut = 0; cut < 13; cut++) {
		n.content.small.len -= 1;
		n.content.size -= 1;
		assert_true(returned_measure(&n, &r));
		assert_true(r.size >= 100000 && r.size < content.len && r.ends);
		assert_memory_equal(content.data + r.size, "C: ", 3);
	}
	buf_clear(&content);
}

static void lines_are_folded_and_harmless(void **unused)
{
	char word[2001], *at;
	struct buf out = { 0 };

	(void)unused;
	memset(word, 'x', 2000);
	word[2000] = '\0';
	lines_put_folded(&out, slice_of(word));
	for (at = word; (at = memchr(at, 'x', 1)) != NULL && at < word; at++)
		;
	assert_memory_equal(out.data + 900, "\r\n    xxx", 9);
	for (const char *line = buf_text(&out); *line != '\0'; line = strchr(line, '\n') + 1)
		assert_true(strchr(line, '\n') - line <= 910);
	buf_reset(&out);
	lines_put_folded(&out, SLICE("a\r\nB: c\x01\tz"));
	assert_string_equal(buf_text(&out), "a??B: c??z\r\n");
	buf_reset(&out);
	lines_put(&out, SLICE(".dot\n\nplain"));
	assert_string_equal(buf_text(&out), "..dot\r\n\r\nplain\r\n");
	buf_reset(&out);
	/* A dot behind an indent does not begin its line. */
	memset(word, 'x', 78);
	memcpy(word + 78, " .forward", 10);
	lines_put_folded(&out, slice_of(word));
	assert_string_equal(buf_text(&out) + 78, "\r\n    .forward\r\n");
	buf_reset(&out);
	lines_put_folded(&out, SLICE("   "));
	assert_string_equal(buf_text(&out), "");
	buf_clear(&out);
}

static void a_list_is_bounded(void **unused)
{
	struct slice text[RCPTS_PER_FRAME];
	uint64_t number[RCPTS_PER_FRAME] = { 0 };
	struct wire_texts texts = { text, RCPTS_PER_FRAME };
	struct msg_notice_rcpts m = { texts, texts, texts, { number, RCPTS_PER_FRAME }, texts,
		texts, texts, texts, { number, RCPTS_PER_FRAME } };
	struct notice_list list = { 0 };
	struct arena *arena = arena_new();
	struct notice n = { .about = &failed, .list = &list, .to = SLICE("a@b") };
	struct buf out = { 0 };

	(void)unused;
	for (size_t i = 0; i < RCPTS_PER_FRAME; i++)
		text[i] = SLICE("x@y.example");
	for (size_t i = 0; i < 10000; i++)
		list_add(&list, &m, i % RCPTS_PER_FRAME, arena);
	assert_int_equal(list.count, NOTICE_RCPTS);
	compose_head(&n, false, &out);
	assert_non_null(strstr(buf_text(&out), "The same is true of 9000 more recipients.\r\n"));
	buf_clear(&out);
	list_clear(&list);
	arena_free(arena);
}

static void who_asked_is_told(void **unused)
{
	static const struct {
		uint64_t notify, success;
		bool failure, delay, delivered, cleared;
	} cases[] = {
		{ 0, SUCCESS_DELIVERED, true, true, false, true },
		{ NOTIFY_NEVER, SUCCESS_DELIVERED, false, false, false, false },
		{ NOTIFY_SUCCESS, SUCCESS_DELIVERED, false, false, true, true },
		{ NOTIFY_SUCCESS | NOTIFY_FAILURE, SUCCESS_RELAYED, true, false, true, true },
		{ NOTIFY_SUCCESS, SUCCESS_PASSED, false, false, false, false },
		{ NOTIFY_DELAY, SUCCESS_DELIVERED, false, true, false, true },
		{ NOTIFY_DELAY, SUCCESS_PASSED, false, true, false, true },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct msg_notice m = { .kind = NOTICE_FAILURE };

		assert_int_equal(list_is_due(&m, cases[i].notify, 0), cases[i].failure);
		m.kind = NOTICE_DELAY;
		assert_int_equal(list_is_due(&m, cases[i].notify, 0), cases[i].delay);
		m.kind = NOTICE_SUCCESS;
		assert_int_equal(list_is_due(&m, cases[i].notify, cases[i].success),
		    cases[i].delivered);
		m.cleared = 1;
		assert_int_equal(list_is_due(&m, cases[i].notify, cases[i].success),
		    cases[i].cleared);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_reads_so),
		cmocka_unit_test(other_kinds_differ_in_these),
		cmocka_unit_test(bytes_above_127_are_declared),
		cmocka_unit_test(addresses_in_utf8_make_it_a_global_notice),
		cmocka_unit_test(a_notice_may_belong_to_the_thread),
		cmocka_unit_test(an_address_is_not_folded),
		cmocka_unit_test(a_header_that_is_too_long_is_cut_between_fields),
		cmocka_unit_test(lines_are_folded_and_harmless),
		cmocka_unit_test(a_list_is_bounded),
		cmocka_unit_test(who_asked_is_told),
	};

	return cmocka_run_group_tests(tests, scene_begin, scene_end);
}
