/* SPDX-License-Identifier: ISC */
/*
 * queue_select.c - conditions on messages of the queue: read from options, and looked at.
 */
#include "common/mail/queue_select.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/queue_order.h"
#include "common/mail/queue_pattern.h"

enum { VALUES_MAX = 64, NUMBER_MOST = 1000000000 };

struct patterns {
	struct queue_pattern items[VALUES_MAX];
	size_t count;
};

struct queue_select {
	struct arena *arena;
	int64_t now;
	struct patterns from, to, domain, client;
	struct slice reasons[VALUES_MAX];
	size_t reason_count;
	int64_t older, younger;	 /* seconds; -1: not given */
	int64_t larger, smaller; /* bytes; -1: not given */
	unsigned queues;
	bool all_rcpts, any;
};

struct queue_select *queue_select_new(int64_t now_us)
{
	struct queue_select *s = mem_alloc(sizeof(*s));

	s->arena = arena_new();
	s->now = now_us / 1000000;
	s->older = s->younger = s->larger = s->smaller = -1;
	return s;
}

void queue_select_free(struct queue_select *s)
{
	if (s == NULL)
		return;
	arena_free(s->arena);
	free(s);
}

/* --- numbers with a unit -------------------------------------------------------------------------- */

struct unit {
	char letter;
	int64_t worth;
};

static bool read_unit(struct slice text, const struct unit *units, int64_t *value)
{
	uint64_t number;

	for (const struct unit *u = units; u->worth != 0; u++) {
		struct slice digits = text;

		if (u->letter != '\0') {
			if (text.len == 0 || (text.data[text.len - 1] | 0x20) != u->letter)
				continue;
			digits.len--;
		}
		if (!text_number(digits, NUMBER_MOST, &number))
			return false;
		*value = (int64_t)number * u->worth;
		return true;
	}
	return false;
}

bool queue_select_age(struct slice text, int64_t *seconds, const char **why)
{
	static const struct unit units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 604800 }, { 0 } };

	*why = "an age is a number with s (seconds), m (minutes), h (hours), d (days) or w (weeks) "
	       "behind it, like 30m";
	return read_unit(text, units, seconds);
}

static bool read_size(struct slice text, int64_t *bytes, const char **why)
{
	static const struct unit units[] = { { 'k', 1024 }, { 'm', 1024 * 1024 },
		{ 'g', 1024 * 1024 * 1024 }, { '\0', 1 }, { 0 } };

	*why = "a size is a number of bytes, or of KiB, MiB, GiB with k, m, g behind it, like 100k";
	return read_unit(text, units, bytes);
}

static bool read_once(struct slice text, int64_t *value,
    bool (*read)(struct slice, int64_t *, const char **), const char **why)
{
	if (*value != -1) {
		*why = "it was given twice";
		return false;
	}
	return read(text, value, why);
}

/* --- options -------------------------------------------------------------------------------------- */

static bool add_pattern(struct patterns *p, struct slice value,
    bool (*parse)(struct slice, struct queue_pattern *, const char **), const char **why)
{
	*why = "it was given too often";
	return p->count < VALUES_MAX && parse(value, &p->items[p->count++], why);
}

static bool add_from(struct queue_select *s, struct slice value, const char **why)
{
	return add_pattern(&s->from, value, queue_pattern_address, why);
}

static bool add_to(struct queue_select *s, struct slice value, const char **why)
{
	return add_pattern(&s->to, value, queue_pattern_address, why);
}

static bool add_domain(struct queue_select *s, struct slice value, const char **why)
{
	return add_pattern(&s->domain, value, queue_pattern_domain, why);
}

static bool add_client(struct queue_select *s, struct slice value, const char **why)
{
	return add_pattern(&s->client, value, queue_pattern_client, why);
}

static bool add_older(struct queue_select *s, struct slice value, const char **why)
{
	return read_once(value, &s->older, queue_select_age, why);
}

static bool add_younger(struct queue_select *s, struct slice value, const char **why)
{
	return read_once(value, &s->younger, queue_select_age, why);
}

static bool add_larger(struct queue_select *s, struct slice value, const char **why)
{
	return read_once(value, &s->larger, read_size, why);
}

static bool add_smaller(struct queue_select *s, struct slice value, const char **why)
{
	return read_once(value, &s->smaller, read_size, why);
}

