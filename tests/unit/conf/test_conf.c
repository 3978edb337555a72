/* SPDX-License-Identifier: ISC */
/*
 * What main.cf promises: Postfix's grammar, values by type, mistakes with line and remedy, and a
 * table of parameters that can be trusted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/conf/internal.h"
#include "tests/unit/conf/scene.h"

static void values_are_read_as_postfix_reads_them(void **state)
{
	static const struct {
		const char *main_cf;
		const char *name;
		const char *value;
	} cases[] = {
		{ "a = b", "a", "b" },
		{ "a=b\n", "a", "b" },
		{ "a =\n", "a", "" },
		{ "  # a comment\n\na   =   b c  \t\n", "a", "b c" },
		{ "a = b\r\n", "a", "b" },
		{ "a = b\n c\n\td\n", "a", "b c\td" },
		{ "a =\n  b,\n  c\n", "a", "b,  c" },
		{ "a = b\n# comment\n  c\n", "a", "b  c" },
		{ "a = b\n\n  c\n", "a", "b  c" },
		{ "a = b\n  # comment\n  c\n", "a", "b  c" },
		{ "a = b = c # d\n", "a", "b = c # d" },
		{ "a = 1\na = 2\n", "a", "2" },
		{ "a-b_destination_recipient_limit = 3\n", "a-b_destination_recipient_limit", "3" },
		{ "hopcount_limit = 7\n", "hopcount_limit", "7" },
		{ "", "hopcount_limit", "50" },
		{ "", "no_such_parameter", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct said said = { 0 };
		struct conf *conf = scene_conf(cases[i].main_cf, &said);
		const char *value;

		assert_non_null(conf);
		value = conf_text(conf, cases[i].name);
		if (cases[i].value == NULL)
			assert_null(value);
		else
			assert_string_equal(value, cases[i].value);
		conf_free(conf);
		said_clear(&said);
	}
}

static void references_are_expanded_as_postfix_does(void **state)
{
	static const char main_cf[] = "set = value\n"
				      "empty =\n"
				      "indirect = $set\n"
				      "to_nothing = $empty\n"
				      "chain = <$indirect>\n"
				      "loop = a${loop}\n"
				      "loop1 = $loop2\nloop2 = $loop1\n"
				      "unset_guard = ${empty:${unknown:deep}}\n"
				      "n9 = 9\nn10 = 10\n"
				      "smtp-x_destination_recipient_limit = 4\n"
				      "luser_relay = $user@$set\n";
	static const struct {
		const char *text;
		const char *value; /* NULL: refused */
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "$set", "value" },
		{ "${set}", "value" },
		{ "$(set)", "value" },
		{ "${ set }", "value" },
		{ "$set.$set,$set", "value.value,value" },
		{ "a$$b", "a$b" },
		{ "$$set", "$set" },
		{ "$chain", "<value>" },
		{ "$unknown!", "!" },
		{ "${smtp-x_destination_recipient_limit}", "4" },
		{ "$hopcount_limit", "50" },
		{ "$luser_relay", "$user@$set" },
		{ "${set?yes}", "yes" },
		{ "${empty?yes}", "" },
		{ "${unknown?yes}", "" },
		{ "${set:no}", "" },
		{ "${empty:no}", "no" },
		{ "${unknown:$set}", "value" },
		{ "${set?{yes}}", "yes" },
		{ "${set?{yes}:{no}}", "yes" },
		{ "${empty?{yes}:{no}}", "no" },
		{ "${empty ? {yes} : {no}}", "no" },
		{ "${set ? { yes } : { no }}", "yes" },
		{ "${empty:{no}}", "no" },
		{ "${set?a:b}", "a:b" },
		{ "${set?{yes}:no}", "yes" },
		{ "${empty?{yes}: no}", " no" },
		{ "$(set?{yes}:{no})", "yes" },
		{ "${to_nothing?{written}:{nothing}}", "written" },
		{ "${set?{${empty?{a}:{$set}}}:{no}}", "value" },
		{ "$unset_guard", "deep" },
		{ "${{a}=={a}?{yes}:{no}}", "yes" },
		{ "${{a}=={b}?{yes}:{no}}", "no" },
		{ "${{a} != {b} ? {yes} : {no}}", "yes" },
		{ "${{$set}=={value}?{yes}:{no}}", "yes" },
		{ "${{$n9}<{$n10}?{number}:{text}}", "number" },
		{ "${{9a}<{10a}?{number}:{text}}", "text" },
		{ "${{2}<={2}?{yes}:{no}}", "yes" },
		{ "${{3}>{2}?{yes}:{no}}", "yes" },
		{ "${{2}>={3}?{yes}:{no}}", "no" },
		{ "${{3.10} <level {3.9} ? {yes} : {no}}", "no" },
		{ "${{3.6} >=level {3.6} ? {yes} : {no}}", "yes" },
		{ "${{a}=={a}}", "true" },
		{ "${{a}=={b}}", "" },
		{ "${{a}=={b}:{else}}", "else" },
		{ "${{${{1}<{2}?{x}:{y}}}=={x}?{${set?{deep}}}:{no}}", "deep" },
		{ "<${{a}=={a}?{1}:{2}}>", "<1>" },
		{ "$", NULL },
		{ "a $ b", NULL },
		{ "${set", NULL },
		{ "$(set", NULL },
		{ "${}", NULL },
		{ "${set?{yes}", NULL },
		{ "${set?{yes}x}", NULL },
		{ "${set!x}", NULL },
		{ "${{a}~{b}?{yes}:{no}}", NULL },
		{ "${{a}==b?{yes}:{no}}", NULL },
		{ "${{a}=={b}{yes}}", NULL },
		{ "${nofunction{x}}", NULL },
		{ "$loop", NULL },
		{ "$loop1", NULL },
	};
	struct said said = { 0 };
	struct conf *conf;

	(void)state;
	conf = scene_conf(main_cf, &said);
	assert_non_null(conf);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *why = NULL, *value = conf_expand(conf, cases[i].text, &why);

		if (cases[i].value == NULL) {
			if (value != NULL)
				fail_msg("\"%s\" gives \"%s\"", cases[i].text, value);
			assert_non_null(why);
		} else if (value == NULL || strcmp(value, cases[i].value) != 0) {
			fail_msg("\"%s\" gives \"%s\" (%s), not \"%s\"", cases[i].text,
			    value == NULL ? "nothing" : value, why == NULL ? "" : why,
			    cases[i].value);
		}
		free(value);
		free(why);
	}
	conf_free(conf);
	said_clear(&said);
}

