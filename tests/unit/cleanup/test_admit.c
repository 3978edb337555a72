/* SPDX-License-Identifier: ISC */
/*
 * A whole admission between a client of cleanup, rewrite and qmgr, all in this process over real
 * channels: what reaches qmgr, what the client is told, and what is left when one of them goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup/cleanup.h"
#include "common/base/mem.h"
#include "common/service/service.h"
#include "common/task/task.h"

enum qmgr_does {
	QMGR_STORES,
	QMGR_HAS_NO_ROOM,
	QMGR_REFUSES_FILE,
	QMGR_DIES_AT_END,
	QMGR_SMALL_FILE
};

static struct channel *to_cleanup, *to_qmgr, *to_rewrite, *at_cleanup, *at_qmgr, *at_rewrite;
static int new_channels;

/* What qmgr got, and how it behaves. */
static struct {
	enum qmgr_does does;
	unsigned opened, completed, given_up;
	struct buf envelope, content;
	uint64_t file_size;
	int file;
} qmgr;
static enum resolve_status expansion;
static unsigned aliases; /* what each recipient becomes, if not 0 */

/* --- what service.c would do ------------------------------------------------------------------- */

struct channel *service_channel(const char *entry, deadline when)
{
	(void)when;
	return strcmp(entry, "qmgr") == 0 ? to_qmgr : to_rewrite;
}

struct channel *service_new_channel(const char *entry, deadline when)
{
	(void)entry;
	(void)when;
	new_channels++;
	return to_qmgr;
}

int service_ask(const char *entry, const struct wire_table *table, const void *question,
    const struct wire_table *wanted, void **reply, struct request **r, deadline when)
{
	return request_call(service_channel(entry, when), table, question, wanted, reply, r, when);
}

/* --- rewrite ----------------------------------------------------------------------------------- */

static void rewrite(struct request *r, struct frame *first)
{
	struct msg_rewrite *m = first->message;
	struct msg_rewritten answer = { m->address };

	for (size_t i = 0; i < m->address.count; i++)
		answer.address.items[i] = slice_of(arena_printf(request_arena(r), "%.*s@%s",
		    (int)m->address.items[i].len, m->address.items[i].data,
		    m->local ? "here.example" : "remote.invalid"));
	request_send(r, &table_rewritten, &answer, -1, true, DEADLINE_NEVER);
}

static void expand(struct request *r, struct frame *first)
{
	struct msg_expand *m = first->message;
	size_t each = aliases == 0 ? 1 : aliases, count = m->address.count * each;
	struct msg_expanded answer = { .status = expansion, .why = SLICE("4.6.0 alias loop: x") };

	if (count > EXPANSION_LIMIT) {
		answer.status = RESOLVE_TEMPORARY;
		count = 0;
	}
	answer.address = (struct wire_texts){
		arena_alloc(request_arena(r), (count + 1) * sizeof(struct slice)), count
	};
	answer.origin = (struct wire_numbers){
		arena_alloc(request_arena(r), (count + 1) * sizeof(uint64_t)), count
	};
	for (size_t i = 0; i < count; i++) {
		answer.origin.items[i] = i / each;
		answer.address.items[i] = aliases == 0
		    ? m->address.items[i]
		    : slice_of(arena_printf(request_arena(r), "m%zu@list.example", i % each));
	}
	request_send(r, &table_expanded, &answer, -1, true, DEADLINE_NEVER);
}

/* --- qmgr -------------------------------------------------------------------------------------- */

static void send_reply(struct request *r, uint64_t code, struct slice enhanced, struct slice text)
{
	struct msg_reply reply = { code, enhanced, text };

	request_send(r, &table_reply, &reply, -1, true, DEADLINE_NEVER);
}

static void note_recipients(const struct msg_rcpts *m)
{
	for (size_t i = 0; i < m->address.count; i++)
		buf_printf(&qmgr.envelope, " %.*s/%.*s", (int)m->address.items[i].len,
		    m->address.items[i].data, (int)m->original.items[i].len,
		    m->original.items[i].data);
}

static bool give_file(struct request *r)
{
	struct msg_large_file file = { qmgr.does == QMGR_SMALL_FILE ? 1000 : 0 };

	if (qmgr.does == QMGR_REFUSES_FILE) {
		send_reply(r, 452, SLICE("4.3.1"), SLICE("Insufficient system storage"));
		return false;
	}
	qmgr.file = memfd_create("large", MFD_CLOEXEC);
	return request_send(r, &table_large_file, &file, qmgr.file, false, DEADLINE_NEVER) == 0;
}

