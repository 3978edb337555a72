/* SPDX-License-Identifier: ISC */
/*
 * resolver_context.c - contexts of libunbound: how they are set up, and one question to them.
 *
 * libunbound is called on the loop's stack only (resolver_loop_call); a context's answers come there too.
 * No context may be made in another way than with our event base: without one, libunbound would use
 * libevent, some of whose functions libev has under the same names.
 */
#include "support/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unbound-event.h>
#include <unbound.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"

enum { CLASS_IN = 1, SEC_BOGUS = 1, SEC_SECURE = 2, SOCKETS = 4096 };

struct resolver_context {
	struct ub_ctx *ub;
	unsigned questions; /* under way */
	bool is_retired;
};

/* On the stack of the task that asks, which does not leave before it has ended or was cancelled. */
struct question {
	struct resolver_context *context;
	const char *name;
	int type, id;
	bool ended, answered;
	void (*came)(void *arg, const struct resolver_raw *);
	void *arg;
	struct task_list waiter;
};

static const char *const options[][2] = {
	/* A forwarder on this machine is as good as others; private answers are for us to judge. */
	{ "do-not-query-localhost:", "no" },
	/* Zones of private addresses are asked for like others, and have no signed parent. */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	/* Names that the root says do not exist, and that private name servers have. */
	{ "domain-insecure:", "test." },
	{ "domain-insecure:", "internal." },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	{ "neg-cache-size:", "1m" },
	{ "key-cache-size:", "1m" },
	/* Who mends his zone should not wait for long. */
	{ "cache-max-negative-ttl:", "600" },
	{ "cache-max-ttl:", "86400" },
	{ "outgoing-num-tcp:", "32" },
	{ "num-queries-per-thread:", "8192" },
	/* There is no other server to go to: one that was down is soon asked as if it had not been. */
	{ "infra-keep-probing:", "yes" },
	{ "infra-host-ttl:", "30" },
};

static bool is_set(int rc, const char *what, const char *value)
{
	if (rc != 0)
		log_error("libunbound does not take %s %s: %s", what, value, ub_strerror(rc));
	return rc == 0;
}

/* A question holds its socket until it is answered or given up: with few of them, names whose servers are
 * silent would hold up all others. */
static bool set_sockets(struct ub_ctx *ub)
{
	struct rlimit files = { SOCKETS, SOCKETS };
	char text[24];

	getrlimit(RLIMIT_NOFILE, &files);
	snprintf(text, sizeof(text), "%u",
	    files.rlim_cur / 2 < SOCKETS ? (unsigned)(files.rlim_cur / 2) : SOCKETS);
	return is_set(ub_ctx_set_option(ub, "outgoing-range:", text), "outgoing-range:", text);
}

static bool set_up(struct ub_ctx *ub, char *const *servers, size_t servers_count,
    char *const *anchors, size_t anchors_count)
{
	bool ok = set_sockets(ub);

	for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
		ok = is_set(ub_ctx_set_option(ub, options[i][0], options[i][1]), options[i][0],
			 options[i][1]) &&
		    ok;
	for (size_t i = 0; i < servers_count; i++)
		ok = is_set(ub_ctx_set_fwd(ub, servers[i]), "name server", servers[i]) && ok;
	for (size_t i = 0; i < anchors_count; i++)
		ok = is_set(ub_ctx_add_ta(ub, anchors[i]), "trust anchor", anchors[i]) && ok;
	/* libunbound would answer for it that it is empty. This ends the set-up: it comes last. */
	return ok && is_set(ub_ctx_zone_remove(ub, "test."), "its", "configuration");
}

struct making {
	char *const *servers, *const *anchors;
	size_t servers_count, anchors_count;
	struct ub_ctx *ub; /* NULL: it can't be set up */
};

static void make_now(void *arg)
{
	struct making *m = arg;

	m->ub = ub_ctx_create_ub_event(resolver_loop_base());
	if (m->ub == NULL)
		panic("no memory for libunbound");
	if (set_up(m->ub, m->servers, m->servers_count, m->anchors, m->anchors_count))
		return;
	ub_ctx_delete(m->ub);
	m->ub = NULL;
}

struct resolver_context *resolver_context_new(char *const *servers, size_t servers_count,
    char *const *anchors, size_t anchors_count)
{
	struct making m = { servers, anchors, servers_count, anchors_count, NULL };
	struct resolver_context *c;

	resolver_loop_run(make_now, &m);
	if (m.ub == NULL)
		return NULL;
	c = mem_alloc(sizeof(*c));
	*c = (struct resolver_context){ .ub = m.ub };
	return c;
}

static void delete_now(void *arg)
{
	struct resolver_context *c = arg;

	ub_ctx_delete(c->ub);
	free(c);
}

static void delete_if_idle(struct resolver_context *c)
{
	if (c->is_retired && c->questions == 0)
		resolver_loop_run(delete_now, c);
}

void resolver_context_retire(struct resolver_context *c)
{
	if (c == NULL)
		return;
	c->is_retired = true;
	delete_if_idle(c);
}

static void end(struct question *q, const struct resolver_raw *raw)
{
	q->ended = q->answered = true;
	q->came(q->arg, raw);
	task_list_wake_all(&q->waiter);
}

static void answer_came(void *arg, int rcode, void *packet, int len, int sec, char *why_bogus,
    int was_ratelimited)
{
	struct resolver_raw raw = { .rcode = rcode,
		.secure = sec == SEC_SECURE,
		.bogus = sec == SEC_BOGUS,
		.why_bogus = why_bogus };

	(void)was_ratelimited;
	if (rcode == 0 && packet != NULL && len > 0)
		raw.message = slice_new(packet, (size_t)len);
	end(arg, &raw);
}

static void start_question(void *arg)
{
	struct question *q = arg;
	int rc = ub_resolve_event(q->context->ub, q->name, q->type, CLASS_IN, q, answer_came,
	    &q->id);

	if (rc != 0) {
		log_error("libunbound does not take the question for %s: %s", q->name,
		    ub_strerror(rc));
		q->ended = true;
	}
}

static void cancel_question(void *arg)
{
	struct question *q = arg;

	if (!q->ended)
		ub_cancel(q->context->ub, q->id);
}

bool resolver_context_ask(struct resolver_context *c, const char *name, int type,
    void (*came)(void *arg, const struct resolver_raw *), void *arg, deadline when)
{
	struct question q = { .context = c, .name = name, .type = type, .came = came, .arg = arg };

	c->questions++;
	resolver_loop_run(start_question, &q);
	while (!q.ended && task_list_wait(&q.waiter, when) == 0)
		;
	if (!q.ended)
		resolver_loop_run(cancel_question, &q);
	c->questions--;
	delete_if_idle(c);
	return q.answered;
}

static void local_answer_came(void *arg, const struct resolver_raw *raw)
{
	*(bool *)arg = raw->message.len > 0;
}

void resolver_context_warm_up(char *const *anchors, size_t anchors_count)
{
	struct resolver_context *c = resolver_context_new(NULL, 0, anchors, anchors_count);
	bool works = false;
	struct question q = { .context = c,
		.name = "localhost",
		.type = DNS_A,
		.came = local_answer_came,
		.arg = &works };

	if (c == NULL)
		log_fatal("libunbound can't be set up");
	/* It has this name itself: no packet is sent, and the answer comes at once. */
	start_question(&q);
	if (!works)
		log_fatal("libunbound does not work");
	delete_now(c);
}
