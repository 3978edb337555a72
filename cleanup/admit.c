/* SPDX-License-Identifier: ISC */
/*
 * admit.c - one message: reads it from the opener, passes its header through, hands it to qmgr, and says
 * what qmgr said.
 *
 * No message is held as a whole: up to CHUNK_LIMIT bytes go to qmgr in one frame, more go piece by
 * piece into a file that qmgr made. If the opener goes before its end, closing the request to qmgr is
 * all that undoing takes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup/ask.h"
#include "cleanup/cleanup.h"
#include "cleanup/header_pass.h"
#include "cleanup/recipients.h"
#include "common/base/io.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"

struct admission {
	struct request *opener;
	const struct msg_admit *admit;
	struct arena *arena;
	struct recipients recipients;
	struct slice sender; /* completed */
	struct header_context context;
	struct header_pass *pass; /* once content has begun */
	struct buf content;	  /* what is on its way to qmgr */
	uint64_t received, written, limit;
	uint64_t stuffing;	/* dots in front of dots in what was received */
	unsigned line_end;	/* bytes of the CRLF that it ends with */
	struct request *store;	/* to qmgr */
	int file;		/* of large content, or -1 */
	struct msg_reply reply; /* code 0: none yet */
};

static bool refuse(struct admission *a, uint64_t code, struct slice enhanced, struct slice text)
{
	if (a->reply.code == 0)
		a->reply = (struct msg_reply){ code, enhanced, text };
	return false;
}

static bool refuse_write_error(struct admission *a)
{
	return refuse(a, 451, SLICE("4.3.0"), SLICE("Error: queue file write error"));
}

static bool refuse_no_room(struct admission *a)
{
	return refuse(a, 452, SLICE("4.3.1"), SLICE("Insufficient system storage"));
}

/* The opener broke the order of messages: a bug there, not worth an answer. */
static bool broken(struct admission *a, const char *what)
{
	log_error("%.*s: %s sent %s", (int)a->admit->id.len, a->admit->id.data,
	    role_name(channel_peer(request_channel(a->opener))), what);
	a->opener = NULL;
	return false;
}

/* --- to qmgr -------------------------------------------------------------------------------------- */

/* Our own notices and forwarded mail have a channel of their own: they never wait behind others. */
static struct channel *own_channel(deadline when)
{
	static struct channel *own;

	if (own != NULL && (channel_is_closed(own) || channel_is_draining(own))) {
		channel_close_when_idle(own);
		own = NULL;
	}
	if (own == NULL) {
		struct channel *made = service_new_channel(cleanup_settings.queue_service_name,
		    when);

		if (own == NULL) /* nobody else was faster */
			own = made;
		else if (made != NULL)
			channel_close(made);
	}
	return own;
}

/* qmgr's verdict; every way that it can't come is the same to the client. */
static bool take_reply(struct admission *a, const struct frame *f)
{
	const struct msg_reply *m;

	if (f == NULL || f->table != &table_reply) {
		log_warning("%.*s: service %s gave no answer: %m", (int)a->admit->id.len,
		    a->admit->id.data, cleanup_settings.queue_service_name);
		return refuse_write_error(a);
	}
	m = f->message;
	refuse(a, m->code, arena_copy(a->arena, m->enhanced), arena_copy(a->arena, m->text));
	return false;
}

static bool open_store(struct admission *a)
{
	const struct msg_admit *m = a->admit;
	deadline when = ask_deadline();
	struct msg_store message = { .id = m->id,
		.arrival_us = m->arrival_us,
		.sender = a->sender,
		.flags = m->flags,
		.envid = m->envid,
		.ret = m->ret,
		.client_name = m->client_name,
		.client_address = m->client_address,
		.client_port = m->client_port,
		.client_helo = m->client_helo,
		.protocol = m->protocol,
		.message_id = header_pass_message_id(a->pass) };

	/* A process that is just being replaced refuses; its successor is asked. */
	for (int i = 0; i < 2 && a->store == NULL; i++) {
		struct channel *c = (m->flags & ADMIT_INTERNAL) != 0
		    ? own_channel(when)
		    : service_channel(cleanup_settings.queue_service_name, when);

		if (c == NULL)
			break;
		a->store = request_open(c, &table_store, &message, -1, false, when);
	}
	if (a->store == NULL) {
		log_warning("%.*s: service %s can't be reached: %m", (int)m->id.len, m->id.data,
		    cleanup_settings.queue_service_name);
		return refuse_write_error(a);
	}
	if (recipients_send(&a->recipients, a->store, a->arena, &a->reply))
		return true;
	/* qmgr may have said why it wants no more. */
	return take_reply(a,
	    a->reply.code == 0 && errno == ECONNABORTED ? request_receive(a->store, ask_deadline())
							: NULL);
}

