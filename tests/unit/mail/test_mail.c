/* SPDX-License-Identifier: ISC */
/*
 * Queue ids sort and come back, a header is cut the same way however it arrives, dates are those
 * of RFC 5322 in any zone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mail/header.h"
#include "common/mail/queue_id.h"
#include "common/mail/xtext.h"

static void a_queue_id_tells_its_time(void **state)
{
	static const int64_t times[] = { 0, 1, 999999, 1000000, INT64_C(1795485048123456) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
		char id[QUEUE_ID_SIZE];

		queue_id_make(id, times[i], UINT32_MAX, UINT32_MAX);
		assert_true(queue_id_is_valid(slice_of(id)));
		assert_int_equal(queue_id_time(slice_of(id)), times[i]);
	}
}

static void queue_ids_sort_by_time(void **state)
{
	char before[QUEUE_ID_SIZE] = "", id[QUEUE_ID_SIZE];

	(void)state;
	for (int64_t us = INT64_C(1795485048000000); us < INT64_C(1795485050000000); us += 997) {
		queue_id_make(id, us, 7, 0);
		assert_true(strcmp(before, id) < 0);
		memcpy(before, id, sizeof(id));
	}
}

static void ids_of_one_microsecond_differ_by_process_and_counter(void **state)
{
	char ids[200][QUEUE_ID_SIZE];

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		queue_id_make(ids[i], 5, i % 20, 2600 + i / 20);
	for (size_t i = 0; i < 200; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
}

static void what_is_no_queue_id_is_refused(void **state)
{
	static const struct {
		const char *id;
		bool valid;
	} cases[] = {
		{ "4C0F012345", true },
		{ "ABCDEF", true },
		{ "ABCDE", false },
		{ "abcdef", false },
		{ "0123456789ABCDEF", false },
		{ "3Z0zTN0dR8z3KD", true },
		{ "", false },
		{ "../../../etc/x", false },
		{ "3Z0zTN0dR8z3aa", false },
		{ "3Z0zTN0dR8z", false },
		{ "3Z0zTN0dR8zzzzzzzzzzzzzzz", false },
		{ "ALL", false },
		{ "3Z0zTN0dR8/3KD", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(queue_id_is_valid(slice_of(cases[i].id)), cases[i].valid);
	assert_false(queue_id_is_valid(slice_new("3Z0zTN0dR8z\0KD", 14)));
	assert_int_equal(queue_id_time(SLICE("4C0F012345")), -1);
	assert_int_equal(queue_id_time(SLICE("3Z0z3Z0zyyyyz333")), -1); /* 7e6 microseconds */
	assert_int_equal(queue_id_time(SLICE("yyyyyyyyyyyyyyyyzyyyz3")), -1);
}

/* Feeds the text in pieces that grow by `step`; writes "name=value;" and how it ended. */
static char *fields_of(struct slice text, size_t step)
{
	struct buf out = { 0 };
	size_t shown = step < text.len ? step : text.len;
	struct slice rest = slice_part(text, 0, shown);

	for (;;) {
		struct header h;
		bool blank;

		switch (header_next(&rest, shown == text.len, &h, &blank)) {
		case HEADER_FIELD:
			buf_put_slice(&out, h.name);
			buf_putc(&out, '=');
			buf_put_slice(&out, h.value);
			buf_putc(&out, ';');
			continue;
		case HEADER_END:
			buf_puts(&out, blank ? "blank " : "no blank ");
			buf_append(&out, rest.data, text.len - (size_t)(rest.data - text.data));
			return buf_take(&out);
		case HEADER_MORE:
			assert_true(shown < text.len);
			shown = shown + step < text.len ? shown + step : text.len;
			rest.len = (size_t)(text.data + shown - rest.data);
		}
	}
}

