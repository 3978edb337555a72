/* SPDX-License-Identifier: ISC */
/*
 * test_wire.c - every message: there and back, cut at each byte, bits flipped, limits kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/ipc/messages.h"

static struct slice three_texts[] = { { "a@b.example", 11 }, { "", 0 }, { "x", 1 } };
static uint64_t three_numbers[] = { 1, 2, 3 };

/* A message whose members all have a value. */
static void *full(const struct wire_table *table)
{
	char *message = mem_alloc(table->size);

	for (size_t i = 0; i < table->count; i++) {
		const struct wire_member *m = &table->members[i];
		void *at = message + m->offset;

		switch ((enum wire_type)m->type) {
		case WIRE_U64:
			*(uint64_t *)at = m->limit;
			break;
		case WIRE_I64:
			*(int64_t *)at = INT64_MIN;
			break;
		case WIRE_BYTES:
			*(struct slice *)at = SLICE("sixteen bytes...");
			break;
		case WIRE_TEXTS:
			*(struct wire_texts *)at = (struct wire_texts){ three_texts, 3 };
			break;
		case WIRE_NUMBERS:
			*(struct wire_numbers *)at = (struct wire_numbers){ three_numbers, 3 };
			break;
		}
	}
	return message;
}

static bool decode(const struct wire_table *table, struct slice bytes, struct buf *printed)
{
	struct arena *arena = arena_new();
	void *message = mem_alloc(table->size);
	const char *why = NULL;
	bool ok = wire_decode(table, bytes, message, arena, &why);

	assert_int_equal(ok, why == NULL);
	if (ok && printed != NULL)
		wire_print(table, message, printed);
	free(message);
	arena_free(arena);
	return ok;
}

static void every_message_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; messages[i] != NULL; i++) {
		struct buf bytes = { 0 }, there = { 0 }, back = { 0 };
		void *message = full(messages[i]);
		const char *why;

		assert_ptr_equal(message_of_type(messages[i]->type), messages[i]);
		assert_true(messages[i]->count <= 64);
		assert_true(wire_encode(messages[i], message, &bytes, &why));
		wire_print(messages[i], message, &there);
		assert_true(decode(messages[i], buf_slice(&bytes), &back));
		assert_string_equal(buf_text(&there), buf_text(&back));
		free(message);
		buf_clear(&bytes);
		buf_clear(&there);
		buf_clear(&back);
	}
}

static void tags_ascend(void **state)
{
	(void)state;
	for (size_t i = 0; messages[i] != NULL; i++)
		for (size_t m = 1; m < messages[i]->count; m++)
			assert_true(messages[i]->members[m].tag > messages[i]->members[m - 1].tag);
}

/* Neither a cut nor a flipped bit may do more than fail or decode to something within the limits. */
static void damage_is_survived(void **state)
{
	(void)state;
	for (size_t i = 0; messages[i] != NULL; i++) {
		struct buf bytes = { 0 };
		void *message = full(messages[i]);
		const char *why;

		assert_true(wire_encode(messages[i], message, &bytes, &why));
		for (size_t cut = 1; cut < bytes.len; cut++) {
			/* A copy of its own: a read behind it is seen by the sanitizer. */
			char *copy = malloc(cut);

			memcpy(copy, bytes.data, cut);
			decode(messages[i], slice_new(copy, cut), NULL);
			free(copy);
		}
		for (size_t bit = 0; bit < bytes.len * 8; bit++) {
			bytes.data[bit / 8] ^= (char)(1 << bit % 8);
			decode(messages[i], buf_slice(&bytes), NULL);
			bytes.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		free(message);
		buf_clear(&bytes);
	}
}

static void what_a_table_does_not_allow_is_refused(void **state)
{
	struct buf bytes = { 0 };
	const char *why;
	struct msg_reply reply = { .code = 250, .text = SLICE("two\r\nlines") };
	struct msg_end end = { .size = 7 };
	struct msg_rcpts many = { .address = { three_texts, RCPTS_PER_FRAME + 1 } };
	static const char must_understand[] = "\x01\x80\x00\x00\x00\x00";
	static const char may_ignore[] = "\x63\x00\x01\x00\x00\x00x";

	(void)state;
	assert_false(wire_encode(&table_reply, &reply, &bytes, &why));
	assert_int_equal(bytes.len, 0);
	assert_false(wire_encode(&table_rcpts, &many, &bytes, &why));
	assert_true(wire_encode(&table_end, &end, &bytes, &why));
	assert_true(decode(&table_end, buf_slice(&bytes), NULL));
	buf_append(&bytes, may_ignore, 7);
	assert_true(decode(&table_end, buf_slice(&bytes), NULL));
	buf_append(&bytes, must_understand, 6);
	assert_false(decode(&table_end, buf_slice(&bytes), NULL));
	buf_reset(&bytes);
	wire_encode(&table_end, &end, &bytes, &why);
	wire_encode(&table_end, &end, &bytes, &why);
	assert_false(decode(&table_end, buf_slice(&bytes), NULL));
	assert_false(decode(&table_end, SLICE(""), NULL));
	buf_clear(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back),
		cmocka_unit_test(tags_ascend),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(what_a_table_does_not_allow_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
