/* SPDX-License-Identifier: ISC */
/*
 * notice.c - has bounce tell the sender what became of recipients. What a notice stands for is marked as
 * done when bounce says that the notice is on stable storage, never before.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { SERVICE_SECONDS = 30, ANSWER_SECONDS = 600, FRAME_BYTES = 128 * 1024 };

struct notice {
	struct message *message;
	enum notice_kind kind;
	struct store_loaded *loaded; /* the content, unless it is at hand */
	size_t *index;		     /* the recipients that it is about */
	size_t count;
};

static bool is_about(const struct message *m, const struct recipient *r, enum notice_kind kind)
{
	if ((kind == NOTICE_VERIFY) != message_is_verify(m))
		return false;
	switch (kind) {
	case NOTICE_FAILURE:
		return r->progress == BOUNCED && !r->is_told;
	case NOTICE_SUCCESS:
		return r->progress == SENT && !r->is_told;
	case NOTICE_DELAY:
		return r->progress == DEFERRED && !m->held;
	case NOTICE_VERIFY:
		return (r->progress == SENT || r->progress == BOUNCED) && !r->is_told;
	}
	return false;
}

static size_t count_of(const struct message *m, enum notice_kind kind)
{
	size_t count = 0;

	if (kind == NOTICE_DELAY && (m->is_warned || !round_is_late(m)))
		return 0;
	for (size_t i = 0; i < m->rcpt_count; i++)
		count += is_about(m, &m->rcpts[i], kind);
	return count;
}

bool notice_is_due(const struct message *m)
{
	return count_of(m, NOTICE_FAILURE) > 0 || count_of(m, NOTICE_SUCCESS) > 0 ||
	    count_of(m, NOTICE_DELAY) > 0 || count_of(m, NOTICE_VERIFY) > 0;
}

/* --- the question --------------------------------------------------------------------------------- */

static size_t size_of(const struct recipient *r)
{
	return r->address.len + r->original.len + r->orcpt.len + r->reason.len + r->remote.len +
	    r->diagnostic.len + 64;
}

static void fill_frame(const struct notice *n, size_t at, size_t count, struct arena *arena,
    struct msg_notice_rcpts *out)
{
	struct wire_texts *texts[] = { &out->address, &out->original, &out->orcpt, &out->dsn,
		&out->reason, &out->remote, &out->diagnostic };

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		*texts[i] = (struct wire_texts){ arena_alloc(arena, count * sizeof(struct slice)),
			count };
	out->notify = (struct wire_numbers){ arena_alloc(arena, count * sizeof(uint64_t)), count };
	out->success = (struct wire_numbers){ arena_alloc(arena, count * sizeof(uint64_t)), count };
	for (size_t i = 0; i < count; i++) {
		const struct recipient *r = &n->message->rcpts[n->index[at + i]];
		const struct slice values[] = { r->address, r->original, r->orcpt, r->dsn,
			r->reason, r->remote, r->diagnostic };

		for (size_t j = 0; j < ARRAY_LENGTH(texts); j++)
			texts[j]->items[i] = values[j];
		out->notify.items[i] = r->notify;
		out->success.items[i] = r->success;
	}
}

static bool send_recipients(const struct notice *n, struct request *r, deadline when)
{
	bool ok = true;

	for (size_t at = 0, part; ok && at < n->count; at += part) {
		struct arena *arena = arena_new();
		struct msg_notice_rcpts m = { 0 };
		size_t bytes = 0;

		for (part = 0; at + part < n->count && part < RCPTS_PER_FRAME; part++) {
			bytes += size_of(&n->message->rcpts[n->index[at + part]]);
			if (bytes > FRAME_BYTES && part > 0)
				break;
		}
		fill_frame(n, at, part, arena, &m);
		ok = request_send(r, &table_notice_rcpts, &m, -1, at + part == n->count, when) == 0;
		arena_free(arena);
	}
	return ok;
}

static bool fetch_content(struct notice *n)
{
	int error;

	if (n->message->content != NULL)
		return true;
	n->loaded = store_read_wait(n->message->id, true, &error);
	return n->loaded != NULL;
}

static struct request *open_request(const struct notice *n, deadline when)
{
	const struct message *m = n->message;
	struct msg_notice question = {
		.kind = n->kind,
		.id = m->id,
		.sender = m->sender,
		.arrival_us = m->arrival_us,
		.flags = m->flags,
		.envid = m->envelope.envid,
		.ret = m->envelope.ret,
		.content = m->content != NULL ? slice_new(m->content, m->size)
					      : n->loaded->message.content,
		.content_size = m->size,
		.retry_until_us = round_retry_until_us(m),
		.cleared = message_is_cleared(m),
	};
	int fd = n->loaded == NULL ? -1 : n->loaded->large_fd;

	/* A process that is just being replaced refuses; its successor is asked. */
	for (int i = 0; i < 2; i++) {
		struct channel *c = service_channel(settings.bounce_service_name,
		    deadline_after(SERVICE_SECONDS * CLOCK_SECOND));
		struct request *r = c == NULL
		    ? NULL
		    : request_open(c, &table_notice, &question, fd, false, when);

		if (c == NULL || r != NULL)
			return r;
	}
	return NULL;
}

/* Asks bounce. True: the notice is on stable storage, or nobody wants one. */
static bool ask(struct notice *n)
{
	deadline when = deadline_after(ANSWER_SECONDS * CLOCK_SECOND);
	struct request *r = fetch_content(n) ? open_request(n, when) : NULL;
	struct frame *f = r != NULL && send_recipients(n, r, when) ? request_receive(r, when)
								   : NULL;
	bool ok = f != NULL && f->table == &table_reply &&
	    ((struct msg_reply *)f->message)->code == 250;

	if (!ok)
		log_warning("%.*s: service %s could not send the notice to the sender; it is tried "
			    "again later",
		    (int)n->message->id.len, n->message->id.data, settings.bounce_service_name);
	request_close(r);
	if (n->loaded != NULL)
		store_loaded_free(n->loaded);
	return ok;
}

/* --- what follows --------------------------------------------------------------------------------- */

static void told(const struct notice *n)
{
	struct message *m = n->message;

	if (n->kind != NOTICE_DELAY) {
		round_record_told(m, n->index, n->count);
		return;
	}
	m->is_warned = true;
	store_mark(store, m->id, STORE_WARNED, NULL, NULL);
}

static bool send_one(struct message *m, enum notice_kind kind)
{
	struct notice n = { .message = m, .kind = kind };
	size_t count = count_of(m, kind);
	bool ok;

	if (count == 0)
		return true;
	n.index = mem_alloc_array(count, sizeof(*n.index));
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (is_about(m, &m->rcpts[i], kind))
			n.index[n.count++] = i;
	ok = ask(&n);
	if (ok && !m->is_deleted)
		told(&n);
	free(n.index);
	return ok;
}

bool notice_send_all(struct message *m)
{
	bool success = send_one(m, NOTICE_SUCCESS), failure = send_one(m, NOTICE_FAILURE),
	     verify = send_one(m, NOTICE_VERIFY);

	/* A warning that could not be sent waits for the next round. */
	send_one(m, NOTICE_DELAY);
	return success && failure && verify;
}
