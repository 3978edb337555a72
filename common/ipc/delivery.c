/* SPDX-License-Identifier: ISC */
/*
 * delivery.c - the delivery line, the most parsed line of all.
 */
#include "common/ipc/delivery.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log/log.h"

bool delivery_soft_bounce;

static const char *status_text(enum outcome outcome, bool is_verify)
{
	if (is_verify)
		return outcome == OUTCOME_SENT ? "deliverable" : "undeliverable";
	if (outcome == OUTCOME_BOUNCED)
		return delivery_soft_bounce ? "SOFTBOUNCE" : "bounced";
	return outcome == OUTCOME_SENT ? "sent" : "deferred";
}

void delivery_log(const struct msg_deliver *d, size_t at, const struct delivery_times *t,
    struct slice relay, enum outcome outcome, struct slice dsn, struct slice text)
{
	int64_t connected = t->connected_us == 0 ? t->start_us : t->connected_us;
	struct slice to = d->address.items[at], original = d->original.items[at];
	char delay[24], parts[4][24], delays[100], use[24] = "";

	log_delay(delay, t->end_us - d->arrival_us);
	log_delay(parts[0], d->active_us - d->arrival_us);
	log_delay(parts[1], t->start_us - d->active_us);
	log_delay(parts[2], connected - t->start_us);
	log_delay(parts[3], t->end_us - connected);
	snprintf(delays, sizeof(delays), "%s/%s/%s/%s", parts[0], parts[1], parts[2], parts[3]);
	if (t->connection_use > 1)
		snprintf(use, sizeof(use), "%" PRIu64, t->connection_use);
	log_event(LOG_DELIVERY, { "id", d->id }, { "to", to },
	    { "orig_to", slice_equal_nocase(to, original) ? SLICE("") : original },
	    { "relay", relay }, { "conn_use", slice_of(use) }, { "delay", slice_of(delay) },
	    { "delays", slice_of(delays) }, { "dsn", dsn },
	    { "status", slice_of(status_text(outcome, d->flags & ADMIT_VERIFY)) },
	    { "text", text });
}

void delivery_soften(uint64_t flags, struct arena *arena, struct msg_outcomes *o)
{
	if (!delivery_soft_bounce || (flags & ADMIT_VERIFY))
		return;
	for (size_t i = 0; i < o->outcome.count; i++) {
		if (o->outcome.items[i] != OUTCOME_BOUNCED)
			continue;
		o->outcome.items[i] = OUTCOME_DEFERRED;
		if (o->dsn.count > i && o->dsn.items[i].len > 1)
			o->dsn.items[i] = slice_of(arena_printf(arena, "4%.*s",
			    (int)o->dsn.items[i].len - 1, o->dsn.items[i].data + 1));
	}
}
