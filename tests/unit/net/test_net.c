/* SPDX-License-Identifier: ISC */
/*
 * test_net.c - addresses, networks, listening, and streams over socketpairs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/net/address.h"
#include "common/net/stream.h"
#include "common/task/task.h"

static void addresses_have_one_form(void **state)
{
	static const char *const rows[][2] = { { "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" }, { "2001:DB8:0:0::1", "2001:db8::1" },
		{ "::1", "::1" }, { "192.0.2", NULL }, { "", NULL }, { "192.0.2.256", NULL },
		{ "fe80::1%lo", NULL }, { "1.2.3.4 ", NULL } };
	char text[INET6_ADDRSTRLEN];
	struct net_address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bool ok = net_address_parse(slice_of(rows[i][0]), &a);

		assert_int_equal(ok, rows[i][1] != NULL);
		if (ok)
			assert_string_equal(net_address_text(&a, text), rows[i][1]);
	}
}

static void networks_hold_their_addresses(void **state)
{
	static const struct {
		const char *network, *address;
		int expected; /* -1: no network */
	} rows[] = { { "10.0.0.0/8", "10.255.0.1", 1 }, { "10.0.0.0/8", "11.0.0.1", 0 },
		{ "127.0.0.1", "127.0.0.1", 1 }, { "127.0.0.1", "127.0.0.2", 0 },
		{ "[::1]/128", "::1", 1 }, { "[2001:db8::]/33", "2001:db8:8000::1", 0 },
		{ "[2001:db8::]/33", "2001:db8:7fff::1", 1 }, { "0.0.0.0/0", "203.0.113.9", 1 },
		{ "0.0.0.0/0", "::1", 0 },
		/* Debian writes this into the main.cf of each new Postfix. */
		{ "[::ffff:127.0.0.0]/104", "127.9.0.1", 1 },
		{ "[::ffff:127.0.0.0]/104", "128.0.0.1", 0 },
		{ "[::ffff:0.0.0.0]/96", "203.0.113.9", 1 },
		{ "[::ffff:127.0.0.1]", "127.0.0.1", 1 }, { "[::ffff:127.0.0.0]/129", "", -1 },
		{ "[::ffff:127.0.0.0]/8", "", -1 }, { "[::ffff:127.0.0.1]/104", "", -1 },
		{ "10.0.0.1/8", "", -1 }, { "10.0.0.0/33", "", -1 }, { "10.0.0.0/", "", -1 },
		{ "ten", "", -1 }, { "", "", -1 } };
	struct net_network n;
	struct net_address a;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bool ok = net_network_parse(slice_of(rows[i].network), &n, &why);

		assert_int_equal(ok, rows[i].expected != -1);
		if (!ok)
			continue;
		assert_true(net_address_parse(slice_of(rows[i].address), &a));
		assert_int_equal(net_network_contains(&n, &a), rows[i].expected);
	}
}

static void an_address_of_another_system_is_named_with_its_place(void **state)
{
	static const struct {
		const char *service, *interfaces, *said;
	} cases[] = {
		{ "0", "127.0.0.1 192.0.2.1",
		    "192.0.2.1:0: Cannot assign requested address; this "
		    "system has no such address, see inet_interfaces" },
		{ "192.0.2.1:0", "all",
		    "no such address, see the entry's first field in master.cf" },
	};
	int fds[4];
	char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(net_listen(cases[i].service, cases[i].interfaces, "ipv4", fds, 4,
				     NULL, &why),
		    -1);
		if (strstr(why, cases[i].said) == NULL)
			fail_msg("%s", why);
		free(why);
	}
}

static void a_taken_port_is_said(void **state)
{
	int fds[4], again[4], count;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	char service[32], *why;

	(void)state;
	count = net_listen("127.0.0.1:0", "all", "all", fds, 4, NULL, &why);
	assert_int_equal(count, 1);
	getsockname(fds[0], (struct sockaddr *)&in, &len);
	snprintf(service, sizeof(service), "%d", ntohs(in.sin_port));
	assert_int_equal(net_listen(service, "127.0.0.1", "ipv4", again, 4, NULL, &why), -1);
	assert_non_null(strstr(why, "another server has this port"));
	free(why);
	assert_int_equal(net_listen("no-such-port-name", "all", "all", again, 4, NULL, &why), -1);
	free(why);
	close(fds[0]);
}

/* --- streams -------------------------------------------------------------------------------------- */

static int peer;
static struct stream *ours;

static void in_task(void (*run)(void *))
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	peer = ends[1];
	ours = stream_new(ends[0], 1000);
	assert_non_null(task_start("test", run, NULL));
	task_run();
	stream_free(ours);
	close(peer);
}

static void say(const char *text)
{
	assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

static void lines(void *arg)
{
	struct slice line;

	(void)arg;
	say("EHLO a\r\nplain\n\r\nhalf");
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_memory_equal(line.data, "EHLO a", line.len);
	assert_true(stream_has_input(ours));
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_int_equal(line.len, 5);
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_int_equal(line.len, 0);
	assert_int_equal(stream_line(ours, &line, deadline_after(20 * CLOCK_MS)), -1);
	assert_int_equal(errno, ETIMEDOUT);
	say(" done\r\n");
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_memory_equal(line.data, "half done", line.len);
	shutdown(peer, SHUT_WR);
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 0);
	task_stop();
}