static void hostile_references_end_in_an_error(void **state)
{
	struct buf text = { 0 };
	struct said said = { 0 };
	struct conf *conf;
	char *why = NULL, *value;

	(void)state;
	/* Each name doubles the one before it: 2^40 bytes. */
	buf_puts(&text, "n0 = xxxxxxxx\n");
	for (int i = 1; i < 40; i++)
		buf_printf(&text, "n%d = $n%d$n%d\n", i, i - 1, i - 1);
	conf = scene_conf(buf_text(&text), &said);
	assert_null(conf_expand(conf, "$n39", &why));
	assert_non_null(why);
	free(why);
	buf_reset(&text);
	for (int i = 0; i < 10000; i++)
		buf_puts(&text, "${set?{");
	value = conf_expand(conf, buf_text(&text), &why);
	assert_null(value);
	free(why);
	buf_reset(&text);
	for (int i = 0; i < 200; i++)
		buf_puts(&text, "${n0?{");
	for (int i = 0; i < 200; i++)
		buf_puts(&text, "}}");
	assert_null(conf_expand(conf, buf_text(&text), &why));
	free(why);
	conf_free(conf);
	buf_clear(&text);
	said_clear(&said);
}

static void settings_are_filled_by_type(void **state)
{
	struct {
		bool delay, myorigin_added;
		int64_t hops, backoff, size, lifetime;
		const char *host, *banner;
	} s;
	const struct conf_setting settings[] = {
		{ "smtpd_reject_unlisted_recipient", CONF_MEMBER_BOOL,
		    (uint32_t)((char *)&s.delay - (char *)&s) },
		{ "append_at_myorigin", CONF_MEMBER_BOOL,
		    (uint32_t)((char *)&s.myorigin_added - (char *)&s) },
		{ "hopcount_limit", CONF_MEMBER_NUMBER, (uint32_t)((char *)&s.hops - (char *)&s) },
		{ "minimal_backoff_time", CONF_MEMBER_NUMBER,
		    (uint32_t)((char *)&s.backoff - (char *)&s) },
		{ "message_size_limit", CONF_MEMBER_NUMBER,
		    (uint32_t)((char *)&s.size - (char *)&s) },
		{ "maximal_queue_lifetime", CONF_MEMBER_NUMBER,
		    (uint32_t)((char *)&s.lifetime - (char *)&s) },
		{ "myhostname", CONF_MEMBER_TEXT, (uint32_t)((char *)&s.host - (char *)&s) },
		{ "smtpd_banner", CONF_MEMBER_TEXT, (uint32_t)((char *)&s.banner - (char *)&s) },
		{ 0 },
	};
	struct said said = { 0 };
	struct conf
	    *conf = scene_conf("smtpd_reject_unlisted_recipient = NO\nhopcount_limit = 999999\n"
			       "minimal_backoff_time = 2m\nmessage_size_limit = junk\n"
			       "maximal_queue_lifetime = 3\nmyhostname = mail.example.com\n",
		&said);

	(void)state;
	conf_fill(conf, settings, &s);
	assert_false(s.delay);
	assert_true(s.myorigin_added);
	assert_int_equal(s.hops, 1000); /* the nearest limit */
	assert_int_equal(s.backoff, 120 * CLOCK_SECOND);
	assert_int_equal(s.size, 10240000);			/* the default */
	assert_int_equal(s.lifetime, 3 * 86400 * CLOCK_SECOND); /* its unit is the day */
	assert_string_equal(s.host, "mail.example.com");
	assert_string_equal(s.banner, "mail.example.com ESMTP Gatepost");
	conf_free(conf);
	said_clear(&said);
}

static void transports_fall_back_to_the_common_parameter(void **state)
{
	struct said said = { 0 };
	struct conf *conf = scene_conf("default_destination_concurrency_limit = 7\n"
				       "smtp-amavis_destination_concurrency_limit = 2\n"
				       "uucp_time_limit = 1h\n",
	    &said);

	(void)state;
	assert_int_equal(conf_number_for(conf, "smtp-amavis", "destination_concurrency_limit"), 2);
	assert_int_equal(conf_number_for(conf, "relay", "destination_concurrency_limit"), 7);
	assert_int_equal(conf_number_for(conf, "local", "destination_concurrency_limit"), 20);
	assert_int_equal(conf_number_for(conf, "relay", "initial_destination_concurrency"), 5);
	assert_int_equal(conf_time_for(conf, "uucp", "time_limit"), 3600 * CLOCK_SECOND);
	assert_int_equal(conf_time_for(conf, "mailman", "time_limit"), 1000 * CLOCK_SECOND);
	conf_free(conf);
	said_clear(&said);
}

