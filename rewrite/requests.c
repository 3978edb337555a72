/* SPDX-License-Identifier: ISC */
/*
 * requests.c - the questions of other processes, a batch of addresses in each.
 */
#include "rewrite/requests.h"

#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "rewrite/rewrite.h"

static struct tables *tables;

void tables_open_all(void)
{
	char *why;

	tables = tables_open(service_config_directory(), &rewrite_settings, proxymap_ask, NULL,
	    &why);
	if (tables == NULL)
		log_fatal("%s", why);
}

static const char *changed_table(void)
{
	return tables_changed(tables);
}

/* An answer to longer ones might not fit into a frame. Nobody of ours sends them. */
static bool are_short(struct wire_texts addresses)
{
	for (size_t i = 0; i < addresses.count; i++)
		if (addresses.items[i].len > ADDRESS_LIMIT) {
			log_warning("a question with an address of %zu bytes is not answered",
			    addresses.items[i].len);
			return false;
		}
	return true;
}

static struct wire_texts new_texts(struct request *r, size_t count)
{
	return (struct wire_texts){
		arena_alloc(request_arena(r), (count + 1) * sizeof(struct slice)), count
	};
}

static struct wire_numbers new_numbers(struct request *r, size_t count)
{
	return (struct wire_numbers){ arena_alloc(request_arena(r), (count + 1) * sizeof(uint64_t)),
		count };
}

static void answer_resolve(struct request *r, struct frame *first)
{
	struct msg_resolve *question = first->message;
	size_t count = question->address.count;
	struct msg_resolved answer = { .status = new_numbers(r, count),
		.class = new_numbers(r, count),
		.transport = new_texts(r, count),
		.nexthop = new_texts(r, count),
		.recipient = new_texts(r, count),
		.why = new_texts(r, count),
		.known = new_numbers(r, question->validate ? count : 0) };

	service_look_at_tables(changed_table);
	if (!are_short(question->address))
		return;
	for (size_t i = 0; i < count; i++) {
		struct resolution one;

		address_resolve(tables, question->address.items[i], question->validate != 0,
		    request_arena(r), &one);
		answer.status.items[i] = one.status;
		answer.class.items[i] = one.class;
		answer.transport.items[i] = one.transport;
		answer.nexthop.items[i] = one.nexthop;
		answer.recipient.items[i] = one.recipient;
		answer.why.items[i] = one.why;
		if (question->validate)
			answer.known.items[i] = one.known;
		task_yield_if_long();
	}
	request_send(r, &table_resolved, &answer, -1, true, DEADLINE_NEVER);
}

static void answer_expand(struct request *r, struct frame *first)
{
	struct msg_expand *question = first->message;
	struct msg_expanded answer = { .status = RESOLVE_OK,
		.origin = new_numbers(r, EXPANSION_LIMIT) };
	struct expansion all = { 0 };

	service_look_at_tables(changed_table);
	if (!are_short(question->address))
		return;
	for (size_t i = 0; i < question->address.count && answer.status == RESOLVE_OK; i++) {
		size_t before = all.count;

		answer.status = address_expand(tables, question->local != 0,
		    question->address.items[i], request_arena(r), &all, &answer.why);
		while (before < all.count)
			answer.origin.items[before++] = i;
	}
	if (answer.status != RESOLVE_OK) {
		log_warning("%.*s", (int)answer.why.len, answer.why.data);
		all.count = 0;
	}
	answer.address = (struct wire_texts){ all.items, all.count };
	answer.origin.count = all.count;
	request_send(r, &table_expanded, &answer, -1, true, DEADLINE_NEVER);
}

static void answer_rewrite(struct request *r, struct frame *first)
{
	struct msg_rewrite *question = first->message;
	struct msg_rewritten answer = { new_texts(r, question->address.count) };

	service_look_at_tables(changed_table);
	if (!are_short(question->address))
		return;
	for (size_t i = 0; i < answer.address.count; i++)
		answer.address.items[i] = address_complete(&rewrite_settings, question->local != 0,
		    question->address.items[i], request_arena(r));
	request_send(r, &table_rewritten, &answer, -1, true, DEADLINE_NEVER);
}

enum {
	MAY_ASK = ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_CLEANUP) | ROLE_BIT(ROLE_QMGR) |
	    ROLE_BIT(ROLE_AGENT) | ROLE_BIT(ROLE_BOUNCE) | ROLE_BIT(ROLE_PICKUP)
};

const struct handler rewrite_handlers[] = {
	{ &table_resolve, MAY_ASK, answer_resolve },
	{ &table_expand, MAY_ASK, answer_expand },
	{ &table_rewrite, MAY_ASK, answer_rewrite },
	{ 0 },
};
