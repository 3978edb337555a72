/* SPDX-License-Identifier: ISC */
/*
 * intake.c - a message from cleanup: onto stable storage, then the answer, then delivery.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/mail/queue_id.h"
#include "common/service/service.h"

enum { RECIPIENTS_LIMIT = 1000000, PATIENCE_SECONDS = 3600 };

unsigned intake_open;
/* Content of active messages that is kept at hand. */
enum { CONTENT_KEPT = 16 * 1024 * 1024 };
static size_t content_kept;

struct intake {
	struct request *request;
	struct message *message;
	size_t rcpts_size;
	uint64_t large_size;
	bool has_large;
	struct buf content;
};

static void reply(struct intake *in, uint64_t code, const char *enhanced, const char *text)
{
	struct msg_reply m = { code, slice_of(enhanced), slice_of(text) };

	request_send(in->request, &table_reply, &m, -1, true, deadline_after(60 * CLOCK_SECOND));
}

/* Clients hear it each time, the log once a minute. */
static void reply_full(struct intake *in)
{
	static deadline next;

	reply(in, 452, "4.3.1", "Insufficient system storage");
	if (clock_now() < next)
		return;
	next = deadline_after(60 * CLOCK_SECOND);
	log_warning("no new mail is taken: the queue's disk has no room for it beside "
		    "what queue_minfree (%lld bytes) and the reserve take; make room there",
	    (long long)settings.queue_minfree);
}

static void reply_in_use(struct intake *in)
{
	log_warning("%.*s: a message with this queue id is in the queue already; the new "
		    "one was refused",
	    (int)in->message->id.len, in->message->id.data);
	/* pickup, which may have died before it heard 250, knows this code. */
	reply(in, 450, "4.3.0", "Error: queue id is in use");
}

static deadline patience(void)
{
	return deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
}

static void take_envelope(struct message *m, const struct msg_store *s)
{
	m->id = arena_copy(m->arena, s->id);
	m->sender = arena_copy(m->arena, s->sender);
	m->arrival_us = s->arrival_us;
	m->memory.arrival_boot_us = age_arrival_boot_us(s->arrival_us, age_now());
	m->flags = s->flags;
	m->envelope = (struct envelope){
		.envid = arena_copy(m->arena, s->envid),
		.client_name = arena_copy(m->arena, s->client_name),
		.client_address = arena_copy(m->arena, s->client_address),
		.client_port = arena_copy(m->arena, s->client_port),
		.client_helo = arena_copy(m->arena, s->client_helo),
		.protocol = arena_copy(m->arena, s->protocol),
		.ret = s->ret,
	};
}

/* As smtpd and cleanup let them through; any longer would not fit into a delivery's frame. */
static bool rcpt_fits(const struct msg_rcpts *r, size_t at)
{
	return r->address.items[at].len <= ADDRESS_LIMIT &&
	    r->original.items[at].len <= ADDRESS_LIMIT && r->orcpt.items[at].len <= ADDRESS_LIMIT;
}

/* False: the lists do not fit together, or there are too many. */
static bool take_rcpts(struct intake *in, const struct msg_rcpts *r)
{
	struct message *m = in->message;
	size_t count = r->address.count;

	if (r->original.count != count || r->orcpt.count != count || r->notify.count != count ||
	    m->rcpt_count + count > RECIPIENTS_LIMIT)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!rcpt_fits(r, i))
			return false;
	if (m->rcpt_count + count > in->rcpts_size) {
		size_t size = in->rcpts_size == 0 ? count : (m->rcpt_count + count) * 2;
		struct recipient *grown = arena_alloc(m->arena, size * sizeof(*grown));

		if (m->rcpt_count > 0)
			memcpy(grown, m->rcpts, m->rcpt_count * sizeof(*grown));
		m->rcpts = grown;
		in->rcpts_size = size;
	}
	for (size_t i = 0; i < count; i++)
		m->rcpts[m->rcpt_count++] = (struct recipient){
			.address = arena_copy(m->arena, r->address.items[i]),
			.original = arena_copy(m->arena, r->original.items[i]),
			.orcpt = arena_copy(m->arena, r->orcpt.items[i]),
			.notify = r->notify.items[i],
		};
	return true;
}

/* Hands out the file, and waits until it is full. False: answered or gone. */
static bool take_large(struct intake *in)
{
	struct msg_large_file file = { 0 };
	struct frame *f;
	struct store_summary living;
	int fd, rc;

	/* Its file would be in the way, and that is no full disk. */
	if (store_summary(store, in->message->id, &living)) {
		reply_in_use(in);
		return false;
	}
	fd = store_large_create(store, in->message->id);
	if (fd == -1) {
		reply_full(in);
		return false;
	}
	rc = request_send(in->request, &table_large_file, &file, fd, false, patience());
	close(fd);
	f = rc == -1 ? NULL : request_receive(in->request, patience());
	if (f == NULL || f->table != &table_large_done || !f->last) {
		store_large_discard(store, in->message->id);
		return false;
	}
	in->large_size = ((struct msg_large_done *)f->message)->size;
	in->has_large = true;
	return true;
}

