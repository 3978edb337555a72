/* SPDX-License-Identifier: ISC */
/*
 * proxymap answers from the tables that the administrator listed and from no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "support/proxymap.h"

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	proxymap_close();
	arena_free(arena);
	return 0;
}

static struct msg_looked_up lookup(const char *table, const char *key)
{
	struct msg_lookup question = { slice_of(table), slice_of(key) };
	struct msg_looked_up answer = { 0 };

	proxymap_lookup(&question, arena, &answer);
	return answer;
}

static void only_listed_tables_are_asked(void **state)
{
	static const struct {
		const char *table, *key;
		enum found found;
	} cases[] = {
		{ "static:all", "any", FOUND_YES },
		{ "fail:listed", "any", FOUND_ERROR },
		{ "static:other", "any", FOUND_ERROR },
		{ "static:direct", "any", FOUND_ERROR },
		{ "texthash:/etc/passwd", "root", FOUND_ERROR },
		{ "texthash:/does/not/exist", "any", FOUND_ERROR },
		{ "proxy:static:all", "any", FOUND_ERROR },
		{ "", "any", FOUND_ERROR },
		{ "unix:passwd.byname", "root", FOUND_YES },
		{ "unix:passwd.byname", "no-such-user-here", FOUND_NO },
		{ "unix:passwd.byname", "", FOUND_NO },
		{ "unix:group.byname", "root", FOUND_YES },
	};

	(void)state;
	proxymap_open(AT_FDCWD,
	    "proxy:static:all, static:direct proxy:fail:listed\n"
	    "proxy:texthash:/does/not/exist proxy:unix:passwd.byname");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		if (lookup(cases[i].table, cases[i].key).found != cases[i].found)
			fail_msg("%s %s", cases[i].table, cases[i].key);
	assert_true(slice_equal(lookup("static:all", "x").value, SLICE("all")));
}

static void a_value_that_no_frame_holds_is_an_error(void **state)
{
	char path[] = "/tmp/test_proxymap.XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	char *list = mem_printf("proxy:texthash:%s", path);

	(void)state;
	fprintf(file, "fits %0*d\nlong %0*d\n", CHUNK_LIMIT, 0, CHUNK_LIMIT + 1, 0);
	fflush(file);
	proxymap_open(AT_FDCWD, list);
	assert_int_equal(lookup(list + 6, "fits").found, FOUND_YES);
	assert_int_equal(lookup(list + 6, "long").found, FOUND_ERROR);
	assert_null(proxymap_changed());
	fprintf(file, "more x\n");
	fclose(file);
	assert_string_equal(proxymap_changed(), list + 6);
	unlink(path);
	free(list);
}

static void system_users_are_found_by_exact_name(void **state)
{
	struct msg_user question = { SLICE("root") };
	struct msg_user_info answer;
	static char long_name[NAME_LIMIT + 1];

	(void)state;
	proxymap_user(&question, arena, &answer);
	assert_int_equal(answer.found, FOUND_YES);
	assert_int_equal(answer.uid, 0);
	assert_true(slice_equal(answer.home, slice_of(getpwnam("root")->pw_dir)));
	memset(long_name, 'x', NAME_LIMIT);
	question.name = slice_of(long_name);
	proxymap_user(&question, arena, &answer);
	assert_int_equal(answer.found, FOUND_NO);
	question.name = SLICE("root:x");
	proxymap_user(&question, arena, &answer);
	assert_int_equal(answer.found, FOUND_NO);
	question.name = SLICE("");
	proxymap_user(&question, arena, &answer);
	assert_int_equal(answer.found, FOUND_NO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_listed_tables_are_asked),
		TEST(a_value_that_no_frame_holds_is_an_error),
		TEST(system_users_are_found_by_exact_name),
	};

	log_open("postfix", "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
