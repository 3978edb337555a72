/* SPDX-License-Identifier: ISC */
/*
 * showq_main.c - tells the queue to whoever may connect to public/showq: postqueue, exporters.
 *
 * Each attribute is a name and a value, both ended by a NUL; an empty name ends a record, an empty
 * record the list. That is the wire form that exporters written for Postfix read: keep it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/base/text.h"
#include "common/log/log.h"
#include "common/net/stream.h"
#include "common/service/service.h"

enum { READ_LIMIT = 512, CLIENT_SECONDS = 100 };

struct showq_settings {
	const char *queue_service_name;
	int64_t ipc_timeout;
};
static struct showq_settings settings;

/* --- the wire form -------------------------------------------------------------------------------- */

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
	put_number(out, "forced_expire", 0);
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

/* An entry of qmgr's list. A `continued` one goes on in the record of the message before it. */
static void put_entry(struct buf *out, const struct msg_list_entry *m, bool *in_message)
{
	if (!m->continued) {
		if (*in_message)
			buf_putc(out, '\0');
		put_message(out, m);
		*in_message = true;
	}
	put_recipients(out, m);
}

static void put_start(struct buf *out)
{
	put_text(out, "protocol", SLICE("mail_queue_list_protocol"));
	buf_putc(out, '\0');
}

static void put_end(struct buf *out, bool in_message)
{
	if (in_message)
		buf_putc(out, '\0');
	buf_putc(out, '\0');
}

/* --- a client ------------------------------------------------------------------------------------- */

static deadline client_deadline(void)
{
	return deadline_after(CLIENT_SECONDS * CLOCK_SECOND);
}

static int send_buf(struct stream *client, struct buf *out)
{
	int rc = stream_write(client, buf_slice(out), client_deadline());

	buf_reset(out);
	return rc;
}

/* The list is whole only when its end was sent: a client sees when qmgr is lost half way. */
static int pass_on(struct request *r, struct stream *client, struct buf *out)
{
	bool in_message = false;
	struct frame *f;

	put_start(out);
	while ((f = request_receive(r, deadline_after(settings.ipc_timeout))) != NULL) {
		if (f->table == &table_list_end) {
			put_end(out, in_message);
			return send_buf(client, out) == -1
			    ? -1
			    : stream_flush(client, client_deadline());
		}
		if (f->table != &table_list_entry)
			break;
		put_entry(out, f->message, &in_message);
		if (send_buf(client, out) == -1)
			return -1;
	}
	log_warning("the queue manager's list ended early: %m");
	return -1;
}

static void list_queue(struct service_client *c)
{
	struct stream *client = stream_new(c->fd, READ_LIMIT);
	struct channel *qmgr = service_channel(settings.queue_service_name,
	    deadline_after(settings.ipc_timeout));
	struct request *r = NULL;
	struct buf out = { 0 };

	if (qmgr != NULL)
		r = request_open(qmgr, &table_list, &(struct msg_list){ 0 }, -1, true,
		    deadline_after(settings.ipc_timeout));
	if (r == NULL)
		log_warning("the queue manager can't be asked: %m");
	else
		pass_on(r, client, &out);
	request_close(r);
	buf_clear(&out);
	stream_free(client);
}

#define SETTING(member) CONF_SETTING(struct showq_settings, member, #member)

static const struct conf_setting parameters[] = {
	SETTING(queue_service_name),
	SETTING(ipc_timeout),
	{ 0 },
};

static const struct service showq = {
	.name = "showq",
	.role = ROLE_SHOWQ,
	.settings = parameters,
	.settings_out = &settings,
	.session = list_queue,
};

int main(int argc, char **argv)
{
	return service_main(&showq, argc, argv);
}
