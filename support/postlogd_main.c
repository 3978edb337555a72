/* SPDX-License-Identifier: ISC */
/*
 * postlogd_main.c - the only writer of logs. Services send datagrams of lines into one socketpair that
 * master made once and keeps: what was sent while postlogd was not running is still there. A datagram
 * leaves the socket when its lines were written: who is killed between the two leaves lines that the
 * next process writes twice, and none that nobody wrote.
 *
 * It must be fast: the socket holds few datagrams, and what does not fit waits in the services.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "support/postlogd.h"

enum { BATCH = 256 * 1024, RETRY_MS = 1000 };

struct postlogd_settings {
	const char *maillog_file, *maillog_file_permissions, *maillog_file_prefixes;
	const char *syslog_facility;
};
static struct postlogd_settings settings;
static struct postlogd_sink *sink;
static uint64_t failures; /* of writing, in a row */
static size_t seen;	  /* datagrams of the batch: they are still in the socket */

static bool path_is_allowed(const char *path)
{
	struct slice rest = slice_of(settings.maillog_file_prefixes), prefix;

	while (conf_next_item(&rest, &prefix))
		if (strncmp(path, prefix.data, prefix.len) == 0)
			return true;
	return false;
}

static void open_sink(void)
{
	char *why;

	if (*settings.maillog_file != '\0' && !path_is_allowed(settings.maillog_file))
		why = mem_printf("maillog_file = %s is not below any of maillog_file_prefixes = %s",
		    settings.maillog_file, settings.maillog_file_prefixes);
	else
		sink = postlogd_sink_open(settings.maillog_file, settings.maillog_file_permissions,
		    settings.syslog_facility, &why);
	if (sink != NULL)
		return;
	/* Nobody reads our own log line before a postlogd works. */
	fprintf(stderr, "postlogd: fatal: %s\n", why);
	log_fatal("%s", why);
}

/* --- reading -------------------------------------------------------------------------------------- */

/* The kernel says who wrote it; 0 when it did not. */
static int writer_of(struct msghdr *m)
{
	struct ucred who;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len == CMSG_LEN(sizeof(who))) {
			memcpy(&who, CMSG_DATA(c), sizeof(who));
			return who.pid;
		}
	}
	return 0;
}

/* The next datagram, which stays in the socket; false when the batch must end here. */
static bool look(void)
{
	static char data[POSTLOGD_DATAGRAM];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t got = recvmsg(SERVICE_FD_LISTEN, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got == -1)
		return false;
	seen++;
	postlogd_sink_add(sink, slice_new(data, (size_t)got), writer_of(&m));
	/* The rest of a datagram that is too long would come next as one of its own. */
	return (m.msg_flags & MSG_TRUNC) == 0;
}

static void take(void)
{
	for (; seen > 0; seen--)
		recv(SERVICE_FD_LISTEN, NULL, 0, MSG_DONTWAIT);
}

/* --- writing -------------------------------------------------------------------------------------- */

static void report_recovery(void)
{
	if (failures > 0)
		log_warning("writing the log failed %llu times; it works again, nothing that "
			    "reached postlogd was lost",
		    (unsigned long long)failures);
	failures = 0;
}

/* Tries until it works, while the services keep their lines; or until syslog is gone. */
static bool write_batch(void)
{
	while (postlogd_sink_flush(sink) == -1) {
		bool is_wait = errno == EAGAIN || errno == ETIMEDOUT;

		if (postlogd_sink_is_lost(sink))
			log_fatal("syslog has gone: %m; a fresh process connects again");
		if (!is_wait)
			failures++;
		if (!is_wait && task_sleep_until(deadline_after(RETRY_MS * CLOCK_MS)) == -1)
			return false;
	}
	report_recovery();
	return true;
}

/* syslog may restart at any time, which ends this process: so there a batch is one datagram, and few lines
 * are said twice. */
static void pass_on(void)
{
	size_t limit = postlogd_sink_is_syslog(sink) ? 1 : BATCH;

	while (postlogd_sink_waiting(sink) < limit && look())
		;
	if (seen == 0)
		seen = 1; /* an empty datagram is seen only once, also by a process before us */
	if (write_batch())
		take();
}

/* After a reload the successor reads on; at the end of all nobody does. */
static bool is_relieved(void)
{
	return service_draining() != 0 && service_draining() != DRAIN_STOP;
}

static void serve(void *arg)
{
	(void)arg;
	while (task_wait_fd(SERVICE_FD_LISTEN, TASK_READ, DEADLINE_NEVER) != -1) {
		if (is_relieved())
			return;
		pass_on();
		task_yield_if_long();
	}
	log_fatal("the log socket can't be read: %m");
}

static void start(void)
{
	int from_first = 0;

	if (setsockopt(SERVICE_FD_LISTEN, SOL_SOCKET, SO_PEEK_OFF, &from_first,
		sizeof(from_first)) == -1)
		log_fatal("SO_PEEK_OFF: %m");
	if (task_start("log", serve, NULL) == NULL)
		panic("no task for the log");
}

/* Last lines are still written when the suite stops, unless writing fails anyway. */
static bool has_lines(void)
{
	struct pollfd p = { .fd = SERVICE_FD_LISTEN, .events = POLLIN };

	if (is_relieved())
		return seen > 0 && failures == 0;
	return failures == 0 && (seen > 0 || poll(&p, 1, 0) > 0);
}

#define SETTING(member) CONF_SETTING(struct postlogd_settings, member, #member)

static const struct conf_setting parameters[] = {
	SETTING(maillog_file),
	SETTING(maillog_file_permissions),
	SETTING(maillog_file_prefixes),
	SETTING(syslog_facility),
	{ 0 },
};

static const struct service postlogd = {
	.name = "postlogd",
	.role = ROLE_POSTLOGD,
	.settings = parameters,
	.settings_out = &settings,
	.open = open_sink,
	.start = start,
	.busy = has_lines,
};

int main(int argc, char **argv)
{
	return service_main(&postlogd, argc, argv);
}