static void store(struct request *r, struct frame *first)
{
	struct msg_store *m = first->message;
	struct frame *f;
	bool over = false;

	qmgr.opened++;
	buf_printf(&qmgr.envelope, "%.*s %.*s", (int)m->id.len, m->id.data, (int)m->sender.len,
	    m->sender.data);
	if (qmgr.does == QMGR_HAS_NO_ROOM) {
		send_reply(r, 452, SLICE("4.3.1"), SLICE("Insufficient system storage"));
		return;
	}
	while (!over && (f = request_receive(r, DEADLINE_NEVER)) != NULL) {
		if (f->table == &table_rcpts) {
			note_recipients(f->message);
		} else if (f->table == &table_data) {
			buf_put_slice(&qmgr.content, ((struct msg_data *)f->message)->data);
			over = true;
		} else if (f->table == &table_large_wanted) {
			if (!give_file(r))
				return;
		} else if (f->table == &table_large_done) {
			qmgr.file_size = ((struct msg_large_done *)f->message)->size;
			over = true;
		}
	}
	if (!over) {
		qmgr.given_up++;
	} else if (qmgr.does != QMGR_DIES_AT_END) {
		qmgr.completed++;
		send_reply(r, 250, SLICE("2.0.0"), SLICE("Ok: queued as ID"));
	}
}

static const struct handler others[] = {
	{ &table_rewrite, ROLE_BIT(ROLE_CLEANUP), rewrite },
	{ &table_expand, ROLE_BIT(ROLE_CLEANUP), expand },
	{ &table_store, ROLE_BIT(ROLE_CLEANUP), store },
	{ 0 },
};

/* --- the client -------------------------------------------------------------------------------- */

static void join(struct channel **asks, enum role asks_role, struct channel **serves,
    enum role serves_role, const struct handler *handlers)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*asks = channel_new(pair[0], serves_role, NULL, NULL, NULL);
	*serves = channel_new(pair[1], asks_role, handlers, NULL, NULL);
}

static int set_up(void **state)
{
	(void)state;
	cleanup_settings = (struct cleanup_settings){
		.myhostname = "mx.here.example",
		.mail_name = "Gatepost",
		.message_drop_headers = "bcc",
		.undisclosed_recipients_header = "",
		.remote_header_rewrite_domain = "",
		.rewrite_service_name = "rewrite",
		.queue_service_name = "qmgr",
		.enable_original_recipient = true,
		.hopcount_limit = 50,
		.header_size_limit = 102400,
		.duplicate_filter_limit = 1000,
		.ipc_timeout = 10 * CLOCK_SECOND,
	};
	memset(&qmgr, 0, sizeof(qmgr));
	qmgr.file = -1;
	expansion = RESOLVE_OK;
	aliases = 0;
	new_channels = 0;
	join(&to_cleanup, ROLE_SMTPD, &at_cleanup, ROLE_CLEANUP, cleanup_handlers);
	join(&to_qmgr, ROLE_CLEANUP, &at_qmgr, ROLE_QMGR, others);
	join(&to_rewrite, ROLE_CLEANUP, &at_rewrite, ROLE_REWRITE, others);
	return 0;
}

static int tear_down(void **state)
{
	struct channel *all[] = { to_cleanup, at_cleanup, to_qmgr, at_qmgr, to_rewrite,
		at_rewrite };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		channel_close(all[i]);
	if (qmgr.file != -1)
		close(qmgr.file);
	buf_clear(&qmgr.envelope);
	buf_clear(&qmgr.content);
	return 0;
}

static struct msg_admit new_message(void)
{
	return (struct msg_admit){ .id = SLICE("ID"),
		.arrival_us = 1795485048000000,
		.sender = SLICE("s@else.example"),
		.client_name = SLICE("name.example"),
		.client_address = SLICE("192.0.2.1"),
		.client_helo = SLICE("helo.example"),
		.protocol = SLICE("ESMTP") };
}

static struct request *begin(const struct msg_admit *m)
{
	struct request *r = request_open(to_cleanup, &table_admit, m, -1, false, DEADLINE_NEVER);

	assert_non_null(r);
	return r;
}

static void name_recipients(struct request *r, const char *list)
{
	struct slice rest = slice_of(list), addresses[100], none[100];
	uint64_t notify[100] = { 0 };
	size_t count = 0;

	while (rest.len > 0) {
		ptrdiff_t blank = slice_find(rest, ' ');
		size_t len = blank == -1 ? rest.len : (size_t)blank;

		addresses[count] = slice_part(rest, 0, len);
		none[count++] = SLICE("");
		rest = slice_part(rest, len + 1, rest.len);
	}
	request_send(r, &table_rcpts,
	    &(struct msg_rcpts){
		{ addresses, count }, { addresses, count }, { none, count }, { notify, count } },
	    -1, false, DEADLINE_NEVER);
}

