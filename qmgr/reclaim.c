/* SPDX-License-Identifier: ISC */
/*
 * reclaim.c - deliveries that outlived the queue manager before this one. Each agent that lives is asked
 * which it has, before anything is dispatched; those are then asked for where they are, so that
 * nothing is delivered twice because qmgr died or was replaced.
 */
#include "qmgr/qmgr.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { ANSWER_SECONDS = 10, PATIENCE_SECONDS = 60 };

struct claim {
	LIST_ENTRY(claim) link;
	char id[];
};

/* An agent that has such deliveries. */
struct holder {
	LIST_ENTRY(holder) link;
	char *entry;
	struct channel *channel;
	LIST_HEAD(, claim) claims;
	unsigned users; /* deliveries that are just being asked for */
};

static LIST_HEAD(, holder) holders = LIST_HEAD_INITIALIZER(holders);
static struct task_timer patience;

static void holder_free(struct holder *h)
{
	LIST_REMOVE(h, link);
	channel_close_when_idle(h->channel);
	free(h->entry);
	free(h);
}

static void forget_when_done(struct holder *h)
{
	if (LIST_EMPTY(&h->claims) && h->users == 0)
		holder_free(h);
}

/* What the store no longer has, or does not deliver now, needs no outcome. */
static void claim(struct holder *h, struct slice id)
{
	struct store_summary summary;
	struct claim *c;

	if (!store_summary(store, id, &summary) || summary.held)
		return;
	c = mem_alloc(sizeof(*c) + id.len + 1);
	memcpy(c->id, id.data, id.len);
	LIST_INSERT_HEAD(&h->claims, c, link);
}

static void ask(const char *entry, struct channel *channel)
{
	struct holder *h = mem_alloc(sizeof(*h));
	struct msg_reclaim question = { RECLAIM_LIMIT };
	struct request *r = NULL;
	void *answer;

	h->entry = mem_strdup(entry);
	h->channel = channel;
	LIST_INSERT_HEAD(&holders, h, link);
	if (request_call(channel, &table_reclaim, &question, &table_reclaimed, &answer, &r,
		deadline_after(ANSWER_SECONDS * CLOCK_SECOND)) == 0) {
		const struct msg_reclaimed *m = answer;

		for (size_t i = 0; i < m->id.count; i++)
			claim(h, m->id.items[i]);
	} else if (!channel_is_closed(channel)) {
		log_warning("transport %s: an agent of before does not say what it has in hand: %m",
		    entry);
	}
	request_close(r);
	forget_when_done(h);
}

/* What was not asked for by now is asked of whoever has the transport then. */
static void give_up(void *arg)
{
	struct holder *h, *next;
	struct claim *c;

	(void)arg;
	for (h = LIST_FIRST(&holders); h != NULL; h = next) {
		next = LIST_NEXT(h, link);
		while ((c = LIST_FIRST(&h->claims)) != NULL) {
			LIST_REMOVE(c, link);
			free(c);
		}
		forget_when_done(h);
	}
}

void reclaim_start(void)
{
	service_agents(ask, deadline_after(ANSWER_SECONDS * CLOCK_SECOND));
	task_timer_set(&patience, deadline_after(PATIENCE_SECONDS * CLOCK_SECOND), give_up, NULL);
}

static struct claim *find(const struct holder *h, struct slice id)
{
	struct claim *c;

	LIST_FOREACH(c, &h->claims, link)
		if (slice_equal(slice_of(c->id), id))
			return c;
	return NULL;
}

struct holder *reclaim_take(struct slice id, const char *transport)
{
	struct holder *h;

	LIST_FOREACH(h, &holders, link) {
		struct claim *c = strcmp(h->entry, transport) == 0 ? find(h, id) : NULL;

		if (c == NULL || channel_is_closed(h->channel))
			continue;
		LIST_REMOVE(c, link);
		free(c);
		h->users++;
		return h;
	}
	return NULL;
}

struct channel *reclaim_channel(struct holder *h)
{
	return h->channel;
}

void reclaim_release(struct holder *h)
{
	if (h == NULL)
		return;
	h->users--;
	forget_when_done(h);
}
