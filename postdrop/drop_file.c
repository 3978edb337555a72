/* SPDX-License-Identifier: ISC */
/*
 * drop_file.c - writes and reads the frames. The reader trusts nothing: it is used on what any user may
 * have written.
 */
#include "postdrop/drop_file.h"

#include <endian.h>
#include <errno.h>
#include <unistd.h>

enum { HEADER_SIZE = 8, FRAME_LIMIT = 512 * 1024, READ_SIZE = 65536 };

static const struct slice first_line = { "gatepost maildrop 1\n", 20 };

void drop_put_start(struct buf *out)
{
	buf_put_slice(out, first_line);
}

bool drop_put(struct buf *out, const struct wire_table *table, const void *message,
    const char **why)
{
	size_t start = out->len;
	uint16_t type = htole16(table->type);
	uint32_t length;

	memset(buf_reserve(out, HEADER_SIZE), 0, HEADER_SIZE);
	out->len = start + HEADER_SIZE;
	if (!wire_encode(table, message, out, why)) {
		out->len = start;
		return false;
	}
	length = htole32((uint32_t)(out->len - start - HEADER_SIZE));
	memcpy(out->data + start, &length, sizeof(length));
	memcpy(out->data + start + 4, &type, sizeof(type));
	return true;
}

/* --- reading -------------------------------------------------------------------------------------- */

static size_t available(const struct drop_reader *r)
{
	return r->in.len - r->taken;
}

/* At least count bytes. 1; 0: the input ends before; -1 with errno. */
static int fill(struct drop_reader *r, size_t count)
{
	buf_consume(&r->in, r->taken);
	r->taken = 0;
	while (available(r) < count) {
		ssize_t got = r->fd == -1 ? 0
					  : read(r->fd, buf_reserve(&r->in, READ_SIZE), READ_SIZE);

		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			return (int)got;
		r->in.len += (size_t)got;
	}
	return 1;
}

/* Which message may stand behind which. */
static bool is_in_order(const struct drop_reader *r, const struct wire_table *t)
{
	const struct wire_table *last = r->last;

	if (t == &table_submit)
		return last == NULL;
	if (t == &table_rcpts)
		return last == &table_submit || last == &table_rcpts;
	return (t == &table_data || t == &table_end) && r->rcpts > 0 && last != &table_end;
}

/* What the table alone does not check. */
static const char *check(struct drop_reader *r, const struct wire_table *t, const void *message)
{
	const struct msg_rcpts *m = message;

	if (t == &table_rcpts) {
		size_t count = m->address.count;

		if (count == 0 || m->original.count != count || m->orcpt.count != count ||
		    m->notify.count != count)
			return "recipient lists do not fit together";
		r->rcpts += count;
	}
	if (t == &table_data)
		r->content += ((const struct msg_data *)message)->data.len;
	if (t == &table_end && ((const struct msg_end *)message)->size != r->content)
		return "content has another size than its end says";
	return NULL;
}

static enum drop_next malformed(const char **why, const char *reason)
{
	*why = reason;
	return DROP_MALFORMED;
}

static enum drop_next at_end(struct drop_reader *r, const char **why)
{
	int rc = fill(r, 1);

	if (rc == -1)
		return DROP_FAILED;
	return rc == 0 ? DROP_END : malformed(why, "something follows its end");
}

static enum drop_next short_input(int rc, const char **why)
{
	return rc == -1 ? DROP_FAILED : malformed(why, "it is cut short");
}

enum drop_next drop_read(struct drop_reader *r, const struct wire_table **table, void **message,
    const char **why)
{
	uint32_t length;
	uint16_t type, zero;
	int rc;

	if (r->last == &table_end)
		return at_end(r, why);
	if (r->last == NULL) {
		rc = fill(r, first_line.len);
		if (rc != 1)
			return short_input(rc, why);
		if (memcmp(r->in.data, first_line.data, first_line.len) != 0)
			return malformed(why, "it does not begin as a submitted message");
		r->taken = first_line.len;
	}
	rc = fill(r, HEADER_SIZE);
	if (rc != 1)
		return short_input(rc, why);
	memcpy(&length, r->in.data, 4);
	memcpy(&type, r->in.data + 4, 2);
	memcpy(&zero, r->in.data + 6, 2);
	length = le32toh(length);
	*table = message_of_type(le16toh(type));
	if (*table == NULL || zero != 0 || length > FRAME_LIMIT || !is_in_order(r, *table))
		return malformed(why, "a message that does not belong there");
	rc = fill(r, HEADER_SIZE + length);
	if (rc != 1)
		return short_input(rc, why);
	if (r->arena == NULL)
		r->arena = arena_new();
	arena_reset(r->arena);
	*message = arena_alloc(r->arena, (*table)->size);
	if (!wire_decode(*table, slice_part(buf_slice(&r->in), HEADER_SIZE, length), *message,
		r->arena, why))
		return DROP_MALFORMED;
	*why = check(r, *table, *message);
	if (*why != NULL)
		return DROP_MALFORMED;
	r->taken = HEADER_SIZE + length;
	r->last = *table;
	return DROP_MESSAGE;
}

void drop_reader_clear(struct drop_reader *r)
{
	buf_clear(&r->in);
	arena_free(r->arena);
	r->arena = NULL;
}
