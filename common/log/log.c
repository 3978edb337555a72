/* SPDX-License-Identifier: ISC */
/*
 * log.c - lines on their way to postlogd, or to standard error before there is one.
 *
 * A datagram to postlogd holds many lines, each: level (1 byte), wall clock in microseconds (i64),
 * length (u16) and bytes of the tag, length (u16) and bytes of the text, all little-endian.
 */
#include "common/log/log.h"

#include <bsd/string.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	LINE_LIMIT = 2000,
	DATAGRAM_SIZE = 32 * 1024, /* a datagram is sent when it has more than this */
	WAITING_LIMIT = 1024 * 1024,
	CLOSE_MS = 1000
};

static char tag[128] = "postfix/gatepost";
static const char *command_name = "gatepost";
static int socket_fd = -1;
/* Whole datagrams that wait, in order; the last one is still open for lines. */
static struct buf waiting;
static size_t *cuts; /* where each closed datagram in waiting ends */
static size_t cut_count, cuts_size;
static uint64_t dropped;

static const char *const prefixes[] = { "", "warning: ", "error: ", "fatal: ", "panic: " };

static void panic_line(const char *text);

void log_open(const char *syslog_name, const char *name)
{
	const char *last = strrchr(name, '/');

	snprintf(tag, sizeof(tag), "%s/%s", syslog_name, name);
	command_name = strstr(tag, last == NULL ? name : last + 1);
	panic_hook(panic_line);
}

void log_to_socket(int fd)
{
	socket_fd = fd;
}

static void put_u16(size_t value)
{
	uint16_t wire = htole16((uint16_t)value);

	buf_append(&waiting, &wire, sizeof(wire));
}

static size_t open_start(void)
{
	return cut_count == 0 ? 0 : cuts[cut_count - 1];
}

static void close_datagram(void)
{
	if (waiting.len == open_start())
		return;
	if (cut_count == cuts_size) {
		cuts_size = cuts_size == 0 ? 16 : cuts_size * 2;
		cuts = mem_resize_array(cuts, cuts_size, sizeof(*cuts));
	}
	cuts[cut_count++] = waiting.len;
}

static void put_line(enum log_level level, const char *as_tag, struct slice text)
{
	uint64_t now = htole64((uint64_t)clock_wall_us());

	buf_putc(&waiting, (char)level);
	buf_append(&waiting, &now, sizeof(now));
	put_u16(strlen(as_tag));
	buf_puts(&waiting, as_tag);
	put_u16(text.len);
	buf_put_slice(&waiting, text);
	if (waiting.len - open_start() > DATAGRAM_SIZE)
		close_datagram();
}

static void line(enum log_level level, const char *as_tag, char *text, size_t len)
{
	text_neuter(text, len);
	if (socket_fd == -1) {
		fprintf(stderr, "%s: %.*s\n", command_name, (int)len, text);
		return;
	}
	if (waiting.len + len + strlen(as_tag) + 16 > WAITING_LIMIT) {
		dropped++;
		return;
	}
	put_line(level, as_tag, slice_new(text, len));
}

static void report_dropped(void)
{
	char text[80];
	int len;

	if (dropped == 0)
		return;
	len = snprintf(text, sizeof(text),
	    "warning: %llu log lines were dropped: postlogd is too slow",
	    (unsigned long long)dropped);
	dropped = 0;
	put_line(LOG_LEVEL_WARNING, tag, slice_new(text, (size_t)len));
	close_datagram();
}

bool log_flush(void)
{
	size_t sent = 0, start = 0;

	if (socket_fd == -1 || waiting.len == 0)
		return true;
	close_datagram();
	while (sent < cut_count) {
		ssize_t rc = send(socket_fd, waiting.data + start, cuts[sent] - start,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (rc == -1 && errno == EINTR)
			continue;
		if (rc == -1 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
			break;
		/* Any other failure repeats for ever: those lines have no reader. */
		start = cuts[sent++];
	}
	buf_consume(&waiting, start);
	cut_count -= sent;
	memmove(cuts, cuts + sent, cut_count * sizeof(*cuts));
	for (size_t i = 0; i < cut_count; i++)
		cuts[i] -= start;
	if (cut_count == 0)
		report_dropped();
	return cut_count == 0;
}

void log_close(void)
{
	deadline when = deadline_after(CLOSE_MS * CLOCK_MS);

	while (!log_flush() && clock_now() < when) {
		struct pollfd p = { .fd = socket_fd, .events = POLLOUT };

		poll(&p, 1, deadline_ms_left(when));
	}
}

static void format_line(enum log_level level, const char *format, va_list args)
{
	char text[LINE_LIMIT + 1];
	int prefix = snprintf(text, sizeof(text), "%s", prefixes[level]);
	int len = vsnprintf(text + prefix, sizeof(text) - (size_t)prefix, format, args);

	if (len < 0)
		len = 0;
	len += prefix;
	line(level, tag, text, len > LINE_LIMIT ? LINE_LIMIT : (size_t)len);
}

void log_as(enum log_level level, const char *as_tag, struct slice text)
{
	char copy[LINE_LIMIT + 1];
	int len = snprintf(copy, sizeof(copy), "%s%.*s", prefixes[level],
	    (int)(text.len < LINE_LIMIT ? text.len : LINE_LIMIT), text.data);

	line(level, as_tag, copy, len > LINE_LIMIT ? LINE_LIMIT : (size_t)len);
}

static void panic_line(const char *text)
{
	char copy[LINE_LIMIT + 1];
	int len = snprintf(copy, sizeof(copy), "panic: %s", text);

	if (len > LINE_LIMIT)
		len = LINE_LIMIT;
	if (socket_fd == -1)
		return;
	line(LOG_LEVEL_PANIC, tag, copy, (size_t)len);
	log_close();
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		format_line(level, format, args);                                                  \
		va_end(args);                                                                      \
	}
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void log_fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_line(LOG_LEVEL_FATAL, format, args);
	va_end(args);
	log_close();
	exit(1);
}
