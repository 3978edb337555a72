/* SPDX-License-Identifier: ISC */
/*
 * discard_main.c - says "sent" of all that it gets and keeps nothing. The nexthop is what the log
 * shows for a reason: "discard:spam".
 */
#include "common/service/service.h"
#include "support/small_agent.h"

static void run_deliver(struct request *request, struct frame *frame)
{
	const struct msg_deliver *m = frame->message;
	struct small_outcome what = { .outcome = OUTCOME_SENT };

	small_agent_split(m->nexthop, SLICE("2.0.0"), &what);
	if (what.text.len == 0)
		what.text = SLICE("discarded");
	small_agent_answer(request, frame, &what);
}

static const struct handler handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), run_deliver },
	{ 0 },
};

static const struct service discard_agent = {
	.name = "discard",
	.role = ROLE_AGENT,
	.handlers = handlers,
};

int main(int argc, char **argv)
{
	return service_main(&discard_agent, argc, argv);
}
