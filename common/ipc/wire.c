/* SPDX-License-Identifier: ISC */
/*
 * wire.c - encode, decode and print by table. The decoder reads bytes of strangers: every length is
 * compared with what is left before it is believed, and a list is never larger than its bytes.
 */
#include "common/ipc/wire.h"

#include <endian.h>
#include <inttypes.h>

#include "common/base/text.h"

/* --- encode --------------------------------------------------------------------------------------- */

static void put_u16(struct buf *out, uint16_t value)
{
	value = htole16(value);
	buf_append(out, &value, sizeof(value));
}

static void put_u32(struct buf *out, uint32_t value)
{
	value = htole32(value);
	buf_append(out, &value, sizeof(value));
}

static void put_u64(struct buf *out, uint64_t value)
{
	value = htole64(value);
	buf_append(out, &value, sizeof(value));
}

static bool is_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || text.data[i] == '\r' || text.data[i] == '\n')
			return false;
	return true;
}

/* The reason why this text may not travel in this member; NULL when it may. */
static const char *text_fault(const struct wire_member *m, struct slice text, uint64_t limit)
{
	if (text.len > limit)
		return "a text is longer than its limit";
	if ((m->flags & WIRE_CLEAN) && !is_clean(text))
		return "a text holds a line end or NUL";
	return NULL;
}

static bool is_empty(const struct wire_member *m, const void *at)
{
	switch ((enum wire_type)m->type) {
	case WIRE_U64:
		return *(const uint64_t *)at == 0;
	case WIRE_I64:
		return *(const int64_t *)at == 0;
	case WIRE_BYTES:
		return ((const struct slice *)at)->len == 0;
	case WIRE_TEXTS:
		return ((const struct wire_texts *)at)->count == 0;
	case WIRE_NUMBERS:
		return ((const struct wire_numbers *)at)->count == 0;
	}
	return true;
}

static const char *put_texts(const struct wire_member *m, const struct wire_texts *texts,
    struct buf *out)
{
	if (texts->count > m->limit)
		return "a list has too many items";
	put_u32(out, (uint32_t)texts->count);
	for (size_t i = 0; i < texts->count; i++) {
		const char *fault = text_fault(m, texts->items[i], WIRE_TEXT_LIMIT);

		if (fault != NULL)
			return fault;
		put_u32(out, (uint32_t)texts->items[i].len);
		buf_put_slice(out, texts->items[i]);
	}
	return NULL;
}

static const char *put_numbers(const struct wire_member *m, const struct wire_numbers *numbers,
    struct buf *out)
{
	if (numbers->count > m->limit)
		return "a list has too many items";
	for (size_t i = 0; i < numbers->count; i++)
		put_u64(out, numbers->items[i]);
	return NULL;
}

static const char *put_value(const struct wire_member *m, const void *at, struct buf *out)
{
	const struct slice *text = at;
	const char *fault;

	switch ((enum wire_type)m->type) {
	case WIRE_U64:
		if (*(const uint64_t *)at > m->limit)
			return "a number is over its limit";
		put_u64(out, *(const uint64_t *)at);
		return NULL;
	case WIRE_I64:
		put_u64(out, (uint64_t) * (const int64_t *)at);
		return NULL;
	case WIRE_BYTES:
		fault = text_fault(m, *text, m->limit);
		if (fault == NULL)
			buf_put_slice(out, *text);
		return fault;
	case WIRE_TEXTS:
		return put_texts(m, at, out);
	case WIRE_NUMBERS:
		return put_numbers(m, at, out);
	}
	return "no such type";
}

bool wire_encode(const struct wire_table *table, const void *message, struct buf *out,
    const char **why)
{
	size_t start = out->len;

	for (size_t i = 0; i < table->count; i++) {
		const struct wire_member *m = &table->members[i];
		const void *at = (const char *)message + m->offset;
		size_t length_at;
		uint32_t length;

		/* What is required is there even when it is empty: its presence is the information. */
		if (is_empty(m, at) && !(m->flags & WIRE_REQUIRED))
			continue;
		put_u16(out, m->tag);
		length_at = out->len;
		put_u32(out, 0);
		*why = put_value(m, at, out);
		if (*why != NULL) {
			out->len = start;
			return false;
		}
		length = htole32((uint32_t)(out->len - length_at - 4));
		memcpy(out->data + length_at, &length, sizeof(length));
	}
	return true;
}

/* --- decode --------------------------------------------------------------------------------------- */