static int send_content(struct request *r, struct slice text)
{
	return request_send(r, &table_data, &(struct msg_data){ text }, -1, false, DEADLINE_NEVER);
}

static void end(struct request *r, uint64_t size)
{
	request_send(r, &table_end, &(struct msg_end){ size }, -1, true, DEADLINE_NEVER);
}

/* Takes the reply and closes. */
static void assert_reply(struct request *r, uint64_t code, const char *enhanced, const char *text)
{
	struct frame *f = request_receive(r, deadline_after(10 * CLOCK_SECOND));
	struct msg_reply *m;

	assert_non_null(f);
	assert_ptr_equal(f->table, &table_reply);
	m = f->message;
	assert_int_equal(m->code, code);
	assert_true(slice_equal(m->enhanced, slice_of(enhanced)));
	if (text != NULL && !slice_equal(m->text, slice_of(text)))
		fail_msg("%.*s", (int)m->text.len, m->text.data);
	request_close(r);
}

static void admit(const struct msg_admit *m, const char *recipients, const char *content,
    uint64_t code, const char *enhanced, const char *text)
{
	struct request *r = begin(m);

	name_recipients(r, recipients);
	for (struct slice rest = slice_of(content); rest.len > 0;
	     rest = slice_part(rest, CHUNK_LIMIT, rest.len))
		send_content(r, slice_part(rest, 0, CHUNK_LIMIT));
	end(r, strlen(content));
	assert_reply(r, code, enhanced, text);
}

/* --- tests ------------------------------------------------------------------------------------- */

static void a_message_reaches_qmgr_and_its_answer_the_client(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	admit(&m, "a@b.example c@d.example", "Subject: x\r\nBcc: y\r\n\r\nbody\r\n", 250, "2.0.0",
	    "Ok: queued as ID");
	assert_string_equal(buf_text(&qmgr.envelope),
	    "ID s@else.example a@b.example/a@b.example c@d.example/c@d.example");
	assert_int_equal(strncmp(buf_text(&qmgr.content),
			     "Received: from helo.example (name.example [192.0.2.1])\r\n", 56),
	    0);
	assert_non_null(strstr(buf_text(&qmgr.content), "\r\nSubject: x\r\n\r\nbody\r\n"));
	assert_null(strstr(buf_text(&qmgr.content), "From:"));
	assert_int_equal(new_channels, 0);
}

static void local_mail_is_completed(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	m.flags = ADMIT_LOCAL;
	m.sender = SLICE("root");
	admit(&m, "a@b.example", "To: joe\r\n\r\n", 250, "2.0.0", NULL);
	assert_int_equal(strncmp(buf_text(&qmgr.envelope), "ID root@here.example ", 21), 0);
	assert_non_null(strstr(buf_text(&qmgr.content), "\r\nTo: joe@here.example\r\n"));
	assert_non_null(strstr(buf_text(&qmgr.content), "\r\nFrom: root@here.example\r\n"));
	buf_reset(&qmgr.content);
	m.flags = 0;
	cleanup_settings.remote_header_rewrite_domain = "remote.invalid";
	admit(&m, "a@b.example", "To: joe\r\n\r\n", 250, "2.0.0", NULL);
	assert_non_null(strstr(buf_text(&qmgr.content), "\r\nTo: joe@remote.invalid\r\n"));
}

static void own_mail_has_a_channel_of_its_own_and_no_size_limit(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	m.flags = ADMIT_INTERNAL;
	cleanup_settings.message_size_limit = 10;
	admit(&m, "a@b.example", "123456789\r\n", 250, "2.0.0", NULL);
	assert_int_equal(new_channels, 1);
}

static void large_content_goes_to_a_file_to_the_byte(void **state)
{
	enum { LINES = 40000 };
	struct msg_admit m = new_message();
	struct request *r = begin(&m);
	char line[100];
	struct stat st;
	char *content;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line + 98, "\r\n", 2);
	name_recipients(r, "a@b.example");
	send_content(r, SLICE("A: b\r\n\r\n"));
	for (int i = 0; i < LINES; i++)
		assert_int_equal(send_content(r, slice_new(line, sizeof(line))), 0);
	end(r, 8 + LINES * sizeof(line));
	assert_reply(r, 250, "2.0.0", NULL);
	assert_int_equal(fstat(qmgr.file, &st), 0);
	assert_int_equal((uint64_t)st.st_size, qmgr.file_size);
	content = mem_alloc((size_t)st.st_size + 1);
	assert_int_equal(pread(qmgr.file, content, (size_t)st.st_size, 0), st.st_size);
	assert_int_equal(strstr(content, "\r\nA: b\r\n\r\n") + 10 + LINES * sizeof(line) - content,
	    st.st_size);
	free(content);
}

