/* SPDX-License-Identifier: ISC */
/*
 * test_expand.c - aliases are followed to their end, and each place they lead to counts once.
 */
#include "tests/unit/local/scene.h"

#include "common/base/arena.h"
#include "local/expand.h"

/* The alias table of a test: lines of "name: members". */
static const char *const *table;
static size_t judged_most, judged_calls;

static struct slice look_up(struct slice name)
{
	for (const char *const *row = table; *row != NULL; row++) {
		const char *colon = strchr(*row, ':');

		if (slice_equal(slice_new(*row, (size_t)(colon - *row)), name))
			return slice_of(colon + 1);
	}
	return slice_of(NULL);
}

static int find(struct slice local, struct slice user, struct arena *arena, struct target **targets,
    struct slice *name, struct slice *owner, struct verdict *v)
{
	struct slice value = look_up(*name = local);
	const char *why;

	if (value.data == NULL)
		value = look_up(*name = user);
	if (value.data == NULL)
		return 0;
	if (slice_equal(slice_trim(value), SLICE("unavailable"))) {
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "the table is away");
		return -1;
	}
	*targets = targets_parse(value, 10000, arena, &why);
	*owner = slice_of(arena_printf(arena, "owner-%.*s", (int)name->len, name->data));
	if (look_up(*owner).data == NULL)
		*owner = SLICE("");
	return 1;
}

/* here.example is ours, and also.example. */
static bool judge(void *arg, struct judged *const *items, size_t count, struct verdict *v)
{
	struct arena *arena = arg;

	(void)v;
	judged_calls++;
	judged_most = count > judged_most ? count : judged_most;
	for (size_t i = 0; i < count; i++) {
		ptrdiff_t at = slice_find_last(items[i]->address, '@');
		struct slice domain = slice_part(items[i]->address, (size_t)at + 1, 100);

		if (at < 0)
			items[i]->address = slice_of(arena_printf(arena, "%.*s@here.example",
			    (int)items[i]->address.len, items[i]->address.data));
		items[i]->is_ours = at < 0 || slice_equal_nocase(domain, SLICE("here.example")) ||
		    slice_equal_nocase(domain, SLICE("also.example"));
	}
	return true;
}

static void describe(struct expansion *e, struct buf *out)
{
	static const char *const kinds[] = { [PLACE_USER] = "user",
		[PLACE_MAILBOX] = "mailbox",
		[PLACE_ADDRESS] = "address",
		[PLACE_TARGET] = "target" };
	struct place *p;

	while ((p = expand_next(e)) != NULL) {
		struct slice text = p->kind == PLACE_TARGET ? p->target->text : p->address;

		buf_printf(out, "%s%s%s %.*s", out->len > 0 ? ", " : "",
		    p->is_own_member ? "own " : "", kinds[p->kind], (int)text.len, text.data);
	}
	if (expand_owner(e).len > 0)
		buf_printf(out, " by %.*s", (int)expand_owner(e).len, expand_owner(e).data);
}

/* Where mail to a@here.example goes; a table that must be tried later: "4.x.x text". */
static void assert_places(const char *const *rows, const char *want)
{
	struct arena *arena = arena_new();
	struct expand_sources sources = { find, judge, arena };
	struct expansion *e = expand_new(arena, &sources, SLICE("a@here.example"));
	struct verdict v = { 0 };
	struct buf got = { 0 };

	table = rows;
	if (expand_run(e, &v))
		describe(e, &got);
	else
		buf_printf(&got, "%s %s", v.dsn, v.text);
	assert_string_equal(buf_text(&got), want);
	free(v.text);
	buf_clear(&got);
	arena_free(arena);
}

