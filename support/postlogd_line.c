/* SPDX-License-Identifier: ISC */
/*
 * postlogd_line.c - one log line: read from a datagram, written as text.
 */
#include <bsd/string.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#define SYSLOG_NAMES
#include <syslog.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "support/postlogd.h"

static bool take_bytes(struct slice *rest, void *out, size_t len)
{
	if (rest->len < len)
		return false;
	memcpy(out, rest->data, len);
	*rest = slice_part(*rest, len, rest->len);
	return true;
}

static bool take_text(struct slice *rest, struct slice *text)
{
	uint16_t len;

	if (!take_bytes(rest, &len, sizeof(len)) || rest->len < le16toh(len))
		return false;
	*text = slice_part(*rest, 0, le16toh(len));
	*rest = slice_part(*rest, le16toh(len), rest->len);
	return true;
}

int postlogd_next(struct slice *datagram, struct postlogd_line *line)
{
	uint8_t level;
	uint64_t when;

	if (datagram->len == 0)
		return 0;
	if (!take_bytes(datagram, &level, 1) || !take_bytes(datagram, &when, sizeof(when)) ||
	    !take_text(datagram, &line->tag) || !take_text(datagram, &line->text) ||
	    level > LOG_LEVEL_PANIC)
		return -1;
	line->level = (enum log_level)level;
	line->wall_us = (int64_t)le64toh(when);
	return 1;
}

/* Most lines of a batch belong to the same second. */
static const char *time_text(int64_t wall_us, const char *format)
{
	static char text[32];
	static time_t last = -1;
	static const char *last_format;
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (seconds == last && format == last_format)
		return text;
	if (localtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), format, &tm) == 0)
		strlcpy(text, "Jan 01 00:00:00", sizeof(text));
	last = seconds;
	last_format = format;
	return text;
}

static void put_neutered(struct buf *out, struct slice text, size_t most)
{
	size_t start = out->len;

	buf_put_slice(out, slice_part(text, 0, most));
	text_neuter(out->data + start, out->len - start);
}

static void put_rest(struct buf *out, const struct postlogd_line *line, int pid)
{
	put_neutered(out, line->tag, POSTLOGD_TAG);
	buf_printf(out, "[%d]: ", pid);
	put_neutered(out, line->text, POSTLOGD_LINE);
}

void postlogd_put_file(struct buf *out, const struct postlogd_line *line, const char *host, int pid)
{
	static const char format[] = "%b %d %H:%M:%S";

	buf_printf(out, "%s %s ", time_text(line->wall_us, format), host);
	put_rest(out, line, pid);
	buf_putc(out, '\n');
}

void postlogd_put_syslog(struct buf *out, const struct postlogd_line *line, int facility, int pid)
{
	static const char format[] = "%b %e %H:%M:%S";
	static const int severities[] = {
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_FATAL] = LOG_CRIT,
		[LOG_LEVEL_PANIC] = LOG_CRIT,
	};

	buf_printf(out, "<%d>%s ", facility | severities[line->level],
	    time_text(line->wall_us, format));
	put_rest(out, line, pid);
}

int postlogd_facility(const char *name)
{
	for (const CODE *c = facilitynames; c->c_name != NULL; c++)
		if (strcmp(c->c_name, name) == 0)
			return c->c_val;
	return -1;
}
