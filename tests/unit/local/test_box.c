/* SPDX-License-Identifier: ISC */
/*
 * test_box.c - mbox and Maildir: what is written, what is refused, and what a crash may leave.
 */
#include "tests/unit/local/scene.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <signal.h>

#include "local/content.h"

/* Puts one message; the verdict's text is on the heap. */
static struct verdict put_one(const char *path, unsigned flags, const struct act_request *r)
{
	struct verdict v = { 0 };
	struct box *b = box_open(&scene_user, scene, path, flags, &v);

	if (b == NULL)
		return v;
	if (box_put(b, r, -1, &v)) {
		if (box_flush(b) == -1)
			verdict_errno(&v, errno, "flush");
		else
			verdict_set(&v, OUTCOME_SENT, "2.0.0", "sent");
	}
	box_close(b);
	return v;
}

static void assert_put(const char *path, const struct act_request *r)
{
	struct verdict v = put_one(path, BOX_OF_USER, r);

	assert_string_equal(v.text, "sent");
	free(v.text);
}

static void assert_refused(const char *path, unsigned flags, const char *dsn, const char *text)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	struct verdict v = put_one(path, flags, &r);

	assert_string_equal(v.dsn, dsn);
	assert_non_null(strstr(v.text, text));
	free(v.text);
}

