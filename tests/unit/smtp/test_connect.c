/* SPDX-License-Identifier: ISC */
/*
 * test_connect.c - connections to addresses, and to paths through a dialer that the test plays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/task/task.h"
#include "smtp/connect.h"
#include "smtp/smtp.h"

static struct channel *to_dialer;
static int dialed_peer;

struct channel *service_channel(const char *entry, deadline when);
struct channel *service_channel(const char *entry, deadline when)
{
	(void)when;
	assert_string_equal(entry, "dialer");
	return to_dialer;
}

/* "here" exists. */
static void dial(struct request *r, struct frame *first)
{
	struct msg_dial *m = first->message;
	struct msg_dialed answer = { 0 };
	int ends[2] = { -1, -1 };

	if (slice_equal(m->path, SLICE("here")))
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	else
		answer = (struct msg_dialed){ ENOENT, SLICE("no such socket") };
	request_send(r, &table_dialed, &answer, ends[0], true, DEADLINE_NEVER);
	if (ends[0] != -1)
		close(ends[0]);
	dialed_peer = ends[1];
}

static const struct handler handlers[] = {
	{ &table_dial, ROLE_BIT(ROLE_AGENT), dial },
	{ 0 },
};

static void paths(void)
{
	struct host here = { .name = SLICE("here") }, gone = { .name = SLICE("gone") };
	int pair[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	to_dialer = channel_new(pair[0], ROLE_DIALER, NULL, NULL, NULL);
	channel_new(pair[1], ROLE_AGENT, handlers, NULL, NULL);
	fd = connect_host(&here);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(close(fd) + close(dialed_peer), 0);
	assert_int_equal(connect_host(&gone), -1);
	assert_int_equal(errno, ENOENT);
	channel_close(to_dialer);
}

/* A listener on loopback, with its address. */
static int listening(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void addresses(void)
{
	struct sockaddr_in at, from;
	socklen_t len = sizeof(from);
	int listener = listening(&at), fd, client;
	struct host h = { .name = SLICE("host"), .port = ntohs(at.sin_port) };

	net_address_parse(SLICE("127.0.0.1"), &h.address);
	client_settings.bind_address = "127.0.0.9";
	fd = connect_host(&h);
	assert_int_not_equal(fd, -1);
	client = accept(listener, (struct sockaddr *)&from, &len);
	assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 8);
	assert_int_equal(close(fd) + close(client) + close(listener), 0);
	assert_int_equal(connect_host(&h), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void run(void *arg)
{
	(void)arg;
	paths();
	addresses();
	task_stop();
}

static void paths_and_addresses_are_reached(void **state)
{
	(void)state;
	client_settings = (struct client_settings){
		.connect_timeout = 5 * CLOCK_SECOND, .bind_address = "", .bind_address6 = ""
	};
	task_init();
	task_start("test", run, NULL);
	task_run();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(paths_and_addresses_are_reached) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
