/* SPDX-License-Identifier: ISC */
/*
 * What master.cf promises: eight columns, defaults, options in all their forms, and for each mistake
 * a line and a remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/conf/master_cf.h"
#include "tests/unit/conf/scene.h"

static struct master_cf *load(struct slice text, struct said *said)
{
	char path[32];
	int directory = scene_open(path);
	struct master_cf *cf;

	scene_write(directory, "master.cf", text);
	cf = master_cf_load(directory, path, hear, said);
	scene_close(directory, path);
	return cf;
}

/* One entry as text: what the columns came to, then overrides, then arguments. */
static void show(const struct master_entry *e, struct buf *out)
{
	buf_printf(out, "%s %s %c%c%c %lld%s %lld %s", e->name, entry_type_name(e->type),
	    e->is_private ? 'y' : 'n', e->unprivileged ? 'y' : 'n', e->chroot ? 'y' : 'n',
	    (long long)e->wakeup, e->wakeup_if_used ? "?" : "", (long long)e->maxproc, e->command);
	for (size_t i = 0; i < e->overrides_count; i++)
		buf_printf(out, " [%s]", e->overrides[i]);
	for (size_t i = 0; i < e->args_count; i++)
		buf_printf(out, " (%s)", e->args[i]);
}

static void an_entry_is_eight_columns_and_arguments(void **state)
{
	static const struct {
		const char *master_cf, *shown;
	} cases[] = {
		{ "smtp inet n - y - - smtpd", "smtp inet nyy 0 -1 smtpd" },
		{ "smtp\tinet\tn\t-\t-\t-\t-\tsmtpd\r\n", "smtp inet nyn 0 -1 smtpd" },
		{ "x unix - - - - - y", "x unix yyn 0 -1 y" },
		{ "x unix n n y 60 0 y", "x unix nny 60 0 y" },
		{ "x unix - - - 1000? 1 y", "x unix yyn 1000? 1 y" },
		{ "x unix - - - 0? 1 y", "x unix yyn 0? 1 y" },
		{ "p unix-dgram n - n - 1 postlogd", "p unix-dgram nyn 0 1 postlogd" },
		{ "f fifo n - n - 1 f", "f fifo nyn 0 1 f" },
		{ "s pass - - n - - smtpd", "s pass yyn 0 -1 smtpd" },
		{ "588 inet n - - - - smtpd", "588 inet nyn 0 -1 smtpd" },
		{ "127.0.0.1:10025 inet n - - - - smtpd", "127.0.0.1:10025 inet nyn 0 -1 smtpd" },
		{ "[::1]:submission inet n - - - - smtpd", "[::1]:submission inet nyn 0 -1 smtpd" },
		{ ":25 inet n - - - - smtpd", ":25 inet nyn 0 -1 smtpd" },
		{ "x unix - - - - - y\n  -o a=b\n#c\n  -o c=$d", "x unix yyn 0 -1 y [a=b] [c=$d]" },
		{ "x unix - - - - - y -oa=b", "x unix yyn 0 -1 y [a=b]" },
		{ "x unix - - - - - y -o a=", "x unix yyn 0 -1 y [a=]" },
		{ "x unix - - - - - y -o { a = b c } -o d=e", "x unix yyn 0 -1 y [a=b c] [d=e]" },
		{ "x unix - - - - - y -o { a = {b} c }", "x unix yyn 0 -1 y [a={b} c]" },
		{ "x unix - - - - - pipe flags=R argv=/bin/x -o a=b ${user}",
		    "x unix yyn 0 -1 pipe (flags=R) (argv=/bin/x) (-o) (a=b) (${user})" },
		{ "x unix - - - - - pipe user=u argv=/bin/x { two words } -r",
		    "x unix yyn 0 -1 pipe (user=u) (argv=/bin/x) (two words) (-r)" },
		{ "x unix - - - - - /usr/lib/gatepost/y", "x unix yyn 0 -1 /usr/lib/gatepost/y" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct said said = { 0 };
		struct buf shown = { 0 };
		struct master_cf *cf = load(slice_of(cases[i].master_cf), &said);

		if (cf == NULL)
			fail_msg("\"%s\": %s", cases[i].master_cf, buf_text(&said.text));
		assert_int_equal(cf->count, 1);
		show(&cf->entries[0], &shown);
		assert_string_equal(buf_text(&shown), cases[i].shown);
		assert_int_equal(said.text.len, 0);
		master_cf_free(cf);
		buf_clear(&shown);
		said_clear(&said);
	}
}

static void the_last_entry_of_a_name_and_type_wins(void **state)
{
	struct said said = { 0 };
	struct master_cf *cf = load(slice_of("smtp inet n - - - - smtpd\n"
					     "smtp unix - - - - - smtp\n"
					     "smtp inet n - - - 5 other\n"),
	    &said);

	(void)state;
	assert_int_equal(cf->count, 2);
	assert_string_equal(cf->entries[0].command, "other");
	assert_int_equal(cf->entries[0].line, 3);
	assert_non_null(strstr(buf_text(&said.text),
	    "warning 3 master.cf: smtp inet was defined in"
	    " line 1"));
	master_cf_free(cf);
	said_clear(&said);
}

/* A master.cf with one mistake: the line and a word of the remedy. */
static const struct {
	const char *master_cf;
	unsigned line;
	const char *word;
} mistakes[] = {
	{ "  -o a=b\n", 1, "remove the blank" },
	{ "# c\n\nsmtp inet n - - - smtpd\n", 3, "there are 7 columns; write 8" },
	{ "smtp\n", 1, "there are 1 columns" },
	{ "smtp tcp n - - - - smtpd\n", 1, "use inet, unix" },
	{ "smtp - n - - - - smtpd\n", 1, "type (column 2)" },
	{ "smtp inet no - - - - smtpd\n", 1, "private (column 3)" },
	{ "smtp inet n Y - - - smtpd\n", 1, "unprivileged (column 4)" },
	{ "smtp inet n - yes - - smtpd\n", 1, "use y, n or -" },
	{ "x unix - - - 1h - y\n", 1, "wakeup (column 6" },
	{ "x unix - - - ? - y\n", 1, "wakeup (column 6" },
	{ "x unix - - - -1 - y\n", 1, "a number, 0 or above" },
	{ "x unix - - - - many y\n", 1, "maxproc (column 7)" },
	{ "x unix - - - - -3 y\n", 1, "maxproc (column 7)" },
	{ "x unix - - - - 99999999999 y\n", 1, "maxproc (column 7)" },
	{ "x unix - - - - - -\n", 1, "command (column 8)" },
	{ "127.0.0.1: inet n - - - - smtpd\n", 1, "needs a port" },
	{ "127.0.0.1 inet n - - - - smtpd\n", 1, "needs a port" },
	{ "[::1] inet n - - - - smtpd\n", 1, "needs a port" },
	{ "[::1:25 inet n - - - - smtpd\n", 1, "closing ]" },
	{ "::1:25 inet n - - - - smtpd\n", 1, "needs brackets" },
	{ "127.0.0.1:70000 inet n - - - - smtpd\n", 1, "1 to 65535" },
	{ "0 inet n - - - - smtpd\n", 1, "1 to 65535" },
	{ "smtp inet y - - - - smtpd\n", 1, "can't be private" },
	{ "smtp inet - - - - - smtpd\n", 1, "write n in column 3" },
	{ "../x unix - - - - - y\n", 1, "without /" },
	{ "x unix - - - - - y -o\n", 1, "-o has no value" },
	{ "x unix - - - - - y -o a = b\n", 1, "has no =" },
	{ "x unix - - - - - y -o =b\n", 1, "has no name" },
	{ "a unix - - - - - y\nx unix - - - - - y\n  -o { a = b\n", 2, "closing }" },
	{ "x unix - - - - - y { a\n", 1, "closing }" },
	{ "x unix - - - - - y -z\n", 1, "no option of a service" },
};

static void a_mistake_gives_line_and_remedy(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		struct said said = { 0 };
		struct master_cf *cf = load(slice_of(mistakes[i].master_cf), &said);
		char start[64];

		snprintf(start, sizeof(start), "error %u master.cf: ", mistakes[i].line);
		if (cf != NULL || said.count[CONF_ERROR] != 1 ||
		    strncmp(buf_text(&said.text), start, strlen(start)) != 0 ||
		    strstr(buf_text(&said.text), mistakes[i].word) == NULL)
			fail_msg("\"%s\": expected %s...%s, heard: %s", mistakes[i].master_cf,
			    start, mistakes[i].word, buf_text(&said.text));
		master_cf_free(cf);
		said_clear(&said);
	}
}

