/* SPDX-License-Identifier: ISC */
/*
 * The questions of other processes over a real channel, and what proxymap said remembered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "rewrite/requests.h"
#include "rewrite/rewrite.h"

static struct channel *asks, *serves;
static unsigned lookups;
static bool proxymap_is_gone;

/* --- what service.c and proxymap would do ------------------------------------------------------ */

int service_config_directory(void)
{
	return AT_FDCWD;
}

void service_look_at_tables(const char *(*changed)(void))
{
	assert_null(changed());
}

int service_ask(const char *entry, const struct wire_table *table, const void *question,
    const struct wire_table *wanted, void **reply, struct request **r, deadline when)
{
	static struct msg_looked_up answer;
	const struct msg_lookup *m = question;

	(void)table;
	(void)wanted;
	(void)when;
	assert_string_equal(entry, "proxymap");
	*r = NULL;
	if (proxymap_is_gone) {
		errno = ECONNREFUSED;
		return -1;
	}
	lookups++;
	answer = (struct msg_looked_up){ .found = FOUND_NO };
	if (slice_equal(m->key, SLICE("root")))
		answer = (struct msg_looked_up){ FOUND_YES, SLICE("root:x:0") };
	if (slice_equal(m->key, SLICE("broken")))
		answer = (struct msg_looked_up){ FOUND_ERROR, SLICE("why") };
	*reply = &answer;
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------- */

static struct request *request;

static void *call(const struct wire_table *table, const void *question,
    const struct wire_table *wanted)
{
	void *reply;

	if (request_call(asks, table, question, wanted, &reply, &request,
		deadline_after(10 * CLOCK_SECOND)) == -1)
		return NULL;
	return reply;
}

static void a_batch_is_answered_in_its_order(void **state)
{
	struct slice addresses[] = { SLICE("root@here.example"), SLICE("u@else.example"),
		SLICE("nobody@here.example"), SLICE("broken@here.example") };
	struct msg_resolve question = { .address = { addresses, 4 }, .validate = 1 };
	static const enum known known[] = { KNOWN_YES, KNOWN_YES, KNOWN_NO, KNOWN_TEMPORARY };
	struct msg_resolved *answer = call(&table_resolve, &question, &table_resolved);

	(void)state;
	assert_non_null(answer);
	assert_int_equal(answer->status.count, 4);
	assert_int_equal(answer->known.count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(answer->known.items[i], known[i]);
		assert_true(slice_equal(answer->recipient.items[i], addresses[i]));
	}
	assert_int_equal(answer->class.items[1], CLASS_DEFAULT);
	request_close(request);
	question.validate = 0;
	answer = call(&table_resolve, &question, &table_resolved);
	assert_int_equal(answer->known.count, 0);
	request_close(request);
	question.address.count = 0;
	answer = call(&table_resolve, &question, &table_resolved);
	assert_int_equal(answer->status.count, 0);
	request_close(request);
}

static void what_proxymap_said_is_remembered_but_errors_are_not(void **state)
{
	struct buf value = { 0 };
	unsigned before = lookups;
	struct slice users = SLICE("unix:passwd.byname");

	(void)state;
	for (int i = 0; i < 3; i++) {
		buf_reset(&value);
		assert_int_equal(proxymap_ask(NULL, users, SLICE("Root"), &value), 1);
		assert_string_equal(buf_text(&value), "root:x:0");
		assert_int_equal(proxymap_ask(NULL, users, SLICE("missing"), &value), 0);
		assert_int_equal(proxymap_ask(NULL, users, SLICE("root@here.example"), &value), 0);
	}
	assert_in_range(lookups, before + 1, before + 2);
	before = lookups;
	assert_int_equal(proxymap_ask(NULL, users, SLICE("broken"), &value), -1);
	assert_int_equal(proxymap_ask(NULL, users, SLICE("broken"), &value), -1);
	assert_int_equal(lookups, before + 2);
	/* The same key of another table is another question. */
	assert_int_equal(proxymap_ask(NULL, SLICE("x:unix:passwd.byname"), SLICE("root"), &value),
	    1);
	assert_int_equal(lookups, before + 3);
	proxymap_is_gone = true;
	assert_int_equal(proxymap_ask(NULL, users, SLICE("new"), &value), -1);
	proxymap_is_gone = false;
	buf_clear(&value);
}

static void recipients_are_expanded_with_their_origin(void **state)
{
	struct slice addresses[] = { SLICE("u@else.example"), SLICE("list@here.example") };
	struct msg_expand question = { 1, { addresses, 2 } };
	struct msg_expanded *answer = call(&table_expand, &question, &table_expanded);

	(void)state;
	assert_int_equal(answer->status, RESOLVE_OK);
	assert_int_equal(answer->address.count, 3);
	assert_int_equal(answer->origin.items[0], 0);
	assert_int_equal(answer->origin.items[2], 1);
	assert_true(slice_equal(answer->address.items[2], SLICE("b@here.example")));
	request_close(request);
	addresses[0] = SLICE("loop@here.example");
	answer = call(&table_expand, &question, &table_expanded);
	assert_int_equal(answer->status, RESOLVE_TEMPORARY);
	assert_int_equal(answer->address.count, 0);
	request_close(request);
}

/* The largest answers still fit into a frame; what could not is not answered at all. */
static void long_questions_break_nothing(void **state)
{
	enum { COUNT = RCPTS_PER_FRAME };
	struct slice addresses[COUNT];
	struct msg_rewrite rewrite = { 1, { addresses, COUNT } };
	struct msg_resolve resolve = { .address = { addresses, COUNT }, .validate = 1 };
	struct msg_expand expand = { 1, { addresses, COUNT } };
	static char text[ADDRESS_LIMIT + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < COUNT; i++)
		addresses[i] = slice_new(text, ADDRESS_LIMIT);
	assert_non_null(call(&table_rewrite, &rewrite, &table_rewritten));
	request_close(request);
	assert_non_null(call(&table_resolve, &resolve, &table_resolved));
	request_close(request);
	assert_non_null(call(&table_expand, &expand, &table_expanded));
	request_close(request);
	addresses[50].len++;
	assert_null(call(&table_rewrite, &rewrite, &table_rewritten));
	assert_null(call(&table_resolve, &resolve, &table_resolved));
	assert_null(call(&table_expand, &expand, &table_expanded));
}

struct run {
	const struct CMUnitTest *tests;
	size_t count;
	int failed;
};

static int set_up_group(void **state)
{
	int pair[2];

	(void)state;
	rewrite_settings = (struct rewrite_settings){
		.myhostname = "here.example",
		.mydomain = "here.example",
		.myorigin = "here.example",
		.mydestination = "here.example",
		.inet_interfaces = "",
		.proxy_interfaces = "",
		.local_recipient_maps = "proxy:unix:passwd.byname",
		.virtual_alias_maps = "inline:{ {list@here.example = a@here.example, b},"
				      "loop@here.example=loop2, loop2@here.example=loop }",
		.parent_domain_matches_subdomains = "",
		.relayhost = "",
		.local_transport = "local",
		.virtual_transport = "virtual",
		.relay_transport = "relay",
		.default_transport = "smtp",
		.error_service_name = "error",
		.recipient_delimiter = "+",
		.empty_address_recipient = "MAILER-DAEMON",
		.proxymap_service_name = "proxymap",
		.remote_header_rewrite_domain = "",
		.propagate_unmatched_extensions = "",
		.append_at_myorigin = true,
		.virtual_alias_recursion_limit = 1000,
		.virtual_alias_expansion_limit = 1000,
		.virtual_alias_address_length_limit = 1000,
		.ipc_timeout = CLOCK_SECOND,
	};
	tables_open_all();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	asks = channel_new(pair[0], ROLE_REWRITE, NULL, NULL, NULL);
	serves = channel_new(pair[1], ROLE_SMTPD, rewrite_handlers, NULL, NULL);
	return 0;
}

static void run_all(void *arg)
{
	struct run *r = arg;

	r->failed = _cmocka_run_group_tests("requests", r->tests, r->count, set_up_group, NULL);
	task_stop();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_answered_in_its_order),
		cmocka_unit_test(what_proxymap_said_is_remembered_but_errors_are_not),
		cmocka_unit_test(recipients_are_expanded_with_their_origin),
		cmocka_unit_test(long_questions_break_nothing),
	};
	struct run r = { tests, ARRAY_LENGTH(tests), 1 };

	task_init();
	if (task_start("tests", run_all, &r) == NULL)
		return 1;
	task_run();
	return r.failed;
}