static void a_header_is_cut_the_same_in_any_pieces(void **state)
{
	static const struct {
		const char *text, *fields;
	} cases[] = {
		{ "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A= 1;B= 2;blank body\r\n" },
		{ "A: 1\r\n 2\r\n\t3\r\n\r\n", "A= 1\r\n 2\r\n\t3;blank " },
		{ "A : 1\r\n\r\n", "A= 1;blank " },
		{ "A:\r\n\r\n", "A=;blank " },
		{ "A:\r\n \r\n\r\nx", "A=\r\n ;blank x" },
		{ "\r\nbody", "blank body" },
		{ "", "no blank " },
		{ "no field\r\n", "no blank no field\r\n" },
		{ "A: 1\r\nbody\r\n", "A= 1;no blank body\r\n" },
		{ " folded\r\nA: 1\r\n", "no blank  folded\r\nA: 1\r\n" },
		{ ": x\r\n", "no blank : x\r\n" },
		{ "A: 1", "A= 1;no blank " },
		{ "A", "no blank A" },
		{ "A: 1\r\n", "A= 1;no blank " },
		{ "A: 1\nB: 2\r\n\r\n", "A= 1\nB: 2;blank " },
		{ "\r", "no blank \r" },
		{ "\xc3\xa4: 1\r\n", "no blank \xc3\xa4: 1\r\n" },
		{ "\r\r\n", "no blank \r\r\n" },
		{ "From a Mon: x\r\n", "no blank From a Mon: x\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		for (size_t step = 1; step < 30; step++) {
			char *fields = fields_of(slice_of(cases[i].text), step);

			assert_string_equal(fields, cases[i].fields);
			free(fields);
		}
}

static void known_names_are_known_in_any_case(void **state)
{
	(void)state;
	assert_int_equal(header_id(SLICE("message-id")), HEADER_MESSAGE_ID);
	assert_int_equal(header_id(SLICE("RESENT-BCC")), HEADER_RESENT_BCC);
	assert_int_equal(header_id(SLICE("Content-Transfer-Encoding")),
	    HEADER_CONTENT_TRANSFER_ENCODING);
	assert_int_equal(header_id(SLICE("To ")), HEADER_OTHER);
	assert_int_equal(header_id(SLICE("")), HEADER_OTHER);
}

static void a_date_shows_the_local_time(void **state)
{
	static const struct {
		const char *zone;
		int64_t us;
		const char *date;
	} cases[] = {
		{ "UTC", INT64_C(1795445628000000), "Mon, 23 Nov 2026 14:53:48 +0000 (UTC)" },
		{ "XYZ-5:30", INT64_C(1795445628000000), "Mon, 23 Nov 2026 20:23:48 +0530 (XYZ)" },
		{ "ABC+3:30", INT64_C(1795445628000000), "Mon, 23 Nov 2026 11:23:48 -0330 (ABC)" },
		{ "UTC", 0, "Thu, 1 Jan 1970 00:00:00 +0000 (UTC)" },
		{ "UTC", -1, "Wed, 31 Dec 1969 23:59:59 +0000 (UTC)" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		setenv("TZ", cases[i].zone, 1);
		tzset();
		assert_string_equal(mail_date(out, cases[i].us), cases[i].date);
	}
	mail_date(out, INT64_MAX);
	mail_date(out, INT64_MIN);
}

static void xtext_is_decoded_or_refused(void **state)
{
	static const struct {
		const char *text, *decoded; /* NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "abc!~", "abc!~" },
		{ "a+2Bb+3D", "a+b=" },
		{ "+41+0A", "A\n" },
		{ "+4", NULL },
		{ "a+", NULL },
		{ "+4g", NULL },
		{ "+2b", NULL },
		{ "a=b", NULL },
		{ "a b", NULL },
		{ "\xc3\xa9", NULL },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		bool ok = cases[i].decoded != NULL;

		buf_reset(&out);
		buf_puts(&out, "x");
		assert_int_equal(xtext_decode(slice_of(cases[i].text), &out), ok);
		assert_string_equal(buf_text(&out) + 1, ok ? cases[i].decoded : "");
	}
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_id_tells_its_time),
		cmocka_unit_test(queue_ids_sort_by_time),
		cmocka_unit_test(ids_of_one_microsecond_differ_by_process_and_counter),
		cmocka_unit_test(what_is_no_queue_id_is_refused),
		cmocka_unit_test(a_header_is_cut_the_same_in_any_pieces),
		cmocka_unit_test(known_names_are_known_in_any_case),
		cmocka_unit_test(xtext_is_decoded_or_refused),
		cmocka_unit_test(a_date_shows_the_local_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
