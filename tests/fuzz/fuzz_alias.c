/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the right-hand side of an alias: no crash, no item over the limit, and an item that was
 * read comes out the same when it is written as the worker writes it for an agent.
 */
#include <stdint.h>
#include <stdlib.h>

#include "local/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *arena, const struct target *t)
{
	static const char *const prefix[] = {
		[TARGET_COMMAND] = "|", [TARGET_FILE] = "", [TARGET_INCLUDE] = ":include:"
	};
	const struct target *again;
	const char *why;

	if (t->kind == TARGET_ADDRESS || t->kind == TARGET_USER)
		return;
	again = targets_parse(slice_of(target_quote(arena, prefix[t->kind], t->text)), 1, arena,
	    &why);
	if (again == NULL || again->kind != t->kind || !slice_equal(again->text, t->text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { LIMIT = 50 };
	struct arena *arena = arena_new();
	const char *why;
	size_t count = 0;

	for (struct target *t = targets_parse(slice_new(data, size), LIMIT, arena, &why); t != NULL;
	     t = t->next) {
		check(arena, t);
		count++;
	}
	if (count > LIMIT || (count > 0 && why != NULL))
		abort();
	arena_free(arena);
	return 0;
}