static void an_override_wins_and_changes_what_depends_on_it(void **state)
{
	static const char *const bad[] = { "name", "=value", "{ name = value", "two names = x",
		"" };
	struct said said = { 0 };
	struct conf *conf = scene_conf("myhostname = one.example\n", &said);

	(void)state;
	assert_string_equal(conf_text(conf, "mydomain"), "example");
	assert_string_equal(conf_text(conf, "myorigin"), "one.example");
	assert_true(conf_override(conf, "myhostname=two.example.org", "master.cf", 3, hear, &said));
	assert_string_equal(conf_text(conf, "mydomain"), "example.org");
	assert_string_equal(conf_text(conf, "myorigin"), "two.example.org");
	assert_true(conf_override(conf, "{ smtpd_banner = $myhostname says hi }", "master.cf", 3,
	    hear, &said));
	assert_string_equal(conf_text(conf, "smtpd_banner"), "two.example.org says hi");
	assert_int_equal(said.count[CONF_ERROR], 0);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_false(conf_override(conf, bad[i], "master.cf", 3, hear, &said));
	assert_int_equal(said.count[CONF_ERROR], ARRAY_LENGTH(bad));
	conf_free(conf);
	said_clear(&said);
}

static void defaults_that_depend_on_the_system_are_found(void **state)
{
	static const struct {
		const char *main_cf, *name, *value;
	} cases[] = {
		{ "myhostname = a.b.example\n", "mydomain", "b.example" },
		{ "myhostname = single\n", "mydomain", "localdomain" },
		{ "mydomain = c.example\nmyhostname = mail.$mydomain\n", "myhostname",
		    "mail.c.example" },
		{ "mynetworks_style = loopback\n", "mynetworks", "127.0.0.0/8 [::1]/128" },
		{ "inet_interfaces = loopback-only\n", "mynetworks", "127.0.0.0/8 [::1]/128" },
		{ "myhostname = x.example\n", "mydestination",
		    "x.example, localhost.example, localhost" },
	};
	struct said said = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct conf *conf = scene_conf(cases[i].main_cf, &said);

		assert_string_equal(conf_text(conf, cases[i].name), cases[i].value);
		conf_free(conf);
	}
	/* Without mydomain the two would need each other. */
	struct conf *conf = scene_conf("myhostname = mail.$mydomain\n", &said);
	assert_true(strncmp(conf_text(conf, "myhostname"), "mail.", 5) == 0);
	assert_string_equal(conf_text(conf, "myhostname") + 5, conf_text(conf, "mydomain"));
	assert_int_equal(conf_check(conf, hear, &said), 0);
	conf_free(conf);
	said_clear(&said);
}

static void myorigin_may_be_the_first_line_of_a_file(void **state)
{
	char path[32], text[64];
	int directory = scene_open(path);
	struct said said = { 0 };
	struct conf *conf;

	(void)state;
	scene_write(directory, "origin", SLICE("origin.example\nsecond line\n"));
	snprintf(text, sizeof(text), "myorigin = %s/origin\n", path);
	scene_write(directory, "main.cf", slice_of(text));
	conf = conf_load(directory, path, hear, &said);
	assert_string_equal(conf_text(conf, "myorigin"), "origin.example");
	assert_int_equal(conf_check(conf, hear, &said), 0);
	conf_free(conf);
	scene_close(directory, path);
	said_clear(&said);
}

