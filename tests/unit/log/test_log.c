/* SPDX-License-Identifier: ISC */
/*
 * test_log.c - the lines that log parsers read, and lines on their way to postlogd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log/log.h"

static int ends[2];
static char text[65536];

/* The text of the first line of the next datagram; *level as sent. */
static const char *next_line(int *level)
{
	char datagram[65536];
	uint16_t tag_len, text_len;
	ssize_t got;

	log_flush();
	got = recv(ends[0], datagram, sizeof(datagram), MSG_DONTWAIT);
	if (got <= 0)
		return NULL;
	*level = datagram[0];
	memcpy(&tag_len, datagram + 9, 2);
	tag_len = le16toh(tag_len);
	assert_memory_equal(datagram + 11, "postfix/submission/smtpd", tag_len);
	memcpy(&text_len, datagram + 11 + tag_len, 2);
	text_len = le16toh(text_len);
	memcpy(text, datagram + 13 + tag_len, text_len);
	text[text_len] = '\0';
	return text;
}

static int set_up(void **state)
{
	int size = 16384;

	(void)state;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == -1)
		return -1;
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	log_open("postfix", "submission/smtpd");
	log_to_socket(ends[1]);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(ends[0]);
	log_flush();
	close(ends[1]);
	return 0;
}

static void a_delivery_line_is_as_parsers_expect(void **state)
{
	int level;

	(void)state;
	log_event(LOG_DELIVERY, { "id", SLICE("4bXyz") }, { "to", SLICE("u@example.com") },
	    { "relay", SLICE("local") }, { "delay", SLICE("0.02") },
	    { "delays", SLICE("0.01/0/0/0.01") }, { "dsn", SLICE("2.0.0") },
	    { "status", SLICE("sent") }, { "text", SLICE("delivered to mailbox") });
	assert_string_equal(next_line(&level),
	    "4bXyz: to=<u@example.com>, relay=local, delay=0.02, delays=0.01/0/0/0.01, dsn=2.0.0, "
	    "status=sent (delivered to mailbox)");
	assert_int_equal(level, LOG_LEVEL_INFO);
}

static void an_optional_part_needs_its_member(void **state)
{
	int level;

	(void)state;
	log_event(LOG_REJECT, { "id", SLICE("NOQUEUE") }, { "verb", SLICE("reject") },
	    { "stage", SLICE("RCPT") }, { "client", SLICE("unknown[192.0.2.1]") },
	    { "reply", SLICE("554 5.7.1 <a@b>: Relay access denied") }, { "from", SLICE("<s@c>") },
	    { "to", SLICE("a@b") }, { "proto", SLICE("ESMTP") }, { "helo", SLICE("h") });
	assert_string_equal(next_line(&level),
	    "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 "
	    "<a@b>: Relay access denied; from=<s@c> to=<a@b> proto=ESMTP helo=<h>");
	log_event(LOG_SESSION_LOST, { "what", SLICE("lost connection") },
	    { "stage", SLICE("EHLO") }, { "client", SLICE("unknown[192.0.2.1]") });
	assert_string_equal(next_line(&level),
	    "lost connection after EHLO from unknown[192.0.2.1]");
	log_event(LOG_MESSAGE_ID, { "id", SLICE("4bXyz") }, { "message_id", SLICE("<a@b>") });
	assert_string_equal(next_line(&level), "4bXyz: message-id=<a@b>");
	log_event(LOG_MESSAGE_ID, { "id", SLICE("4bXyz") }, { "resent", SLICE("resent-") },
	    { "message_id", SLICE("<a@b>") });
	assert_string_equal(next_line(&level), "4bXyz: resent-message-id=<a@b>");
	log_event(LOG_NOTIFICATION, { "id", SLICE("4bXyz") },
	    { "what", SLICE("sender non-delivery") }, { "notice", SLICE("4bXyw") });
	assert_string_equal(next_line(&level), "4bXyz: sender non-delivery notification: 4bXyw");
	log_event(LOG_DISCONNECT, { "client", SLICE("x[::1]") },
	    { "commands", SLICE(" commands=0/0") });
	assert_string_equal(next_line(&level), "disconnect from x[::1] commands=0/0");
}

static void control_bytes_are_replaced(void **state)
{
	int level;

	(void)state;
	log_warning("a%sb", "\r\n\x1b[2J\x80");
	assert_string_equal(next_line(&level), "warning: a???[2J?b");
	assert_int_equal(level, LOG_LEVEL_WARNING);
}

static void a_long_line_is_cut(void **state)
{
	static char big[5000];
	int level;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	log_info("%s", big);
	assert_int_equal(strlen(next_line(&level)), 2000);
}

static void a_full_socket_keeps_lines_and_counts_the_dropped(void **state)
{
	static char filler[1000];
	int level, lines = 0;
	const char *line, *last = "";

	(void)state;
	memset(filler, 'x', sizeof(filler) - 1);
	for (int i = 0; i < 3000; i++) {
		log_info("%s", filler);
		log_flush();
	}
	assert_false(log_flush());
	while ((line = next_line(&level)) != NULL) {
		lines++;
		last = line;
	}
	assert_in_range(lines, 20, 2999);
	assert_non_null(strstr(last, "log lines were dropped"));
	assert_true(log_flush());
}

static void delays_have_two_digits(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = { { 0, "0" }, { 4999, "0" }, { 20000, "0.02" }, { 104000, "0.1" },
		{ 1500000, "1.5" }, { 994999, "0.99" }, { 996000, "1" }, { 9949999, "9.9" },
		{ 9950000, "10" }, { 12400000, "12" }, { -5, "0" },
		{ INT64_C(86400000000), "86400" } };
	char out[24];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(log_delay(out, rows[i].us), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_line_is_as_parsers_expect),
		cmocka_unit_test(an_optional_part_needs_its_member),
		cmocka_unit_test(control_bytes_are_replaced),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(a_full_socket_keeps_lines_and_counts_the_dropped),
		cmocka_unit_test(delays_have_two_digits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