static void repeated_recipients_get_one_copy(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	admit(&m, "a@b.example A@B.example c@d.example", "\r\n", 250, "2.0.0", NULL);
	assert_string_equal(buf_text(&qmgr.envelope),
	    "ID s@else.example a@b.example/a@b.example c@d.example/c@d.example");
	buf_reset(&qmgr.envelope);
	aliases = 1;
	admit(&m, "a@b.example c@d.example", "\r\n", 250, "2.0.0", NULL);
	assert_string_equal(buf_text(&qmgr.envelope),
	    "ID s@else.example m0@list.example/a@b.example m0@list.example/c@d.example");
	buf_reset(&qmgr.envelope);
	cleanup_settings.enable_original_recipient = false;
	admit(&m, "a@b.example c@d.example", "\r\n", 250, "2.0.0", NULL);
	assert_string_equal(buf_text(&qmgr.envelope),
	    "ID s@else.example m0@list.example/m0@list.example");
}

static void a_batch_that_becomes_too_many_is_asked_one_by_one(void **state)
{
	struct msg_admit m = new_message();
	size_t found = 0;

	(void)state;
	aliases = 600;
	cleanup_settings.duplicate_filter_limit = 0;
	admit(&m, "a@b.example c@d.example", "\r\n", 250, "2.0.0", NULL);
	for (const char *at = buf_text(&qmgr.envelope); (at = strstr(at, "@list.example/")) != NULL;
	     at++)
		found++;
	assert_int_equal(found, 1200);
}

static void an_alias_loop_is_the_clients_temporary_failure(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	expansion = RESOLVE_TEMPORARY;
	admit(&m, "a@b.example", "\r\n", 451, "4.6.0", "Error: alias loop: x");
	assert_int_equal(qmgr.completed, 0);
}

static void too_large_is_said_before_the_end(void **state)
{
	struct msg_admit m = new_message();
	struct request *r;

	(void)state;
	cleanup_settings.message_size_limit = 10;
	r = begin(&m);
	name_recipients(r, "a@b.example");
	send_content(r, SLICE("12345678\r\n1"));
	assert_reply(r, 552, "5.3.4", "Message size exceeds fixed limit");
	m.declared_size = 11;
	assert_reply(begin(&m), 552, "5.3.4", NULL);
	m.declared_size = 10;
	admit(&m, "a@b.example", "12345678\r\n", 250, "2.0.0", NULL);
}

/* Dots that only the wire form has count for nobody, wherever the pieces were cut. */
static void the_size_limit_is_exact_with_dots(void **state)
{
	struct slice content = SLICE("..\r\n\r\n..a.\r\n.b\r\n");
	struct msg_admit m = new_message();

	(void)state;
	for (int64_t limit = 12; limit <= 13; limit++) {
		cleanup_settings.message_size_limit = limit;
		for (size_t cut = 1; cut + 1 < content.len; cut++) {
			struct request *r = begin(&m);

			name_recipients(r, "a@b.example");
			send_content(r, slice_part(content, 0, cut));
			send_content(r, slice_part(content, cut, 1));
			send_content(r, slice_part(content, cut + 1, content.len));
			if (limit == 13)
				end(r, content.len);
			assert_reply(r, limit == 13 ? 250 : 552, limit == 13 ? "2.0.0" : "5.3.4",
			    NULL);
		}
	}
}

static void too_many_hops_end_it(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	cleanup_settings.hopcount_limit = 3;
	admit(&m, "a@b.example", "Received: x\r\n\r\n", 250, "2.0.0", NULL);
	admit(&m, "a@b.example", "Received: x\r\nReceived: y\r\n\r\n", 554, "5.4.0",
	    "Error: too many hops");
}

static void without_recipients_there_is_no_message(void **state)
{
	struct msg_admit m = new_message();
	struct request *r = begin(&m);

	(void)state;
	end(r, 0);
	assert_reply(r, 554, "5.5.1", "Error: no valid recipients");
	assert_int_equal(qmgr.opened, 0);
}

static void wait_for(const unsigned *number, unsigned value)
{
	deadline when = deadline_after(10 * CLOCK_SECOND);

	while (*number != value && clock_now() < when)
		task_yield();
	assert_int_equal(*number, value);
}