/* A main.cf with one mistake: its severity, line, and a word of the remedy. */
static const struct {
	const char *main_cf;
	const char *severity;
	unsigned line;
	const char *word;
} mistakes[] = {
	{ "myhostname mail.example\n", "error", 1, "write name = value" },
	{ "= x\n", "error", 1, "has no name" },
	{ "my hostname = x\n", "error", 1, "not one name" },
	{ "  myhostname = x\n", "error", 1, "remove the blank" },
	{ "# c\nmyhostname = x.y\n\nhopcount_limit = many\n", "error", 4, "from 1 to 1000" },
	{ "hopcount_limit = 0\n", "error", 1, "from 1 to 1000" },
	{ "hopcount_limit = 1001\n", "error", 1, "from 1 to 1000" },
	{ "hopcount_limit = 5x\n", "error", 1, "use a number" },
	{ "hopcount_limit = -1\n", "error", 1, "use a number" },
	{ "hopcount_limit =\n", "error", 1, "remove the line" },
	{ "message_size_limit = 10M\n", "error", 1, "use a number, at least 0" },
	{ "smtpd_timeout = 5 minutes\n", "error", 1, "one of s, m, h, d, w" },
	{ "smtpd_timeout = 5y\n", "error", 1, "one of s, m, h, d, w" },
	{ "smtpd_timeout = 0\n", "error", 1, "at least 1s" },
	{ "smtpd_helo_required = true\n", "error", 1, "use yes or no" },
	{ "smtpd_helo_required =\n", "error", 1, "empty" },
	{ "myhostname =\n", "error", 1, "empty" },
	{ "mydestination = $myhostname\n  ${mydomain\n", "error", 1, "closing }" },
	{ "smtpd_banner = $myhostname $ 5\n", "error", 1, "write $$" },
	{ "a = $b\nb = $a\nsmtpd_banner = $a\n", "error", 3, "needs itself" },
	{ "smtpd_banner = $myhostnme ESMTP\n", "warning", 1, "did you mean $myhostname" },
	{ "smtpd_banner = ${{a}=b?{x}}\n", "error", 1, "== != <" },
	{ "alias_maps = hsh:/etc/aliases\n", "error", 1, "did you mean hash:" },
	{ "alias_maps = hash:/etc/aliases, mysql:/etc/x.cf\n", "error", 1, "missing here yet" },
	{ "virtual_alias_maps = proxy:pgsql:/etc/x.cf\n", "error", 1, "\"pgsql\"" },
	{ "mydestination = localhost qwertz:/etc/x\n", "error", 1, "postconf -m" },
	{ "transport_maps = nis:transport\n", "error", 1, "obsolete" },
	{ "mynetworks_style = hosts\n", "error", 1, "host, subnet, class, loopback" },
	{ "mailbox_delivery_lock = fcntl, lockf\n", "error", 1, "fcntl, flock, dotlock" },
	{ "smtpd_relay_restrictions = permit_mynetworks, reject_rbl_client x\n", "error", 1,
	    "reject_unauth_destination" },
	{ "smtpd_relay_restrictions = permit_mynetworks\n", "error", 1, "everybody could relay" },
	{ "smtpd_relay_restrictions =\n", "error", 1, "everybody could relay" },
	{ "smtpd_relay_restrictions = permit, reject_unauth_destination\n", "error", 1,
	    "everybody could relay" },
	{ "smtpd_forbid_bare_newline = no\n", "warning", 1, "never ends a message" },
	{ "x = 1\nmessage_size_limit = 60000000\n", "error", 2, "above mailbox_size_limit" },
	{ "minimal_backoff_time = 2h\n", "error", 1, "above maximal_backoff_time" },
	{ "myorigin = /no/such/file\n", "error", 1, "can't be read" },
	{ "smtpd_relay_restrictions = permit_sasl_authenticated, reject\n", "warning", 1,
	    "allows nobody yet" },
	{ "smtpd_baner = hi\n", "warning", 1, "did you mean smtpd_banner" },
	{ "zzyzx = hi\n", "warning", 1, "unused parameter: zzyzx" },
	{ "smtpd_milters = inet:localhost:8891\n", "warning", 1, "milters come later" },
	{ "biff = no\n", "warning", 1, "not needed here" },
	{ "smtpd_use_tls = yes\n", "warning", 1, "obsolete" },
	{ "myhostname = a.b\nmyhostname = c.d\n", "warning", 2, "set in line 1 already" },
	{ "smtp_destination_concurrency_limit = x\n", "error", 1, "use a number" },
	{ "smtp_extra_recipient_limit = 5\n", "warning", 1, "has no effect" },
	{ "compatibility_level = 2\n", "warning", 1, "newest level" },
	{ "virtual_maps = hsh:/etc/virtual\n", "error", 1, "did you mean hash:" },
	{ "mynetworks = 192.0.2.5/24\n", "error", 1, "write 192.0.2.0/24" },
	{ "mynetworks = 192.0.2.0/33\n", "error", 1, "0 to 32" },
	{ "mynetworks = 192.0.2\n", "error", 1, "no network" },
	{ "mynetworks = !fe80::/10\n", "error", 1, "write [fe80::]/10" },
	{ "mynetworks = [2001:db8::1]/64\n", "error", 1, "write [2001:db8::]/64" },
	{ "mynetworks = [2001:db8::1\n", "error", 1, "no network" },
	{ "mynetworks = 127.0.0.1 hsh:/etc/x\n", "error", 1, "did you mean hash:" },
	{ "myhostname = mail.example.com.\n", "error", 1, "without a dot" },
	{ "myhostname = mail example com\n", "error", 1, "one host name" },
	{ "mydomain = ex..ample\n", "error", 1, "one host name" },
	{ "x = 1\nalias_maps = $alias_database\nalias_database = hash:/no/where\n", "warning", 2,
	    "make it with postalias hash:/no/where" },
	{ "mynetworks = !cidr:nets\n", "warning", 1, "/nets: No such file" },
	{ "transport_maps = proxy:btree:/no/where\n", "warning", 1, "postmap btree:/no/where" },
	{ "x = $mailq_path\nmailbox_transport = lmtp:unix:private/lmtp\nsmtpd_banner = $x\n",
	    "warning", 2, "mailbox_transport has no effect yet: comes later; see transport_maps" },
	{ "relay_recipient_refill_delay = 1s\n", "warning", 1, "has no effect" },
	{ "html_directory =\nsmtpd_delay_reject = no\n", "warning", 2, "always wait for RCPT" },
	{ "relay_domains = a.b\nvirtual_alias_domains = c.d, A.b\n", "warning", 1,
	    "in both virtual_alias_domains and relay_domains" },
	{ "\xef\xbb\xbfmyhostname = a.b\n", "error", 1, "byte order mark" },
	{ "a = $b\nb = $a\nsmtpd_banner = $a\n", "error", 3, "take $a out" },
	{ "forbidden = \x01\x02\nsmtpd_helo_required = \x1b[31m\n", "error", 2, "= ?[31m" },
};

static void a_mistake_gives_line_and_remedy(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		struct said said = { 0 };
		struct conf *conf = scene_conf(mistakes[i].main_cf, &said);
		char start[64];
		const char *line;

		if (conf != NULL)
			conf_check(conf, hear, &said);
		snprintf(start, sizeof(start), "%s %u main.cf: ", mistakes[i].severity,
		    mistakes[i].line);
		line = strstr(buf_text(&said.text), start);
		while (line != NULL &&
		    memmem(line, strcspn(line, "\n"), mistakes[i].word, strlen(mistakes[i].word)) ==
			NULL)
			line = strstr(line + 1, start);
		if (line == NULL)
			fail_msg("\"%s\": expected %s %u with \"%s\", heard: %s",
			    mistakes[i].main_cf, mistakes[i].severity, mistakes[i].line,
			    mistakes[i].word, buf_text(&said.text));
		conf_free(conf);
		said_clear(&said);
	}
}

