/* SPDX-License-Identifier: ISC */
/*
 * Tables answer as Postfix's do, say file and line of what they can't use, and survive what a
 * stranger asks and a careless administrator writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <db.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

static int place = -1;
static char place_name[] = "/tmp/gatepost-dict-XXXXXX";

static int make_place(void **state)
{
	(void)state;
	log_open("postfix", "test");
	if (mkdtemp(place_name) == NULL)
		return -1;
	place = open(place_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return place == -1 ? -1 : 0;
}

static int remove_place(void **state)
{
	static const char *const files[] = { "t", "t.db", "list", "list2", "log", "loop",
		"DB_CONFIG" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		unlinkat(place, files[i], 0);
	close(place);
	return rmdir(place_name);
}

static void put_file(const char *name, const char *text)
{
	assert_int_equal(io_replace_file(place, name, slice_of(text), 0644), 0);
}

/* Opens a table and gives back what was logged meanwhile. */
static struct dict *open_logged(const char *table, unsigned flags, struct buf *logged, char **why)
{
	int log = openat(place, "log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int before = fcntl(2, F_DUPFD_CLOEXEC, 10);
	struct dict *d;

	assert_true(log != -1 && before != -1);
	fflush(stderr);
	dup2(log, 2);
	d = dict_open(place, table, flags, why);
	fflush(stderr);
	dup2(before, 2);
	close(before);
	close(log);
	assert_int_equal(io_read_file(place, "log", 100000, logged), 0);
	return d;
}

static struct dict *open_table(const char *table, unsigned flags)
{
	char *why = NULL;
	struct dict *d = dict_open(place, table, flags, &why);

	if (d == NULL)
		fail_msg("%s", why);
	return d;
}

/* NULL in an answer: not found; "!": the table fails. */
static void check(struct dict *d, const char *key, const char *answer)
{
	struct buf value = { 0 };
	int rc = dict_lookup(d, slice_of(key), &value);

	if (answer == NULL || strcmp(answer, "!") == 0)
		assert_int_equal(rc, answer == NULL ? 0 : -1);
	else if (rc != 1 || strcmp(buf_text(&value), answer) != 0)
		fail_msg("%s: %s: %d %s, not %s", dict_name(d), key, rc, buf_text(&value), answer);
	if (rc == -1)
		assert_true(strlen(dict_error(d)) > 0);
	buf_clear(&value);
}

struct lookup_case {
	const char *rules, *key, *answer;
};

static void check_file_table(const char *type, const struct lookup_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *table = mem_printf("%s:t", type);
		struct dict *d;

		put_file("t", cases[i].rules);
		d = open_table(table, DICT_FOLD_KEY);
		check(d, cases[i].key, cases[i].answer);
		dict_close(d);
		free(table);
	}
}

static void a_table_that_is_none_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *table, *part;
	} cases[] = {
		{ "", "type:name" },
		{ "/etc/aliases", "type:name" },
		{ "static:", "type:name" },
		{ "hsah:/etc/aliases", "hash" },
		{ ":x", "no table type" },
		{ "hash:missing", "missing.db: No such file" },
		{ "texthash:missing", "No such file" },
		{ "unix:shadow", "passwd.byname" },
		{ "inline:x", "key=value" },
		{ "inline:{x}", "entry 1" },
		{ "inline:{a=b, =c}", "entry 2" },
		{ "inline:{a=b", "not closed" },
		{ "static:{a", "not closed" },
		{ "regexp:{ {/a/ b}", "not closed" },
		{ "inline:{a=b} c", "not closed" },
		{ "pcre:.", "directory" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *why = NULL;

		assert_null(dict_open(place, cases[i].table, 0, &why));
		if (strstr(why, cases[i].part) == NULL)
			fail_msg("%s: %s", cases[i].table, why);
		free(why);
	}
}

