/* SPDX-License-Identifier: ISC */
/*
 * request.c - what qmgr says became of recipients, turned into the notices that are due; it hears 250 when
 * they are on stable storage. Nothing is kept: who gets no 250 asks again.
 *
 * A notice must never lead to another one for ever. One to a sender comes from <>; what fails of that goes
 * to the postmaster at most, from double_bounce_sender; what fails of that is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounce/bounce.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/service/submit.h"
#include "common/task/task.h"

struct notices {
	const struct msg_notice *about;
	struct message_content content;
	struct arena *arena;
	struct slice double_bounce;	   /* the address */
	bool is_double_bounce, has_sender; /* of the message */
	struct slice copy_to;		   /* empty: no copy for the postmaster */
	struct notice_list for_sender, for_copy;
};

/* --- who is told ---------------------------------------------------------------------------------- */

static bool has_class(const char *name)
{
	struct slice rest = slice_of(bounce_settings.notify_classes), word;

	while (text_next_item(&rest, &word))
		if (slice_equal_nocase(word, slice_of(name)))
			return true;
	return false;
}

/* The postmaster who is told besides, or in the sender's place. */
static struct slice copy_recipient(const struct notices *n)
{
	const struct bounce_settings *s = &bounce_settings;
	struct slice to = SLICE("");

	if (n->is_double_bounce)
		return to;
	if (n->about->kind == NOTICE_DELAY && has_class("delay"))
		to = slice_of(s->delay_notice_recipient);
	if (n->about->kind == NOTICE_FAILURE && n->has_sender && has_class("bounce"))
		to = slice_of(s->bounce_notice_recipient);
	if (n->about->kind == NOTICE_FAILURE && !n->has_sender &&
	    (has_class("2bounce") || has_class("bounce")))
		to = slice_of(s->second_bounce_notice_recipient);
	/* Who sent it hears of it anyway. */
	return slice_equal_nocase(to, n->about->sender) ? SLICE("") : to;
}

static void begin(struct notices *n, const struct frame *first)
{
	const struct msg_notice *m = first->message;

	n->about = m;
	n->content = (struct message_content){
		.small = m->content,
		.fd = first->fd,
		.offset = m->content_offset,
		.size = m->content_size,
	};
	n->double_bounce = slice_of(arena_printf(n->arena, "%s@%s",
	    bounce_settings.double_bounce_sender, bounce_settings.myorigin));
	n->is_double_bounce = slice_equal_nocase(m->sender, n->double_bounce);
	n->has_sender = m->sender.len > 0 && !n->is_double_bounce;
	n->copy_to = copy_recipient(n);
}

static bool is_consistent(const struct msg_notice_rcpts *m)
{
	size_t count = m->address.count;

	return m->original.count == count && m->orcpt.count == count && m->notify.count == count &&
	    m->dsn.count == count && m->reason.count == count && m->remote.count == count &&
	    m->diagnostic.count == count && m->success.count == count;
}

/* False: the peer broke off or off the rules. */
static bool receive_rcpts(struct notices *n, struct request *r)
{
	struct frame *f;
	bool over = false;

	while (!over) {
		const struct msg_notice_rcpts *m;

		f = request_receive(r, deadline_after(bounce_settings.ipc_timeout));
		if (f == NULL || f->table != &table_notice_rcpts || !is_consistent(f->message))
			return false;
		m = f->message;
		over = f->last;
		for (size_t i = 0; i < m->address.count; i++) {
			if (n->has_sender &&
			    list_is_due(n->about, m->notify.items[i], m->success.items[i]))
				list_add(&n->for_sender, m, i, n->arena);
			if (n->copy_to.len > 0)
				list_add(&n->for_copy, m, i, n->arena);
		}
		task_yield_if_long();
	}
	return true;
}

/* --- sending -------------------------------------------------------------------------------------- */

static bool headers_only(const struct notices *n, bool is_copy)
{
	const struct msg_notice *m = n->about;

	if (m->kind != NOTICE_FAILURE || m->ret == 2 ||
	    m->content_size > (uint64_t)bounce_settings.bounce_size_limit)
		return true;
	/* Of a message without sender this copy is all that anybody gets. */
	return is_copy && n->has_sender;
}

static void send_content(struct submission *s, const struct notice *n, const struct returned *r)
{
	char *room = n->content.fd == -1 ? NULL : mem_alloc(CHUNK_LIMIT);
	struct slice piece;
	bool ok = true;

	for (uint64_t at = 0; ok && at < r->size; at += piece.len) {
		ok = message_content_read(&n->content, at, room, &piece);
		if (!ok)
			submit_spoil(s, errno);
		if (!ok || piece.len == 0)
			break;
		submit_data(s, slice_part(piece, 0, (size_t)(r->size - at)));
	}
	free(room);
}