static char *entry_of(const char *directory)
{
	int fd = openat(scene, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fdopendir(fd);
	struct dirent *e;
	char *name = NULL;

	while ((e = readdir(list)) != NULL)
		if (e->d_name[0] != '.') {
			assert_null(name);
			name = mem_printf("%s/%s", directory, e->d_name);
		}
	closedir(list);
	return name;
}

/* --- content ---------------------------------------------------------------------------------------- */

static int collect(void *arg, const char *data, size_t len)
{
	buf_append(arg, data, len);
	return 0;
}

static void content_becomes_lines_without_stuffing(void **unused)
{
	static const char *const rows[][2] = {
		{ "a\r\nb\r\n", "a\nb\n" },
		{ "..dot\r\n...\r\n..\r\n", ".dot\n..\n.\n" },
		{ "From x\r\nfrom y\r\n>From z\r\n..From\r\n",
		    ">From x\nfrom y\n>From z\n.From\n" },
		{ "\r\n\r\nFrom \r\n", "\n\n>From \n" },
		{ "no end", "no end\n" },
		{ "", "" },
		{ "From ", ">From \n" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct act_request r = scene_message("ID1", rows[i][0]);
		struct buf head = { 0 }, out = { 0 };

		content_head(&r, false, &head);
		assert_int_equal(content_copy(&r, -1, false, true, collect, &out), 0);
		assert_string_equal(buf_text(&out) + head.len, rows[i][1]);
		buf_clear(&head);
		buf_clear(&out);
	}
}

static void a_piece_may_end_anywhere(void **unused)
{
	enum { SIZE = 200000 };
	struct buf wire = { 0 }, plain = { 0 }, out = { 0 };
	int fd = openat(scene, "large", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)unused;
	buf_puts(&wire, "skipped");
	for (size_t i = 0; wire.len < SIZE; i++) {
		buf_printf(&wire, "From %zu\r\n..%zu\r\n", i, i);
		buf_printf(&plain, ">From %zu\n.%zu\n", i, i);
	}
	assert_int_equal(io_write_all(fd, wire.data, wire.len), 0);
	/* Each start moves the ends of all pieces. */
	for (size_t shift = 0; shift < 7; shift++) {
		struct act_request r = scene_message("ID1", "");
		struct buf head = { 0 };

		r.content = SLICE("");
		r.content_offset = shift;
		r.content_size = wire.len - shift;
		content_head(&r, false, &head);
		buf_reset(&out);
		assert_int_equal(content_copy(&r, fd, false, true, collect, &out), 0);
		assert_string_equal(strstr(buf_text(&out) + head.len, ".0\n"),
		    strstr(buf_text(&plain), ".0\n"));
		buf_clear(&head);
	}
	close(fd);
	buf_clear(&wire);
	buf_clear(&plain);
	buf_clear(&out);
}

static void content_that_is_shorter_than_promised_is_an_error(void **unused)
{
	struct act_request r = scene_message("ID1", "");
	struct buf out = { 0 };
	int fd = openat(scene, "short", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)unused;
	r.content_size = 10;
	assert_int_equal(content_copy(&r, fd, false, false, collect, &out), -1);
	close(fd);
	buf_clear(&out);
}

/* --- mbox ------------------------------------------------------------------------------------------- */

static void an_mbox_gets_head_and_message(void **unused)
{
	struct act_request r = scene_message("ID1", "Subject: x\r\n\r\nFrom me\r\n");
	char *text;

	(void)unused;
	assert_put("bob", &r);
	assert_put("bob", &r);
	text = scene_read("bob");
	assert_int_equal(count_of(text, "From alice@far.example  "), 2);
	assert_int_equal(count_of(text,
			     "\nReturn-Path: <alice@far.example>\n"
			     "X-Original-To: Bob@here.example\nDelivered-To: "
			     "bob+lists@here.example\n"
			     "Subject: x\n\n>From me\n\n"),
	    2);
	assert_null(scene_read("bob.lock"));
	free(text);
}

static void links_devices_and_strangers_files_are_refused(void **unused)
{
	(void)unused;
	scene_write("other", "", 0600);
	assert_int_equal(symlinkat("other", scene, "symlink"), 0);
	assert_int_equal(linkat(scene, "other", scene, "hardlink", 0), 0);
	assert_int_equal(mkfifoat(scene, "fifo", 0600), 0);
	assert_int_equal(mkdirat(scene, "directory", 0700), 0);
	assert_refused("symlink", BOX_OF_USER, "5.2.0", "symbolic links");
	assert_refused("hardlink", BOX_OF_USER, "5.2.0", "hard links");
	assert_refused("fifo", BOX_OF_USER, "5.2.0", "not a regular file");
	assert_refused("directory", BOX_OF_USER, "5.2.0", "directory");
	scene_user.uid += 1;
	scene_write("foreign", "", 0600);
	assert_refused("foreign", BOX_OF_USER, "4.2.0", "is not owned by recipient");
}

static void dev_null_takes_mail_of_aliases_only(void **unused)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	struct verdict v = put_one("/dev/null", 0, &r);

	(void)unused;
	assert_string_equal(v.text, "sent");
	free(v.text);
	assert_refused("/dev/null", BOX_OF_USER, "5.2.0", "not a regular file");
}

static void a_message_over_the_limit_leaves_the_mbox_as_it_was(void **unused)
{
	struct act_request r = scene_message("ID1", "Subject: x\r\n\r\nthis one does not fit\r\n");
	struct verdict v;
	char *text;

	(void)unused;
	scene_write("bob", "From x\n\nold\n\n", 0600);
	local_settings.mailbox_size_limit = 100;
	v = put_one("bob", BOX_OF_USER, &r);
	assert_string_equal(v.dsn, "4.2.2");
	assert_int_equal(v.outcome, OUTCOME_DEFERRED);
	free(v.text);
	text = scene_read("bob");
	assert_string_equal(text, "From x\n\nold\n\n");
	free(text);
}

static void a_failed_message_of_a_batch_costs_no_other(void **unused)
{
	struct act_request small = scene_message("ID1", "small\r\n");
	struct act_request large = scene_message("ID2", "");
	char *content = mem_alloc(5000), *text;
	struct verdict v = { 0 };
	struct box *b;

	(void)unused;
	memset(content, 'x', 4999);
	large.content = slice_of(content);
	large.content_size = 4999;
	local_settings.mailbox_size_limit = 2000;
	b = box_open(&scene_user, scene, "bob", BOX_OF_USER, &v);
	assert_non_null(b);
	assert_true(box_put(b, &small, -1, &v));
	assert_false(box_put(b, &large, -1, &v));
	assert_true(box_put(b, &small, -1, &v));
	assert_int_equal(box_flush(b), 0);
	box_close(b);
	free(v.text);
	text = scene_read("bob");
	assert_int_equal(count_of(text, "\nsmall\n\n"), 2);
	assert_null(strstr(text, "xxx"));
	free(text);
	free(content);
}

static void a_message_without_end_gets_one_before_the_next(void **unused)
{
	static const char *const rows[] = { "From x\n\ntorn", "From x\n\ntorn\n",
		"From x\n\ntorn\n\n", "t" };
	struct act_request r = scene_message("ID1", "a\r\n");

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char *text;

		scene_write("bob", rows[i], 0600);
		assert_put("bob", &r);
		text = scene_read("bob");
		assert_non_null(strstr(text, "\n\nFrom alice@far.example"));
		free(text);
	}
}

