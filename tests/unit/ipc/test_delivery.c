/* SPDX-License-Identifier: ISC */
/*
 * test_delivery.c - the same delivery is asked for again by another queue manager: it is made once, and
 * its outcome reaches who is there to hear it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>

#include "common/ipc/delivery.h"
#include "common/task/task.h"

static unsigned made;
static bool may_end;
static struct channel *manager, *agent;

static void make(struct request *r, struct frame *first)
{
	struct delivery_run *run = delivery_begin(r, first->message);
	uint64_t index = 7, outcome = OUTCOME_SENT;
	struct slice dsn = SLICE("2.0.0"), text = SLICE("delivered");

	if (run == NULL)
		return;
	made++;
	while (!may_end)
		task_yield();
	delivery_end(run, r,
	    &(struct msg_outcomes){
		{ &index, 1 }, { &outcome, 1 }, { &dsn, 1 }, { &text, 1 }, .destination_down = 0 });
}

static const struct handler handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), make },
	{ 0 },
};

static void closed(struct channel *c, void *arg)
{
	(void)arg;
	channel_close(c);
}

static void new_manager(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	manager = channel_new(pair[0], ROLE_AGENT, NULL, NULL, NULL);
	agent = channel_new(pair[1], ROLE_QMGR, handlers, closed, NULL);
}

static struct request *ask(uint64_t index)
{
	struct slice empty = SLICE("");
	uint64_t notify = 0;
	struct msg_deliver m = { .id = SLICE("id"),
		.transport = SLICE("local"),
		.index = { &index, 1 },
		.notify = { &notify, 1 },
		.address = { &empty, 1 },
		.original = { &empty, 1 },
		.orcpt = { &empty, 1 } };

	return request_open(manager, &table_deliver, &m, -1, false, DEADLINE_NEVER);
}

/* is_recorded: and says that the outcomes are on stable storage. */
static void hear(struct request *r, bool is_recorded)
{
	struct msg_heard heard = { 1 };
	struct frame *f = request_receive(r, deadline_after(10 * CLOCK_SECOND));

	assert_non_null(f);
	assert_int_equal(((struct msg_outcomes *)f->message)->index.items[0], 7);
	assert_true(slice_equal(((struct msg_outcomes *)f->message)->text.items[0],
	    SLICE("delivered")));
	if (is_recorded)
		assert_int_equal(request_send(r, &table_heard, &heard, -1, true, DEADLINE_NEVER),
		    0);
	request_close(r);
	for (int i = 0; i < 20; i++)
		task_yield();
}

static void yield_often(void)
{
	for (int i = 0; i < 20; i++)
		task_yield();
}

static void lose_manager(struct request *r)
{
	yield_often();
	channel_close(manager);
	request_close(r);
	yield_often();
	new_manager();
}

static void run(void *arg)
{
	struct request *r;

	(void)arg;
	new_manager();
	lose_manager(ask(7)); /* it runs on */
	lose_manager(ask(7)); /* who joins may die too */
	r = ask(7);
	yield_often();
	assert_int_equal(made, 1);
	may_end = true;
	hear(r, true);

	may_end = false;
	r = ask(7); /* a later round is another delivery */
	yield_often();
	assert_int_equal(made, 2);
	channel_close(manager);
	request_close(r);
	yield_often();
	may_end = true; /* it ends while nobody listens */
	yield_often();
	new_manager();
	hear(ask(7), false); /* a manager that dies before it has recorded it asks again */
	hear(ask(7), true);
	assert_int_equal(made, 2);
	hear(ask(7), true); /* recorded, forgotten */
	assert_int_equal(made, 3);
	channel_close(manager);
	yield_often();
	task_stop();
}

static void a_delivery_is_made_once_and_heard(void **state)
{
	(void)state;
	assert_non_null(task_start("test", run, NULL));
	task_run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_is_made_once_and_heard),
	};

	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
