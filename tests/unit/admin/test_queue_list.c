/* SPDX-License-Identifier: ISC */
/*
 * test_queue_list.c - the listing as scripts parse it, and the bytes that exporters read from showq.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/queue_print.h"
#include "common/base/mem.h"
#include "common/mail/queue_wire.h"

/* Feeds the bytes in pieces of `step` and returns what was printed, on the heap; NULL when refused. */
static char *listing(struct slice bytes, enum queue_form form, size_t step)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct queue_print print;
	struct queue_list l = { .to = &print.sink };
	int rc = 0;

	queue_print_init(&print, form, out);
	for (size_t i = 0; i < bytes.len && rc == 0; i += step)
		rc = queue_list_feed(&l, slice_part(bytes, i, step));
	if (rc == 0)
		rc = queue_list_finish(&l);
	queue_list_clear(&l);
	queue_print_finish(&print);
	fclose(out);
	if (rc == 0)
		return text;
	free(text);
	return NULL;
}

#define TEXTS(...)                                                                                 \
	{                                                                                          \
		(struct slice[]){ __VA_ARGS__ },                                                   \
		    sizeof((struct slice[]){ __VA_ARGS__ }) / sizeof(struct slice)                 \
	}

/* Three messages; the second one's recipients come in two entries. */
static struct buf queue_of_three(void)
{
	const struct msg_list_entry entries[] = {
		{ .queue = { "active", 6 },
		    .id = { "4hXyz1234BCz1", 13 },
		    .arrival_us = 1790000000999999,
		    .size = 1234,
		    .sender = { "a@b.c", 5 },
		    .address = TEXTS({ "x@y.z", 5 }),
		    .original = TEXTS({ "", 0 }),
		    .reason = TEXTS({ "", 0 }) },
		{ .queue = { "hold", 4 },
		    .id = { "4hXyz1234BCz2", 13 },
		    .arrival_us = 1790000100000000,
		    .size = 999999999999,
		    .address = TEXTS({ "x@y.z", 5 }, { "w@y.z", 5 }),
		    .original = TEXTS({ "o@p", 3 }, { "", 0 }),
		    .reason = TEXTS({ "because", 7 }, { "because", 7 }) },
		{ .continued = 1,
		    .address = TEXTS({ "v@y.z", 5 }, { "u@v", 3 }),
		    .original = TEXTS({ "", 0 }, { "", 0 }),
		    .reason = TEXTS({ "a \"q\" \\ \a", 9 }, { "", 0 }) },
		{ .queue = { "deferred", 8 },
		    .id = { "4hXyz1234BCz3", 13 },
		    .arrival_us = 1790000100000000,
		    .size = 17,
		    .expired = 1,
		    .sender = { "m", 1 },
		    .address = TEXTS({ "n", 1 }),
		    .original = TEXTS({ "", 0 }),
		    .reason = TEXTS({ "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
				      "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr",
			80 }) },
	};
	struct buf out = { 0 };
	bool in_message = false;

	queue_wire_start(&out);
	for (size_t i = 0; i < ARRAY_LENGTH(entries); i++)
		queue_wire_entry(&out, &entries[i], &in_message);
	queue_wire_end(&out, in_message);
	return out;
}

static const char text_of_three[] =
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
    "4hXyz1234BCz1*        1234 Mon Sep 21 14:13:20 a@b.c\n"
    "                                               x@y.z\n"
    "\n"
    "4hXyz1234BCz2!    999999999999 Mon Sep 21 14:15:00 MAILER-DAEMON\n"
    "                                                                     (because)\n"
    "                                               x@y.z\n"
    "                                               w@y.z\n"
    "                                                                   (a \"q\" \\ ?)\n"
    "                                               v@y.z\n"
    "                                                          (reason unavailable)\n"
    "                                               u@v\n"
    "\n"
    "4hXyz1234BCz3#          17 Mon Sep 21 14:15:00 m\n"
    "(rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr)\n"
    "                                               n\n"
    "\n"
    "-- 976562501 Kbytes in 3 Requests.\n";

static const char json_of_three[] =
    "{\"queue_name\": \"active\", \"queue_id\": \"4hXyz1234BCz1\", \"arrival_time\": 1790000000, "
    "\"message_size\": 1234, \"forced_expire\": false, \"sender\": \"a@b.c\", "
    "\"recipients\": [{\"address\": \"x@y.z\"}]}\n"
    "{\"queue_name\": \"hold\", \"queue_id\": \"4hXyz1234BCz2\", \"arrival_time\": 1790000100, "
    "\"message_size\": 999999999999, \"forced_expire\": false, \"sender\": \"MAILER-DAEMON\", "
    "\"recipients\": [{\"orig_address\": \"o@p\", \"address\": \"x@y.z\", \"delay_reason\": "
    "\"because\"}, {\"address\": \"w@y.z\", \"delay_reason\": \"because\"}, {\"address\": "
    "\"v@y.z\", "
    "\"delay_reason\": \"a \\\"q\\\" \\\\ ?\"}, {\"address\": \"u@v\"}]}\n"
    "{\"queue_name\": \"deferred\", \"queue_id\": \"4hXyz1234BCz3\", \"arrival_time\": 1790000100, "
    "\"message_size\": 17, \"forced_expire\": true, \"sender\": \"m\", "
    "\"recipients\": [{\"address\": \"n\", \"delay_reason\": "
    "\"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\"}]}\n";