/* Everything up to the last frame. False: answered, or the sender is gone or broke a rule. */
static bool receive(struct intake *in)
{
	struct frame *f;

	while ((f = request_receive(in->request, patience())) != NULL) {
		if (f->table == &table_rcpts) {
			if (!take_rcpts(in, f->message))
				return false;
		} else if (f->table == &table_data && f->last) {
			buf_put_slice(&in->content, ((struct msg_data *)f->message)->data);
			return in->message->rcpt_count > 0;
		} else if (f->table == &table_large_wanted) {
			uint64_t expected = ((struct msg_large_wanted *)f->message)->expected_size;

			if (!store_has_room(store, expected)) {
				reply_full(in);
				return false;
			}
			return in->message->rcpt_count > 0 && take_large(in);
		} else {
			return false;
		}
	}
	return false;
}

static int put(struct intake *in)
{
	struct message *m = in->message;
	struct arena *arena = arena_new();
	size_t n = m->rcpt_count;
	struct store_message s = { .id = m->id,
		.arrival_us = m->arrival_us,
		.flags = m->flags,
		.sender = m->sender,
		.content = buf_slice(&in->content),
		.large_size = in->large_size };
	struct buf envelope = { 0 };
	const char *why;
	int error;

	s.address = s.original = s.orcpt = (struct wire_texts){ NULL, n };
	s.address.items = arena_alloc(arena, n * sizeof(struct slice));
	s.original.items = arena_alloc(arena, n * sizeof(struct slice));
	s.orcpt.items = arena_alloc(arena, n * sizeof(struct slice));
	s.notify = (struct wire_numbers){ arena_alloc(arena, n * sizeof(uint64_t)), n };
	for (size_t i = 0; i < n; i++) {
		s.address.items[i] = m->rcpts[i].address;
		s.original.items[i] = m->rcpts[i].original;
		s.orcpt.items[i] = m->rcpts[i].orcpt;
		s.notify.items[i] = m->rcpts[i].notify;
	}
	if (!wire_encode(&envelope_table, &m->envelope, &envelope, &why))
		panic("envelope: %s", why);
	s.envelope = buf_slice(&envelope);
	error = store_put_wait(&s);
	buf_clear(&envelope);
	arena_free(arena);
	return error;
}

static void keep_content(struct message *m, struct buf *content)
{
	m->size = content->len;
	if (content_kept + content->len > CONTENT_KEPT || content->len == 0)
		return;
	content_kept += content->len;
	m->content = buf_take(content);
}

void intake_forget_content(struct message *m)
{
	if (m->content == NULL)
		return;
	content_kept -= m->size;
	free(m->content);
	m->content = NULL;
}

/* The reply says what the disk said; after 250 the message is ours. */
static void store_and_answer(struct intake *in)
{
	struct message *m = in->message;
	int error = ENOSPC;
	char text[ID_LIMIT + 32];

	if (store_has_room(store, in->content.len))
		error = put(in);
	else if (in->has_large)
		store_large_discard(store, m->id);
	if (error == ENOSPC || error == EDQUOT) {
		reply_full(in);
	} else if (error == EEXIST) {
		reply_in_use(in);
	} else if (error != 0) {
		log_error("%.*s: the queue could not be written: %s", (int)m->id.len, m->id.data,
		    strerror(error));
		reply(in, 451, "4.3.0", "Error: queue file write error");
	}
	if (error != 0) {
		arena_free(m->arena);
		free(m);
		return;
	}
	snprintf(text, sizeof(text), "Ok: queued as %.*s", (int)m->id.len, m->id.data);
	reply(in, 250, "2.0.0", text);
	m->is_large = in->has_large;
	if (in->has_large)
		m->size = in->large_size;
	else
		keep_content(m, &in->content);
	if (message_count() >= (size_t)settings.qmgr_message_active_limit ||
	    service_draining() != 0) {
		intake_forget_content(m);
		due_add(m->id, 0, m->memory);
		arena_free(m->arena);
		free(m);
		return;
	}
	message_activate(m);
}

void intake_store(struct request *r, struct frame *first)
{
	struct intake in = { .request = r, .message = message_new() };

	take_envelope(in.message, first->message);
	intake_open++;
	if (!queue_id_is_valid(in.message->id) || !receive(&in)) {
		arena_free(in.message->arena);
		free(in.message);
	} else {
		store_and_answer(&in);
	}
	intake_open--;
	buf_clear(&in.content);
}
