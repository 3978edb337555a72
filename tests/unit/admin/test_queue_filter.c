/* SPDX-License-Identifier: ISC */
/*
 * test_queue_filter.c - what passes a selection, whole and in order; and what ages count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/queue_ages.h"
#include "admin/queue_filter.h"
#include "common/base/mem.h"
#include "common/mail/queue_order.h"

enum { NOW = 2000000000, CONDITIONS = 4 };

/* --- a queue -------------------------------------------------------------------------------------- */

struct message {
	const char *id, *queue, *sender;
	int minutes; /* of age */
	struct {
		const char *address, *reason;
	} rcpts[3];
};

static const struct message queue[] = {
	{ "A", "deferred", "s@one.example", 1, { { "u@x.example", "timed out" } } },
	{ "B", "hold", "MAILER-DAEMON", 30,
	    { { "u@x.example", "timed out" }, { "v@y.example", "refused" } } },
	{ "C", "active", "s@two.example", 300, { { "v@y.example", "" }, { "w@y.example", "" } } },
	{ "D", "deferred", "s@one.example", 3000,
	    { { "w@Y.example", "refused" }, { "root", "" }, { "u@a.x.example", "refused" } } },
	{ "E", "deferred", "s@two.example", 5, { { NULL, NULL } } },
};

static void tell(const struct message *m, const struct queue_sink *to)
{
	to->message(to->arg,
	    &(struct queue_head){ slice_of(m->queue), slice_of(m->id), slice_of(m->sender),
		NOW - 60 * m->minutes, 1000, false });
	for (size_t i = 0; i < 3 && m->rcpts[i].address != NULL; i++)
		to->rcpt(to->arg,
		    &(struct queue_rcpt){ .address = slice_of(m->rcpts[i].address),
			.reason = slice_of(m->rcpts[i].reason) });
	to->end(to->arg);
}

/* "A1 " for each message that came through: its id and recipients. */
struct seen {
	struct buf text;
	unsigned rcpts;
};

static void see_message(void *arg, const struct queue_head *m)
{
	struct seen *s = arg;

	buf_put_slice(&s->text, m->id);
	s->rcpts = 0;
}

static void see_rcpt(void *arg, const struct queue_rcpt *r)
{
	assert_true(r->address.len > 0);
	((struct seen *)arg)->rcpts++;
}

static void see_end(void *arg)
{
	struct seen *s = arg;

	buf_printf(&s->text, "%u ", s->rcpts);
}

/* A and D come from the first client, the others from none. */
static unsigned questions;
static void clients(void *arg, const struct slice *ids, size_t count, struct slice *name,
    struct slice *address)
{
	(void)arg;
	questions++;
	for (size_t i = 0; i < count; i++) {
		bool known = ids[i].data[0] == 'A' || ids[i].data[0] == 'D';

		name[i] = known ? SLICE("mx.example.com") : SLICE("");
		address[i] = known ? SLICE("192.0.2.1") : SLICE("");
	}
}

struct condition {
	const char *option, *value;
};

static struct queue_select *selection(const struct condition *conditions)
{
	struct queue_select *s = queue_select_new((int64_t)NOW * 1000000);
	char *why;

	for (size_t i = 0; i < CONDITIONS && conditions[i].option != NULL; i++)
		assert_true(queue_select_add(s, conditions[i].option, slice_of(conditions[i].value),
		    &why));
	return s;
}

/* --- selections ----------------------------------------------------------------------------------- */