static void send_notice(struct submission *s, const struct notice *n, struct slice sender)
{
	struct slice to = n->to, none = SLICE("");
	uint64_t notify = 0;
	struct msg_rcpts rcpts = { { &to, 1 }, { &to, 1 }, { &none, 1 }, { &notify, 1 } };
	struct msg_admit admit = { .sender = sender, .flags = ADMIT_INTERNAL | ADMIT_LOCAL };
	struct buf text = { 0 };
	struct returned r;

	if (!returned_measure(n, &r)) {
		*s = (struct submission){ .error = errno };
		return;
	}
	compose_head(n, r.is_8bit, &text);
	admit.flags |= r.is_8bit || lines_have_8bit(buf_slice(&text)) ? ADMIT_8BIT : 0u;
	admit.flags |= compose_is_utf8(n) ? ADMIT_SMTPUTF8 : 0u;
	submit_open(s, &admit);
	submit_rcpts(s, &rcpts);
	submit_data(s, buf_slice(&text));
	send_content(s, n, &r);
	buf_reset(&text);
	if (!r.ends)
		buf_puts(&text, "\r\n");
	compose_tail(n, &text);
	submit_data(s, buf_slice(&text));
	buf_clear(&text);
}

static const char *kind_name(const struct notices *n, bool is_copy)
{
	static const char *const names[][2] = {
		[NOTICE_FAILURE] = { "sender non-delivery", "postmaster non-delivery" },
		[NOTICE_DELAY] = { "sender delay", "postmaster delay" },
		[NOTICE_SUCCESS] = { "sender delivery status", "postmaster delivery status" },
		[NOTICE_VERIFY] = { "sender delivery status", "postmaster delivery status" },
	};

	return names[n->about->kind][is_copy];
}

/* True: it is on stable storage, or there is nobody to tell. */
static bool tell(const struct notices *n, bool is_copy)
{
	const struct notice_list *list = is_copy ? &n->for_copy : &n->for_sender;
	struct notice notice = {
		.about = n->about,
		.list = list,
		.is_copy = is_copy,
		.to = is_copy ? n->copy_to : n->about->sender,
		.content = n->content,
		.headers_only = headers_only(n, is_copy),
		.now_us = clock_wall_us(),
	};
	const struct msg_reply *reply;
	struct submission s;
	struct slice id = n->about->id;
	bool ok;

	if (list->total == 0)
		return true;
	send_notice(&s, &notice, is_copy ? n->double_bounce : SLICE(""));
	reply = submit_end(&s);
	ok = reply != NULL && reply->code == 250;
	if (ok)
		log_event(LOG_NOTIFICATION, { "id", id },
		    { "what", slice_of(kind_name(n, is_copy)) }, { "notice", slice_of(s.id) });
	else if (reply == NULL)
		log_warning("%.*s: %s notification failed: %m", (int)id.len, id.data,
		    is_copy ? "postmaster" : "sender");
	else
		log_warning("%.*s: %s notification failed to %.*s: %.*s", (int)id.len, id.data,
		    is_copy ? "postmaster" : "sender", (int)notice.to.len, notice.to.data,
		    (int)reply->text.len, reply->text.data);
	submit_close(&s);
	return ok;
}

/* A copy beside the sender's notice is a help, and is not asked for again: whatever failed, somebody would
 * get the same notice each time. */
static bool tell_all(const struct notices *n)
{
	if (!n->has_sender)
		return tell(n, true);
	if (!tell(n, false))
		return false;
	tell(n, true);
	return true;
}

static void log_what_ends_here(const struct notices *n)
{
	struct slice id = n->about->id;

	if (n->about->kind != NOTICE_FAILURE)
		return;
	if (n->is_double_bounce)
		log_warning("%.*s: undeliverable postmaster notification discarded", (int)id.len,
		    id.data);
	else if (!n->has_sender && n->copy_to.len == 0)
		log_info("%.*s: undeliverable message without a sender discarded: notify_classes "
			 "has no 2bounce",
		    (int)id.len, id.data);
}

static void run_notice(struct request *request, struct frame *first)
{
	struct msg_reply reply = { 250, SLICE("2.0.0"), SLICE("Ok") };
	struct notices n = { .arena = arena_new() };

	service_session_begin();
	begin(&n, first);
	if ((first->fd == -1 && n.content.small.len != n.content.size) ||
	    n.about->kind < NOTICE_FAILURE || !receive_rcpts(&n, request)) {
		log_error("%.*s: the request for a notice makes no sense, or was given up",
		    (int)n.about->id.len, n.about->id.data);
	} else {
		if (!tell_all(&n))
			reply = (struct msg_reply){ 451, SLICE("4.3.0"),
				SLICE("the notice could not be sent now") };
		else
			log_what_ends_here(&n);
		request_send(request, &table_reply, &reply, -1, true,
		    deadline_after(bounce_settings.ipc_timeout));
	}
	list_clear(&n.for_sender);
	list_clear(&n.for_copy);
	arena_free(n.arena);
	service_session_end();
}

const struct handler bounce_handlers[] = {
	{ &table_notice, ROLE_BIT(ROLE_QMGR), run_notice },
	{ 0 },
};
