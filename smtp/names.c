/* SPDX-License-Identifier: ISC */
/*
 * names.c - the resolver's answers. It has its own patience with servers; ours is for the resolver.
 */
#include "smtp/names.h"

#include <errno.h>

#include "common/log/log.h"
#include "common/service/service.h"

enum { PATIENCE_SECONDS = 60 };

static struct wire_texts copy_texts(struct arena *arena, struct wire_texts t)
{
	struct wire_texts copy = { arena_alloc(arena, (t.count + 1) * sizeof(struct slice)),
		t.count };

	for (size_t i = 0; i < t.count; i++)
		copy.items[i] = arena_copy(arena, t.items[i]);
	return copy;
}

static struct wire_numbers copy_numbers(struct arena *arena, struct wire_numbers n)
{
	struct wire_numbers copy = { arena_alloc(arena, (n.count + 1) * sizeof(uint64_t)),
		n.count };

	for (size_t i = 0; i < n.count; i++)
		copy.items[i] = n.items[i];
	return copy;
}

void names_lookup(struct slice name, enum dns_type type, struct arena *arena,
    struct msg_dns_answer *answer)
{
	struct msg_dns question = { name, type };
	struct request *r = NULL;
	void *reply;

	if (service_ask("resolver", &table_dns, &question, &table_dns_answer, &reply, &r,
		deadline_after(PATIENCE_SECONDS * CLOCK_SECOND)) == -1) {
		log_warning("no answer of the resolver about %.*s: %m", (int)name.len, name.data);
		*answer = (struct msg_dns_answer){ .status = DNS_TRY_AGAIN };
		return;
	}
	*answer = *(struct msg_dns_answer *)reply;
	answer->data = copy_texts(arena, answer->data);
	answer->preference = copy_numbers(arena, answer->preference);
	answer->canonical = answer->why = SLICE("");
	request_close(r);
}