static void what_is_selected_passes_whole(void **state)
{
	static const struct {
		struct condition conditions[CONDITIONS];
		unsigned queues;
		const char *passes;
	} rows[] = {
		{ { { 0 } }, 0, "A1 B2 C2 D3 E0 " },
		{ { { 0 } }, QUEUE_HOLD | QUEUE_ACTIVE, "B2 C2 " },
		{ { { "from", "@one.example" } }, 0, "A1 D3 " },
		{ { { "from", "<>" } }, 0, "B2 " },
		{ { { "from", "<>" }, { "older", "1h" } }, 0, "" },
		{ { { "to", "u@x.example" } }, 0, "A1 B2 " },
		{ { { "domain", "y.example" } }, 0, "B2 C2 D3 " },
		{ { { "domain", ".x.example" } }, 0, "D3 " },
		{ { { "domain", "x.example" }, { "reason", "refused" } }, 0, "" },
		{ { { "domain", "y.example" }, { "reason", "refused" } }, 0, "B2 D3 " },
		{ { { "domain", "y.example" }, { "all-recipients", "" } }, 0, "C2 " },
		{ { { "to", "*@*" }, { "all-recipients", "" } }, 0, "A1 B2 C2 " },
		{ { { "to", "*" }, { "all-recipients", "" } }, 0, "A1 B2 C2 D3 " },
		{ { { "reason", "TIMED" } }, QUEUE_DEFERRED, "A1 " },
		{ { { "client", "192.0.2.0/24" } }, 0, "A1 D3 " },
		{ { { "client", "192.0.2.1" }, { "domain", "y.example" } }, 0, "D3 " },
		{ { { "client", "*.example.com" }, { "to", "root" } }, 0, "D3 " },
		{ { { "client", "192.0.2.2" } }, 0, "" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct queue_select *s = selection(rows[i].conditions);
		struct seen seen = { 0 };
		struct queue_sink to = { &seen, see_message, see_rcpt, see_end };
		struct queue_filter f;

		queue_filter_init(&f, s, &to);
		f.queues = rows[i].queues;
		f.clients = clients;
		for (size_t j = 0; j < ARRAY_LENGTH(queue); j++)
			tell(&queue[j], &f.sink);
		queue_filter_finish(&f);
		assert_int_equal(f.looked_at, ARRAY_LENGTH(queue));
		if (strcmp(buf_text(&seen.text), rows[i].passes) != 0)
			fail_msg("row %zu: %s", i, buf_text(&seen.text));
		buf_clear(&seen.text);
		queue_select_free(s);
	}
}

static void ids_alone_can_be_meant(void **state)
{
	struct queue_select *s = queue_select_new(0);
	struct seen seen = { 0 };
	struct queue_sink to = { &seen, see_message, see_rcpt, see_end };
	struct queue_ids ids = { 0 };
	struct queue_filter f;
	(void)state;

	for (const char *id = "XDCA"; *id != '\0'; id++)
		assert_true(queue_ids_add(&ids, slice_new(id, 1)));
	queue_ids_sort(&ids);
	queue_filter_init(&f, s, &to);
	f.only = &ids;
	for (size_t j = 0; j < ARRAY_LENGTH(queue); j++)
		tell(&queue[j], &f.sink);
	queue_filter_finish(&f);
	assert_string_equal(buf_text(&seen.text), "A1 C2 D3 ");
	buf_clear(&seen.text);
	queue_ids_clear(&ids);
	queue_select_free(s);
}

static void clients_are_asked_for_a_hundred_messages_at_a_time(void **state)
{
	struct queue_select *s = selection((struct condition[]){
	    { "client", "192.0.2.1" }, { 0 } });
	struct queue_ids ids = { 0 };
	struct queue_sink to;
	struct queue_filter f;
	(void)state;

	questions = 0;
	queue_ids_collect(&ids, &to);
	queue_filter_init(&f, s, &to);
	f.clients = clients;
	for (size_t i = 0; i < 250; i++)
		tell(&queue[i % ARRAY_LENGTH(queue)], &f.sink);
	assert_int_equal(questions, 2);
	queue_filter_finish(&f);
	assert_int_equal(questions, 3);
	assert_int_equal(ids.count, 100);
	queue_ids_clear(&ids);
	queue_select_free(s);
}

/* --- ages ----------------------------------------------------------------------------------------- */

static char *ages(const struct ages_options *options, enum queue_form form, size_t times)
{
	struct queue_ages *a = queue_ages_new(options);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < times * ARRAY_LENGTH(queue); i++)
		tell(&queue[i % ARRAY_LENGTH(queue)], queue_ages_sink(a));
	queue_ages_print(a, form, out);
	queue_ages_free(a);
	fclose(out);
	return text;
}

