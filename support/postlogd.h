/* SPDX-License-Identifier: ISC */
/*
 * postlogd.h - log lines: out of the datagrams that services send, into the text of a file or of
 * syslog. log/log.c says what a datagram looks like.
 */
#ifndef GP_POSTLOGD_H
#define GP_POSTLOGD_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/log/log.h"

enum { POSTLOGD_DATAGRAM = 128 * 1024, POSTLOGD_LINE = 4096, POSTLOGD_TAG = 128 };

struct postlogd_line {
	enum log_level level;
	int64_t wall_us;
	struct slice tag, text;
};

/* Takes the next line off the datagram: 1, 0 at its end, -1 when what is left has no meaning. */
int postlogd_next(struct slice *datagram, struct postlogd_line *);
/* Appends "Mon dd hh:mm:ss host tag[pid]: text\n", in the local time zone (call tzset() while its
 * file can be read). Control bytes become '?'; an overlong tag or text is cut. */
void postlogd_put_file(struct buf *, const struct postlogd_line *, const char *host, int pid);
/* Appends "<PRI>Mon dd hh:mm:ss tag[pid]: text" (RFC 3164, without a line end). */
void postlogd_put_syslog(struct buf *, const struct postlogd_line *, int facility, int pid);
/* "mail", "local0"... as syslog's number; -1 for a name that it does not have. */
int postlogd_facility(const char *name);

/* Where lines go. */
struct postlogd_sink;

/* Before the rights are given up. maillog_file: a path, /dev/stdout, or empty for syslog. NULL with a
 * reason on the heap. */
struct postlogd_sink *postlogd_sink_open(const char *maillog_file, const char *permissions,
    const char *facility, char **why);
/* One datagram's lines more; a piece of nonsense at its end is dropped and counted. */
void postlogd_sink_add(struct postlogd_sink *, struct slice datagram, int pid);
/* Writes what was added: 0, or -1 with errno; what was not written is kept. May Wait, at most a
 * second. */
int postlogd_sink_flush(struct postlogd_sink *);
size_t postlogd_sink_waiting(const struct postlogd_sink *); /* bytes */
bool postlogd_sink_is_syslog(const struct postlogd_sink *);
/* syslog has gone: only a fresh process can connect again. */
bool postlogd_sink_is_lost(const struct postlogd_sink *);
void postlogd_sink_close(struct postlogd_sink *);

#endif