static void what_is_right_is_not_complained_about(void **state)
{
	static const char *const fine[] = {
		"",
		"mydomain = example.com\nmyhostname = mail.$mydomain\n",
		"mua_helo = x\nsmtpd_banner = $mua_helo\n",
		"inet_interfaces = fe80::1, ::1, 127.0.0.1\n",
		"mynetworks = 127.0.0.0/8 [::1]/128 [fe80::]/64 !10.0.0.1 cidr:{{10.0.0.0/8 x}}\n",
		"export_environment = PATH=/bin:/usr/bin TZ\n",
		"virtual_alias_maps = inline:{ {a@b = c}, d=e }, static:{x}, "
		"proxy:unix:passwd.byname\n",
		"smtpd_recipient_restrictions = permit_mynetworks reject\nsmtpd_relay_restrictions "
		"=\n",
		"forward_path = $home/.forward${recipient_delimiter}${extension}, $home/.forward\n",
		"mailbox_command = /usr/bin/procmail -a \"$EXTENSION\"\n",
		"luser_relay = $user@other.host\n",
		"mailbox_size_limit = 0\n",
		"proxy_read_maps = $canonical_maps, proxy:mysql:/etc/x.cf $sender_bcc_maps\n",
		"stress = yes\n",
		"compatibility_level = 3.10\n",
		"sendmail_path =\nnewaliases_path =\nmailq_path =\nsetgid_group =\n"
		"data_directory = /var/lib/postfix\ncommand_directory = /usr/sbin\n",
		"mailbox_transport =\nsmtpd_delay_reject = yes\nmax_idle = 100s\n"
		"relay_destination_rate_delay = 0s\n"
		"prepend_delivered_header = command, file, forward\n",
		"smtpd_forbidden_commands = CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}\n",
		"mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 10.1.2.3 [fe80::1] .a.b "
		"/etc/nets\n",
		"relayhost = [mail.example.com]:587\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(fine); i++) {
		struct said said = { 0 };
		struct conf *conf = scene_conf(fine[i], &said);

		assert_non_null(conf);
		assert_int_equal(conf_check(conf, hear, &said), 0);
		if (said.text.len > 0)
			fail_msg("\"%s\": heard: %s", fine[i], buf_text(&said.text));
		conf_free(conf);
		said_clear(&said);
	}
}

static void a_file_that_is_missing_or_no_text_is_refused(void **state)
{
	static char large[CONF_FILE_LIMIT + 1];
	char path[32];
	int directory = scene_open(path);
	struct said said = { 0 };

	(void)state;
	assert_null(conf_load(directory, path, hear, &said));
	assert_int_equal(said.count[CONF_ERROR], 1);
	scene_write(directory, "main.cf", SLICE("a = b\nc = d\0e\n"));
	said_clear(&said);
	assert_null(conf_load(directory, path, hear, &said));
	assert_non_null(strstr(buf_text(&said.text), "error 2 main.cf: there is a NUL"));
	said_clear(&said);
	assert_int_equal(unlinkat(directory, "main.cf", 0), 0);
	assert_int_equal(mkfifoat(directory, "main.cf", 0600), 0);
	assert_null(conf_load(directory, path, hear, &said));
	assert_non_null(strstr(buf_text(&said.text), "put a file in its place"));
	assert_int_equal(unlinkat(directory, "main.cf", 0), 0);
	said_clear(&said);
	scene_write(directory, "main.cf", slice_new(large, sizeof(large)));
	assert_null(conf_load(directory, path, hear, &said));
	assert_non_null(strstr(buf_text(&said.text), "keep long lists in tables"));
	said_clear(&said);
	scene_write(directory, "main.cf", SLICE("a = b\n"));
	assert_int_equal(fchmodat(directory, "main.cf", 0666, 0), 0);
	conf_free(conf_load(directory, path, hear, &said));
	assert_non_null(strstr(buf_text(&said.text), "warning 0 main.cf: anyone may write"));
	scene_close(directory, path);
	said_clear(&said);
}

static void all_errors_are_reported_not_just_the_first(void **state)
{
	struct said said = { 0 };

	(void)state;
	assert_null(scene_conf("one\ntwo = 2\nthree\n four\n=5\n", &said));
	assert_int_equal(said.count[CONF_ERROR], 3);
	said_clear(&said);
}

/* A check of 30,000 names that nobody knows, and of one that asks for the same name 2^13 times. */
static void a_file_full_of_mistakes_is_checked_in_time(void **state)
{
	struct said said = { 0 };
	struct buf text = { 0 };
	struct conf *conf;
	deadline start = clock_now();

	(void)state;
	for (int i = 0; i < 30000; i++)
		buf_printf(&text, "some_name_%d = ldap:table%d\n", i, i);
	buf_puts(&text, "a0 = $nothing$nothing\n");
	for (int i = 1; i < 13; i++)
		buf_printf(&text, "a%d = $a%d$a%d\n", i, i - 1, i - 1);
	buf_puts(&text, "smtpd_banner = $a12\n");
	conf = scene_conf(buf_text(&text), &said);
	assert_int_equal(conf_check(conf, hear, &said), 0);
	assert_int_equal(said.count[CONF_WARNING], 30000 + 14);
	assert_true(clock_now() - start < 20 * CLOCK_SECOND);
	conf_free(conf);
	buf_clear(&text);
	said_clear(&said);
}

