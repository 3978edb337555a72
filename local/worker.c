/* SPDX-License-Identifier: ISC */
/*
 * worker.c - takes deliveries from qmgr and answers with their outcomes.
 */
#include "local/local.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "local/alias.h"
#include "local/recipient.h"

struct local_settings local_settings;

/* What the tables can't say: lists run parallel, and content is where it should be. */
static bool is_consistent(const struct msg_deliver *m, int fd)
{
	size_t count = m->index.count;

	return count > 0 && m->address.count == count && m->original.count == count &&
	    m->orcpt.count == count && m->notify.count == count &&
	    (fd != -1 || m->content.len == m->content_size);
}

static void run_deliver(struct request *request, struct frame *frame)
{
	const struct msg_deliver *m = frame->message;
	size_t count = m->index.count;
	struct arena *arena = request_arena(request);
	struct msg_outcomes out = {
		.index = m->index,
		.outcome = { arena_alloc(arena, count * sizeof(uint64_t)), count },
		.dsn = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.text = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.success = { arena_alloc(arena, count * sizeof(uint64_t)), count },
	};
	struct delivery_run *run;

	if (!is_consistent(m, frame->fd)) {
		log_error("%.*s: the delivery request makes no sense", (int)m->id.len, m->id.data);
		return;
	}
	service_session_begin();
	run = delivery_begin(request, m);
	if (run == NULL) {
		service_session_end();
		return;
	}
	service_look_at_tables(alias_changed);
	for (size_t i = 0; i < count; i++) {
		struct delivery_times times = { .start_us = clock_wall_us() };
		struct verdict v = { 0 };

		recipient_deliver(m, frame->fd, i, &v);
		times.end_us = clock_wall_us();
		out.outcome.items[i] = v.outcome;
		out.success.items[i] = v.success;
		out.dsn.items[i] = arena_copy(arena, slice_of(v.dsn));
		out.text.items[i] = arena_copy(arena, slice_of(v.text));
		delivery_log(m, i, &times, SLICE("local"), v.outcome, out.dsn.items[i],
		    out.text.items[i]);
		free(v.text);
	}
	delivery_end(run, request, &out);
	service_session_end();
}

const struct handler worker_handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), run_deliver },
	{ &table_reclaim, ROLE_BIT(ROLE_QMGR), delivery_reclaim },
	{ 0 },
};
