/* SPDX-License-Identifier: ISC */
/*
 * queue_ids.c - many queue ids in little memory.
 */
#include "admin/queue_ids.h"

#include <stdlib.h>

#include "admin/command.h"
#include "common/base/mem.h"

enum { BYTES_MOST = 256 * 1024 * 1024 };

bool queue_ids_add(struct queue_ids *ids, struct slice id)
{
	if (ids->packed.len + id.len >= BYTES_MOST)
		return false;
	buf_put_slice(&ids->packed, id);
	buf_putc(&ids->packed, '\0');
	ids->count++;
	return true;
}

bool queue_ids_next(const struct queue_ids *ids, size_t *at, struct slice *id)
{
	if (*at >= ids->packed.len)
		return false;
	*id = slice_of(ids->packed.data + *at);
	*at += id->len + 1;
	return true;
}

static void on_message(void *arg, const struct queue_head *m)
{
	if (!queue_ids_add(arg, m->id))
		command_fail(COMMAND_SOFTWARE,
		    "too many messages are selected; narrow it with more conditions");
}

static void on_rcpt(void *arg, const struct queue_rcpt *r)
{
	(void)arg;
	(void)r;
}

static void on_end(void *arg)
{
	(void)arg;
}

void queue_ids_collect(struct queue_ids *ids, struct queue_sink *sink)
{
	*sink = (struct queue_sink){ ids, on_message, on_rcpt, on_end };
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void queue_ids_sort(struct queue_ids *ids)
{
	struct slice id;
	size_t at = 0, i = 0;

	ids->sorted = mem_alloc_array(ids->count + 1, sizeof(*ids->sorted));
	while (queue_ids_next(ids, &at, &id))
		ids->sorted[i++] = id.data;
	qsort(ids->sorted, ids->count, sizeof(*ids->sorted), compare);
}

bool queue_ids_has(const struct queue_ids *ids, struct slice id)
{
	char *text = slice_dup(id);
	const char *key = text;
	bool found = bsearch(&key, ids->sorted, ids->count, sizeof(key), compare) != NULL;

	free(text);
	return found;
}

void queue_ids_clear(struct queue_ids *ids)
{
	buf_clear(&ids->packed);
	free(ids->sorted);
	*ids = (struct queue_ids){ 0 };
}