static void the_tables_are_sorted_and_apart(void **state)
{
	(void)state;
	for (size_t i = 1; i < parameters_count; i++)
		if (strcmp(parameters[i - 1].name, parameters[i].name) >= 0)
			fail_msg("parameters.def: %s", parameters[i].name);
	for (size_t i = 1; i < unsupported_count; i++)
		if (strcmp(unsupported[i - 1].name, unsupported[i].name) >= 0)
			fail_msg("unsupported.def: %s", unsupported[i].name);
	for (size_t i = 0; i < parameters_count; i++)
		if (unsupported_find(parameters[i].name) != NULL)
			fail_msg("in both: %s", parameters[i].name);
	assert_true(parameters_count + unsupported_count > 900);
}

static void every_default_passes_its_own_check(void **state)
{
	struct said said = { 0 };
	struct conf *conf = scene_conf("", &said);
	size_t count;
	const struct conf_parameter *described = conf_parameters(&count);

	(void)state;
	assert_int_equal(count, parameters_count);
	for (size_t i = 0; i < parameters_count; i++) {
		char *problem = value_problem(&parameters[i], conf_text(conf, parameters[i].name));

		if (problem != NULL)
			fail_msg("%s: %s", parameters[i].name, problem);
		assert_string_equal(described[i].name, parameters[i].name);
		assert_true(strlen(described[i].meaning) > 5);
	}
	for (size_t i = 0; i < unsupported_count; i++)
		assert_true(strlen(unsupported[i].advice) > 5);
	conf_free(conf);
	said_clear(&said);
}

/* Parameters that mailcow, docker-mailserver, Modoboa and iRedMail set. */
static void what_distributions_set_is_known(void **state)
{
	static const char names[] =
	    "biff append_dot_mydomain readme_directory queue_directory command_directory "
	    "daemon_directory "
	    "data_directory mail_owner sendmail_path newaliases_path mailq_path setgid_group "
	    "debugger_command debug_peer_level compatibility_level mail_name myhostname mydomain "
	    "myorigin "
	    "mydestination mynetworks inet_interfaces inet_protocols relayhost relay_domains "
	    "relay_recipient_maps recipient_delimiter alias_maps alias_database transport_maps "
	    "sender_dependent_default_transport_maps virtual_alias_maps virtual_alias_domains "
	    "virtual_mailbox_domains virtual_mailbox_maps virtual_mailbox_base virtual_uid_maps "
	    "virtual_gid_maps virtual_minimum_uid virtual_transport recipient_bcc_maps "
	    "sender_bcc_maps "
	    "recipient_canonical_maps recipient_canonical_classes sender_canonical_maps "
	    "sender_canonical_classes header_checks body_checks smtp_header_checks content_filter "
	    "receive_override_options cleanup_service_name queue_service_name rewrite_service_name "
	    "local_transport syslog_name syslog_facility smtp_delivery_status_filter "
	    "mailbox_size_limit "
	    "message_size_limit delay_warning_time queue_run_delay minimal_backoff_time "
	    "maximal_backoff_time maximal_queue_lifetime bounce_queue_lifetime "
	    "enable_long_queue_ids "
	    "enable_original_recipient show_user_unknown_table_name disable_vrfy_command "
	    "strict_rfc821_envelopes swap_bangpath allow_percent_hack allow_min_user "
	    "smtputf8_enable "
	    "unknown_local_recipient_reject_code unverified_recipient_reject_code "
	    "plaintext_reject_code "
	    "address_verify_map proxy_read_maps proxy_write_maps smtpd_banner "
	    "smtpd_client_restrictions "
	    "smtpd_helo_restrictions smtpd_sender_restrictions smtpd_relay_restrictions "
	    "smtpd_recipient_restrictions smtpd_data_restrictions smtpd_end_of_data_restrictions "
	    "smtpd_delay_reject smtpd_helo_required smtpd_error_sleep_time smtpd_soft_error_limit "
	    "smtpd_hard_error_limit smtpd_proxy_timeout smtpd_command_filter "
	    "smtpd_discard_ehlo_keywords "
	    "smtpd_reject_unlisted_recipient smtpd_reject_unlisted_sender smtpd_sender_login_maps "
	    "smtpd_milters non_smtpd_milters milter_protocol milter_default_action "
	    "milter_mail_macros "
	    "smtpd_authorized_xforward_hosts smtpd_sasl_auth_enable smtpd_sasl_type "
	    "smtpd_sasl_path "
	    "smtpd_sasl_security_options smtpd_sasl_local_domain smtpd_sasl_authenticated_header "
	    "broken_sasl_auth_clients smtp_sasl_auth_enable smtp_sasl_password_maps "
	    "smtp_sasl_security_options smtp_sasl_mechanism_filter smtp_sasl_auth_soft_bounce "
	    "smtp_sender_dependent_authentication smtpd_tls_cert_file smtpd_tls_key_file "
	    "smtpd_tls_chain_files smtpd_tls_CAfile smtpd_tls_CApath smtpd_tls_security_level "
	    "smtpd_tls_auth_only smtpd_tls_loglevel smtpd_tls_received_header "
	    "smtpd_tls_session_cache_database smtpd_tls_protocols smtpd_tls_mandatory_protocols "
	    "smtpd_tls_mandatory_ciphers smtpd_tls_mandatory_exclude_ciphers "
	    "smtpd_tls_exclude_ciphers "
	    "smtpd_tls_dh1024_param_file smtpd_tls_dh512_param_file smtpd_tls_eecdh_grade "
	    "smtpd_tls_wrappermode smtpd_use_tls smtpd_enforce_tls smtp_tls_CAfile smtp_tls_CApath "
	    "smtp_tls_cert_file smtp_tls_key_file smtp_tls_security_level smtp_tls_loglevel "
	    "smtp_tls_policy_maps smtp_tls_protocols smtp_tls_mandatory_protocols "
	    "smtp_tls_session_cache_database smtp_tls_note_starttls_offer lmtp_tls_protocols "
	    "lmtp_tls_mandatory_protocols smtp_dns_support_level smtp_address_preference "
	    "tls_server_sni_maps tls_preempt_cipherlist tls_ssl_options tls_high_cipherlist "
	    "tls_random_source postscreen_access_list postscreen_bare_newline_enable "
	    "postscreen_bare_newline_action postscreen_blacklist_action "
	    "postscreen_cache_cleanup_interval postscreen_cache_map "
	    "postscreen_discard_ehlo_keywords "
	    "postscreen_dnsbl_action postscreen_dnsbl_sites postscreen_dnsbl_threshold "
	    "postscreen_dnsbl_whitelist_threshold postscreen_dnsbl_ttl postscreen_greet_action "
	    "postscreen_greet_banner postscreen_greet_ttl postscreen_greet_wait "
	    "postscreen_non_smtp_command_enable postscreen_non_smtp_command_action "
	    "postscreen_pipelining_enable postscreen_pipelining_action stress smtp_use_tls "
	    "virtual_mailbox_limit policyd-spf_time_limit dovecot_destination_recipient_limit";
	struct slice rest = SLICE(names), word;
	size_t len;

	(void)state;
	while (text_next_word(&rest, " ", &word)) {
		char *name = slice_dup(word);

		if (parameter_find(name) == NULL && unsupported_find(name) == NULL &&
		    parameter_of_all_transports(name, &len) == NULL)
			fail_msg("%s", name);
		free(name);
	}
}

