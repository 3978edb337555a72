/* SPDX-License-Identifier: ISC */
/*
 * addresses.c - asks rewrite, many addresses at a time.
 */
#include "local/addresses.h"

#include "common/service/service.h"

static const char *rewrite_service(void)
{
	return conf_text(service_conf(), "rewrite_service_name");
}

static deadline ipc_deadline(void)
{
	return deadline_after(conf_time(service_conf(), "ipc_timeout"));
}

static bool complete(struct arena *arena, struct slice *items, size_t count, struct verdict *v)
{
	struct msg_rewrite question = { .local = 1, .address = { items, count } };
	struct request *request = NULL;
	const struct msg_rewritten *answer;
	void *reply = NULL;
	bool ok;

	ok = service_ask(rewrite_service(), &table_rewrite, &question, &table_rewritten, &reply,
		 &request, ipc_deadline()) == 0;
	answer = reply;
	ok = ok && answer->address.count == count;
	for (size_t i = 0; ok && i < count; i++)
		items[i] = arena_copy(arena, answer->address.items[i]);
	request_close(request);
	if (!ok)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "address rewriting is not available");
	return ok;
}

bool address_complete(struct arena *arena, struct slice *address, struct verdict *v)
{
	return complete(arena, address, 1, v);
}

static bool is_parallel(const struct msg_resolved *answer, size_t count)
{
	return answer->status.count == count && answer->transport.count == count &&
	    answer->recipient.count == count;
}

/* What this transport does not deliver, or what can't be resolved now, is sent on as it is. */
static void take_answer(struct arena *arena, struct slice transport,
    const struct msg_resolved *answer, size_t at, struct slice completed, struct judged *item)
{
	item->is_ours = answer->status.items[at] == RESOLVE_OK &&
	    slice_equal(answer->transport.items[at], transport);
	item->address = item->is_ours ? arena_copy(arena, answer->recipient.items[at]) : completed;
}

bool addresses_judge(struct arena *arena, const struct msg_deliver *m, struct judged *const *items,
    size_t count, struct verdict *v)
{
	struct slice *texts = arena_alloc(arena, count * sizeof(*texts));
	struct msg_resolve question = { .sender = m->sender, .address = { texts, count } };
	struct request *request = NULL;
	void *reply = NULL;
	bool ok;

	for (size_t i = 0; i < count; i++)
		texts[i] = items[i]->address;
	if (!complete(arena, texts, count, v))
		return false;
	ok = service_ask(rewrite_service(), &table_resolve, &question, &table_resolved, &reply,
		 &request, ipc_deadline()) == 0 &&
	    is_parallel(reply, count);
	for (size_t i = 0; ok && i < count; i++)
		take_answer(arena, m->transport, reply, i, texts[i], items[i]);
	request_close(request);
	if (!ok)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "address resolving is not available");
	return ok;
}
