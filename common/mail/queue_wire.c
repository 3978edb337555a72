/* SPDX-License-Identifier: ISC */
/*
 * queue_wire.c - the queue in the form that Postfix's showq tells it.
 *
 * Each attribute is a name and a value, both ended by a NUL; an empty name ends a record, an empty
 * record the list. Exporters written for Postfix read it: keep it.
 */
#include "common/mail/queue_wire.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/text.h"

static void put_text(struct buf *out, const char *name, struct slice value)
{
	size_t start;

	buf_append(out, name, strlen(name) + 1);
	start = out->len;
	buf_put_slice(out, value);
	text_neuter(out->data + start, out->len - start);
	buf_putc(out, '\0');
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, value);

	put_text(out, name, slice_new(text, (size_t)len));
}

static void put_message(struct buf *out, const struct msg_list_entry *m)
{
	put_text(out, "queue_name", m->queue);
	put_text(out, "queue_id", m->id);
	put_number(out, "time", m->arrival_us < 0 ? 0 : (uint64_t)m->arrival_us / 1000000);
	put_number(out, "size", m->size);
	put_number(out, "forced_expire", m->expired);
	put_text(out, "sender", m->sender.len > 0 ? m->sender : SLICE("MAILER-DAEMON"));
}

static void put_recipients(struct buf *out, const struct msg_list_entry *m)
{
	for (size_t i = 0; i < m->address.count; i++) {
		struct slice original = i < m->original.count ? m->original.items[i] : SLICE("");
		struct slice reason = i < m->reason.count ? m->reason.items[i] : SLICE("");

		put_text(out, "original_recipient", original);
		put_text(out, "recipient", m->address.items[i]);
		put_text(out, "log_class", reason.len > 0 ? SLICE("defer") : SLICE(""));
		put_text(out, "reason", reason);
	}
}

void queue_wire_entry(struct buf *out, const struct msg_list_entry *m, bool *in_message)
{
	if (!m->continued) {
		if (*in_message)
			buf_putc(out, '\0');
		put_message(out, m);
		*in_message = true;
	}
	put_recipients(out, m);
}

void queue_wire_start(struct buf *out)
{
	put_text(out, "protocol", SLICE("mail_queue_list_protocol"));
	buf_putc(out, '\0');
}

void queue_wire_end(struct buf *out, bool in_message)
{
	if (in_message)
		buf_putc(out, '\0');
	buf_putc(out, '\0');
}
