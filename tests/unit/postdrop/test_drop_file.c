/* SPDX-License-Identifier: ISC */
/*
 * A file of maildrop/ comes back as it was written; a part of one, or one with anything else in it, is no
 * message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "postdrop/drop_file.h"

static void put(struct buf *out, const struct wire_table *table, const void *message)
{
	const char *why;

	assert_true(drop_put(out, table, message, &why));
}

static void put_rcpts(struct buf *out)
{
	struct slice address[] = { SLICE("a@example.com"), SLICE("\"b c\"@example.com") };
	struct slice none[2] = { 0 };
	uint64_t notify[2] = { NOTIFY_NEVER, 0 };
	struct msg_rcpts rcpts = { { address, 2 }, { none, 2 }, { none, 2 }, { notify, 2 } };

	put(out, &table_rcpts, &rcpts);
}

static void put_content(struct buf *out, uint64_t said)
{
	struct msg_data data = { SLICE("Subject: x\n\n\0\xff.\n") };
	struct msg_end end = { said };

	put(out, &table_data, &data);
	put(out, &table_data, &data);
	put(out, &table_end, &end);
}

static void whole_message(struct buf *out)
{
	struct msg_submit submit = { .sender = SLICE("me"), .full_name = SLICE("M. E."), .ret = 2 };

	drop_put_start(out);
	put(out, &table_submit, &submit);
	put_rcpts(out);
	put_content(out, 2 * 16);
}

/* How its reading ends; *count: how many came. */
static enum drop_next read_all(struct slice bytes, unsigned *count)
{
	struct drop_reader reader = { .fd = -1 };
	const struct wire_table *table;
	enum drop_next next;
	const char *why;
	void *message;

	*count = 0;
	buf_put_slice(&reader.in, bytes);
	while ((next = drop_read(&reader, &table, &message, &why)) == DROP_MESSAGE)
		++*count;
	drop_reader_clear(&reader);
	return next;
}

static void a_message_comes_back(void **state)
{
	struct drop_reader reader = { .fd = -1 };
	const struct wire_table *table;
	const char *why;
	void *message;

	(void)state;
	whole_message(&reader.in);
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_MESSAGE);
	assert_ptr_equal(table, &table_submit);
	assert_true(slice_equal(((struct msg_submit *)message)->full_name, SLICE("M. E.")));
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_MESSAGE);
	assert_ptr_equal(table, &table_rcpts);
	assert_true(slice_equal(((struct msg_rcpts *)message)->address.items[1],
	    SLICE("\"b c\"@example.com")));
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_MESSAGE);
	assert_int_equal(((struct msg_data *)message)->data.len, 16);
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_MESSAGE);
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_MESSAGE);
	assert_ptr_equal(table, &table_end);
	assert_int_equal(drop_read(&reader, &table, &message, &why), DROP_END);
	drop_reader_clear(&reader);
}

static void a_part_is_no_message(void **state)
{
	struct buf whole = { 0 };
	unsigned count;

	(void)state;
	whole_message(&whole);
	for (size_t len = 0; len < whole.len; len++) {
		assert_int_equal(read_all(slice_new(whole.data, len), &count), DROP_MALFORMED);
		assert_true(count < 5);
	}
	assert_int_equal(read_all(buf_slice(&whole), &count), DROP_END);
	buf_putc(&whole, '\0');
	assert_int_equal(read_all(buf_slice(&whole), &count), DROP_MALFORMED);
	buf_clear(&whole);
}

static void another_order_is_no_message(void **state)
{
	struct msg_submit submit = { .sender = SLICE("") };
	struct msg_reply reply = { .code = 250 };
	struct buf out = { 0 };
	unsigned count;

	(void)state;
	drop_put_start(&out);
	put_rcpts(&out);
	assert_int_equal(read_all(buf_slice(&out), &count), DROP_MALFORMED);
	buf_reset(&out);
	drop_put_start(&out);
	put(&out, &table_submit, &submit);
	put_content(&out, 32);
	assert_int_equal(read_all(buf_slice(&out), &count), DROP_MALFORMED);
	buf_reset(&out);
	drop_put_start(&out);
	put(&out, &table_submit, &submit);
	put_rcpts(&out);
	put(&out, &table_reply, &reply);
	assert_int_equal(read_all(buf_slice(&out), &count), DROP_MALFORMED);
	assert_int_equal(count, 2);
	buf_reset(&out);
	drop_put_start(&out);
	put(&out, &table_submit, &submit);
	put_rcpts(&out);
	put_content(&out, 31);
	assert_int_equal(read_all(buf_slice(&out), &count), DROP_MALFORMED);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_back),
		cmocka_unit_test(a_part_is_no_message),
		cmocka_unit_test(another_order_is_no_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