static void a_stream_gives_lines(void **state)
{
	(void)state;
	in_task(lines);
}

static void too_long(void *arg)
{
	static char big[1501];
	struct slice line;

	(void)arg;
	memset(big, 'a', 1500);
	say(big);
	say("tail\nnext\n");
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(line.len, 1000);
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_int_equal(line.len, 504);
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_memory_equal(line.data, "next", 4);
	task_stop();
}

static void a_long_line_is_bounded(void **state)
{
	(void)state;
	in_task(too_long);
}

static void flood(void *arg)
{
	static char piece[32768];

	(void)arg;
	/* The peer reads nothing: the write must end at its deadline and keep the process alive. */
	for (int i = 0; i < 200; i++)
		if (stream_write(ours, slice_new(piece, sizeof(piece)),
			deadline_after(30 * CLOCK_MS)) == -1)
			break;
	assert_int_equal(errno, ETIMEDOUT);
	task_stop();
}

static void a_peer_that_does_not_read_costs_a_deadline(void **state)
{
	(void)state;
	in_task(flood);
}

static void pieces(void *arg)
{
	struct slice piece;

	(void)arg;
	say("abc");
	assert_int_equal(stream_peek(ours, &piece, DEADLINE_NEVER), 1);
	stream_consume(ours, 1);
	say("def");
	assert_int_equal(stream_peek_more(ours, &piece, DEADLINE_NEVER), 1);
	assert_memory_equal(piece.data, "bcdef", piece.len);
	stream_drop_input(ours);
	assert_false(stream_has_input(ours));
	task_stop();
}

static void pieces_stay_until_they_are_consumed(void **state)
{
	(void)state;
	in_task(pieces);
}

static void drain(void *arg)
{
	size_t *taken = arg;
	char bytes[4096];
	ssize_t got;

	while (*taken < 3 + 3000000 &&
	    (task_wait_fd(peer, TASK_READ, deadline_after(10 * CLOCK_SECOND)) != -1) &&
	    (got = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		*taken += (size_t)got;
}

static void send_large(void *arg)
{
	static char large[1500000];
	struct slice parts[] = { slice_new(large, sizeof(large)), slice_new(large, sizeof(large)) };
	size_t left = 0, taken = 0;
	deadline begin;

	(void)arg;
	/* What was gathered goes first, and patience is for each step, not for the whole. */
	assert_int_equal(stream_write(ours, SLICE("abc"), DEADLINE_NEVER), 0);
	assert_non_null(task_start("peer", drain, &taken));
	assert_int_equal(stream_send(ours, parts, 2, CLOCK_SECOND, &left), 0);
	assert_int_equal(left, 0);
	while (taken < 3 + 2 * sizeof(large))
		task_sleep_until(deadline_after(CLOCK_MS));
	/* Nobody reads any more. */
	begin = clock_now();
	assert_int_equal(stream_send(ours, parts, 2, 30 * CLOCK_MS, &left), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_in_range(left, 1, 2 * sizeof(large) - 1);
	assert_in_range(clock_now() - begin, 30 * CLOCK_MS, 5 * CLOCK_SECOND);
	assert_false(stream_try(ours, SLICE("QUIT\r\n")));
	task_stop();
}

static void large_parts_are_sent_as_they_lie(void **state)
{
	(void)state;
	in_task(send_large);
}

static void be_quiet(void *arg)
{
	struct slice line;

	(void)arg;
	assert_true(stream_is_quiet(ours));
	say("a\nb\n");
	assert_false(stream_is_quiet(ours));
	stream_wait_first(ours);
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_false(stream_is_quiet(ours)); /* b is in the buffer */
	assert_int_equal(stream_line(ours, &line, DEADLINE_NEVER), 1);
	assert_true(stream_is_quiet(ours));
	assert_true(stream_try(ours, SLICE("QUIT\r\n")));
	shutdown(peer, SHUT_WR);
	assert_false(stream_is_quiet(ours));
	task_stop();
}

static void an_idle_stream_is_quiet(void **state)
{
	(void)state;
	in_task(be_quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_have_one_form),
		cmocka_unit_test(networks_hold_their_addresses),
		cmocka_unit_test(an_address_of_another_system_is_named_with_its_place),
		cmocka_unit_test(a_taken_port_is_said),
		cmocka_unit_test(a_stream_gives_lines),
		cmocka_unit_test(a_long_line_is_bounded),
		cmocka_unit_test(a_peer_that_does_not_read_costs_a_deadline),
		cmocka_unit_test(pieces_stay_until_they_are_consumed),
		cmocka_unit_test(large_parts_are_sent_as_they_lie),
		cmocka_unit_test(an_idle_stream_is_quiet),
	};

	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