static void ages_are_counted_by_domain(void **state)
{
	static const struct {
		struct ages_options options;
		const char *lines[6]; /* without blanks in front, single ones between */
	} rows[] = {
		{ { .buckets = 10, .minutes = 5, .now = NOW },
		    { "T 5 10 20 40 80 160 320 640 1280 1280+", "TOTAL 8 1 0 0 2 0 0 2 0 0 3",
			"y.example 4 0 0 0 1 0 0 2 0 0 1", "x.example 2 1 0 0 1 0 0 0 0 0 0",
			"(no domain) 1 0 0 0 0 0 0 0 0 0 1",
			"a.x.example 1 0 0 0 0 0 0 0 0 0 1" } },
		{ { .buckets = 3, .minutes = 30, .linear = true, .senders = true, .now = NOW },
		    { "T 30 60 60+", "TOTAL 5 2 1 2", "one.example 2 1 0 1", "two.example 2 1 0 1",
			"MAILER-DAEMON 1 0 1 0" } },
		{ { .buckets = 2, .minutes = 60, .top = 1, .now = NOW },
		    { "T 60 60+", "TOTAL 8 3 5", "y.example 4 1 3", "others 4 2 2" } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *text = ages(&rows[i].options, QUEUE_TEXT, 1), *at = text;
		struct buf line = { 0 };

		for (size_t j = 0; j < 6 && rows[i].lines[j] != NULL; j++) {
			char *end = strchr(at, '\n');

			assert_non_null(end);
			buf_reset(&line);
			for (at += strspn(at, " "); at < end; at++)
				if (*at != ' ' || at[1] != ' ')
					buf_putc(&line, *at);
			at = end + 1;
			assert_string_equal(buf_text(&line), rows[i].lines[j]);
		}
		assert_string_equal(at, "");
		buf_clear(&line);
		free(text);
	}
}

static void columns_are_as_wide_as_their_numbers(void **state)
{
	const struct ages_options options = { .buckets = 2, .minutes = 60, .now = NOW };
	char *text = ages(&options, QUEUE_TEXT, 100000);
	(void)state;

	assert_int_equal(strcspn(text, "\n"), 80);
	for (char *line = text; *line != '\0'; line += 81) /* all lines are as long */
		assert_int_equal(line[80], '\n');
	assert_non_null(strstr(text, " TOTAL 800000 300000 500000\n"));
	free(text);
}

static void ages_as_json_are_objects(void **state)
{
	const struct ages_options options = { .buckets = 2, .minutes = 60, .top = 1, .now = NOW };
	char *text = ages(&options, QUEUE_JSON, 1);
	(void)state;

	assert_string_equal(text,
	    "{\"row\": \"total\", \"total\": 8, \"minutes\": {\"60\": 3, \"60+\": 5}}\n"
	    "{\"row\": \"domain\", \"domain\": \"y.example\", \"total\": 4, "
	    "\"minutes\": {\"60\": 1, \"60+\": 3}}\n"
	    "{\"row\": \"others\", \"total\": 4, \"minutes\": {\"60\": 2, \"60+\": 2}}\n");
	free(text);
}

static void strangers_domains_have_so_many_rows(void **state)
{
	const struct ages_options options = { .buckets = 2, .minutes = 60, .now = NOW };
	struct queue_ages *a = queue_ages_new(&options);
	const struct queue_sink *sink = queue_ages_sink(a);
	char *text = NULL, address[64];
	size_t len, lines = 0;
	FILE *out = open_memstream(&text, &len);
	(void)state;

	sink->message(sink->arg, &(struct queue_head){ .arrival = NOW });
	for (int i = 0; i < 100010; i++) {
		snprintf(address, sizeof(address), "u@%d.example", i);
		sink->rcpt(sink->arg, &(struct queue_rcpt){ .address = slice_of(address) });
	}
	queue_ages_print(a, QUEUE_TEXT, out);
	queue_ages_free(a);
	fclose(out);
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 100003);
	assert_non_null(strstr(text, "others     10     10   0\n"));
	free(text);
}

static void parents_sum_what_is_below_when_it_is_much(void **state)
{
	const struct ages_options options = {
		.buckets = 2, .minutes = 60, .parents = true, .now = NOW
	};
	struct queue_ages *a = queue_ages_new(&options);
	const struct queue_sink *sink = queue_ages_sink(a);
	char *text = NULL, address[64];
	size_t len;
	FILE *out = open_memstream(&text, &len);
	(void)state;

	sink->message(sink->arg, &(struct queue_head){ .arrival = NOW });
	for (int i = 0; i < 10; i++) {
		snprintf(address, sizeof(address), "u@%c.%s.example", 'a' + i / 2,
		    i < 9 ? "x" : "y");
		sink->rcpt(sink->arg, &(struct queue_rcpt){ .address = slice_of(address) });
	}
	queue_ages_print(a, QUEUE_TEXT, out);
	queue_ages_free(a);
	fclose(out);
	assert_non_null(strstr(text, " .example 10 "));
	assert_non_null(strstr(text, " .x.example  9 "));
	assert_null(strstr(text, " .y.example"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_selected_passes_whole),
		cmocka_unit_test(ids_alone_can_be_meant),
		cmocka_unit_test(clients_are_asked_for_a_hundred_messages_at_a_time),
		cmocka_unit_test(ages_are_counted_by_domain),
		cmocka_unit_test(columns_are_as_wide_as_their_numbers),
		cmocka_unit_test(ages_as_json_are_objects),
		cmocka_unit_test(strangers_domains_have_so_many_rows),
		cmocka_unit_test(parents_sum_what_is_below_when_it_is_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