static void each_place_counts_once(void **unused)
{
	static const struct {
		const char *rows[5], *places;
	} cases[] = {
		{ { "b: c" }, "user a@here.example" },
		{ { "a: b, c", "b: u", "c: u" }, "user u@here.example" },
		{ { "a: b, c", "b: U@HERE.example", "c: u@also.example" }, "user U@HERE.example" },
		{ { "a: b, x@far.example", "b: x@Far.Example, X@far.example" },
		    "address x@far.example, address X@far.example" },
		{ { "a: |cmd, b, /f", "b: |cmd, /f, :include:/l, \\u, \\u" },
		    "target cmd, target /f, target /l, mailbox u@here.example" },
		{ { "a: u+x, u+y, u+x" }, "user u+x@here.example, user u+y@here.example" },
		/* An alias that has itself as member means the user. */
		{ { "a: a, b" }, "own user a@here.example, user b@here.example" },
		{ { "a: A+ext, b" }, "own user A+ext@here.example, user b@here.example" },
		{ { "a: b, c", "b: c", "c: c, d" },
		    "own user c@here.example, user d@here.example" },
		/* Rings lead nowhere, but what stands beside counts. */
		{ { "a: b", "b: c", "c: a" }, "" },
		{ { "a: b, u", "b: a" }, "user u@here.example" },
		/* An owner: of a chain it is the message's; beside others it needs its own message. */
		{ { "a: b", "b: c, d", "owner-b: o" },
		    "user c@here.example, user d@here.example by owner-b" },
		{ { "a: b, c", "b: d", "owner-b: o" },
		    "address b@here.example, user c@here.example" },
		{ { "a: b", "b: a, c", "owner-b: o" }, "user c@here.example by owner-b" },
		{ { "a: b, c", "b: " }, "address b@here.example, user c@here.example" },
		{ { "a: " }, "5.1.1 alias a has no members" },
		{ { "a: b, c", "c: unavailable" }, "4.3.0 the table is away" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_places(cases[i].rows, cases[i].places);
}

static void a_forward_file_that_leads_back_means_the_mailbox(void **unused)
{
	static const char *const rows[] = { "a: u", "f: u, v", "v: w", NULL };
	struct arena *arena = arena_new();
	struct expand_sources sources = { find, judge, arena };
	struct expansion *e = expand_new(arena, &sources, SLICE("a@here.example"));
	struct verdict v = { 0 };
	struct buf got = { 0 };

	(void)unused;
	table = rows;
	assert_true(expand_run(e, &v));
	assert_int_equal(expand_next(e)->kind, PLACE_USER);
	expand_add(e, SLICE("f@here.example"), SLICE("u"));
	expand_add(e, SLICE("w"), SLICE("u"));
	assert_true(expand_run(e, &v));
	describe(e, &got);
	assert_string_equal(buf_text(&got), "user w@here.example, mailbox u@here.example");
	assert_true(expand_has_mailbox(e, SLICE("u")));
	assert_false(expand_has_mailbox(e, SLICE("w")));
	buf_clear(&got);
	arena_free(arena);
}

/* Fills a table with aliases n0: n1, ... up to the last, which has the members. */
static char **chain(size_t length)
{
	char **rows = mem_alloc_array(length + 2, sizeof(*rows));

	rows[0] = mem_strdup("a: n1");
	for (size_t i = 1; i < length; i++)
		rows[i] = mem_printf("n%zu: n%zu", i, i + 1);
	return rows;
}

static void free_rows(char **rows)
{
	for (size_t i = 0; rows[i] != NULL; i++)
		free(rows[i]);
	free(rows);
}

static void depth_and_count_have_a_limit(void **unused)
{
	static const struct {
		size_t length;
		const char *want;
	} depths[] = {
		{ EXPAND_DEPTH - 1, "user n99@here.example" },
		{ EXPAND_DEPTH, "5.4.6 alias loop: more than 100 steps" },
		{ 1000, "5.4.6 alias loop: more than 100 steps" },
	};
	char **rows, *want;

	(void)unused;
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		rows = chain(depths[i].length);
		assert_places((const char *const *)rows, depths[i].want);
		free_rows(rows);
	}
	/* Six lists of the same 9,000 names: the names count as often as they are named. */
	for (int lists = 5; lists <= 6; lists++) {
		struct buf all = { 0 };

		rows = mem_alloc_array(10, sizeof(*rows));
		rows[0] = mem_strdup("a: l1, l2, l3, l4, l5, l6, l7");
		for (int i = 0; i < 9000; i++)
			buf_printf(&all, "x%d@far.example,", i);
		for (int i = 1; i <= lists; i++)
			rows[i] = mem_printf("l%d: %s", i, buf_text(&all));
		want = lists == 5
		    ? NULL
		    : mem_printf("4.3.5 aliases lead to more than %d members", EXPAND_COUNT);
		judged_most = judged_calls = 0;
		if (want != NULL) {
			assert_places((const char *const *)rows, want);
		} else {
			struct arena *arena = arena_new();
			struct expand_sources sources = { find, judge, arena };
			struct expansion *e = expand_new(arena, &sources, SLICE("a@here.example"));
			struct verdict v = { 0 };
			size_t count = 0;

			table = (const char *const *)rows;
			assert_true(expand_run(e, &v));
			while (expand_next(e) != NULL)
				count++;
			assert_int_equal(count, 9000 + 2); /* l6 and l7 are users */
			assert_int_equal(judged_most, RCPTS_PER_FRAME);
			assert_int_equal(judged_calls, 1 + 5 * 9000 / RCPTS_PER_FRAME);
			arena_free(arena);
		}
		free(want);
		buf_clear(&all);
		free_rows(rows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_place_counts_once, scene_begin, scene_end),
		cmocka_unit_test_setup_teardown(a_forward_file_that_leads_back_means_the_mailbox,
		    scene_begin, scene_end),
		cmocka_unit_test_setup_teardown(depth_and_count_have_a_limit, scene_begin,
		    scene_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