/* A lock is held by another process until it is told to go. */
static pid_t hold(const char *name, bool kernel)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = openat(scene, name, O_RDWR | O_CREAT, 0600);

		if (kernel && fcntl(fd, F_SETLK, &lock) == -1)
			_exit(1);
		if (!kernel && dotlock_try(&scene_user, scene, "bob.lock") != 1)
			_exit(1);
		(void)!write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void let_go(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void a_locked_mbox_is_tried_later(void **unused)
{
	pid_t pid;

	(void)unused;
	pid = hold("bob", true);
	assert_refused("bob", BOX_OF_USER, "4.2.0", "unable to lock for exclusive access");
	let_go(pid);
	scene_write("bob.lock", "0", 0600);
	assert_refused("bob", BOX_OF_USER, "4.2.0", "unable to create lock file");
}

static void the_lock_file_of_a_killed_process_is_taken_away_at_once(void **unused)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	pid_t pid;

	(void)unused;
	pid = hold("other", false);
	assert_refused("bob", BOX_OF_USER, "4.2.0", "unable to create lock file");
	let_go(pid);
	assert_int_equal(faccessat(scene, "bob.lock", F_OK, 0), 0);
	assert_put("bob", &r);
	assert_int_equal(faccessat(scene, "bob.lock", F_OK, 0), -1);
}

static void another_programs_lock_file_is_stale_by_age(void **unused)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	struct timespec old[2] = { { 1000000, 0 }, { 1000000, 0 } };

	(void)unused;
	scene_write("bob.lock", "0", 0600);
	assert_int_equal(utimensat(scene, "bob.lock", old, 0), 0);
	assert_put("bob", &r);
}

static void a_message_in_doubt_is_put_once(void **unused)
{
	char *one = scene_content("QID00001", "same\r\n"),
	     *two = scene_content("QID00002", "same\r\n");
	struct act_request first = scene_message("QID00001", one);
	struct act_request second = scene_message("QID00002", two);
	char *text;

	(void)unused;
	assert_put("bob", &first);
	assert_put("bob", &second);
	first.in_doubt = second.in_doubt = 1;
	assert_put("bob", &first);
	assert_put("bob", &second);
	text = scene_read("bob");
	assert_int_equal(count_of(text, "id QID00001\n"), 1);
	assert_int_equal(count_of(text, "id QID00002\n"), 1);
	free(text);
	free(one);
	free(two);
}

static void a_message_in_doubt_that_is_not_there_is_put(void **unused)
{
	char *one = scene_content("QID00001", "same\r\n"),
	     *two = scene_content("QID00002", "same\r\n");
	struct act_request first = scene_message("QID00001", one);
	struct act_request second = scene_message("QID00002", two);
	char *text;

	(void)unused;
	second.in_doubt = 1;
	assert_put("bob", &first);
	assert_put("bob", &second);
	text = scene_read("bob");
	assert_int_equal(count_of(text, "id QID00002\n"), 1);
	free(text);
	free(one);
	free(two);
}

