/* SPDX-License-Identifier: ISC */
/*
 * test_postlogd.c - log lines as parsers of maillog_file and of syslog read them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "support/postlogd.h"

/* 2026-11-04 03:02:01 UTC. */
#define WHEN INT64_C(1793761321000000)

static void put_u16(struct buf *b, size_t value)
{
	uint16_t wire = htole16((uint16_t)value);

	buf_append(b, &wire, sizeof(wire));
}

static void put_line(struct buf *b, int level, const char *tag, struct slice text)
{
	uint64_t when = htole64((uint64_t)WHEN);

	buf_putc(b, (char)level);
	buf_append(b, &when, sizeof(when));
	put_u16(b, strlen(tag));
	buf_puts(b, tag);
	put_u16(b, text.len);
	buf_put_slice(b, text);
}

static struct postlogd_line line_of(const char *text)
{
	return (struct postlogd_line){ LOG_LEVEL_WARNING, WHEN, SLICE("postfix/smtpd"),
		slice_of(text) };
}

static void a_file_s_line_has_time_host_tag_and_pid(void **state)
{
	struct postlogd_line line = line_of("warning: text");
	struct buf out = { 0 };

	(void)state;
	postlogd_put_file(&out, &line, "mail", 123);
	assert_string_equal(buf_text(&out),
	    "Nov 04 03:02:01 mail postfix/smtpd[123]: warning: text\n");
	buf_clear(&out);
}

static void a_line_for_syslog_has_a_priority_and_no_host(void **state)
{
	struct postlogd_line line = line_of("warning: text");
	struct buf out = { 0 };

	(void)state;
	postlogd_put_syslog(&out, &line, postlogd_facility("mail"), 123);
	assert_string_equal(buf_text(&out),
	    "<20>Nov  4 03:02:01 postfix/smtpd[123]: warning: text");
	buf_clear(&out);
}

static void times_are_local(void **state)
{
	struct postlogd_line line = line_of("t");
	struct buf out = { 0 };

	(void)state;
	setenv("TZ", "XYZ-2:30", 1);
	tzset();
	line.wall_us += 1000000; /* another second than the test before */
	postlogd_put_file(&out, &line, "h", 1);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(buf_text(&out), "Nov 04 05:32:02 h postfix/smtpd[1]: t\n");
	buf_clear(&out);
}

static void a_line_can_not_forge_another(void **state)
{
	struct postlogd_line line =
	    line_of("a\nNov 04 03:02:01 mail postfix/smtpd[1]: b\x1b[2J\xff");
	struct buf out = { 0 };

	(void)state;
	line.tag = SLICE("post\nfix");
	postlogd_put_file(&out, &line, "mail", 7);
	assert_string_equal(buf_text(&out),
	    "Nov 04 03:02:01 mail post?fix[7]: "
	    "a?Nov 04 03:02:01 mail postfix/smtpd[1]: b?[2J?\n");
	buf_clear(&out);
}

static void a_line_is_bounded(void **state)
{
	struct postlogd_line line = line_of("");
	struct buf out = { 0 };
	static char longest[65535];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	line.text = line.tag = slice_new(longest, sizeof(longest));
	postlogd_put_file(&out, &line, "mail", 7);
	assert_int_equal(out.len,
	    strlen("Nov 04 03:02:01 mail [7]: \n") + POSTLOGD_TAG + POSTLOGD_LINE);
	buf_clear(&out);
}

static void a_datagram_holds_many_lines(void **state)
{
	struct buf datagram = { 0 };
	struct postlogd_line line;
	struct slice rest;

	(void)state;
	put_line(&datagram, LOG_LEVEL_INFO, "postfix/qmgr", SLICE("one"));
	put_line(&datagram, LOG_LEVEL_PANIC, "postfix/smtpd", SLICE(""));
	rest = buf_slice(&datagram);
	assert_int_equal(postlogd_next(&rest, &line), 1);
	assert_true(slice_equal(line.tag, SLICE("postfix/qmgr")));
	assert_true(slice_equal(line.text, SLICE("one")));
	assert_int_equal(line.wall_us, WHEN);
	assert_int_equal(postlogd_next(&rest, &line), 1);
	assert_int_equal(line.level, LOG_LEVEL_PANIC);
	assert_int_equal(postlogd_next(&rest, &line), 0);
	buf_clear(&datagram);
}

