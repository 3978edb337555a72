/* SPDX-License-Identifier: ISC */
/*
 * postlogd_sink.c - where log lines end: a file, standard output, or syslog.
 *
 * Nothing here may block for long: a full disk or a stuck syslog leaves the lines in memory, the socket
 * fills, and each service keeps (and at last counts) its own.
 */
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/task/task.h"
#include "support/postlogd.h"

enum { WAIT_MS = 1000 };

struct postlogd_sink {
	int fd;
	bool is_file; /* a regular file takes a batch of any size at once */
	bool is_syslog;
	bool is_lost;
	int facility;
	char host[HOST_NAME_MAX + 1];
	struct buf batch; /* lines of text; for syslog each is ended by a NUL */
};

/* --- opening -------------------------------------------------------------------------------------- */

static bool parse_mode(const char *text, mode_t *mode)
{
	char *end;
	unsigned long value = strtoul(text, &end, 8);

	*mode = (mode_t)value;
	return end != text && *end == '\0' && value <= 0777 && (value & 0600) == 0600;
}

/* The mode is for a new file: an administrator's chmod of an old one stays. */
static int open_file(const char *path, mode_t mode)
{
	enum { FLAGS = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
	int fd = open(path, FLAGS | O_CREAT | O_EXCL, 0600);

	if (fd == -1)
		return errno == EEXIST ? open(path, FLAGS) : -1;
	if (fchmod(fd, mode) == -1) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int connect_syslog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int open_target(struct postlogd_sink *s, const char *file, mode_t mode)
{
	if (*file == '\0') {
		s->is_syslog = true;
		return connect_syslog();
	}
	if (strcmp(file, "/dev/stdout") == 0)
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return open_file(file, mode);
}

struct postlogd_sink *postlogd_sink_open(const char *maillog_file, const char *permissions,
    const char *facility, char **why)
{
	struct postlogd_sink *s = mem_alloc(sizeof(*s));
	struct stat st;
	mode_t mode;

	s->facility = postlogd_facility(facility);
	if (!parse_mode(permissions, &mode)) {
		*why = mem_printf("maillog_file_permissions = %s: expected an octal mode such as "
				  "0600 or 0640",
		    permissions);
		goto fail;
	}
	if (s->facility == -1) {
		*why = mem_printf("syslog_facility = %s: expected a name such as mail or local0",
		    facility);
		goto fail;
	}
	s->fd = open_target(s, maillog_file, mode);
	if (s->fd == -1) {
		*why = s->is_syslog
		    ? mem_printf("connect to /dev/log: %s; start a syslog service, or set "
				 "maillog_file",
			  strerror(errno))
		    : mem_printf("open maillog_file %s: %s", maillog_file, strerror(errno));
		goto fail;
	}
	s->is_file = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
	if (gethostname(s->host, sizeof(s->host) - 1) == -1 || s->host[0] == '\0')
		strlcpy(s->host, "localhost", sizeof(s->host));
	s->host[strcspn(s->host, ".")] = '\0';
	return s;
fail:
	free(s);
	return NULL;
}

void postlogd_sink_close(struct postlogd_sink *s)
{
	if (s == NULL)
		return;
	close(s->fd);
	buf_clear(&s->batch);
	free(s);
}

/* --- lines ---------------------------------------------------------------------------------------- */

void postlogd_sink_add(struct postlogd_sink *s, struct slice datagram, int pid)
{
	struct postlogd_line line;
	int rc;

	while ((rc = postlogd_next(&datagram, &line)) == 1) {
		if (s->is_syslog) {
			postlogd_put_syslog(&s->batch, &line, s->facility, pid);
			buf_putc(&s->batch, '\0');
		} else {
			postlogd_put_file(&s->batch, &line, s->host, pid);
		}
	}
	if (rc == -1)
		log_warning("process %d sent %zu bytes that are no log line", pid, datagram.len);
}

size_t postlogd_sink_waiting(const struct postlogd_sink *s)
{
	return s->batch.len;
}

bool postlogd_sink_is_syslog(const struct postlogd_sink *s)
{
	return s->is_syslog;
}

bool postlogd_sink_is_lost(const struct postlogd_sink *s)
{
	return s->is_lost;
}

/* --- writing -------------------------------------------------------------------------------------- */

/* Waits at most a second, without holding up the loop. */
static int wait_for_room(const struct postlogd_sink *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1)
		return 0;
	return task_wait_fd(s->fd, TASK_WRITE, deadline_after(WAIT_MS * CLOCK_MS)) == -1 ? -1 : 0;
}

/* A pipe or a terminal may be shared with others who expect it to block: so it is asked first, and given
 * no more than what it takes at once. */
static ssize_t write_some(const struct postlogd_sink *s)
{
	size_t len = s->batch.len;

	if (!s->is_file) {
		if (wait_for_room(s) == -1)
			return -1;
		if (len > PIPE_BUF)
			len = PIPE_BUF;
	}
	return write(s->fd, s->batch.data, len);
}

static int flush_file(struct postlogd_sink *s)
{
	while (s->batch.len > 0) {
		ssize_t put = write_some(s);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return -1;
		buf_consume(&s->batch, (size_t)put);
	}
	return 0;
}

static int send_line(struct postlogd_sink *s, struct slice line)
{
	while (send(s->fd, line.data, line.len, MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
		if (errno == EINTR)
			continue;
		if (errno == EMSGSIZE)
			return 0; /* syslog's own limit: cutting it further would be a guess */
		if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
			s->is_lost = true;
			return -1;
		}
		if (wait_for_room(s) == -1)
			return -1;
	}
	return 0;
}

static int flush_syslog(struct postlogd_sink *s)
{
	size_t sent = 0;
	int rc = 0;

	while (rc == 0 && sent < s->batch.len) {
		struct slice line = slice_of(s->batch.data + sent);

		rc = send_line(s, line);
		if (rc == 0)
			sent += line.len + 1;
	}
	buf_consume(&s->batch, sent);
	return rc;
}

int postlogd_sink_flush(struct postlogd_sink *s)
{
	return s->is_syslog ? flush_syslog(s) : flush_file(s);
}