/* Killed anywhere in the write: the repeat leaves one whole copy, and what was before it. */
static void a_torn_copy_in_doubt_is_replaced(void **unused)
{
	char *one = scene_content("QID00001", "line one\r\nline two\r\n");
	struct act_request before = scene_message("QID00000", "before\r\n");
	struct act_request r = scene_message("QID00001", one);
	char *whole, *text;
	size_t kept;

	(void)unused;
	assert_put("bob", &before);
	text = scene_read("bob");
	kept = strlen(text);
	free(text);
	assert_put("bob", &r);
	whole = scene_read("bob");
	r.in_doubt = 1;
	for (size_t cut = kept; cut <= strlen(whole); cut++) {
		scene_write("bob", "", 0600);
		int fd = openat(scene, "bob", O_WRONLY | O_CLOEXEC);

		assert_int_equal(io_write_all(fd, whole, cut), 0);
		close(fd);
		assert_put("bob", &r);
		text = scene_read("bob");
		assert_memory_equal(text, whole, kept);
		assert_int_equal(count_of(text, "line one\nline two\n"), 1);
		/* Only a copy cut within the head, which nothing tells from another's, stays. */
		if (strstr(whole + kept, "Received") != NULL &&
		    cut >= (size_t)(strstr(whole + kept, "Received") - whole))
			assert_int_equal(count_of(text, "Delivered-To"), 2);
		free(text);
	}
	free(whole);
	free(one);
}

/* A process that dies between opening and writing must not hide where the file was cut. */
static void opening_changes_nothing(void **unused)
{
	struct verdict v = { 0 };
	struct box *b;
	char *text;

	(void)unused;
	scene_write("bob", "From x\n\ntorn", 0600);
	b = box_open(&scene_user, scene, "bob", BOX_OF_USER, &v);
	assert_non_null(b);
	box_close(b);
	text = scene_read("bob");
	assert_string_equal(text, "From x\n\ntorn");
	free(text);
}

/* --- Maildir ---------------------------------------------------------------------------------------- */

