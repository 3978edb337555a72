/* SPDX-License-Identifier: ISC */
/*
 * client.c - a local user's connection to public/pickup. It is one channel with one message at a time;
 * who breaks a rule loses the connection, and nobody else notices.
 *
 * A connection without any message is postdrop, which says that there is a new file.
 */
#include "common/log/log.h"
#include "common/task/task.h"
#include "postdrop/intake.h"
#include "postdrop/pickup.h"

enum { IDLE_SECONDS = 30, PATIENCE_SECONDS = 300 };

struct client {
	uint32_t uid;
	unsigned running; /* messages under way: one, or those that are just refused */
	bool broken;
	bool submitted;
	struct task_list changed;
};

static void changed(struct client *c)
{
	task_list_wake_all(&c->changed);
}

static deadline patience(void)
{
	return deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
}

/* False: nothing more is to be read. */
static bool take(struct intake *in, const struct frame *f, bool *broken)
{
	*broken = true;
	if (f->last != (f->table == &table_end))
		return false;
	*broken = false;
	if (f->table == &table_rcpts)
		intake_rcpts(in, f->message);
	else if (f->table == &table_data)
		intake_data(in, ((const struct msg_data *)f->message)->data);
	else if (f->table == &table_end)
		intake_end(in);
	else
		*broken = true;
	return in->relay.reply.code == 0 && !*broken;
}

static void take_message(struct client *c, struct request *r, struct frame *first)
{
	struct intake in = { 0 };
	struct frame *f;
	bool go_on;

	intake_begin(&in, c->uid, NULL, clock_wall_us(), first->message);
	go_on = in.relay.reply.code == 0;
	while (go_on && (f = request_receive(r, patience())) != NULL) {
		go_on = take(&in, f, &c->broken);
		task_yield_if_long();
	}
	if (in.relay.reply.code != 0 && !c->broken)
		request_send(r, &table_reply, &in.relay.reply, -1, true, patience());
	intake_clear(&in);
}

static void submit(struct request *r, struct frame *first)
{
	struct client *c = channel_arg(request_channel(r));

	c->submitted = true;
	c->broken = c->broken || c->running > 0 || first->last;
	c->running++;
	if (!c->broken)
		take_message(c, r, first);
	c->running--;
	changed(c);
}

static const struct handler handlers[] = {
	{ &table_submit, ROLE_BIT(ROLE_NONE), submit },
	{ 0 },
};

static void closed(struct channel *channel, void *arg)
{
	(void)channel;
	changed(arg);
}

void client_session(struct service_client *client)
{
	struct client c = { .uid = client->uid };
	struct channel *channel = channel_new(client->fd, ROLE_NONE, handlers, closed, &c);

	while (!channel_is_closed(channel) && !c.broken)
		if (task_list_wait(&c.changed, deadline_after(IDLE_SECONDS * CLOCK_SECOND)) == -1 &&
		    c.running == 0)
			break;
	if (c.broken)
		log_warning("user %u broke the rules of submission: closing", c.uid);
	channel_close(channel);
	while (c.running > 0)
		task_list_wait(&c.changed, DEADLINE_NEVER);
	if (!c.submitted)
		maildrop_scan();
}
