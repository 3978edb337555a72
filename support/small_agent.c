/* SPDX-License-Identifier: ISC */
/*
 * small_agent.c - one outcome for all recipients, logged and reported.
 */
#include "support/small_agent.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/ipc/delivery.h"
#include "common/log/log.h"

static bool is_status(struct slice word)
{
	struct slice rest = word, part;
	uint64_t number;
	size_t count = 0;

	if (word.len < 5 || word.len > 9 || word.data[1] != '.' || word.data[word.len - 1] == '.')
		return false;
	while (text_next_word(&rest, ".", &part)) {
		if (!text_number(part, 999, &number))
			return false;
		count++;
	}
	return count == 3;
}

void small_agent_split(struct slice nexthop, struct slice fallback, struct small_outcome *out)
{
	struct slice rest = nexthop, word;

	out->dsn = fallback;
	out->text = slice_trim(nexthop);
	if (!text_next_word(&rest, " \t", &word) || !is_status(word) ||
	    word.data[0] != fallback.data[0])
		return;
	out->dsn = word;
	out->text = slice_trim(rest);
}

void small_agent_answer(struct request *request, const struct frame *frame,
    const struct small_outcome *what)
{
	const struct msg_deliver *m = frame->message;
	struct delivery_times times = { .start_us = clock_wall_us() };
	struct arena *arena = request_arena(request);
	size_t count = m->index.count;
	struct msg_outcomes out = {
		.index = m->index,
		.outcome = { arena_alloc(arena, count * sizeof(uint64_t)), count },
		.dsn = { arena_alloc(arena, count * sizeof(struct slice)), count },
		.text = { arena_alloc(arena, count * sizeof(struct slice)), count },
	};

	if (count == 0 || m->address.count != count || m->original.count != count) {
		log_error("%.*s: the delivery request makes no sense", (int)m->id.len, m->id.data);
		return;
	}
	times.end_us = clock_wall_us();
	for (size_t i = 0; i < count; i++) {
		out.outcome.items[i] = what->outcome;
		out.dsn.items[i] = what->dsn;
		out.text.items[i] = what->text;
		delivery_log(m, i, &times, SLICE("none"), what->outcome, what->dsn, what->text);
	}
	delivery_soften(m->flags, arena, &out);
	if (request_send(request, &table_outcomes, &out, -1, true,
		deadline_after(60 * CLOCK_SECOND)) == -1)
		log_warning("%.*s: the queue manager is gone before it heard the outcome",
		    (int)m->id.len, m->id.data);
}