static void a_client_that_goes_leaves_nothing(void **state)
{
	struct msg_admit m = new_message();
	char *text = mem_alloc(CHUNK_LIMIT);
	struct request *r = begin(&m);

	(void)state;
	memset(text, 'x', CHUNK_LIMIT);
	name_recipients(r, "a@b.example");
	for (int i = 0; i < 4; i++)
		send_content(r, slice_new(text, CHUNK_LIMIT));
	wait_for(&qmgr.opened, 1);
	request_close(r);
	wait_for(&qmgr.given_up, 1);
	assert_int_equal(qmgr.completed, 0);
	while (channel_load(at_cleanup) > 0)
		task_yield();
	free(text);
}

static void what_qmgr_refuses_is_refused(void **state)
{
	static const struct {
		enum qmgr_does does;
		bool large;
		uint64_t code;
		const char *enhanced, *text;
	} cases[] = {
		{ QMGR_HAS_NO_ROOM, false, 452, "4.3.1", "Insufficient system storage" },
		{ QMGR_HAS_NO_ROOM, true, 452, "4.3.1", "Insufficient system storage" },
		{ QMGR_REFUSES_FILE, true, 452, "4.3.1", "Insufficient system storage" },
		{ QMGR_SMALL_FILE, true, 452, "4.3.1", "Insufficient system storage" },
		{ QMGR_DIES_AT_END, false, 451, "4.3.0", "Error: queue file write error" },
		{ QMGR_DIES_AT_END, true, 451, "4.3.0", "Error: queue file write error" },
	};
	enum { SIZE = 100000 };
	char *text = mem_alloc(SIZE + 1);
	struct msg_admit m = new_message();

	(void)state;
	memset(text, 'x', SIZE);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		qmgr.does = cases[i].does;
		admit(&m, "a@b.example", cases[i].large ? text : "\r\n", cases[i].code,
		    cases[i].enhanced, cases[i].text);
	}
	free(text);
}

static void without_qmgr_or_rewrite_the_client_tries_again(void **state)
{
	struct msg_admit m = new_message();

	(void)state;
	channel_close(at_qmgr);
	admit(&m, "a@b.example", "\r\n", 451, "4.3.0", "Error: queue file write error");
	channel_close(at_rewrite);
	m.sender = SLICE("incomplete");
	admit(&m, "a@b.example", "\r\n", 451, "4.3.0", "Error: temporary lookup failure");
	at_qmgr = at_rewrite = NULL;
}

static void messages_out_of_order_get_no_answer(void **state)
{
	static const struct {
		const struct wire_table *table;
		bool content_first;
	} cases[] = { { &table_rcpts, true }, { &table_end, true }, { &table_large_done, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct msg_admit m = new_message();
		struct request *r = begin(&m);

		name_recipients(r, "a@b.example");
		if (cases[i].content_first)
			send_content(r, SLICE("\r\n"));
		if (cases[i].table == &table_rcpts)
			name_recipients(r, "a@b.example");
		else if (cases[i].table == &table_end)
			end(r, 12345);
		else
			request_send(r, cases[i].table, &(struct msg_large_done){ 1 }, -1, true,
			    DEADLINE_NEVER);
		assert_null(request_receive(r, deadline_after(10 * CLOCK_SECOND)));
		assert_int_equal(errno, ECONNABORTED);
		request_close(r);
	}
	assert_int_equal(qmgr.completed, 0);
}

struct run {
	const struct CMUnitTest *tests;
	size_t count;
	int failed;
};

static void run_all(void *arg)
{
	struct run *r = arg;

	r->failed = _cmocka_run_group_tests("admit", r->tests, r->count, NULL, NULL);
	task_stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_message_reaches_qmgr_and_its_answer_the_client),
		TEST(local_mail_is_completed),
		TEST(large_content_goes_to_a_file_to_the_byte),
		TEST(repeated_recipients_get_one_copy),
		TEST(a_batch_that_becomes_too_many_is_asked_one_by_one),
		TEST(an_alias_loop_is_the_clients_temporary_failure),
		TEST(too_large_is_said_before_the_end),
		TEST(the_size_limit_is_exact_with_dots),
		TEST(too_many_hops_end_it),
		TEST(without_recipients_there_is_no_message),
		TEST(a_client_that_goes_leaves_nothing),
		TEST(what_qmgr_refuses_is_refused),
		TEST(without_qmgr_or_rewrite_the_client_tries_again),
		TEST(messages_out_of_order_get_no_answer),
		TEST(own_mail_has_a_channel_of_its_own_and_no_size_limit),
	};
	struct run r = { tests, ARRAY_LENGTH(tests), 1 };

	task_init();
	if (task_start("tests", run_all, &r) == NULL)
		return 1;
	task_run();
	return r.failed;
}
