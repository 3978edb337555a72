/* SPDX-License-Identifier: ISC */
/*
 * Lists of tables and of patterns are asked in order, and a table that can't answer is never taken
 * for one that says no; what postmap and postalias build is what the daemons read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <db.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

static int place = -1;
static char place_name[] = "/tmp/gatepost-maps-XXXXXX";

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
	static const char *const files[] = { "t", "t.db", "list", "list2", "loop" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		unlinkat(place, files[i], 0);
	close(place);
	return rmdir(place_name); /* fails when a temporary file was left behind */
}

static void put_file(const char *name, const char *text)
{
	assert_int_equal(io_replace_file(place, name, slice_of(text), 0644), 0);
}

/* A stand-in for proxymap: knows "k", fails for "bad". */
static int ask(void *arg, struct slice table, struct slice key, struct buf *value)
{
	struct buf *asked = arg;

	buf_printf(asked, "%.*s?%.*s ", (int)table.len, table.data, (int)key.len, key.data);
	if (slice_equal(key, SLICE("bad")))
		return -1;
	if (!slice_equal(key, SLICE("k")))
		return 0;
	buf_puts(value, "from proxy");
	return 1;
}

static void tables_are_asked_in_order(void **state)
{
	static const struct {
		const char *maps, *key;
		int rc;
		const char *value;
	} cases[] = {
		{ "", "a", 0, "" },
		{ " , ", "a", 0, "" },
		{ "inline:{a=1}, inline:{a=2, b=3}", "a", 1, "1" },
		{ "inline:{a=1}, inline:{a=2, b=3}", "b", 1, "3" },
		{ "inline:{ {a = x, y} } static:z", "a", 1, "x, y" },
		{ "inline:{a=1} static:z", "c", 1, "z" },
		{ "inline:{a=1} fail:x static:z", "a", 1, "1" },
		{ "inline:{a=1} fail:x static:z", "b", -1, "" },
		{ "proxy:ldap:/x static:z", "k", 1, "from proxy" },
		{ "proxy:ldap:/x static:z", "a", 1, "z" },
		{ "proxy:ldap:/x static:z", "bad", -1, "" },
		{ "regexp:{{/a/}}", "a", -1, "" },
		{ "regexp:{ {/(.)/ $1} }", "a", 1, "a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf value = { 0 }, asked = { 0 };
		char *why = NULL;
		struct dict_maps *m = dict_maps_open(place, cases[i].maps, 0, ask, &asked, &why);

		assert_non_null(m);
		assert_int_equal(dict_maps_lookup(m, slice_of(cases[i].key), &value), cases[i].rc);
		assert_string_equal(buf_text(&value), cases[i].value);
		if (cases[i].rc == -1)
			assert_true(strlen(dict_maps_error(m)) > 0);
		assert_int_equal(dict_maps_is_empty(m), i < 2);
		assert_false(dict_maps_changed(m));
		dict_maps_close(m);
		buf_clear(&value);
		buf_clear(&asked);
	}
}

static void a_list_with_a_bad_table_is_refused(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(dict_maps_open(place, "static:x, nosuch:y", 0, NULL, NULL, &why));
	assert_non_null(strstr(why, "nosuch"));
	free(why);
	assert_null(dict_maps_open(place, "proxy:ldap:/x", 0, NULL, NULL, &why));
	free(why);
}

static int note_key(void *arg, struct slice table, struct slice key, struct buf *value)
{
	(void)table;
	(void)value;
	buf_put_slice(arg, key);
	buf_putc(arg, '|');
	return 0;
}

static void an_address_is_looked_up_in_its_pieces(void **state)
{
	static const struct {
		const char *address, *delimiters;
		bool is_local;
		const char *asked;
	} cases[] = {
		{ "u@d", "+", false, "u@d|@d|" },
		{ "u@d", "+", true, "u@d|u|@d|" },
		{ "u+e@d", "+", false, "u+e@d|u@d|@d|" },
		{ "u+e@d", "+", true, "u+e@d|u@d|u+e|u|@d|" },
		{ "u+e@d", "", true, "u+e@d|u+e|@d|" },
		{ "u", "+", true, "u|" },
		{ "u+e", "+", true, "u+e|u|" },
		{ "u+e", "+", false, "u+e|u|" },
		{ "owner-x@d", "-", false, "owner-x@d|@d|" },
		{ "\"a+b\"@d", "+", false, "\"a+b\"@d|@d|" },
		{ "\"a@b\"@d", "+", false, "\"a@b\"@d|@d|" },
		{ "\"a@b\"", "+", true, "\"a@b\"|" },
		{ "@d", "+", true, "@d|" },
		{ "", "+", true, "" },
		{ "u@", "+", false, "u@|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf value = { 0 }, asked = { 0 };
		struct slice extension;
		char *why = NULL;
		struct dict_maps *m = dict_maps_open(place, "proxy:x:y", 0, note_key, &asked, &why);

		assert_int_equal(dict_maps_lookup_address(m, slice_of(cases[i].address),
				     cases[i].delimiters, cases[i].is_local, &value, &extension),
		    0);
		assert_string_equal(buf_text(&asked), cases[i].asked);
		dict_maps_close(m);
		buf_clear(&value);
		buf_clear(&asked);
	}
}

static void the_extension_is_told_when_the_key_had_none(void **state)
{
	static const struct {
		const char *maps, *value, *extension;
	} cases[] = {
		{ "inline:{u+e@d=1, u@d=2}", "1", "" },
		{ "inline:{u@d=2, @d=3}", "2", "e" },
		{ "inline:{u+e=1, u=2}", "1", "" },
		{ "inline:{u=2, @d=3}", "2", "e" },
		{ "inline:{@d=3}", "3", "" },
		{ "inline:{@d=3} inline:{u+e@d=1}", "1", "" },
		/* a pattern sees the whole address only */
		{ "regexp:{ {/^u@d$/ bad} {/^u$/ bad} {/^u.e@d$/ whole} }", "whole", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf value = { 0 };
		struct slice extension;
		char *why = NULL;
		struct dict_maps *m = dict_maps_open(place, cases[i].maps, DICT_FOLD_KEY, NULL,
		    NULL, &why);

		assert_int_equal(dict_maps_lookup_address(m, SLICE("u+e@d"), "+", true, &value,
				     &extension),
		    1);
		assert_string_equal(buf_text(&value), cases[i].value);
		assert_true(slice_equal(extension, slice_of(cases[i].extension)));
		dict_maps_close(m);
		buf_clear(&value);
	}
}

static void the_first_pattern_that_fits_decides(void **state)
{
	static const struct {
		enum match_kind kind;
		bool subdomains;
		const char *list, *text;
		int rc;
	} cases[] = {
		{ MATCH_STRING, false, "a, b", "B", 1 },
		{ MATCH_STRING, false, "a b", "c", 0 },
		{ MATCH_STRING, false, "", "c", 0 },
		{ MATCH_STRING, false, "!a, a", "a", 0 },
		{ MATCH_STRING, false, "a, !a", "a", 1 },
		{ MATCH_STRING, false, "!!a", "a", 1 },
		{ MATCH_STRING, false, "static:x", "any", 1 },
		{ MATCH_STRING, false, "!a static:x", "a", 0 },
		{ MATCH_STRING, false, "inline:{a=1, b=2} c", "B", 1 },
		{ MATCH_STRING, false, "fail:x", "a", -1 },
		{ MATCH_STRING, false, "a fail:x", "a", 1 },
		{ MATCH_STRING, false, "!fail:x", "a", -1 },
		{ MATCH_STRING, false, "a", "", 0 },
		{ MATCH_DOMAIN, false, "example.com", "EXAMPLE.com", 1 },
		{ MATCH_DOMAIN, false, "example.com", "a.example.com", 0 },
		{ MATCH_DOMAIN, true, "example.com", "a.example.com", 1 },
		{ MATCH_DOMAIN, true, "example.com", "aexample.com", 0 },
		{ MATCH_DOMAIN, false, ".example.com", "b.a.example.com", 1 },
		{ MATCH_DOMAIN, false, ".example.com", "example.com", 0 },
		{ MATCH_DOMAIN, false, "!x.example.com .example.com", "x.example.com", 0 },
		{ MATCH_DOMAIN, false, "inline:{.example.com=1}", "b.a.example.com", 1 },
		{ MATCH_DOMAIN, false, "inline:{example.com=1}", "a.example.com", 0 },
		{ MATCH_DOMAIN, true, "inline:{example.com=1}", "b.a.example.com", 1 },
		{ MATCH_DOMAIN, true, "inline:{com=1}", "com", 1 },
		{ MATCH_DOMAIN, true, "inline:{x=1}", "...", 0 },
		{ MATCH_DOMAIN, true, "regexp:{ {/^com$/ x} }", "a.com", 0 },
		{ MATCH_NETWORK, false, "127.0.0.0/8 [::1]/128", "127.5.5.5", 1 },
		{ MATCH_NETWORK, false, "127.0.0.0/8 [::1]/128", "::1", 1 },
		{ MATCH_NETWORK, false, "127.0.0.0/8, [::1]/128", "::2", 0 },
		{ MATCH_NETWORK, false, "127.0.0.0/8", "::ffff:127.0.0.1", 1 },
		{ MATCH_NETWORK, false, "!10.0.0.1 10.0.0.0/8", "10.0.0.1", 0 },
		{ MATCH_NETWORK, false, "!10.0.0.1 10.0.0.0/8", "10.0.0.2", 1 },
		{ MATCH_NETWORK, false, "2001:db8::/32", "2001:db8::1", 1 },
		{ MATCH_NETWORK, false, "cidr:{ {10.0.0.0/8 x} }", "10.1.1.1", 1 },
		{ MATCH_NETWORK, false, "cidr:{ {10.0.0.0/8 x} }", "11.1.1.1", 0 },
		{ MATCH_NETWORK, false, "10.0.0.0/8 trusted.example", "trusted.example", 1 },
		{ MATCH_NETWORK, false, "10.0.0.0/8 trusted.example", "10.0.0", 0 },
		{ MATCH_NETWORK, true, "0.0.0.0/0 a1", "evil.example", 0 },
		{ MATCH_NETWORK, false, "0.0.0.0/0", "::1", 0 },
		{ MATCH_NETWORK, false, "fail:x", "::1", -1 },
		{ MATCH_STRING, false, "@list", "b", 1 },
		{ MATCH_STRING, false, "@list", "d", 0 },
		{ MATCH_STRING, false, "@list", "e", 1 },
		{ MATCH_STRING, false, "!@list e", "e", 0 },
		{ MATCH_STRING, false, "!@list", "d", 1 },
		{ MATCH_STRING, false, "@list", "#", 0 },
	};

	(void)state;
	put_file("list2", "e\n");
	char *text = mem_printf("a, b\n# comment\n c\n!d\n%s/list2\n", place_name);
	put_file("list", text);
	free(text);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf list = { 0 };
		char *why = NULL;
		struct match_list *l;
		int rc;

		for (const char *at = cases[i].list; *at != '\0'; at++)
			if (*at == '@')
				buf_printf(&list, "%s/", place_name);
			else
				buf_putc(&list, *at);
		l = match_list_open(place, buf_text(&list), cases[i].kind, cases[i].subdomains,
		    &why);
		if (l == NULL)
			fail_msg("%s", why);
		rc = match_list_has(l, slice_of(cases[i].text));
		if (rc != cases[i].rc)
			fail_msg("%s: %s: %d", cases[i].list, cases[i].text, rc);
		match_list_close(l);
		buf_clear(&list);
	}
}

static void a_bad_list_is_refused_with_a_reason(void **state)
{
	static const struct {
		enum match_kind kind;
		const char *list, *part;
	} cases[] = {
		{ MATCH_NETWORK, "10.0.0.1/8", "address bits" },
		{ MATCH_NETWORK, "10.0.0.0/33", "bits" },
		{ MATCH_NETWORK, "10.0.0", "10.0.0" },
		{ MATCH_NETWORK, "[::1", "[::1" },
		{ MATCH_NETWORK, "[::1]/129", "bits" },
		{ MATCH_NETWORK, "host/24", "host/24" },
		{ MATCH_STRING, "nosuch:x", "nosuch" },
		{ MATCH_STRING, "!", "behind" },
		{ MATCH_STRING, "/missing/file", "/missing/file" },
	};
	char *why = NULL, *loop = mem_printf("%s/loop", place_name);

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_null(match_list_open(place, cases[i].list, cases[i].kind, false, &why));
		if (strstr(why, cases[i].part) == NULL)
			fail_msg("%s: %s", cases[i].list, why);
		free(why);
	}
	put_file("loop", loop);
	assert_null(match_list_open(place, loop, MATCH_STRING, false, &why));
	assert_non_null(strstr(why, "name one another"));
	free(why);
	free(loop);
}

/* All of a database, "key=value;" in the order of a btree, NUL as 0. */
static char *dump(void)
{
	char *path = mem_printf("%s/t.db", place_name);
	struct buf out = { 0 };
	DBT k = { 0 }, v = { 0 };
	DBC *cursor;
	DB *db;

	assert_int_equal(db_create(&db, NULL, 0), 0);
	assert_int_equal(db->open(db, NULL, path, NULL, DB_UNKNOWN, DB_RDONLY, 0), 0);
	assert_int_equal(db->cursor(db, NULL, &cursor, 0), 0);
	while (cursor->get(cursor, &k, &v, DB_NEXT) == 0) {
		buf_append(&out, k.data, k.size);
		buf_putc(&out, '=');
		buf_append(&out, v.data, v.size);
		buf_putc(&out, ';');
	}
	cursor->close(cursor);
	db->close(db, 0);
	free(path);
	for (size_t i = 0; i < out.len; i++)
		if (out.data[i] == '\0')
			out.data[i] = '0';
	return buf_take(&out);
}

static void a_built_table_holds_what_its_source_says(void **state)
{
	static const struct {
		enum dict_source_kind kind;
		const char *source, *dump;
	} cases[] = {
		{ DICT_SOURCE_MAP, "", "" },
		{ DICT_SOURCE_MAP, "B two\na one\n", "a0=one0;b0=two0;" },
		{ DICT_SOURCE_MAP, "a one\n  more\n# c\nA two\nx\n", "a0=one  more0;" },
		{ DICT_SOURCE_MAP, "\"a b\"@x  v w \n", "\"a b\"@x0=v w0;" },
		{ DICT_SOURCE_ALIASES, "", "@0=@0;" },
		{ DICT_SOURCE_ALIASES, "root: a, b\n", "@0=@0;root0=a, b0;" },
		{ DICT_SOURCE_ALIASES, "Root :a,\n\tb\n", "@0=@0;root0=a,\tb0;" },
		{ DICT_SOURCE_ALIASES, "\"a b:c\": x\n", "@0=@0;a b:c0=x0;" },
		{ DICT_SOURCE_ALIASES, "a\\:b: x\n", "@0=@0;a:b0=x0;" },
		{ DICT_SOURCE_ALIASES, "a: \"|cmd -x: y\"\n", "@0=@0;a0=\"|cmd -x: y\"0;" },
		{ DICT_SOURCE_ALIASES, "a: :include:/x\n", "@0=@0;a0=:include:/x0;" },
		{ DICT_SOURCE_ALIASES, "a\nb:\n: c\n\"x: y\nok: z\n", "@0=@0;ok0=z0;" },
		{ DICT_SOURCE_ALIASES, "a: 1\na: 2\n", "@0=@0;a0=10;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *why = NULL, *found;

		put_file("t", cases[i].source);
		if (dict_build(place, "btree:t", cases[i].kind, &why) == -1)
			fail_msg("%s", why);
		found = dump();
		assert_string_equal(found, cases[i].dump);
		free(found);
	}
}

static void building_replaces_the_file_as_a_whole(void **state)
{
	struct buf value = { 0 };
	struct stat file;
	struct dict *d;
	char *why = NULL;

	(void)state;
	unlinkat(place, "t.db", 0);
	put_file("t", "a one\n");
	assert_int_equal(fchmodat(place, "t", 0640, 0), 0);
	assert_int_equal(dict_build(place, "hash:t", DICT_SOURCE_MAP, &why), 0);
	assert_int_equal(fstatat(place, "t.db", &file, 0), 0);
	assert_int_equal(file.st_mode & 0777, 0640);
	assert_int_equal(fchmodat(place, "t.db", 0600, 0), 0);
	d = dict_open(place, "hash:t", DICT_FOLD_KEY, &why);
	put_file("t", "a two\n");
	assert_int_equal(dict_build(place, "hash:t", DICT_SOURCE_MAP, &why), 0);
	assert_int_equal(fstatat(place, "t.db", &file, 0), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_true(dict_changed(d));
	assert_int_equal(dict_lookup(d, SLICE("A"), &value), 1);
	assert_string_equal(buf_text(&value), "one");
	dict_close(d);
	buf_clear(&value);
}

static void a_build_that_fails_leaves_the_old_table(void **state)
{
	struct dict_writer *w;
	char *why = NULL, *found;

	(void)state;
	put_file("t", "a one\n");
	assert_int_equal(dict_build(place, "hash:t", DICT_SOURCE_MAP, &why), 0);
	w = dict_writer_open(place, "hash:t", 0644, &why);
	assert_non_null(w);
	assert_int_equal(dict_writer_put(w, SLICE("x"), SLICE("y")), 1);
	assert_int_equal(dict_writer_put(w, SLICE("x"), SLICE("z")), 0);
	assert_int_equal(dict_writer_put(w, slice_new("x\0y", 3), SLICE("z")), -1);
	assert_int_equal(dict_writer_put(w, SLICE(""), SLICE("z")), -1);
	assert_true(strlen(dict_writer_error(w)) > 0);
	assert_int_equal(dict_writer_close(w, false, &why), 0);
	found = dump();
	assert_string_equal(found, "a0=one0;");
	free(found);
	assert_null(dict_writer_open(place, "cidr:t", 0644, &why));
	free(why);
	assert_null(dict_writer_open(place, "hash:no/such/place", 0644, &why));
	free(why);
	assert_int_equal(dict_build(place, "hash:missing", DICT_SOURCE_MAP, &why), -1);
	free(why);
	assert_int_equal(dict_build(place, "hash", DICT_SOURCE_MAP, &why), -1);
	free(why);
}

static void a_large_table_is_built_and_read(void **state)
{
	struct buf text = { 0 }, value = { 0 };
	char *why = NULL, key[16];
	struct dict *d;

	(void)state;
	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "key%d value%d\n", i, i);
	put_file("t", buf_text(&text));
	assert_int_equal(dict_build(place, "hash:t", DICT_SOURCE_MAP, &why), 0);
	d = dict_open(place, "hash:t", 0, &why);
	for (int i = 0; i < 20000; i += 7) {
		snprintf(key, sizeof(key), "key%d", i);
		buf_reset(&value);
		assert_int_equal(dict_lookup(d, slice_of(key), &value), 1);
		assert_int_equal(atoi(buf_text(&value) + 5), i);
	}
	dict_close(d);
	buf_clear(&text);
	buf_clear(&value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_asked_in_order),
		cmocka_unit_test(a_list_with_a_bad_table_is_refused),
		cmocka_unit_test(an_address_is_looked_up_in_its_pieces),
		cmocka_unit_test(the_extension_is_told_when_the_key_had_none),
		cmocka_unit_test(the_first_pattern_that_fits_decides),
		cmocka_unit_test(a_bad_list_is_refused_with_a_reason),
		cmocka_unit_test(a_built_table_holds_what_its_source_says),
		cmocka_unit_test(building_replaces_the_file_as_a_whole),
		cmocka_unit_test(a_build_that_fails_leaves_the_old_table),
		cmocka_unit_test(a_large_table_is_built_and_read),
	};

	return cmocka_run_group_tests(tests, make_place, remove_place);
}