static void a_maildir_is_made_and_filled(void **unused)
{
	struct act_request r = scene_message("ID1", "From me\r\n");
	char *name, *text;
	struct stat st;

	(void)unused;
	assert_put("Maildir/", &r);
	name = entry_of("Maildir/new");
	assert_string_equal(name, "Maildir/new/1700000000.QID1R0.mx.example");
	text = scene_read(name);
	assert_string_equal(text,
	    "Return-Path: <alice@far.example>\nX-Original-To: Bob@here.example\n"
	    "Delivered-To: bob+lists@here.example\nFrom me\n");
	assert_null(entry_of("Maildir/tmp"));
	assert_int_equal(fstatat(scene, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(scene, "Maildir/cur", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	free(name);
	free(text);
}

static void a_message_over_the_limit_is_not_in_the_maildir(void **unused)
{
	(void)unused;
	local_settings.mailbox_size_limit = 100;
	assert_refused("Maildir/", 0, "4.2.2", "maildir delivery failed");
	assert_null(entry_of("Maildir/new"));
	assert_null(entry_of("Maildir/tmp"));
}

static void a_repeated_maildir_delivery_is_one_message(void **unused)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	char *name;

	(void)unused;
	assert_put("Maildir/", &r);
	assert_put("Maildir/", &r);
	name = entry_of("Maildir/new"); /* asserts that there is but one */
	char *read_name = mem_printf("Maildir/cur/%s:2,S", strrchr(name, '/') + 1);
	assert_int_equal(renameat(scene, name, scene, read_name), 0);
	r.in_doubt = 1;
	local_settings.myhostname = "renamed.example";
	assert_put("Maildir/", &r);
	assert_null(entry_of("Maildir/new"));
	r.index = 1;
	assert_put("Maildir/", &r);
	free(name);
	name = entry_of("Maildir/new");
	assert_non_null(name);
	free(name);
	free(read_name);
}

static void a_dead_process_s_file_in_tmp_is_replaced(void **unused)
{
	struct act_request r = scene_message("ID1", "whole\r\n");
	char *name, *text;

	(void)unused;
	assert_int_equal(mkdirat(scene, "Maildir", 0700), 0);
	assert_int_equal(mkdirat(scene, "Maildir/tmp", 0700), 0);
	scene_write("Maildir/tmp/1700000000.QID1R0.mx.example", "torn", 0600);
	assert_put("Maildir/", &r);
	name = entry_of("Maildir/new");
	text = scene_read(name);
	assert_non_null(strstr(text, "\nwhole\n"));
	assert_null(entry_of("Maildir/tmp"));
	free(name);
	free(text);
}

static void a_batch_that_is_not_flushed_is_nowhere(void **unused)
{
	struct act_request r = scene_message("ID1", "a\r\n");
	struct verdict v = { 0 };
	struct box *b = box_open(&scene_user, scene, "Maildir/", BOX_OF_USER, &v);

	(void)unused;
	assert_non_null(b);
	assert_true(box_put(b, &r, -1, &v));
	assert_true(box_put(b, &r, -1, &v)); /* the same again */
	assert_null(entry_of("Maildir/new"));
	box_close(b);
	assert_null(entry_of("Maildir/new"));
	assert_null(entry_of("Maildir/tmp"));
}

static void a_maildir_s_parts_must_not_be_links(void **unused)
{
	(void)unused;
	assert_int_equal(mkdirat(scene, "Maildir", 0700), 0);
	assert_int_equal(mkdirat(scene, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("../elsewhere", scene, "Maildir/new"), 0);
	assert_refused("Maildir/", BOX_OF_USER, "4.2.0", "maildir delivery failed");
	scene_user.uid += 1;
	assert_refused("Other/", BOX_OF_USER, "4.2.0", "maildir delivery failed");
}

/* Somebody else's link in a spool directory that many may write to. */
static void a_maildir_may_be_linked_by_its_user_alone(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");

	(void)unused;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(scene, "real", 0700), 0);
	assert_int_equal(symlinkat("real", scene, "link"), 0);
	assert_put("link/", &r);
	assert_int_equal(fchownat(scene, "link", 65534, 65534, AT_SYMLINK_NOFOLLOW), 0);
	assert_refused("link/", BOX_OF_USER, "4.2.0", "maildir delivery failed");
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(content_becomes_lines_without_stuffing),
		T(a_piece_may_end_anywhere),
		T(content_that_is_shorter_than_promised_is_an_error),
		T(an_mbox_gets_head_and_message),
		T(links_devices_and_strangers_files_are_refused),
		T(dev_null_takes_mail_of_aliases_only),
		T(a_message_over_the_limit_leaves_the_mbox_as_it_was),
		T(a_failed_message_of_a_batch_costs_no_other),
		T(a_message_without_end_gets_one_before_the_next),
		T(a_locked_mbox_is_tried_later),
		T(the_lock_file_of_a_killed_process_is_taken_away_at_once),
		T(another_programs_lock_file_is_stale_by_age),
		T(a_message_in_doubt_is_put_once),
		T(a_message_in_doubt_that_is_not_there_is_put),
		T(a_torn_copy_in_doubt_is_replaced),
		T(opening_changes_nothing),
		T(a_maildir_is_made_and_filled),
		T(a_message_over_the_limit_is_not_in_the_maildir),
		T(a_repeated_maildir_delivery_is_one_message),
		T(a_dead_process_s_file_in_tmp_is_replaced),
		T(a_batch_that_is_not_flushed_is_nowhere),
		T(a_maildir_s_parts_must_not_be_links),
		T(a_maildir_may_be_linked_by_its_user_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
