/* SPDX-License-Identifier: ISC */
/*
 * event.c - events as Postfix lines. Log parsers read these texts byte by byte: a template changes only
 * together with its test.
 */
#include "common/log/log.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

/* {member} is its value; [ ... ] vanishes when a member in it is missing or empty. */
static const char *const templates[LOG_KINDS] = {
	[LOG_CONNECT] = "connect from {client}",
	[LOG_DISCONNECT] = "disconnect from {client}{commands}",
	[LOG_CLIENT] = "{id}: client={client}",
	[LOG_REJECT] = "{id}: {verb}: {stage} from {client}: {reply};[ from={from}][ to=<{to}>]"
		       " proto={proto}[ helo=<{helo}>]",
	[LOG_SESSION_LOST] = "{what} after {stage}[ ({bytes} bytes)] from {client}",
	[LOG_MESSAGE_ID] = "{id}: [{resent}]message-id={message_id}",
	[LOG_QUEUE_ACTIVE] = "{id}: from=<{sender}>, size={size}, nrcpt={nrcpt} (queue active)",
	[LOG_DELIVERY] =
	    "{id}: to=<{to}>[, orig_to=<{orig_to}>], relay={relay}[, conn_use={conn_use}],"
	    " delay={delay}, delays={delays}, dsn={dsn}, status={status} ({text})",
	[LOG_EXPIRED] = "{id}: from=<{sender}>, status={status}, returned to sender",
	[LOG_REMOVED] = "{id}: removed",
	[LOG_HELD] = "{id}: placed on hold[: {why}]",
	[LOG_RELEASED] = "{id}: released from hold",
	[LOG_REQUEUED] = "{id}: requeued",
	[LOG_FORCE_EXPIRED] = "{id}: expired",
	[LOG_NOTIFICATION] = "{id}: {what} notification: {notice}",
	[LOG_PICKUP] = "{id}: uid={uid} from=<{sender}>[ orig_id={orig_id}]",
};

static struct slice member(const struct log_member *members, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(slice_of(members[i].name), name))
			return members[i].value;
	return SLICE("");
}

/* Writes the template's text up to `end` (or its NUL) and returns where it stopped. *missing: a
 * member was empty. */
static const char *fill(const char *at, char end, const struct log_member *members, size_t count,
    struct buf *out, bool *missing)
{
	while (*at != '\0' && *at != end) {
		const char *close;
		struct slice value;

		if (*at == '[') {
			size_t start = out->len;
			bool lacks = false;

			at = fill(at + 1, ']', members, count, out, &lacks) + 1;
			if (lacks)
				out->len = start;
			continue;
		}
		if (*at != '{') {
			buf_putc(out, *at++);
			continue;
		}
		close = strchr(at, '}');
		value = member(members, count, slice_new(at + 1, (size_t)(close - at) - 1));
		if (value.len == 0)
			*missing = true;
		buf_put_slice(out, value);
		at = close + 1;
	}
	return at;
}

void log_event_members(enum log_kind kind, const struct log_member *members, size_t count)
{
	static struct buf text;
	bool missing = false;

	buf_reset(&text);
	fill(templates[kind], '\0', members, count, &text, &missing);
	log_info("%s", buf_text(&text));
}

const char *log_delay(char out[24], int64_t microseconds)
{
	int64_t hundredths;
	size_t len;

	if (microseconds < 0)
		microseconds = 0;
	/* Two significant digits: from 10 s on, whole seconds; from 1 s on, tenths. */
	if (microseconds >= 9950000) {
		snprintf(out, 24, "%" PRId64, (microseconds + 500000) / 1000000);
		return out;
	}
	if (microseconds >= 995000)
		hundredths = (microseconds + 50000) / 100000 * 10;
	else
		hundredths = (microseconds + 5000) / 10000;
	snprintf(out, 24, "%" PRId64 ".%02" PRId64, hundredths / 100, hundredths % 100);
	for (len = strlen(out); out[len - 1] == '0'; len--)
		out[len - 1] = '\0';
	if (out[len - 1] == '.')
		out[len - 1] = '\0';
	return out;
}