static bool add_reason(struct queue_select *s, struct slice value, const char **why)
{
	*why = value.len == 0 ? "a part of the reason is needed" : "it was given too often";
	if (value.len == 0 || s->reason_count == VALUES_MAX)
		return false;
	s->reasons[s->reason_count++] = value;
	return true;
}

static bool add_queue(struct queue_select *s, struct slice value, const char **why)
{
	unsigned bit = queue_order_bit(value);

	*why = "a queue is one of incoming, active, deferred, hold";
	s->queues |= bit;
	return bit != 0;
}

static bool add_all_rcpts(struct queue_select *s, struct slice value, const char **why)
{
	(void)value;
	(void)why;
	s->all_rcpts = true;
	return true;
}

bool queue_select_add(struct queue_select *s, const char *option, struct slice value, char **why)
{
	static const struct {
		const char *name;
		bool (*add)(struct queue_select *, struct slice, const char **);
	} options[] = {
		{ "from", add_from },
		{ "to", add_to },
		{ "domain", add_domain },
		{ "client", add_client },
		{ "older", add_older },
		{ "younger", add_younger },
		{ "larger", add_larger },
		{ "smaller", add_smaller },
		{ "reason", add_reason },
		{ "queue", add_queue },
		{ "all-recipients", add_all_rcpts },
	};
	const char *reason = "there is no such condition";
	size_t i = 0;

	while (i < ARRAY_LENGTH(options) && strcmp(option, options[i].name) != 0)
		i++;
	if (i < ARRAY_LENGTH(options) && options[i].add(s, arena_copy(s->arena, value), &reason)) {
		s->any = true;
		return true;
	}
	*why = mem_printf("--%s %.*s: %s", option, (int)(value.len < 200 ? value.len : 200),
	    value.data == NULL ? "" : value.data, reason);
	text_neuter(*why, strlen(*why));
	return false;
}

bool queue_select_check(const struct queue_select *s, char **why)
{
	if (!s->all_rcpts || queue_select_asks_rcpts(s))
		return true;
	*why = mem_strdup("--all-recipients goes with --to, --domain or --reason");
	return false;
}

/* --- what was asked for --------------------------------------------------------------------------- */

bool queue_select_is_empty(const struct queue_select *s)
{
	return !s->any;
}

unsigned queue_select_queues(const struct queue_select *s)
{
	return s->queues;
}

bool queue_select_asks_rcpts(const struct queue_select *s)
{
	return s->to.count > 0 || s->domain.count > 0 || s->reason_count > 0;
}

bool queue_select_asks_client(const struct queue_select *s)
{
	return s->client.count > 0;
}

bool queue_select_asks_all(const struct queue_select *s)
{
	return s->all_rcpts;
}

/* --- looking -------------------------------------------------------------------------------------- */

/* Nothing asked: it fits. */
static bool has_address(const struct patterns *p, struct slice address)
{
	for (size_t i = 0; i < p->count; i++)
		if (queue_pattern_has_address(&p->items[i], address))
			return true;
	return p->count == 0;
}

bool queue_select_has_head(const struct queue_select *s, const struct queue_select_head *m)
{
	int64_t age = s->now - m->arrival;

	if (s->queues != 0 && (s->queues & queue_order_bit(m->queue)) == 0)
		return false;
	if ((s->older != -1 && age < s->older) || (s->younger != -1 && age >= s->younger))
		return false;
	if ((s->larger != -1 && m->size <= (uint64_t)s->larger) ||
	    (s->smaller != -1 && m->size >= (uint64_t)s->smaller))
		return false;
	return has_address(&s->from, m->sender);
}

static bool contains(struct slice text, struct slice part)
{
	for (size_t i = 0; i + part.len <= text.len; i++)
		if (slice_equal_nocase(slice_part(text, i, part.len), part))
			return true;
	return false;
}

static bool has_reason(const struct queue_select *s, struct slice reason)
{
	for (size_t i = 0; i < s->reason_count; i++)
		if (contains(reason, s->reasons[i]))
			return true;
	return s->reason_count == 0;
}

bool queue_select_has_rcpt(const struct queue_select *s, struct slice address,
    struct slice original, struct slice reason)
{
	return (has_address(&s->to, address) ||
		   (original.len > 0 && has_address(&s->to, original))) &&
	    has_address(&s->domain, address) && has_reason(s, reason);
}

bool queue_select_has_client(const struct queue_select *s, struct slice name, struct slice address)
{
	for (size_t i = 0; i < s->client.count; i++)
		if (queue_pattern_has_client(&s->client.items[i], name, address))
			return true;
	return s->client.count == 0;
}