static void text_files_are_read_as_postmap_reads_them(void **state)
{
	static const struct lookup_case cases[] = {
		{ "a one\nb two\n", "b", "two" },
		{ "a one", "a", "one" },
		{ "a one\n", "c", NULL },
		{ "A one\n", "a", "one" },
		{ "a one\n", "A", "one" },
		{ "a \t one two \n", "a", "one two" },
		{ "# c\n\na one\n", "a", "one" },
		{ "a one\n two\n", "a", "one two" },
		{ "a one\n# c\n\n  \n two\n", "a", "one two" },
		{ "\"a b\"@x one\n", "\"a b\"@x", "one" },
		{ "a one\r\nb two\r\n", "a", "one" },
		{ "a one\na two\n", "a", "one" },
		{ "  a one\n", "a", "one" },
		{ "", "a", NULL },
		{ "a\n", "a", NULL },
		{ "#a one\n", "#a", NULL },
	};

	(void)state;
	check_file_table("texthash", cases, ARRAY_LENGTH(cases));
}

static void a_key_is_folded_only_where_asked(void **state)
{
	struct dict *d;

	(void)state;
	put_file("t", "A one\nb two\n");
	d = open_table("texthash:t", 0);
	check(d, "a", NULL);
	check(d, "A", "one");
	check(d, "B", NULL);
	dict_close(d);
}

