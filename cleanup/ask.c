/* SPDX-License-Identifier: ISC */
/*
 * ask.c - questions to rewrite. What needs no answer is not asked: a whole address stays as it is.
 */
#include "cleanup/ask.h"

#include "cleanup/cleanup.h"
#include "common/log/log.h"
#include "common/mail/mail_address.h"
#include "common/service/service.h"

deadline ask_deadline(void)
{
	return deadline_after(cleanup_settings.ipc_timeout);
}

static void *ask(const struct wire_table *table, const void *question,
    const struct wire_table *wanted, struct request **r)
{
	void *reply;

	if (service_ask(cleanup_settings.rewrite_service_name, table, question, wanted, &reply, r,
		ask_deadline()) == 0)
		return reply;
	log_warning("service %s does not answer: %m", cleanup_settings.rewrite_service_name);
	return NULL;
}

bool ask_complete(void *arg, struct wire_texts addresses, struct slice *answers,
    struct arena *arena)
{
	struct msg_rewrite question = { arg != NULL, addresses };
	struct request *r;
	const struct msg_rewritten *reply = ask(&table_rewrite, &question, &table_rewritten, &r);

	if (reply == NULL)
		return false;
	for (size_t i = 0; i < addresses.count; i++) {
		bool usable = i < reply->address.count && reply->address.items[i].len > 0;

		answers[i] = usable ? arena_copy(arena, reply->address.items[i])
				    : addresses.items[i];
	}
	request_close(r);
	return true;
}

static bool is_complete(struct slice address)
{
	struct mail_address parts = mail_address_split(address);

	return address.len == 0 ||
	    (parts.domain.len > 0 &&
		(slice_find(parts.domain, '.') != -1 || parts.domain.data[0] == '['));
}

bool ask_sender(struct slice sender, struct arena *arena, struct slice *answer)
{
	static char local;

	*answer = sender;
	return is_complete(sender) ||
	    ask_complete(&local, (struct wire_texts){ &sender, 1 }, answer, arena);
}

const struct msg_expanded *ask_expand(struct wire_texts addresses, struct request **r)
{
	struct msg_expand question = { 1, addresses };
	struct msg_expanded *reply = ask(&table_expand, &question, &table_expanded, r);

	if (reply == NULL)
		return NULL;
	if (reply->status == RESOLVE_OK && reply->address.count == reply->origin.count)
		for (size_t i = 0; i < reply->origin.count; i++)
			if (reply->origin.items[i] >= addresses.count)
				reply->status = RESOLVE_TEMPORARY;
	if (reply->address.count != reply->origin.count)
		reply->status = RESOLVE_TEMPORARY;
	return reply;
}
