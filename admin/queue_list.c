/* SPDX-License-Identifier: ISC */
/*
 * queue_list.c - reads showq's attributes and prints the listing, a message at a time: a queue of any
 * size needs no more memory than its longest attribute.
 */
#include "admin/queue_list.h"

#include <inttypes.h>
#include <time.h>

#include "admin/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { NAME_MOST = 64, VALUE_MOST = 64 * 1024, REASON_COLUMN = 76 };

static const char heading[] =
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n";

/* --- JSON ----------------------------------------------------------------------------------------- */

static void json_message(struct queue_list *l, struct buf *sender)
{
	json_member(l->out, "{", "queue_name", buf_slice(&l->queue));
	json_member(l->out, ", ", "queue_id", buf_slice(&l->id));
	fprintf(l->out,
	    ", \"arrival_time\": %" PRId64 ", \"message_size\": %" PRIu64 ", \"forced_expire\": %s",
	    l->time, l->size, l->expired ? "true" : "false");
	json_member(l->out, ", ", "sender", buf_slice(sender));
	fputs(", \"recipients\": [", l->out);
}

static const char *json_reason_name(struct slice log_class)
{
	if (slice_equal(log_class, SLICE("bounce")))
		return "bounce_reason";
	return log_class.len == 0 || slice_equal(log_class, SLICE("defer")) ? "delay_reason"
									    : "other_reason";
}

static void json_recipient(struct queue_list *l)
{
	const char *before = l->has_rcpt ? ", {" : "{";

	if (l->original.len > 0) {
		json_member(l->out, before, "orig_address", buf_slice(&l->original));
		before = ", ";
	}
	json_member(l->out, before, "address", buf_slice(&l->address));
	if (l->reason.len > 0)
		json_member(l->out, ", ", json_reason_name(buf_slice(&l->log_class)),
		    buf_slice(&l->reason));
	putc('}', l->out);
}

/* --- text ----------------------------------------------------------------------------------------- */

static char status_of(const struct queue_list *l)
{
	if (l->expired)
		return '#';
	if (slice_equal(buf_slice(&l->queue), SLICE("active")))
		return '*';
	return slice_equal(buf_slice(&l->queue), SLICE("hold")) ? '!' : '\0';
}

static void text_message(struct queue_list *l, struct buf *sender)
{
	char mark[2] = { status_of(l), '\0' };
	char when[32] = "";
	time_t seconds = (time_t)l->time;
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(when, sizeof(when), "%a %b %e %H:%M:%S", &tm);
	fputs(l->messages == 0 ? heading : "\n", l->out);
	buf_puts(&l->id, mark);
	fprintf(l->out, "%-17s %8" PRIu64 " %19.19s %s\n", buf_text(&l->id), l->size, when,
	    buf_text(sender));
	buf_reset(&l->last_reason);
}

/* A reason is said once for all recipients in a row that share it. */
static void text_recipient(struct queue_list *l)
{
	if (!slice_equal(buf_slice(&l->reason), buf_slice(&l->last_reason))) {
		struct slice shown = l->reason.len > 0 ? buf_slice(&l->reason)
						       : SLICE("reason unavailable");
		int indent = shown.len < REASON_COLUMN ? REASON_COLUMN - (int)shown.len : 0;

		fprintf(l->out, "%*s(%.*s)\n", indent, "", (int)shown.len, shown.data);
		buf_reset(&l->last_reason);
		buf_put_slice(&l->last_reason, buf_slice(&l->reason));
	}
	fprintf(l->out, "%-17s %8s %19s %s\n", "", "", "", buf_text(&l->address));
}

/* --- records -------------------------------------------------------------------------------------- */

static void end_recipient(struct queue_list *l)
{
	if (!l->rcpt_open)
		return;
	if (l->form == LIST_JSON)
		json_recipient(l);
	else
		text_recipient(l);
	l->has_rcpt = true;
	l->rcpt_open = false;
	buf_reset(&l->original);
	buf_reset(&l->address);
	buf_reset(&l->log_class);
	buf_reset(&l->reason);
}

/* --- attributes ----------------------------------------------------------------------------------- */

/* What becomes of an attribute: its value is kept, or something begins with it. */
static int keep_text(struct queue_list *l, struct buf *text)
{
	buf_reset(text);
	buf_put_slice(text, buf_slice(&l->value));
	text_neuter(text->data, text->len);
	return 0;
}

static int take_protocol(struct queue_list *l)
{
	if (!slice_equal(buf_slice(&l->value), SLICE("mail_queue_list_protocol")))
		return -1;
	l->started = true;
	return 0;
}

static int take_queue(struct queue_list *l)
{
	return keep_text(l, &l->queue);
}