static void simple_tables_answer(void **state)
{
	static const struct {
		const char *table, *key, *answer;
	} cases[] = {
		{ "static:all", "any", "all" },
		{ "static:{ all of it }", "any", "all of it" },
		{ "inline:{a=1, b=2}", "b", "2" },
		{ "inline:{ a=1 b=2 }", "a", "1" },
		{ "inline:{ {a = x, y}, b=2 }", "a", "x, y" },
		{ "inline:{ {a b = c=d} }", "a b", "c=d" },
		{ "inline:{a=1}", "A", "1" },
		{ "inline:{a=1, a=2}", "a", "1" },
		{ "fail:x", "any", "!" },
		{ "unix:passwd.byname", "no such user", NULL },
		{ "unix:passwd.byname", "root\n", NULL },
		{ "cidr:{ {10.0.0.0/8 inside}, {!10.0.0.0/8 outside} }", "10.1.2.3", "inside" },
		{ "pcre:{ {/^(a+)$/ $1, twice: $1} }", "aa", "aa, twice: aa" },
		{ "regexp:{ {/^a/ x} {/b/ y} }", "cb", "y" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct dict *d = open_table(cases[i].table, DICT_FOLD_KEY);

		check(d, cases[i].key, cases[i].answer);
		dict_close(d);
	}
}

static void system_users_and_groups_are_known(void **state)
{
	const struct passwd *root = getpwnam("root");
	char *line = mem_printf("root:x:0:%d:%s:%s:%s", (int)root->pw_gid, root->pw_gecos,
	    root->pw_dir, root->pw_shell);
	struct dict *users = open_table("unix:passwd.byname", DICT_FOLD_KEY);
	struct dict *groups = open_table("unix:group.byname", DICT_FOLD_KEY);
	struct buf value = { 0 };

	(void)state;
	check(users, "Root", line);
	assert_int_equal(dict_lookup(groups, SLICE("root"), &value), 1);
	assert_true(slice_starts_nocase(buf_slice(&value), SLICE("root:x:0:")));
	buf_clear(&value);
	dict_close(users);
	dict_close(groups);
	free(line);
}

static void cidr_rules_hold_in_order(void **state)
{
	static const char rules[] =
	    "10.0.0.0/8 ten\n192.0.2.1 one\n2001:db8::/32 six\n"
	    "[::1]/128 loop\nif 172.16.0.0/12\n172.16.5.0/24 inner $1\n!172.17.0.0/16 other\n"
	    "endif\n!0.0.0.0/0 not4\nif !192.0.2.0/24\n2001:db9::/32 inner6\nendif\n"
	    "!2001:db8::/32 not db8\n10.0.0.1 late\n0.0.0.0/0 rest\n";
	static const struct lookup_case cases[] = {
		{ rules, "10.0.0.1", "ten" },
		{ rules, "192.0.2.1", "one" },
		{ rules, "192.0.2.2", "rest" },
		{ rules, "2001:DB8:0::5", "six" },
		{ rules, "::1", "loop" },
		{ rules, "::ffff:10.1.1.1", "ten" },
		{ rules, "172.16.5.9", "inner $1" },
		{ rules, "172.18.0.1", "other" },
		{ rules, "172.17.0.1", "rest" },
		{ rules, "2001:db9::", "not db8" },
		{ rules, "host.example", NULL },
		{ rules, "10.0.0", NULL },
		{ rules, "10.0.0.1\n", NULL },
	};

	(void)state;
	check_file_table("cidr", cases, ARRAY_LENGTH(cases));
}

static const struct lookup_case pattern_cases[] = {
	{ "/^a(.*)z$/ <$1>", "abcz", "<bc>" },
	{ "/^a(.*)z$/ <${1}$(1)$$1>", "abz", "<bb$1>" },
	{ "/ABC/ x", "xabcx", "x" },
	{ "/ABC/i x", "xabcx", NULL },
	{ "!/abc/ x", "abc", NULL },
	{ "!/abc/ x", "def", "x" },
	{ "! ! /abc/ x", "abc", "x" },
	{ "/a/ one\n/a/ two", "a", "one" },
	{ "|a/b| x", "a/b", "x" },
	{ "/a\\/b/ x", "a/b", "x" },
	{ "/(a)|(b)/ <$1$2>", "b", "<b>" },
	{ "/(a)?b/ <$1>", "b", "<>" },
	{ "if /a/\n/b/ both\nendif\n/b/ b", "ab", "both" },
	{ "if /a/\n/b/ both\nendif\n/b/ b", "b", "b" },
	{ "if !/a/\n/b/ no a\nendif\n/b/ b", "b", "no a" },
	{ "if /a/\nif /b/\n/c/ abc\nendif\n/c/ ac\nendif\n/c/ c", "ac", "ac" },
	{ "if /a/\nif /b/\n/c/ abc\nendif\n/c/ ac\nendif\n/c/ c", "bc", "c" },
	{ "IF /a/\n/./ x\nENDIF", "b", NULL },
	{ "if /a/\n/b/ x", "b", NULL },
	{ "endif\n/b/ x", "b", "x" },
	{ "/iffy/ x\n", "iffy", "x" },
	{ "/a b/ x y\n", "a b", "x y" },
	{ "/a/\n x\n", "a", "x" },
	/* skipped, and what follows still holds */
	{ "/a x\n/a/ y", "a", "y" },
	{ "/(/ x\n/a/ y", "a", "y" },
	{ "/a/ $2\n/a/ y", "a", "y" },
	{ "/a/q x\n/a/ y", "a", "y" },
	{ "a x\n/a/ y", "a", "y" },
	{ "/(a)/ $0\n/a/ y", "a", "y" },
	{ "/(a)/ $x\n/a/ y", "a", "y" },
	{ "/(a)/ ${1\n/a/ y", "a", "y" },
	{ "!/(b)/ $1\n/a/ y", "a", "y" },
	{ "/(a)/ $\n/a/ y", "a", "y" },
	{ "/(a)/ $18446744073709551617\n/a/ y", "a", "y" },
	/* an if that is none never holds */
	{ "if /(/\n/a/ inner\nendif\n/a/ y", "a", "y" },
	{ "if !/(/\n/a/ inner\nendif\n/a/ y", "a", "y" },
	{ "if\n/a/ inner\nendif\n/a/ y", "a", "y" },
};

static void regexp_rules_hold_in_order(void **state)
{
	(void)state;
	check_file_table("regexp", pattern_cases, ARRAY_LENGTH(pattern_cases));
}

static void pcre_rules_hold_in_order(void **state)
{
	static const struct lookup_case cases[] = {
		{ "/^(?!a)/ x", "b", "x" },
		{ "/a.b/ x", "a\nb", "x" },
		{ "/a.b/s x", "a\nb", NULL },
		{ "/^b/m x", "a\nb", "x" },
		{ "/a b/x x", "ab", "x" },
		{ "/b/A x", "ab", NULL },
		{ "/(?=ab\\K)a/ x", "ab", NULL },
		{ "/a\\Kb/ <$$>", "ab", "<$>" },
		{ "/^\xc3\xa4$/ x", "\xc3\xa4", "x" },
	};

	(void)state;
	check_file_table("pcre", pattern_cases, ARRAY_LENGTH(pattern_cases));
	check_file_table("pcre", cases, ARRAY_LENGTH(cases));
}

static void a_pattern_that_a_key_makes_run_away_fails(void **state)
{
	char key[60];
	struct dict *d;

	(void)state;
	memset(key, 'a', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	put_file("t", "/^(a+)+$/ x\n/^(a|aa)+b$/ y\n");
	d = open_table("pcre:t", 0);
	check(d, key, "x");
	key[sizeof(key) - 2] = 'c';
	check(d, key, "!");
	assert_non_null(strstr(dict_error(d), "line 1"));
	check(d, "aab", "y");
	dict_close(d);
}

static void a_result_that_grows_too_large_fails(void **state)
{
	struct buf rules = { 0 }, key = { 0 };
	struct dict *d;

	(void)state;
	buf_puts(&rules, "/(.*)/ ");
	for (int i = 0; i < 100; i++)
		buf_puts(&rules, "$1");
	put_file("t", buf_text(&rules));
	memset(buf_reserve(&key, 100000), 'x', 100000);
	key.len = 100000;
	d = open_table("pcre:t", 0);
	check(d, buf_text(&key), "!");
	dict_close(d);
	buf_clear(&rules);
	buf_clear(&key);
}

static void strangers_choose_no_command(void **state)
{
	struct dict *d;

	(void)state;
	put_file("t", "/(.*)/ |cmd $1\n/./ safe $$1\n");
	d = open_table("regexp:t", DICT_NO_REGSUB);
	check(d, "x", "safe $1");
	dict_close(d);
}

static void a_complaint_names_file_and_line(void **state)
{
	static const struct {
		const char *type, *rules, *part;
	} cases[] = {
		{ "regexp", "/a/ x\n\n/(/ y\n", "t, line 3: bad regular expression" },
		{ "pcre", "# c\n/(/ y\n", "t, line 2: bad regular expression at byte" },
		{ "pcre", "/a x\n", "t, line 1: the closing /" },
		{ "pcre", "/a/q x\n", "flag \"q\"" },
		{ "pcre", "/a/ $1\n", "line 1: $number" },
		{ "pcre", "/a/\n", "no result" },
		{ "pcre", "if /a/\n", "t, line 1: if without" },
		{ "pcre", "\nendif\n", "t, line 2: endif" },
		{ "pcre", "if /a/ x\nendif y\n", "t, line 1: text behind" },
		{ "cidr", "\n10.0.0.1/8 x\n", "t, line 2: address bits" },
		{ "cidr", "10.0.0.0/33 x\n", "line 1" },
		{ "cidr", "host x\n", "no network" },
		{ "texthash", "a b\nc\n", "t, line 2: expected" },
		{ "texthash", "a b\nB c\nA d\n", "t, line 3: \"a\" is in line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf logged = { 0 };
		char *table = mem_printf("%s:t", cases[i].type), *why = NULL;
		struct dict *d;

		put_file("t", cases[i].rules);
		d = open_logged(table, DICT_FOLD_KEY, &logged, &why);
		assert_non_null(d);
		if (strstr(buf_text(&logged), cases[i].part) == NULL)
			fail_msg("%s: %s", cases[i].rules, buf_text(&logged));
		dict_close(d);
		buf_clear(&logged);
		free(table);
	}
}

static void hostile_keys_are_not_found(void **state)
{
	struct slice keys[] = { { "a\0b", 3 }, { "", 0 }, { NULL, 0 }, { "a\nb", 3 },
		{ "a\rb", 3 } };
	struct buf value = { 0 };
	struct dict *d = open_table("static:x", 0);
	char *large = mem_alloc(100000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		assert_int_equal(dict_lookup(d, keys[i], &value), 0);
	assert_int_equal(dict_lookup(d, slice_new(memset(large, 'a', 100000), 100000), &value), 0);
	assert_int_equal(value.len, 0);
	free(large);
	dict_close(d);
}

/* Makes the database as another program would. */
static void make_db(DBTYPE type, struct slice key, struct slice value)
{
	char *path = mem_printf("%s/t.db", place_name);
	DBT k = { .data = (void *)key.data, .size = (u_int32_t)key.len };
	DBT v = { .data = (void *)value.data, .size = (u_int32_t)value.len };
	DB *db;

	unlink(path);
	assert_int_equal(db_create(&db, NULL, 0), 0);
	assert_int_equal(db->open(db, NULL, path, NULL, type, DB_CREATE, 0644), 0);
	assert_int_equal(db->put(db, NULL, &k, &v, 0), 0);
	assert_int_equal(db->close(db, 0), 0);
	free(path);
}

static void databases_are_read_with_and_without_their_nul(void **state)
{
	static const struct {
		struct slice key, value;
		const char *answer;
	} cases[] = {
		{ { "a\0", 2 }, { "one\0", 4 }, "one" },
		{ { "a", 1 }, { "one", 3 }, "one" },
		{ { "a", 1 }, { "one\0", 4 }, "one" },
		{ { "a\0", 2 }, { "o\0ne", 4 }, "o" },
		{ { "a\0", 2 }, { "", 0 }, "" },
		{ { "ab", 2 }, { "one", 3 }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LENGTH(cases); i++) {
		bool hash = i % 2 == 0;
		struct dict *d;

		make_db(hash ? DB_HASH : DB_BTREE, cases[i / 2].key, cases[i / 2].value);
		d = open_table(hash ? "hash:t" : "btree:t", DICT_FOLD_KEY);
		check(d, "A", cases[i / 2].answer);
		check(d, "b", NULL);
		dict_close(d);
	}
}

static void a_database_of_another_type_or_damaged_is_refused(void **state)
{
	char *why = NULL;

	(void)state;
	make_db(DB_BTREE, SLICE("a"), SLICE("b"));
	assert_null(dict_open(place, "hash:t", 0, &why));
	free(why);
	put_file("t.db", "no database at all, only text\n");
	assert_null(dict_open(place, "hash:t", 0, &why));
	assert_non_null(strstr(why, "t.db"));
	free(why);
}

/* Pages that never reached the disk are zeros: in a btree libdb would look for a key for ever. */
static void a_database_that_is_half_written_is_refused(void **state)
{
	struct dict_writer *writer;
	char *why = NULL;
	int fd;

	(void)state;
	writer = dict_writer_open(place, "btree:t", 0644, &why);
	assert_non_null(writer);
	for (int i = 0; i < 3000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key%d", i);
		assert_int_equal(dict_writer_put(writer, slice_of(key), SLICE("value")), 1);
	}
	assert_int_equal(dict_writer_close(writer, true, &why), 0);
	dict_close(open_table("btree:t", DICT_FOLD_KEY));
	fd = openat(place, "t.db", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, (char[8192]){ 0 }, 8192, 16384), 8192);
	close(fd);
	assert_null(dict_open(place, "btree:t", DICT_FOLD_KEY, &why));
	assert_non_null(strstr(why, "t.db is damaged; make it anew"));
	free(why);
}

static void the_working_directory_has_no_say(void **state)
{
	int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dict *d;

	(void)state;
	make_db(DB_HASH, SLICE("a"), SLICE("b"));
	put_file("DB_CONFIG", "set_data_dir /nonexistent\nno such directive\n");
	assert_int_equal(fchdir(place), 0);
	d = open_table("hash:t", 0);
	check(d, "a", "b");
	dict_close(d);
	assert_int_equal(fchdir(before), 0);
	close(before);
	unlinkat(place, "DB_CONFIG", 0);
}

static void a_changed_file_is_noticed(void **state)
{
	static const char *const types[] = { "texthash:t", "regexp:t", "hash:t" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
		const char *file = i == 2 ? "t.db" : "t";
		struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
		struct dict *d;

		put_file("t", "/a/ x\n");
		make_db(DB_HASH, SLICE("a"), SLICE("x"));
		d = open_table(types[i], 0);
		assert_false(dict_changed(d));
		put_file(file, "a z\n"); /* replaced: the old one goes on answering */
		assert_true(dict_changed(d));
		check(d, i == 0 ? "/a/" : "a", "x");
		dict_close(d);

		put_file("t", "/a/ x\n");
		make_db(DB_HASH, SLICE("a"), SLICE("x"));
		d = open_table(types[i], 0);
		assert_int_equal(utimensat(place, file, times, 0), 0); /* changed in place */
		assert_true(dict_changed(d));
		if (i == 2)
			check(d, "a", "!");
		dict_close(d);
	}
	struct dict *d = open_table("static:x", 0);
	assert_false(dict_changed(d));
	dict_close(d);
}

static void all_types_are_listed_and_known(void **state)
{
	size_t count = 0;

	(void)state;
	for (const char *const *type = dict_types(); *type != NULL; type++, count++) {
		char *table = mem_printf("%s:/missing", *type), *why = NULL;
		struct dict *d = dict_open(place, table, 0, &why);

		assert_true(d != NULL || strstr(why, "no table type") == NULL);
		dict_close(d);
		free(why);
		free(table);
	}
	assert_int_equal(count, 10);
}

static void a_missing_table_fails_where_a_service_can_wait(void **state)
{
	static const char *const missing[] = { "hash:none", "btree:none", "texthash:none",
		"cidr:none", "pcre:none" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(missing); i++) {
		struct buf logged = { 0 }, value = { 0 };
		char *why = NULL;
		struct dict *d = open_logged(missing[i], DICT_OR_FAILING, &logged, &why);

		assert_non_null(d);
		assert_null(why);
		assert_non_null(strstr(buf_text(&logged), missing[i]));
		assert_int_equal(dict_lookup(d, SLICE("key"), &value), -1);
		assert_non_null(strstr(dict_error(d), missing[i]));
		assert_false(dict_changed(d));
		assert_false(dict_is_pattern(d));
		dict_close(d);
		assert_null(dict_open(place, missing[i], 0, &why));
		free(why);
		why = NULL;
		buf_clear(&logged);
		buf_clear(&value);
	}
	{
		char *why = NULL;

		assert_null(dict_open(place, "nosuch:type", DICT_OR_FAILING, &why));
		free(why);
	}
}

static void random_text_is_no_danger(void **state)
{
	static const char letters[] = "/!if endif$1{}()\n\t#a10.:[]*+\\\"=,|^";
	static const char *const types[] = { "regexp:t", "pcre:t", "cidr:t", "texthash:t" };
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct buf text = { 0 }, logged = { 0 }, value = { 0 };
		char *why = NULL;
		struct dict *d;

		for (int i = 0; i < 200; i++) {
			seed = seed * 1103515245 + 12345;
			buf_putc(&text, letters[(seed >> 16) % (sizeof(letters) - 1)]);
		}
		put_file("t", buf_text(&text));
		d = open_logged(types[round % 4], DICT_FOLD_KEY, &logged, &why);
		assert_non_null(d);
		dict_lookup(d, SLICE("a1a1"), &value);
		dict_lookup(d, SLICE("10.1.1.1"), &value);
		dict_close(d);
		buf_clear(&text);
		buf_clear(&logged);
		buf_clear(&value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_that_is_none_is_refused_with_a_reason),
		cmocka_unit_test(text_files_are_read_as_postmap_reads_them),
		cmocka_unit_test(a_key_is_folded_only_where_asked),
		cmocka_unit_test(simple_tables_answer),
		cmocka_unit_test(system_users_and_groups_are_known),
		cmocka_unit_test(cidr_rules_hold_in_order),
		cmocka_unit_test(regexp_rules_hold_in_order),
		cmocka_unit_test(pcre_rules_hold_in_order),
		cmocka_unit_test(a_pattern_that_a_key_makes_run_away_fails),
		cmocka_unit_test(a_result_that_grows_too_large_fails),
		cmocka_unit_test(strangers_choose_no_command),
		cmocka_unit_test(a_complaint_names_file_and_line),
		cmocka_unit_test(hostile_keys_are_not_found),
		cmocka_unit_test(databases_are_read_with_and_without_their_nul),
		cmocka_unit_test(a_database_of_another_type_or_damaged_is_refused),
		cmocka_unit_test(a_database_that_is_half_written_is_refused),
		cmocka_unit_test(the_working_directory_has_no_say),
		cmocka_unit_test(a_changed_file_is_noticed),
		cmocka_unit_test(all_types_are_listed_and_known),
		cmocka_unit_test(a_missing_table_fails_where_a_service_can_wait),
		cmocka_unit_test(random_text_is_no_danger),
	};

	return cmocka_run_group_tests(tests, make_place, remove_place);
}
