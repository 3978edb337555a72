/* SPDX-License-Identifier: ISC */
/*
 * error_main.c - bounces all that it gets; under the entry name "retry" it defers. The nexthop is the
 * reason: "error:5.7.1 not here any more".
 */
#include <string.h>

#include "common/service/service.h"
#include "support/small_agent.h"

static void run_deliver(struct request *request, struct frame *frame)
{
	const struct msg_deliver *m = frame->message;
	bool is_retry = strcmp(service_entry_name(), "retry") == 0;
	struct small_outcome what = { .outcome = is_retry ? OUTCOME_DEFERRED : OUTCOME_BOUNCED };

	small_agent_split(m->nexthop, is_retry ? SLICE("4.0.0") : SLICE("5.0.0"), &what);
	if (what.text.len == 0)
		what.text = SLICE("no reason was given");
	small_agent_answer(request, frame, &what);
}

static const struct handler handlers[] = {
	{ &table_deliver, ROLE_BIT(ROLE_QMGR), run_deliver },
	{ 0 },
};

static const struct service error_agent = {
	.name = "error",
	.role = ROLE_AGENT,
	.handlers = handlers,
};

int main(int argc, char **argv)
{
	return service_main(&error_agent, argc, argv);
}