static void all_errors_are_reported_not_just_the_first(void **state)
{
	struct said said = { 0 };

	(void)state;
	assert_null(load(
	    slice_of("a\nb unix x x - - - y\nc unix - - - - - y\nd unix - - - z q y -o\n"), &said));
	assert_int_equal(said.count[CONF_ERROR], 1 + 2 + 3);
	said_clear(&said);
	assert_null(load(SLICE("a unix - - - - - y\nb\0 unix - - - - - y\n"), &said));
	assert_non_null(strstr(buf_text(&said.text), "error 2 master.cf: there is a NUL"));
	said_clear(&said);
}

static void what_has_no_effect_is_a_note(void **state)
{
	struct said said = { 0 };
	struct master_cf *cf = load(slice_of("x unix - - - - - y -v -o a=b -D z\n"), &said);

	(void)state;
	assert_int_equal(said.count[CONF_NOTE], 2);
	assert_int_equal(cf->entries[0].overrides_count, 1);
	assert_int_equal(cf->entries[0].args_count, 1);
	master_cf_free(cf);
	said_clear(&said);
}

/* What the two files say together. */
static const struct {
	const char *main_cf, *master_cf;
	const char *heard; /* NULL: nothing */
} pairs[] = {
	{ "", "x unix - - - - - y -o hopcount_limit=3\n", NULL },
	{ "", "x unix - - - - - y -o syslog_name=postfix/$service_name\n", NULL },
	{ "mua_banner = hi\n", "x unix - - - - - y -o smtpd_banner=$mua_banner\n", NULL },
	{ "smtpd_banner = $mua_banner\nmua_banner = a\n", "x unix - - - - - y -o mua_banner=b\n",
	    NULL },
	{ "", "#\nx unix - - - - - y\n -o hopcount_limit=x\n",
	    "error 2 master.cf: hopcount_limit" },
	{ "", "x unix - - - - - y -o hopcuont_limit=3\n",
	    "warning 1 master.cf: unused parameter: hopcuont_limit=3; did you mean "
	    "hopcount_limit?" },
	{ "", "x unix - - - - - y -o smtpd_tls_wrappermode=yes\n",
	    "warning 1 master.cf: smtpd_tls_wrappermode has no effect yet" },
	{ "x_destination_concurrency_limit = 3\n", "x unix - - - - - y\n", NULL },
	{ "z_destination_concurrency_limit = 3\n", "x unix - - - - - y\n",
	    "warning 1 main.cf: z_destination_concurrency_limit: master.cf has no entry \"z\"" },
};

