/* SPDX-License-Identifier: ISC */
/*
 * showq_main.c - tells the queue to whoever may connect to public/showq: postqueue, exporters.
 */
#include <errno.h>

#include "common/log/log.h"
#include "common/mail/queue_wire.h"
#include "common/net/stream.h"
#include "common/service/service.h"
#include "qmgr/authorized.h"
#include "qmgr/turns.h"

enum { READ_LIMIT = 512, CLIENT_SECONDS = 100 };

struct showq_settings {
	const char *queue_service_name, *authorized_mailq_users;
	int64_t ipc_timeout;
};
static struct showq_settings settings;

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

	queue_wire_start(out);
	while ((f = request_receive(r, deadline_after(settings.ipc_timeout))) != NULL) {
		if (f->table == &table_list_end) {
			queue_wire_end(out, in_message);
			return send_buf(client, out) == -1
			    ? -1
			    : stream_flush(client, client_deadline());
		}
		if (f->table != &table_list_entry)
			break;
		queue_wire_entry(out, f->message, &in_message);
		if (send_buf(client, out) == -1)
			return -1;
	}
	log_warning("the queue manager's list ended early: %m");
	return -1;
}

static void tell(struct stream *client)
{
	struct channel *qmgr;
	struct request *r = NULL;
	struct buf out = { 0 };

	qmgr = service_channel(settings.queue_service_name, deadline_after(settings.ipc_timeout));
	if (qmgr != NULL)
		r = request_open(qmgr, &table_list, &(struct msg_list){ 0 }, -1, true,
		    deadline_after(settings.ipc_timeout));
	if (r == NULL)
		log_warning("the queue manager can't be asked: %m");
	else
		pass_on(r, client, &out);
	request_close(r);
	buf_clear(&out);
}

static void list_queue(struct service_client *c)
{
	struct stream *client = stream_new(c->fd, READ_LIMIT);

	if (authorized_has(c->uid) && turns_begin(c->uid, client_deadline())) {
		tell(client);
		turns_end(c->uid);
	}
	stream_free(client);
}

static void open_list(void)
{
	authorized_open("authorized_mailq_users", settings.authorized_mailq_users);
}

#define SETTING(member) CONF_SETTING(struct showq_settings, member, #member)

static const struct conf_setting parameters[] = {
	SETTING(queue_service_name),
	SETTING(authorized_mailq_users),
	SETTING(ipc_timeout),
	{ 0 },
};

static const struct service showq = {
	.name = "showq",
	.role = ROLE_SHOWQ,
	.settings = parameters,
	.settings_out = &settings,
	.open = open_list,
	.session = list_queue,
};

int main(int argc, char **argv)
{
	return service_main(&showq, argc, argv);
}
