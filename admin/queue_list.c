/* SPDX-License-Identifier: ISC */
/*
 * queue_list.c - reads showq's attributes and hands on messages: a queue of any size needs no more memory
 * than its longest attribute.
 */
#include "admin/queue_list.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum { NAME_MOST = 64, VALUE_MOST = 64 * 1024 };

/* --- records -------------------------------------------------------------------------------------- */

static void end_recipient(struct queue_list *l)
{
	if (!l->rcpt_open)
		return;
	l->to->rcpt(l->to->arg,
	    &(struct queue_rcpt){ .address = buf_slice(&l->address),
		.original = buf_slice(&l->original),
		.log_class = buf_slice(&l->log_class),
		.reason = buf_slice(&l->reason) });
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
	l->to->message(l->to->arg,
	    &(struct queue_head){ .queue = buf_slice(&l->queue),
		.id = buf_slice(&l->id),
		.sender = buf_slice(&l->value),
		.arrival = l->time,
		.size = l->size,
		.expired = l->expired });
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

/* They come in the order of the table, mostly. Names that a newer showq may add are skipped. */
static int take_attribute(struct queue_list *l)
{
	l->in_record++;
	for (size_t i = 0; i < ARRAY_LENGTH(attributes); i++) {
		size_t at = (l->expected + i) % ARRAY_LENGTH(attributes);

		if (slice_equal(buf_slice(&l->name), slice_of(attributes[at].name))) {
			l->expected = at + 1;
			return attributes[at].take(l);
		}
	}
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
	l->to->end(l->to->arg);
	buf_reset(&l->id);
	l->has_head = l->expired = false;
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

int queue_list_finish(const struct queue_list *l)
{
	return l->ended ? 0 : -1;
}

void queue_list_clear(struct queue_list *l)
{
	struct buf *const all[] = { &l->name, &l->value, &l->queue, &l->id, &l->original,
		&l->address, &l->log_class, &l->reason };

	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		buf_clear(all[i]);
}
