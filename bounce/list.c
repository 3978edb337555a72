/* SPDX-License-Identifier: ISC */
/*
 * list.c - the recipients that one notice is about. A message may have very many; a notice lists the first
 * thousand and says how many more there are.
 */
#include <stdlib.h>

#include "bounce/bounce.h"
#include "common/base/mem.h"

/* Who was told of a delay, and did not forbid it, hears that it is over, too. */
static bool hears_of_success(const struct msg_notice *m, uint64_t notify, uint64_t success)
{
	if (m->cleared && (notify == 0 || (notify & NOTIFY_DELAY)))
		return true;
	return (notify & NOTIFY_SUCCESS) && success != SUCCESS_PASSED;
}

bool list_is_due(const struct msg_notice *m, uint64_t notify, uint64_t success)
{
	switch ((enum notice_kind)m->kind) {
	case NOTICE_FAILURE:
		return notify == 0 || (notify & NOTIFY_FAILURE) != 0;
	case NOTICE_DELAY:
		return notify == 0 || (notify & NOTIFY_DELAY) != 0;
	case NOTICE_SUCCESS:
		return hears_of_success(m, notify, success);
	case NOTICE_VERIFY:
		return true;
	}
	return false;
}

void list_add(struct notice_list *l, const struct msg_notice_rcpts *m, size_t at,
    struct arena *arena)
{
	const struct slice texts[] = { m->address.items[at], m->original.items[at],
		m->orcpt.items[at], m->dsn.items[at], m->reason.items[at], m->remote.items[at],
		m->diagnostic.items[at] };
	struct slice copies[ARRAY_LENGTH(texts)];

	l->total++;
	if (l->count == NOTICE_RCPTS || l->bytes > NOTICE_BYTES)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		copies[i] = arena_copy(arena, texts[i]);
		l->bytes += texts[i].len;
	}
	if (l->count == l->size) {
		l->size = l->size == 0 ? 8 : l->size * 2;
		l->items = mem_resize_array(l->items, l->size, sizeof(*l->items));
	}
	l->items[l->count++] = (struct notice_rcpt){ copies[0], copies[1], copies[2], copies[3],
		copies[4], copies[5], copies[6], m->success.items[at] };
}

void list_clear(struct notice_list *l)
{
	free(l->items);
	*l = (struct notice_list){ 0 };
}
