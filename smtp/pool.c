/* SPDX-License-Identifier: ISC */
/*
 * pool.c - sessions of the next hops.
 *
 * An idle session is watched by a timer only: that the server closed it is found out when it is taken.
 */
#include "smtp/pool.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { BUCKETS = 1024, FRESH_MS = 10 };

struct pool {
	LIST_ENTRY(pool) link;
	char *nexthop;
	LIST_HEAD(, session) idle; /* the one used last comes first */
	unsigned sessions;	   /* idle ones, busy ones, and those being opened */
	unsigned waiting, users;
	uint64_t failures; /* to open a session */
	struct task_list waiters;
};

static LIST_HEAD(, pool) buckets[BUCKETS];
static bool is_draining;

static size_t bucket_of(struct slice nexthop)
{
	size_t hash = 5381;

	for (size_t i = 0; i < nexthop.len; i++)
		hash = hash * 33 + (size_t)tolower((unsigned char)nexthop.data[i]);
	return hash % BUCKETS;
}

struct pool *pool_enter(struct slice nexthop)
{
	size_t bucket = bucket_of(nexthop);
	struct pool *p;

	LIST_FOREACH(p, &buckets[bucket], link)
		if (slice_equal_nocase(slice_of(p->nexthop), nexthop))
			break;
	if (p == NULL) {
		p = mem_alloc(sizeof(*p));
		p->nexthop = slice_dup(nexthop);
		LIST_INSERT_HEAD(&buckets[bucket], p, link);
	}
	p->users++;
	return p;
}

static void free_if_unused(struct pool *p)
{
	if (p->users > 0 || p->sessions > 0)
		return;
	LIST_REMOVE(p, link);
	free(p->nexthop);
	free(p);
}

void pool_leave(struct pool *p)
{
	p->users--;
	free_if_unused(p);
}

/* --- idle sessions -------------------------------------------------------------------------------- */

static void take_out(struct session *s)
{
	LIST_REMOVE(s, link);
	task_timer_clear(&s->idle);
}

static void end_idle(void *arg)
{
	struct session *s = arg;
	struct pool *p = s->pool;

	take_out(s);
	p->sessions--;
	session_close(s);
	free_if_unused(p);
}

/* One that was busy a moment ago is not asked: if it is dead, its transaction finds that out. */
static bool is_good(const struct session *s)
{
	return !stream_has_input(s->stream) &&
	    (clock_now() - s->given < FRESH_MS * CLOCK_MS || stream_is_quiet(s->stream));
}

static struct session *take_idle(struct pool *p)
{
	struct session *s;

	while ((s = LIST_FIRST(&p->idle)) != NULL) {
		take_out(s);
		if (is_good(s))
			return s;
		/* It closed, or said 421: nothing that we could answer. */
		s->is_broken = true;
		p->sessions--;
		session_close(s);
	}
	return NULL;
}

void pool_drain(void)
{
	is_draining = true;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct pool *p = LIST_FIRST(&buckets[i]), *next;

		for (; p != NULL; p = next) {
			next = LIST_NEXT(p, link);
			p->users++;
			while (!LIST_EMPTY(&p->idle))
				end_idle(LIST_FIRST(&p->idle));
			pool_leave(p);
		}
	}
}

/* --- taking and giving ---------------------------------------------------------------------------- */

struct session *pool_take(struct pool *p)
{
	deadline until = deadline_after(POOL_PATIENCE_MS * CLOCK_MS);
	uint64_t failures = p->failures;
	struct session *s;
	int rc = 0;

	while ((s = take_idle(p)) == NULL) {
		if (!client_settings.connection_cache_on_demand || p->sessions == 0 || rc == -1 ||
		    p->waiting >= p->sessions * POOL_QUEUE || p->failures != failures)
			return NULL;
		p->waiting++;
		rc = task_list_wait(&p->waiters, until);
		p->waiting--;
	}
	s->uses++;
	return s;
}

void pool_opening(struct pool *p)
{
	p->sessions++;
}

void pool_opened(struct pool *p, struct session *s)
{
	if (s != NULL) {
		s->pool = p;
		s->uses = 1;
		return;
	}
	p->sessions--;
	p->failures++;
	task_list_wake_all(&p->waiters);
}

void pool_drop(struct session *s)
{
	struct pool *p = s->pool;

	p->sessions--;
	session_close(s);
	/* One of those who wait may open another. */
	task_list_wake_one(&p->waiters);
	free_if_unused(p);
}

static bool is_of_use(const struct session *s)
{
	int64_t count = client_settings.connection_reuse_count_limit;

	return !s->is_broken && !is_draining && client_settings.connection_cache_on_demand &&
	    (count == 0 || s->uses < (uint64_t)count) &&
	    clock_now() - s->opened < client_settings.connection_reuse_time_limit;
}

void pool_give(struct session *s)
{
	struct pool *p = s->pool;

	if (!is_of_use(s)) {
		pool_drop(s);
		return;
	}
	s->given = clock_now();
	LIST_INSERT_HEAD(&p->idle, s, link);
	task_timer_set(&s->idle, deadline_after(client_settings.connection_cache_time_limit),
	    end_idle, s);
	task_list_wake_one(&p->waiters);
}