static void a_listing_is_mailq_s_to_the_byte(void **state)
{
	struct buf bytes = queue_of_three();

	(void)state;
	for (size_t step = 1; step < 40; step++) {
		char *text = listing(buf_slice(&bytes), QUEUE_TEXT, step);

		assert_non_null(text);
		assert_string_equal(text, text_of_three);
		free(text);
	}
	buf_clear(&bytes);
}

static void a_listing_in_json_is_one_object_for_each_message(void **state)
{
	struct buf bytes = queue_of_three();
	char *text = listing(buf_slice(&bytes), QUEUE_JSON, 7);

	(void)state;
	assert_non_null(text);
	assert_string_equal(text, json_of_three);
	free(text);
	buf_clear(&bytes);
}

static void an_empty_queue_is_said_to_be_empty(void **state)
{
	struct buf bytes = { 0 };
	char *text;

	(void)state;
	queue_wire_start(&bytes);
	queue_wire_end(&bytes, false);
	text = listing(buf_slice(&bytes), QUEUE_TEXT, 1000);
	assert_string_equal(text, "Mail queue is empty\n");
	free(text);
	text = listing(buf_slice(&bytes), QUEUE_JSON, 1000);
	assert_string_equal(text, "");
	free(text);
	buf_clear(&bytes);
}

static void a_list_that_ends_early_is_noticed_at_every_byte(void **state)
{
	struct buf bytes = queue_of_three();

	(void)state;
	for (size_t len = 0; len < bytes.len; len++)
		assert_null(listing(slice_part(buf_slice(&bytes), 0, len), QUEUE_TEXT, 64));
	buf_clear(&bytes);
}

static void what_is_not_this_protocol_is_refused(void **state)
{
	static const struct slice wrong[] = {
		{ "\0", 1 },
		{ "protocol\0other\0\0\0", 17 },
		{ "queue_id\0A\0\0\0", 13 },
		{ "protocol\0mail_queue_list_protocol\0\0queue_id\0A\0\0\0", 48 },
		{ "protocol\0mail_queue_list_protocol\0\0recipient\0A\0\0\0", 49 },
		{ "protocol\0mail_queue_list_protocol\0\0size\0x\0\0\0", 44 },
		{ "protocol\0mail_queue_list_protocol\0\0\0more", 40 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_null(listing(wrong[i], QUEUE_TEXT, 1000));
}

static void an_endless_name_is_refused(void **state)
{
	static char name[1000];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_null(listing(slice_new(name, sizeof(name)), QUEUE_TEXT, 100));
}

/* What exporters written for Postfix walk through, byte for byte. */
static void the_wire_form_is_names_and_values_each_with_a_nul(void **state)
{
	static const char wanted[] =
	    "protocol\0mail_queue_list_protocol\0\0"
	    "queue_name\0deferred\0queue_id\0ID\0time\0"
	    "17\0size\0"
	    "5\0forced_expire\0"
	    "0\0sender\0s@d\0"
	    "original_recipient\0o\0recipient\0r\0log_class\0defer\0reason\0why\0\0"
	    "\0";
	const struct msg_list_entry m = { .queue = SLICE("deferred"),
		.id = SLICE("ID"),
		.arrival_us = 17000000,
		.size = 5,
		.sender = SLICE("s@d"),
		.address = TEXTS(SLICE("r")),
		.original = TEXTS(SLICE("o")),
		.reason = TEXTS(SLICE("why")) };
	struct buf out = { 0 };
	bool in_message = false;

	(void)state;
	queue_wire_start(&out);
	queue_wire_entry(&out, &m, &in_message);
	queue_wire_end(&out, in_message);
	assert_int_equal(out.len, sizeof(wanted) - 1);
	assert_memory_equal(out.data, wanted, out.len);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_is_mailq_s_to_the_byte),
		cmocka_unit_test(a_listing_in_json_is_one_object_for_each_message),
		cmocka_unit_test(an_empty_queue_is_said_to_be_empty),
		cmocka_unit_test(a_list_that_ends_early_is_noticed_at_every_byte),
		cmocka_unit_test(what_is_not_this_protocol_is_refused),
		cmocka_unit_test(an_endless_name_is_refused),
		cmocka_unit_test(the_wire_form_is_names_and_values_each_with_a_nul),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