static void both_files_are_checked_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		struct said said = { 0 };
		struct conf *conf = scene_conf(pairs[i].main_cf, &said);
		struct master_cf *cf = load(slice_of(pairs[i].master_cf), &said);
		unsigned errors = master_cf_check(cf, conf, hear, &said);

		conf_check(conf, hear, &said);
		assert_int_equal(errors, said.count[CONF_ERROR]);
		if (pairs[i].heard == NULL ? said.text.len > 0
					   : strstr(buf_text(&said.text), pairs[i].heard) == NULL)
			fail_msg("\"%s\" with \"%s\": heard: %s", pairs[i].main_cf,
			    pairs[i].master_cf, buf_text(&said.text));
		master_cf_free(cf);
		conf_free(conf);
		said_clear(&said);
	}
}

/* What is in master.cf files that people have: Debian's defaults, amavis, dovecot, submission. */
static void a_master_cf_of_today_loads_without_a_word(void **state)
{
	static const char master_cf[] =
	    "#service type  private unpriv  chroot  wakeup  maxproc command + args\n"
	    "smtp      inet  n       -       y       -       -       smtpd\n"
	    "#smtp      inet  n       -       y       -       1       postscreen\n"
	    "pickup    unix  n       -       y       60      1       pickup\n"
	    "cleanup   unix  n       -       y       -       0       cleanup\n"
	    "qmgr      unix  n       -       n       300     1       qmgr\n"
	    "tlsmgr    unix  -       -       y       1000?   1       tlsmgr\n"
	    "rewrite   unix  -       -       y       -       -       trivial-rewrite\n"
	    "relay     unix  -       -       y       -       -       smtp\n"
	    "        -o syslog_name=postfix/$service_name\n"
	    "#       -o smtp_helo_timeout=5 -o smtp_connect_timeout=5\n"
	    "postlog   unix-dgram n  -       n       -       1       postlogd\n"
	    "#\n# ====\n"
	    "maildrop  unix  -       n       n       -       -       pipe\n"
	    "  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}\n"
	    "#\n# Old.\n#\n"
	    "uucp      unix  -       n       n       -       -       pipe\n"
	    "  flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient)\n"
	    "smtp-amavis unix - - n - 2 smtp\n"
	    "    -o smtp_data_done_timeout=1200\n"
	    "127.0.0.1:10025 inet n - n - - smtpd\n"
	    "    -o content_filter=\n"
	    "    -o { mynetworks = 127.0.0.0/8, [::1]/128 }\n"
	    "policyd-spf  unix  -       n       n       -       0       spawn\n"
	    "    user=policyd-spf argv=/usr/bin/policyd-spf\n";
	struct said said = { 0 };
	struct master_cf *cf = load(slice_of(master_cf), &said);

	(void)state;
	assert_non_null(cf);
	assert_int_equal(said.text.len, 0);
	assert_int_equal(cf->count, 13);
	assert_int_equal(cf->entries[12].args_count, 2);
	master_cf_free(cf);
	said_clear(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_eight_columns_and_arguments),
		cmocka_unit_test(the_last_entry_of_a_name_and_type_wins),
		cmocka_unit_test(a_mistake_gives_line_and_remedy),
		cmocka_unit_test(all_errors_are_reported_not_just_the_first),
		cmocka_unit_test(what_has_no_effect_is_a_note),
		cmocka_unit_test(both_files_are_checked_together),
		cmocka_unit_test(a_master_cf_of_today_loads_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
