/* SPDX-License-Identifier: ISC */
/*
 * requeue.c - a queued message that postsuper -r had routed to pickup goes through cleanup once more, as a
 * new message for the recipients as they were before any alias.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "postdrop/pickup.h"
#include "postdrop/relay.h"

enum { PIECE = 65536 };

static bool is_consistent(const struct msg_deliver *m, int fd)
{
	size_t count = m->index.count;

	return count > 0 && m->address.count == count && m->original.count == count &&
	    m->orcpt.count == count && m->notify.count == count &&
	    (fd != -1 || m->content.len == m->content_size);
}

static void open_relay(struct relay *relay, const struct msg_deliver *m)
{
	char uid[16], received_by[32];
	struct msg_admit admit = {
		.arrival_us = m->arrival_us,
		.sender = m->sender,
		.flags = m->flags & ADMIT_8BIT,
		.envid = m->envid,
		.ret = m->ret,
	};

	relay_make_id(relay->id);
	snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	snprintf(received_by, sizeof(received_by), "from userid %s", uid);
	admit.id = slice_of(relay->id);
	admit.received_by = slice_of(received_by);
	log_event(LOG_PICKUP, { "id", admit.id }, { "uid", slice_of(uid) }, { "sender", m->sender },
	    { "orig_id", m->id });
	relay_open(relay, &admit);
}

static void send_rcpts(struct relay *relay, const struct msg_deliver *m)
{
	size_t count = m->index.count;
	struct slice *address = arena_alloc(relay->arena, count * sizeof(*address));
	struct msg_rcpts rcpts = { { address, count }, { address, count }, m->orcpt, m->notify };

	for (size_t i = 0; i < count; i++)
		address[i] = m->original.items[i].len > 0 ? m->original.items[i]
							  : m->address.items[i];
	relay_rcpts(relay, &rcpts);
}

static void send_content(struct relay *relay, const struct msg_deliver *m, int fd)
{
	uint64_t done = 0;

	if (fd == -1) {
		buf_put_slice(&relay->out, m->content);
		return;
	}
	while (relay->reply.code == 0 && done < m->content_size) {
		uint64_t left = m->content_size - done;
		ssize_t got = pread(fd, buf_reserve(&relay->out, PIECE),
		    left < PIECE ? (size_t)left : PIECE, (off_t)(m->content_offset + done));

		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0) {
			log_error("%.*s: its content can't be read: %m", (int)m->id.len,
			    m->id.data);
			relay_refuse(relay, 451, "4.3.0", "Error: queue file read error");
			return;
		}
		relay->out.len += (size_t)got;
		done += (uint64_t)got;
		relay_content(relay, false);
	}
}

static void pass_on(struct relay *relay, const struct msg_deliver *m, int fd)
{
	open_relay(relay, m);
	send_rcpts(relay, m);
	send_content(relay, m, fd);
	if (relay->reply.code == 0)
		relay_end(relay);
}

/* All recipients share the fate of the new message. */
static void conclude(struct request *request, const struct msg_deliver *m, struct relay *relay,
    struct delivery_run *run, struct delivery_times *times)
{
	const struct msg_reply *reply = &relay->reply;
	struct arena *arena = request_arena(request);
	size_t count = m->index.count;
	enum outcome outcome = reply->code == 250 ? OUTCOME_SENT
	    : reply->code >= 500		  ? OUTCOME_BOUNCED
						  : OUTCOME_DEFERRED;
	struct slice dsn = reply->enhanced.len > 0 ? reply->enhanced : SLICE("4.3.0"), text;
	struct msg_outcomes out = {
		.index = m->index,
		.outcome = { arena_alloc(arena, count * sizeof(uint64_t)), count },
		.dsn = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.text = { arena_alloc(arena, count * sizeof(struct slice)), count },
	};

	text = slice_of(outcome == OUTCOME_SENT ? arena_printf(arena, "requeued as %s", relay->id)
						: arena_printf(arena, "cannot requeue: %.*s",
						      (int)reply->text.len, reply->text.data));
	times->end_us = clock_wall_us();
	for (size_t i = 0; i < count; i++) {
		out.outcome.items[i] = outcome;
		out.dsn.items[i] = dsn;
		out.text.items[i] = text;
		delivery_log(m, i, times, SLICE("pickup"), outcome, dsn, text);
	}
	delivery_end(run, request, &out);
}

void requeue_run(struct request *request, struct frame *first)
{
	const struct msg_deliver *m = first->message;
	struct delivery_times times = { .start_us = clock_wall_us() };
	struct relay relay = { 0 };
	struct delivery_run *run;

	if (!is_consistent(m, first->fd)) {
		log_error("%.*s: the delivery request makes no sense", (int)m->id.len, m->id.data);
		return;
	}
	service_session_begin();
	run = delivery_begin(request, m);
	if (run != NULL) {
		if (m->flags & ADMIT_VERIFY)
			relay_refuse(&relay, 554, "5.3.5", "it only asks about its recipients");
		else
			pass_on(&relay, m, first->fd);
		conclude(request, m, &relay, run, &times);
		relay_clear(&relay);
	}
	service_session_end();
}