static bool open_file(struct admission *a)
{
	struct msg_large_wanted wanted = {
		a->admit->declared_size > a->received ? a->admit->declared_size : a->received
	};
	struct frame *f;

	if (!open_store(a))
		return false;
	if (request_send(a->store, &table_large_wanted, &wanted, -1, false, ask_deadline()) == -1)
		return take_reply(a, request_receive(a->store, ask_deadline()));
	f = request_receive(a->store, ask_deadline());
	if (f == NULL || f->table != &table_large_file || f->fd == -1)
		return take_reply(a, f);
	a->limit = ((struct msg_large_file *)f->message)->limit;
	a->file = f->fd;
	f->fd = -1;
	return true;
}

/* Writes what is gathered into the large file. */
static bool spill(struct admission *a)
{
	if (a->file == -1 && !open_file(a))
		return false;
	if (channel_is_closed(request_channel(a->store)))
		return refuse_write_error(a);
	if (a->limit > 0 && a->written + a->content.len > a->limit)
		return refuse_no_room(a);
	for (size_t at = 0; at < a->content.len; at += CHUNK_LIMIT) {
		struct slice piece = slice_part(buf_slice(&a->content), at, CHUNK_LIMIT);

		if (io_write_all(a->file, piece.data, piece.len) == -1) {
			log_error("%.*s: write content: %m", (int)a->admit->id.len,
			    a->admit->id.data);
			return errno == ENOSPC || errno == EDQUOT || errno == EFBIG
			    ? refuse_no_room(a)
			    : refuse_write_error(a);
		}
		task_yield_if_long();
	}
	a->written += a->content.len;
	buf_reset(&a->content);
	return true;
}

static bool store_message(struct admission *a)
{
	struct msg_data data = { buf_slice(&a->content) };
	struct msg_large_done done = { 0 };
	int rc;

	if (a->file == -1 && a->content.len <= CHUNK_LIMIT) {
		if (!open_store(a))
			return false;
		rc = request_send(a->store, &table_data, &data, -1, true, ask_deadline());
	} else {
		if (!spill(a))
			return false;
		done.size = a->written;
		rc = request_send(a->store, &table_large_done, &done, -1, true, ask_deadline());
	}
	if (rc == -1 && errno != ECONNABORTED)
		return refuse_write_error(a);
	return take_reply(a, request_receive(a->store, ask_deadline()));
}

/* --- from the opener ------------------------------------------------------------------------------ */

static bool judge(struct admission *a, enum pass_result result)
{
	if (result == PASS_TOO_MANY_HOPS)
		return refuse(a, 554, SLICE("5.4.0"), SLICE("Error: too many hops"));
	if (result == PASS_NO_ANSWER)
		return refuse(a, 451, SLICE("4.3.0"), SLICE("Error: temporary lookup failure"));
	return true;
}

/* The recipients are complete: the header can be begun. */
static bool begin_content(struct admission *a)
{
	const struct cleanup_settings *s = &cleanup_settings;
	bool local = (a->admit->flags & ADMIT_LOCAL) != 0;
	bool remote_domain = *s->remote_header_rewrite_domain != '\0';

	if (a->pass != NULL)
		return true;
	if (a->recipients.count == 0)
		return refuse(a, 554, SLICE("5.5.1"), SLICE("Error: no valid recipients"));
	if (!ask_sender(a->admit->sender, a->arena, &a->sender))
		return refuse(a, 451, SLICE("4.3.0"), SLICE("Error: temporary lookup failure"));
	if (a->sender.len > ADDRESS_LIMIT)
		return refuse(a, 501, SLICE("5.1.7"), SLICE("Bad sender address syntax"));
	a->context = (struct header_context){
		.admit = a->admit,
		.sender = a->sender,
		.only_recipient = a->recipients.count == 1 ? a->recipients.items[0].address
							   : SLICE(""),
		.add_missing = local || remote_domain || s->always_add_missing_headers,
		.complete = local || remote_domain ? ask_complete : NULL,
		.arg = local ? a : NULL,
	};
	a->pass = header_pass_new(&a->context, &a->content);
	return true;
}