static int take_id(struct queue_list *l)
{
	return keep_text(l, &l->id);
}

static int take_time(struct queue_list *l)
{
	uint64_t seconds;

	if (!text_number(buf_slice(&l->value), INT64_MAX, &seconds))
		return -1;
	l->time = (int64_t)seconds;
	return 0;
}

static int take_size(struct queue_list *l)
{
	return text_number(buf_slice(&l->value), INT64_MAX, &l->size) ? 0 : -1;
}

static int take_expired(struct queue_list *l)
{
	l->expired = slice_equal(buf_slice(&l->value), SLICE("1"));
	return 0;
}

/* The last attribute of the message itself. */
static int take_sender(struct queue_list *l)
{
	if (l->id.len == 0 || l->has_head)
		return -1;
	text_neuter(l->value.data, l->value.len);
	if (l->form == LIST_JSON)
		json_message(l, &l->value);
	else
		text_message(l, &l->value);
	l->has_head = true;
	return 0;
}

static int take_original(struct queue_list *l)
{
	end_recipient(l);
	return keep_text(l, &l->original);
}

static int take_recipient(struct queue_list *l)
{
	if (!l->has_head)
		return -1;
	end_recipient(l);
	l->rcpt_open = true;
	return keep_text(l, &l->address);
}

static int take_log_class(struct queue_list *l)
{
	return keep_text(l, &l->log_class);
}

static int take_reason(struct queue_list *l)
{
	return keep_text(l, &l->reason);
}

static const struct {
	const char *name;
	int (*take)(struct queue_list *);
} attributes[] = {
	{ "protocol", take_protocol },
	{ "queue_name", take_queue },
	{ "queue_id", take_id },
	{ "time", take_time },
	{ "size", take_size },
	{ "forced_expire", take_expired },
	{ "sender", take_sender },
	{ "original_recipient", take_original },
	{ "recipient", take_recipient },
	{ "log_class", take_log_class },
	{ "reason", take_reason },
};

/* Names that a newer showq may add are skipped. */
static int take_attribute(struct queue_list *l)
{
	l->in_record++;
	for (size_t i = 0; i < ARRAY_LENGTH(attributes); i++)
		if (slice_equal(buf_slice(&l->name), slice_of(attributes[i].name)))
			return attributes[i].take(l);
	return 0;
}

static int end_record(struct queue_list *l)
{
	bool is_protocol = !l->greeted, is_end = l->in_record == 0;

	l->in_record = 0;
	if (!l->started)
		return -1;
	l->greeted = true;
	if (is_protocol)
		return 0;
	if (is_end) {
		l->ended = true;
		return 0;
	}
	if (!l->has_head)
		return -1;
	end_recipient(l);
	if (l->form == LIST_JSON)
		fputs("]}\n", l->out);
	l->messages++;
	l->bytes += l->size;
	buf_reset(&l->id);
	l->has_head = l->has_rcpt = l->expired = false;
	return 0;
}

/* --- bytes ---------------------------------------------------------------------------------------- */

/* A piece that ends with the NUL of a name or a value. */
static int end_piece(struct queue_list *l)
{
	int rc;

	if (!l->in_value && l->name.len == 0)
		return end_record(l);
	l->in_value = !l->in_value;
	if (l->in_value)
		return 0;
	rc = take_attribute(l);
	buf_reset(&l->name);
	buf_reset(&l->value);
	return rc;
}

int queue_list_feed(struct queue_list *l, struct slice bytes)
{
	while (bytes.len > 0 && !l->ended) {
		ptrdiff_t nul = slice_find(bytes, '\0');
		size_t len = nul == -1 ? bytes.len : (size_t)nul;
		struct buf *into = l->in_value ? &l->value : &l->name;

		if (into->len + len > (l->in_value ? VALUE_MOST : NAME_MOST))
			return -1;
		buf_append(into, bytes.data, len);
		if (nul == -1)
			return 0;
		if (end_piece(l) == -1)
			return -1;
		bytes = slice_part(bytes, len + 1, bytes.len);
	}
	return bytes.len == 0 ? 0 : -1;
}

int queue_list_finish(struct queue_list *l)
{
	if (!l->ended)
		return -1;
	if (l->form == LIST_JSON)
		return 0;
	if (l->messages == 0)
		fputs("Mail queue is empty\n", l->out);
	else
		fprintf(l->out, "\n-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
		    l->bytes / 1024, l->messages, l->messages == 1 ? "" : "s");
	return 0;
}

void queue_list_clear(struct queue_list *l)
{
	struct buf *const all[] = { &l->name, &l->value, &l->queue, &l->id, &l->original,
		&l->address, &l->log_class, &l->reason, &l->last_reason };

	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		buf_clear(all[i]);
}