static void a_cut_datagram_is_noticed_at_every_byte(void **state)
{
	struct buf datagram = { 0 };
	struct postlogd_line line;

	(void)state;
	put_line(&datagram, LOG_LEVEL_INFO, "postfix/qmgr", SLICE("one"));
	for (size_t len = 1; len < datagram.len; len++) {
		/* Its own allocation, so that a read beyond it is seen. */
		char *copy = slice_dup(slice_part(buf_slice(&datagram), 0, len));
		struct slice rest = slice_new(copy, len);

		assert_int_equal(postlogd_next(&rest, &line), -1);
		free(copy);
	}
	datagram.data[0] = LOG_LEVEL_PANIC + 1;
	struct slice rest = buf_slice(&datagram);
	assert_int_equal(postlogd_next(&rest, &line), -1);
	buf_clear(&datagram);
}

static void facilities_have_syslog_s_names(void **state)
{
	(void)state;
	assert_int_equal(postlogd_facility("mail"), LOG_MAIL);
	assert_int_equal(postlogd_facility("local5"), LOG_LOCAL5);
	assert_int_equal(postlogd_facility("nonsense"), -1);
}

/* --- sinks ---------------------------------------------------------------------------------------- */

static char directory[] = "/tmp/test_postlogd.XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
	char *path = mem_printf("%s/maillog", directory);

	(void)state;
	unlink(path);
	free(path);
	return rmdir(directory);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void lines_are_appended_to_the_file(void **state)
{
	char *path = mem_printf("%s/maillog", directory), *why = NULL;
	struct postlogd_sink *sink;
	struct buf datagram = { 0 }, content = { 0 };

	(void)state;
	put_line(&datagram, LOG_LEVEL_INFO, "postfix/qmgr", SLICE("one"));
	for (int run = 0; run < 2; run++) {
		sink = postlogd_sink_open(path, run == 0 ? "0640" : "0600", "mail", &why);
		assert_non_null(sink);
		postlogd_sink_add(sink, buf_slice(&datagram), 5);
		assert_true(postlogd_sink_waiting(sink) > 0);
		assert_int_equal(postlogd_sink_flush(sink), 0);
		assert_int_equal(postlogd_sink_waiting(sink), 0);
		postlogd_sink_close(sink);
	}
	assert_int_equal(mode_of(path), 0640);
	assert_int_equal(io_read_file(AT_FDCWD, path, 10000, &content), 0);
	const char *first = strstr(buf_text(&content), " postfix/qmgr[5]: one\n");
	assert_non_null(first);
	assert_non_null(strstr(first + 1, " postfix/qmgr[5]: one\n"));
	buf_clear(&datagram);
	buf_clear(&content);
	free(path);
}

static void a_full_disk_keeps_the_lines(void **state)
{
	char *why = NULL;
	struct postlogd_sink *sink = postlogd_sink_open("/dev/full", "0600", "mail", &why);
	struct buf datagram = { 0 };
	size_t before;

	(void)state;
	assert_non_null(sink);
	put_line(&datagram, LOG_LEVEL_INFO, "postfix/qmgr", SLICE("one"));
	postlogd_sink_add(sink, buf_slice(&datagram), 5);
	before = postlogd_sink_waiting(sink);
	assert_int_equal(postlogd_sink_flush(sink), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(postlogd_sink_waiting(sink), before);
	assert_false(postlogd_sink_is_lost(sink));
	postlogd_sink_close(sink);
	buf_clear(&datagram);
}

static void a_wrong_setting_is_named(void **state)
{
	static const struct {
		const char *file, *permissions, *facility, *named;
	} rows[] = {
		{ "/dev/null", "0999", "mail", "maillog_file_permissions" },
		{ "/dev/null", "", "mail", "maillog_file_permissions" },
		{ "/dev/null", "0044", "mail", "maillog_file_permissions" },
		{ "/dev/null", "0600", "post", "syslog_facility" },
		{ "/nonexistent/maillog", "0600", "mail", "/nonexistent/maillog" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *why = NULL;

		assert_null(postlogd_sink_open(rows[i].file, rows[i].permissions, rows[i].facility,
		    &why));
		assert_non_null(strstr(why, rows[i].named));
		free(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_s_line_has_time_host_tag_and_pid),
		cmocka_unit_test(a_line_for_syslog_has_a_priority_and_no_host),
		cmocka_unit_test(times_are_local),
		cmocka_unit_test(a_line_can_not_forge_another),
		cmocka_unit_test(a_line_is_bounded),
		cmocka_unit_test(a_datagram_holds_many_lines),
		cmocka_unit_test(a_cut_datagram_is_noticed_at_every_byte),
		cmocka_unit_test(facilities_have_syslog_s_names),
		cmocka_unit_test(lines_are_appended_to_the_file),
		cmocka_unit_test(a_full_disk_keeps_the_lines),
		cmocka_unit_test(a_wrong_setting_is_named),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