static uint16_t get_u16(const char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static uint32_t get_u32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get_u64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static const char *get_texts(const struct wire_member *m, struct slice bytes,
    struct wire_texts *texts, struct arena *arena)
{
	size_t at = 4, count;

	if (bytes.len < 4)
		return "a list without a count";
	count = get_u32(bytes.data);
	if (count > m->limit || count > (bytes.len - 4) / 4)
		return "a list has too many items";
	texts->items = arena_alloc(arena, (count + 1) * sizeof(struct slice));
	texts->count = count;
	for (size_t i = 0; i < count; i++) {
		size_t len;
		const char *fault;

		if (bytes.len - at < 4)
			return "a list is cut off";
		len = get_u32(bytes.data + at);
		at += 4;
		if (len > bytes.len - at)
			return "a list is cut off";
		texts->items[i] = slice_new(bytes.data + at, len);
		at += len;
		fault = text_fault(m, texts->items[i], WIRE_TEXT_LIMIT);
		if (fault != NULL)
			return fault;
	}
	return at == bytes.len ? NULL : "surplus bytes in a list";
}

static const char *get_numbers(const struct wire_member *m, struct slice bytes,
    struct wire_numbers *numbers, struct arena *arena)
{
	size_t count = bytes.len / 8;

	if (bytes.len % 8 != 0)
		return "a list of numbers is cut off";
	if (count > m->limit)
		return "a list has too many items";
	numbers->items = arena_alloc(arena, (count + 1) * sizeof(uint64_t));
	numbers->count = count;
	for (size_t i = 0; i < count; i++)
		numbers->items[i] = get_u64(bytes.data + i * 8);
	return NULL;
}

static const char *get_value(const struct wire_member *m, struct slice bytes, void *at,
    struct arena *arena)
{
	switch ((enum wire_type)m->type) {
	case WIRE_U64:
	case WIRE_I64:
		if (bytes.len != 8)
			return "a number is not 8 bytes long";
		if (m->type == WIRE_U64 && get_u64(bytes.data) > m->limit)
			return "a number is over its limit";
		*(uint64_t *)at = get_u64(bytes.data);
		return NULL;
	case WIRE_BYTES:
		*(struct slice *)at = bytes;
		return text_fault(m, bytes, m->limit);
	case WIRE_TEXTS:
		return get_texts(m, bytes, at, arena);
	case WIRE_NUMBERS:
		return get_numbers(m, bytes, at, arena);
	}
	return "no such type";
}

static const struct wire_member *member_of(const struct wire_table *table, uint16_t tag)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->members[i].tag == tag)
			return &table->members[i];
	return NULL;
}

static const char *missing_fault(const struct wire_table *table, uint64_t seen)
{
	for (size_t i = 0; i < table->count; i++)
		if ((table->members[i].flags & WIRE_REQUIRED) && !(seen & (UINT64_C(1) << i)))
			return "a required member is missing";
	return NULL;
}

bool wire_decode(const struct wire_table *table, struct slice bytes, void *message,
    struct arena *arena, const char **why)
{
	uint64_t seen = 0;
	size_t at = 0;

	while (at < bytes.len) {
		const struct wire_member *m;
		uint16_t tag;
		size_t len;
		uint64_t bit;

		*why = "a member is cut off";
		if (bytes.len - at < WIRE_MEMBER_HEADER)
			return false;
		tag = get_u16(bytes.data + at);
		len = get_u32(bytes.data + at + 2);
		at += WIRE_MEMBER_HEADER;
		if (len > bytes.len - at)
			return false;
		m = member_of(table, tag);
		if (m == NULL) {
			*why = "a member that must be understood is unknown";
			if (tag & WIRE_MUST)
				return false;
			at += len;
			continue;
		}
		bit = UINT64_C(1) << (m - table->members);
		*why = "a member comes twice";
		if (seen & bit)
			return false;
		seen |= bit;
		*why = get_value(m, slice_new(bytes.data + at, len), (char *)message + m->offset,
		    arena);
		if (*why != NULL)
			return false;
		at += len;
	}
	*why = missing_fault(table, seen);
	return *why == NULL;
}

bool wire_find(struct slice message, uint16_t tag, struct slice *bytes)
{
	size_t at = 0;

	while (message.len - at >= WIRE_MEMBER_HEADER) {
		size_t len = get_u32(message.data + at + 2);

		if (len > message.len - at - WIRE_MEMBER_HEADER)
			return false;
		if (get_u16(message.data + at) == tag) {
			*bytes = slice_new(message.data + at + WIRE_MEMBER_HEADER, len);
			return true;
		}
		at += WIRE_MEMBER_HEADER + len;
	}
	return false;
}

/* --- print ---------------------------------------------------------------------------------------- */

enum { PRINT_LIMIT = 200 };

static void print_text(struct slice text, struct buf *out)
{
	size_t start = out->len + 1;

	buf_putc(out, '"');
	buf_put_slice(out, slice_part(text, 0, PRINT_LIMIT));
	text_neuter(out->data + start, out->len - start);
	buf_puts(out, text.len > PRINT_LIMIT ? "...\"" : "\"");
}

static void print_value(const struct wire_member *m, const void *at, struct buf *out)
{
	const struct wire_texts *texts = at;
	const struct wire_numbers *numbers = at;

	switch ((enum wire_type)m->type) {
	case WIRE_U64:
		buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
		break;
	case WIRE_I64:
		buf_printf(out, "%" PRId64, *(const int64_t *)at);
		break;
	case WIRE_BYTES:
		print_text(*(const struct slice *)at, out);
		break;
	case WIRE_TEXTS:
		for (size_t i = 0; i < texts->count && i < PRINT_LIMIT; i++) {
			buf_puts(out, i == 0 ? "" : " ");
			print_text(texts->items[i], out);
		}
		break;
	case WIRE_NUMBERS:
		for (size_t i = 0; i < numbers->count && i < PRINT_LIMIT; i++)
			buf_printf(out, i == 0 ? "%" PRIu64 : " %" PRIu64, numbers->items[i]);
		break;
	}
}

void wire_print(const struct wire_table *table, const void *message, struct buf *out)
{
	const char *separator = "";

	buf_printf(out, "%s{", table->name);
	for (size_t i = 0; i < table->count; i++) {
		const void *at = (const char *)message + table->members[i].offset;

		if (is_empty(&table->members[i], at))
			continue;
		buf_printf(out, "%s%s=", separator, table->members[i].name);
		print_value(&table->members[i], at, out);
		separator = ", ";
	}
	buf_putc(out, '}');
}