static void the_nearest_name_is_found(void **state)
{
	static const struct {
		const char *name, *nearest;
	} cases[] = {
		{ "myhostnam", "myhostname" },
		{ "mydestinatoin", "mydestination" },
		{ "mynetwork", "mynetworks" },
		{ "relay_host", "relayhost" },
		{ "smtpd_milter", "smtpd_milters" },
		{ "xyz", NULL },
		{ "something_entirely_different", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *nearest = parameter_nearest(cases[i].name);

		if (cases[i].nearest == NULL)
			assert_null(nearest);
		else
			assert_string_equal(nearest, cases[i].nearest);
	}
	assert_int_equal(edit_distance(SLICE("abc"), SLICE("abc"), 3), 0);
	assert_int_equal(edit_distance(SLICE("abc"), SLICE("acb"), 3), 1);
	assert_int_equal(edit_distance(SLICE("abc"), SLICE(""), 3), 3);
	assert_int_equal(edit_distance(SLICE("abcdef"), SLICE("uvwxyz"), 3), 4);
}

static void editing_changes_one_value_and_nothing_else(void **state)
{
	static const struct {
		const char *before, *name, *value, *after;
	} cases[] = {
		{ "", "a", "1", "a = 1\n" },
		{ "a = 0\n", "a", "1", "a = 1\n" },
		{ "# a = 7\na=0\nb = 2\n", "a", "1", "# a = 7\na = 1\nb = 2\n" },
		{ "a = 0\n  more\n# in between\n  still\n# after\nb = 2\n", "a", "1",
		    "a = 1\n# in between\n# after\nb = 2\n" },
		{ "a = 0\na = 00\n", "a", "1", "a = 0\na = 1\n" },
		{ "aa = 0", "a", "1", "aa = 0\na = 1\n" },
		{ "a = 0\n", "a", "", "a =\n" },
		{ "b =\n  a = x\n", "a", "1", "b =\n  a = x\na = 1\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char path[32];
		int directory = scene_open(path);
		struct buf content = { 0 };
		struct stat st;

		scene_write(directory, "main.cf", slice_of(cases[i].before));
		assert_int_equal(conf_edit(directory, &cases[i].name, &cases[i].value, 1), 0);
		assert_int_equal(io_read_file(directory, "main.cf", 10000, &content), 0);
		assert_string_equal(buf_text(&content), cases[i].after);
		assert_int_equal(fstatat(directory, "main.cf", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		buf_clear(&content);
		scene_close(directory, path);
	}
}

static void editing_keeps_link_owner_and_mode(void **state)
{
	static const char *const name = "a", *const value = "1";
	char path[32], other[32], target[64];
	int directory = scene_open(path), elsewhere = scene_open(other);
	uid_t owner = geteuid() == 0 ? 12345 : geteuid();
	struct buf content = { 0 };
	struct stat st;

	(void)state;
	scene_write(elsewhere, "main.cf", SLICE("a = 0\n"));
	assert_int_equal(fchownat(elsewhere, "main.cf", owner, (gid_t)-1, 0), 0);
	snprintf(target, sizeof(target), "%s/main.cf", other);
	assert_int_equal(symlinkat(target, directory, "main.cf"), 0);
	assert_int_equal(conf_edit(directory, &name, &value, 1), 0);
	assert_int_equal(fstatat(directory, "main.cf", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(fstatat(elsewhere, "main.cf", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(st.st_uid, owner);
	assert_int_equal(io_read_file(elsewhere, "main.cf", 10000, &content), 0);
	assert_string_equal(buf_text(&content), "a = 1\n");
	buf_clear(&content);
	scene_close(directory, path);
	scene_close(elsewhere, other);
}

/* Edits at once, as of an administrator and of his configuration management: none is lost. */
static void edits_at_the_same_time_are_all_kept(void **state)
{
	enum { EDITORS = 8, EDITS = 5 };
	char path[32], name[EDITORS][16];
	int directory = scene_open(path);
	struct buf content = { 0 };
	pid_t editors[EDITORS];
	int status;

	(void)state;
	scene_write(directory, "main.cf", SLICE("# start\n"));
	for (int i = 0; i < EDITORS; i++) {
		const char *one = name[i], *value = "x";

		snprintf(name[i], sizeof(name[i]), "p%d", i);
		editors[i] = fork();
		assert_true(editors[i] != -1);
		if (editors[i] != 0)
			continue;
		for (int k = 0; k < EDITS; k++)
			if (conf_edit(directory, &one, &value, 1) == -1)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < EDITORS; i++) {
		assert_int_equal(waitpid(editors[i], &status, 0), editors[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(io_read_file(directory, "main.cf", 10000, &content), 0);
	for (int i = 0; i < EDITORS; i++)
		assert_non_null(strstr(buf_text(&content), name[i]));
	assert_int_equal(content.len, strlen("# start\n") + EDITORS * strlen("p0 = x\n"));
	buf_clear(&content);
	scene_close(directory, path);
}

static void editing_refuses_what_would_break_the_file(void **state)
{
	static const char *const names[] = { "a b", "", "a=b", "#a", "a", "a\nb" };
	static const char *const values[] = { "1", "1", "1", "1", "1\nb = 2", "1" };
	char path[32];
	int directory = scene_open(path);

	(void)state;
	scene_write(directory, "main.cf", SLICE("a = 0\n"));
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		assert_int_equal(conf_edit(directory, &names[i], &values[i], 1), -1);
	scene_close(directory, path);
}

static void lists_are_split_outside_of_braces(void **state)
{
	static const struct {
		const char *list;
		const char *items; /* joined by | */
	} cases[] = {
		{ "a, b\tc\n\td", "a|b|c|d" },
		{ " , ,", "" },
		{ "{ a b }, c", "a b|c" },
		{ "inline:{ {k = v, w}, x=y } z", "inline:{ {k = v, w}, x=y }|z" },
		{ "{a}{b} c", "{a}{b}|c" },
		{ "{ {a b} {c d} }", "{a b} {c d}" },
		{ "{a", "{a" },
		{ "a} b", "a}|b" },
		{ "{}", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct slice rest = slice_of(cases[i].list), item;
		struct buf joined = { 0 };

		while (conf_next_item(&rest, &item)) {
			if (joined.len > 0)
				buf_putc(&joined, '|');
			buf_put_slice(&joined, item);
		}
		assert_string_equal(buf_text(&joined), cases[i].items);
		buf_clear(&joined);
	}
}

static void count_names(void *arg, const char *name, const char *value)
{
	buf_printf(arg, "%s=%s;", name, value);
}

static void what_main_cf_says_comes_in_its_order(void **state)
{
	struct said said = { 0 };
	struct buf seen = { 0 };
	struct conf *conf = scene_conf("b = $c\na = 1\nb = 2$c\n", &said);

	(void)state;
	conf_override(conf, "z=1", "master.cf", 1, hear, &said);
	conf_each_explicit(conf, count_names, &seen);
	assert_string_equal(buf_text(&seen), "b=2$c;a=1;");
	assert_string_equal(conf_explicit(conf, "b"), "2$c");
	assert_null(conf_explicit(conf, "hopcount_limit"));
	buf_clear(&seen);
	conf_free(conf);
	said_clear(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_as_postfix_reads_them),
		cmocka_unit_test(references_are_expanded_as_postfix_does),
		cmocka_unit_test(hostile_references_end_in_an_error),
		cmocka_unit_test(settings_are_filled_by_type),
		cmocka_unit_test(transports_fall_back_to_the_common_parameter),
		cmocka_unit_test(an_override_wins_and_changes_what_depends_on_it),
		cmocka_unit_test(defaults_that_depend_on_the_system_are_found),
		cmocka_unit_test(myorigin_may_be_the_first_line_of_a_file),
		cmocka_unit_test(a_mistake_gives_line_and_remedy),
		cmocka_unit_test(what_is_right_is_not_complained_about),
		cmocka_unit_test(a_file_that_is_missing_or_no_text_is_refused),
		cmocka_unit_test(all_errors_are_reported_not_just_the_first),
		cmocka_unit_test(a_file_full_of_mistakes_is_checked_in_time),
		cmocka_unit_test(the_tables_are_sorted_and_apart),
		cmocka_unit_test(every_default_passes_its_own_check),
		cmocka_unit_test(what_distributions_set_is_known),
		cmocka_unit_test(the_nearest_name_is_found),
		cmocka_unit_test(editing_changes_one_value_and_nothing_else),
		cmocka_unit_test(editing_keeps_link_owner_and_mode),
		cmocka_unit_test(edits_at_the_same_time_are_all_kept),
		cmocka_unit_test(editing_refuses_what_would_break_the_file),
		cmocka_unit_test(lists_are_split_outside_of_braces),
		cmocka_unit_test(what_main_cf_says_comes_in_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