static bool take_recipients(struct admission *a, const struct msg_rcpts *m)
{
	if (a->pass != NULL)
		return broken(a, "recipients behind content");
	switch (recipients_add(&a->recipients, m, a->arena)) {
	case RECIPIENTS_ADDED:
		return true;
	case RECIPIENTS_TOO_MANY:
		return refuse(a, 452, SLICE("4.5.3"), SLICE("Error: too many recipients"));
	case RECIPIENTS_MALFORMED:
		break;
	}
	return broken(a, "malformed recipients");
}

/* What is in the queue already may be sent on, though our header has made it larger; and a notice holds
 * more than the message that it returns. */
static bool is_too_large(const struct admission *a, uint64_t size)
{
	return cleanup_settings.message_size_limit > 0 && (a->admit->flags & ADMIT_INTERNAL) == 0 &&
	    size > (uint64_t)cleanup_settings.message_size_limit;
}

static bool check_size(struct admission *a, uint64_t size)
{
	if (is_too_large(a, size))
		return refuse(a, 552, SLICE("5.3.4"), SLICE("Message size exceeds fixed limit"));
	return true;
}

/* The size that clients count (RFC 1870) is without the dots that only the wire form has. */
static void count_stuffing(struct admission *a, struct slice data)
{
	const char *end = data.data + data.len, *at = data.data;

	for (; at < end && at < data.data + 2;
	     at++) { /* the line end may lie in the piece before */
		a->stuffing += a->line_end == 2 && *at == '.';
		a->line_end = *at == '\r' ? 1 : *at == '\n' && a->line_end == 1 ? 2 : 0;
	}
	if (at == end)
		return;
	at = data.data;
	while ((at = memmem(at, (size_t)(end - at), "\r\n.", 3)) != NULL) {
		at += 3;
		a->stuffing++;
	}
	a->line_end = end[-1] == '\r' ? 1 : end[-2] == '\r' && end[-1] == '\n' ? 2 : 0;
}

static bool take_data(struct admission *a, const struct msg_data *m)
{
	a->received += m->data.len;
	count_stuffing(a, m->data);
	if (!begin_content(a) || !check_size(a, a->received - a->stuffing) ||
	    !judge(a, header_pass_feed(a->pass, m->data, &a->content)))
		return false;
	return a->content.len <= CHUNK_LIMIT || spill(a);
}

static void log_message_ids(const struct admission *a)
{
	struct slice id = header_pass_message_id(a->pass),
		     resent = header_pass_resent_message_id(a->pass);

	log_event(LOG_MESSAGE_ID, { "id", a->admit->id },
	    { "message_id", id.len > 0 ? id : SLICE("<>") });
	if (resent.len > 0)
		log_event(LOG_MESSAGE_ID, { "id", a->admit->id }, { "resent", SLICE("resent-") },
		    { "message_id", resent });
}

static bool take_end(struct admission *a, const struct msg_end *m)
{
	if (m->size != a->received)
		return broken(a, "another amount of content than it says");
	if (!begin_content(a) || !judge(a, header_pass_end(a->pass, &a->content)))
		return false;
	log_message_ids(a);
	return store_message(a);
}

/* False: there is nothing more to read. */
static bool take(struct admission *a, const struct frame *f)
{
	if (f->table == &table_rcpts)
		return take_recipients(a, f->message);
	if (f->table == &table_data)
		return take_data(a, f->message);
	if (f->table == &table_end)
		return take_end(a, f->message);
	return broken(a, "a message that has no place in an admission");
}

static void admit(struct request *r, struct frame *first)
{
	struct admission a = { .opener = r, .admit = first->message, .file = -1, .line_end = 2 };
	struct frame *f;

	a.arena = arena_new();
	if (check_size(&a, a.admit->declared_size))
		while ((f = request_receive(r, DEADLINE_NEVER)) != NULL && take(&a, f))
			task_yield_if_long();
	/* Without a reply the opener is gone, or gets none. */
	if (a.reply.code != 0 && a.opener != NULL)
		request_send(r, &table_reply, &a.reply, -1, true, DEADLINE_NEVER);
	if (a.file != -1)
		close(a.file);
	request_close(a.store);
	header_pass_free(a.pass);
	buf_clear(&a.content);
	recipients_clear(&a.recipients);
	arena_free(a.arena);
}

const struct handler cleanup_handlers[] = {
	{ &table_admit,
	    ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP) | ROLE_BIT(ROLE_BOUNCE) |
		ROLE_BIT(ROLE_AGENT),
	    admit },
	{ 0 },
};
