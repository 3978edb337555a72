/* SPDX-License-Identifier: ISC */
/*
 * test_resolver.c - DNS messages as answers, byte by byte; and the files that are read before the sandbox.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "support/resolver.h"

/* --- messages ------------------------------------------------------------------------------------- */

enum { QUESTION = 12, CNAME = 5, RRSIG = 46, DNSKEY = 48, NXDOMAIN = 3 };

static void put_u16(struct buf *b, unsigned value)
{
	buf_putc(b, (char)(value >> 8));
	buf_putc(b, (char)value);
}

static void put_name(struct buf *b, const char *name)
{
	struct slice rest = slice_of(name);

	while (rest.len > 0) {
		ptrdiff_t dot = slice_find(rest, '.');
		size_t len = dot == -1 ? rest.len : (size_t)dot;

		buf_putc(b, (char)len);
		buf_append(b, rest.data, len);
		rest = slice_part(rest, len + (dot != -1), rest.len);
	}
	buf_putc(b, '\0');
}

static void begin(struct buf *b, const char *name, unsigned type, unsigned rcode)
{
	buf_reset(b);
	put_u16(b, 1);
	put_u16(b, 0x8180 | rcode);
	put_u16(b, 1);
	for (unsigned i = 0; i < 3; i++)
		put_u16(b, 0);
	put_name(b, name);
	put_u16(b, type);
	put_u16(b, 1);
}

/* A record of the answer; its owner is bytes as they are. */
static void put_record(struct buf *b, struct slice owner, unsigned type, unsigned ttl,
    struct slice data)
{
	buf_put_slice(b, owner);
	put_u16(b, type);
	put_u16(b, 1);
	put_u16(b, 0);
	put_u16(b, ttl);
	put_u16(b, (unsigned)data.len);
	buf_put_slice(b, data);
	b->data[7]++;
	if (b->data[7] == 0)
		b->data[6]++;
}

static const struct slice QUESTION_NAME = { "\xc0\x0c", 2 };

static struct msg_dns_answer answer;
static unsigned odd;
static struct arena *arena;

static bool parse(struct buf *b, const char *name, enum dns_type type)
{
	/* A copy of exactly this size: a read behind it is found out. */
	char *copy = mem_alloc(b->len + 1);
	bool ok;

	if (arena == NULL)
		arena = arena_new();
	arena_reset(arena);
	memcpy(copy, b->data, b->len);
	ok = resolver_parse(slice_new(copy, b->len), slice_of(name), type, arena, &answer, &odd);
	free(copy);
	return ok;
}

static void assert_data(size_t i, const char *wanted)
{
	assert_true(i < answer.data.count);
	assert_true(slice_equal(answer.data.items[i], slice_of(wanted)));
}

static void addresses_become_text(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "Host.Example", DNS_A, 0);
	put_record(&b, QUESTION_NAME, DNS_A, 70, SLICE("\xc0\x00\x02\x01"));
	put_record(&b, QUESTION_NAME, DNS_A, 60, SLICE("\xc0\x00\x02\x02"));
	assert_true(parse(&b, "host.example", DNS_A));
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl, 60);
	assert_int_equal(answer.data.count, 2);
	assert_data(0, "192.0.2.1");
	assert_data(1, "192.0.2.2");
	assert_true(slice_equal(answer.canonical, SLICE("host.example")));

	begin(&b, "host.example", DNS_AAAA, 0);
	put_record(&b, QUESTION_NAME, DNS_AAAA, 60,
	    SLICE("\x20\x01\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1"));
	assert_true(parse(&b, "host.example", DNS_AAAA));
	assert_data(0, "2001:db8::1");
	buf_clear(&b);
}

static void mail_exchangers_are_sorted_and_those_of_one_preference_keep_their_order(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_MX, 0);
	put_record(&b, QUESTION_NAME, DNS_MX, 60, SLICE("\0\24\1b\xc0\x0c"));
	put_record(&b, QUESTION_NAME, DNS_MX, 60, SLICE("\0\24\1a\xc0\x0c"));
	put_record(&b, QUESTION_NAME, DNS_MX, 60, SLICE("\0\5\1c\xc0\x0c"));
	assert_true(parse(&b, "example", DNS_MX));
	assert_int_equal(answer.preference.count, 3);
	assert_int_equal(answer.preference.items[0], 5);
	assert_int_equal(answer.preference.items[2], 20);
	assert_data(0, "c.example");
	assert_data(1, "b.example");
	assert_data(2, "a.example");
	buf_clear(&b);
}

static void of_too_many_mail_exchangers_the_best_stay(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_MX, 0);
	for (unsigned i = 0; i < 300; i++) {
		char data[] = { (char)((300 - i) >> 8), (char)(300 - i), 1, 'm', 0 };

		put_record(&b, QUESTION_NAME, DNS_MX, 60, slice_new(data, sizeof(data)));
	}
	assert_true(parse(&b, "example", DNS_MX));
	assert_int_equal(answer.data.count, DNS_ANSWER_LIMIT);
	assert_int_equal(answer.preference.items[0], 1);
	assert_int_equal(answer.preference.items[DNS_ANSWER_LIMIT - 1], DNS_ANSWER_LIMIT);
	buf_clear(&b);
}

static void aliases_lead_to_the_canonical_name(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "alias.example", DNS_A, 0);
	put_record(&b, QUESTION_NAME, CNAME, 30, SLICE("\3www\xc0\x12"));
	put_record(&b, SLICE("\3WWW\7example\0"), DNS_A, 60, SLICE("\xc0\x00\x02\x01"));
	put_record(&b, SLICE("\5other\7example\0"), DNS_A, 10, SLICE("\xc0\x00\x02\x09"));
	assert_true(parse(&b, "alias.example", DNS_A));
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.ttl, 30);
	assert_int_equal(answer.data.count, 1);
	assert_data(0, "192.0.2.1");
	assert_true(slice_equal(answer.canonical, SLICE("www.example")));
	buf_clear(&b);
}

static void what_is_not_there_has_its_status(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_A, NXDOMAIN);
	assert_true(parse(&b, "example", DNS_A));
	assert_int_equal(answer.status, DNS_NO_NAME);
	assert_true(answer.why.len > 0);
	begin(&b, "example", DNS_A, 0);
	put_record(&b, QUESTION_NAME, DNS_TXT, 60, SLICE("\1x"));
	assert_true(parse(&b, "example", DNS_A));
	assert_int_equal(answer.status, DNS_NO_DATA);
	begin(&b, "example", DNS_A, 2);
	assert_true(parse(&b, "example", DNS_A));
	assert_int_equal(answer.status, DNS_TRY_AGAIN);
	buf_clear(&b);
}

static void the_null_mx_is_an_empty_name(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_MX, 0);
	put_record(&b, QUESTION_NAME, DNS_MX, 60, SLICE("\0\0\0"));
	assert_true(parse(&b, "example", DNS_MX));
	assert_int_equal(answer.status, DNS_OK);
	assert_data(0, "");
	buf_clear(&b);
}

static void names_that_no_host_has_are_left_out_and_counted(void **state)
{
	static const struct slice names[] = {
		SLICE("\0\1\3a b\0"),
		SLICE("\0\1\3a.b\0"),
		SLICE("\0\1\3a\nb\0"),
		SLICE("\0\1\3a\0b\0"),
		SLICE("\0\1\1\xe4\0"),
	};
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_MX, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		put_record(&b, QUESTION_NAME, DNS_MX, 60, names[i]);
	assert_true(parse(&b, "example", DNS_MX));
	assert_int_equal(answer.status, DNS_BAD_NAME);
	assert_int_equal(odd, ARRAY_LENGTH(names));
	put_record(&b, QUESTION_NAME, DNS_MX, 60, SLICE("\0\1\3a_b\0"));
	assert_true(parse(&b, "example", DNS_MX));
	assert_int_equal(answer.status, DNS_OK);
	assert_int_equal(answer.data.count, 1);
	assert_data(0, "a_b");
	buf_clear(&b);
}

static void strings_of_a_text_are_joined(void **state)
{
	struct buf b = { 0 };

	(void)state;
	begin(&b, "example", DNS_TXT, 0);
	put_record(&b, QUESTION_NAME, DNS_TXT, 60, SLICE("\3v=s\0\2pf"));
	put_record(&b, QUESTION_NAME, DNS_TXT, 60, SLICE("\3a\nb"));
	assert_true(parse(&b, "example", DNS_TXT));
	assert_int_equal(answer.data.count, 1);
	assert_data(0, "v=spf");
	assert_int_equal(odd, 1);
	buf_clear(&b);
}

static void what_is_malformed_gives_nothing(void **state)
{
	static const struct {
		unsigned type;
		struct slice owner, data;
	} cases[] = {
		{ DNS_A, { "\xc0\x0c", 2 }, SLICE("\1\2\3") },
		{ DNS_A, { "\xc0\x0c", 2 }, SLICE("\1\2\3\4\5") },
		{ DNS_A, { "\xc0\xff", 2 }, SLICE("\1\2\3\4") },
		{ DNS_A, { "\xc0\x19", 2 }, SLICE("\1\2\3\4") }, /* to itself */
		{ DNS_A, { "\x40x\0", 3 }, SLICE("\1\2\3\4") },
		{ DNS_MX, { "\xc0\x0c", 2 }, SLICE("\0\1") },
		{ DNS_MX, { "\xc0\x0c", 2 }, SLICE("\0\1\5ab") },
		{ DNS_MX, { "\xc0\x0c", 2 }, SLICE("\0\1\1a\0x") },
		{ DNS_MX, { "\xc0\x0c", 2 }, SLICE("\0\1\xc0") },
		{ DNS_TXT, { "\xc0\x0c", 2 }, SLICE("\5abc") },
		{ DNS_PTR, { "\xc0\x0c", 2 }, SLICE("") },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		begin(&b, "example", cases[i].type, 0);
		put_record(&b, cases[i].owner, cases[i].type, 60, cases[i].data);
		if (parse(&b, "example", (enum dns_type)cases[i].type))
			fail_msg("case %zu was accepted", i);
	}
	begin(&b, "example", DNS_A, 0);
	assert_false(parse(&b, "another", DNS_A));
	buf_clear(&b);
}

static void every_cut_of_a_message_is_refused(void **state)
{
	struct buf b = { 0 };
	size_t whole;

	(void)state;
	begin(&b, "alias.example", DNS_MX, 0);
	put_record(&b, QUESTION_NAME, CNAME, 30, SLICE("\3www\xc0\x12"));
	put_record(&b, SLICE("\3www\7example\0"), DNS_MX, 60, SLICE("\0\1\1m\xc0\x12"));
	whole = b.len;
	assert_true(parse(&b, "alias.example", DNS_MX));
	for (b.len = 0; b.len < whole; b.len++)
		assert_false(parse(&b, "alias.example", DNS_MX));
	buf_clear(&b);
}

static void a_name_of_many_jumps_has_an_end(void **state)
{
	struct buf b = { 0 };
	char pointer[2];

	(void)state;
	/* Each record's name is a label and a jump to the one before: 255 bytes end it. */
	begin(&b, "a", DNS_A, 0);
	pointer[0] = '\xc0';
	pointer[1] = QUESTION;
	for (unsigned i = 0; i < 200; i++) {
		size_t at = b.len;
		char owner[] = { 1, 'x', pointer[0], pointer[1] };

		put_record(&b, slice_new(owner, sizeof(owner)), DNS_A, 60, SLICE("\1\2\3\4"));
		pointer[0] = (char)(0xc0 | at >> 8);
		pointer[1] = (char)at;
	}
	assert_false(parse(&b, "a", DNS_A));
	buf_clear(&b);
}

static void names_that_can_be_asked_for(void **state)
{
	static const struct {
		const char *name;
		bool is_good;
	} cases[] = {
		{ "example.com", true },
		{ "a", true },
		{ "_dmarc.example.com", true },
		{ "0/25.2.0.192.in-addr.arpa", true },
		{ "xn--bcher-kva.example", true },
		{ "", false },
		{ ".", false },
		{ "example.com.", false },
		{ ".example.com", false },
		{ "a..b", false },
		{ "a b", false },
		{ "a\\032b", false },
		{ "b\xc3\xbc"
		  "cher.example",
		    false },
	};
	char label[64 + 1] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		if (resolver_name_is_good(slice_of(cases[i].name)) != cases[i].is_good)
			fail_msg("\"%s\"", cases[i].name);
	memset(label, 'x', 64);
	assert_false(resolver_name_is_good(slice_new(label, 64)));
	assert_true(resolver_name_is_good(slice_new(label, 63)));
}

static void a_server_does_dnssec_when_it_has_signed_keys(void **state)
{
	struct slice root = { "\0", 1 };
	struct buf b = { 0 };

	(void)state;
	begin(&b, "", DNSKEY, 0);
	assert_false(resolver_has_signed_keys(buf_slice(&b)));
	put_record(&b, root, DNSKEY, 60, SLICE("key"));
	assert_false(resolver_has_signed_keys(buf_slice(&b)));
	put_record(&b, root, RRSIG, 60, SLICE("\0\1signature of addresses"));
	assert_false(resolver_has_signed_keys(buf_slice(&b)));
	put_record(&b, root, RRSIG, 60, SLICE("\0\x30signature of keys"));
	assert_true(resolver_has_signed_keys(buf_slice(&b)));
	b.len--;
	assert_false(resolver_has_signed_keys(buf_slice(&b)));
	buf_clear(&b);
}

/* --- files ---------------------------------------------------------------------------------------- */

static void name_servers_are_read_as_resolv_conf_has_them(void **state)
{
	struct resolver_files f = { 0 };

	(void)state;
	resolver_read_nameservers(SLICE("# x\nnameserver 192.0.2.1 # first\n;nameserver 192.0.2.9\n"
					"nameserver\n\tnameserver\t2001:db8::1\nsearch nameserver\n"
					"nameserver fe80::1%eth0\nnameserver none\nnameserver "
					"192.0.2.2"),
	    &f);
	assert_int_equal(f.servers_count, 3);
	assert_string_equal(f.servers[0], "192.0.2.1");
	assert_string_equal(f.servers[1], "2001:db8::1");
	assert_string_equal(f.servers[2], "192.0.2.2");
	resolver_files_clear(&f);
}

static void a_server_is_an_address_with_or_without_a_port(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
	} cases[] = {
		{ "127.0.0.1", true },
		{ "127.0.0.1@53", true },
		{ "::1@5353", true },
		{ "127.0.0.1@0", false },
		{ "127.0.0.1@65536", false },
		{ "127.0.0.1@", false },
		{ "127.0.0.1:53", false },
		{ "@53", false },
		{ "localhost", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		if (resolver_server_is_good(slice_of(cases[i].text)) != cases[i].is_good)
			fail_msg("\"%s\"", cases[i].text);
}

static bool find(const struct resolver_files *f, const char *name, enum dns_type type)
{
	if (arena == NULL)
		arena = arena_new();
	arena_reset(arena);
	return resolver_files_find(f, slice_of(name), type, arena, &answer);
}

static void hosts_have_names_for_addresses_in_the_file_s_order(void **state)
{
	struct resolver_files f = { 0 };

	(void)state;
	resolver_read_hosts(SLICE("127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
				  "192.0.2.2 Mail.Example mail # 192.0.2.9 x\n192.0.2.1 mail\n"
				  "junk line\n# 192.0.2.3 comment\n192.0.2.3\n"),
	    &f);
	assert_true(find(&f, "LOCALHOST", DNS_A));
	assert_data(0, "127.0.0.1");
	assert_int_equal(answer.status, DNS_OK);
	assert_true(find(&f, "localhost", DNS_AAAA));
	assert_data(0, "::1");
	assert_true(find(&f, "mail", DNS_A));
	assert_int_equal(answer.data.count, 2);
	assert_data(0, "192.0.2.2");
	assert_data(1, "192.0.2.1");
	assert_true(find(&f, "mail.example", DNS_AAAA));
	assert_int_equal(answer.status, DNS_NO_DATA);
	assert_false(find(&f, "mail.example", DNS_MX));
	assert_false(find(&f, "line", DNS_A));
	assert_false(find(&f, "x", DNS_A));
	assert_false(find(&f, "", DNS_A));
	resolver_files_clear(&f);
}

static void anchors_are_lines_without_comments(void **state)
{
	struct resolver_files f = { 0 };

	(void)state;
	resolver_read_anchors(
	    SLICE("; head\n\n. 172800 IN DNSKEY 257 3 8 AwEA ;{id = 1}\r\n. IN DS 1 8 2 AA\n"), &f);
	assert_int_equal(f.anchors_count, 2);
	assert_string_equal(f.anchors[0], ". 172800 IN DNSKEY 257 3 8 AwEA");
	assert_string_equal(f.anchors[1], ". IN DS 1 8 2 AA");
	resolver_files_clear(&f);
}

static void a_file_that_was_replaced_or_written_is_noticed(void **state)
{
	char path[] = "/tmp/gatepost-test-XXXXXX", *other;
	struct resolver_files f = { .hosts_file = { .fd = -1 } };
	int fd = mkstemp(path);

	(void)state;
	assert_int_not_equal(fd, -1);
	other = mem_printf("%s.new", path);
	f.resolv_conf = (struct resolver_watch){ .path = path, .fd = fd };
	assert_int_equal(fstat(fd, &f.resolv_conf.then), 0);
	assert_null(resolver_files_changed(&f));
	assert_int_equal(write(fd, "x", 1), 1);
	assert_string_equal(resolver_files_changed(&f), path);
	assert_int_equal(fstat(fd, &f.resolv_conf.then), 0);
	close(open(other, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(rename(other, path), 0);
	assert_string_equal(resolver_files_changed(&f), path);
	unlink(path);
	close(fd);
	free(other);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(addresses_become_text),
		T(mail_exchangers_are_sorted_and_those_of_one_preference_keep_their_order),
		T(of_too_many_mail_exchangers_the_best_stay),
		T(aliases_lead_to_the_canonical_name),
		T(what_is_not_there_has_its_status),
		T(the_null_mx_is_an_empty_name),
		T(names_that_no_host_has_are_left_out_and_counted),
		T(strings_of_a_text_are_joined),
		T(what_is_malformed_gives_nothing),
		T(every_cut_of_a_message_is_refused),
		T(a_name_of_many_jumps_has_an_end),
		T(names_that_can_be_asked_for),
		T(a_server_does_dnssec_when_it_has_signed_keys),
		T(name_servers_are_read_as_resolv_conf_has_them),
		T(a_server_is_an_address_with_or_without_a_port),
		T(hosts_have_names_for_addresses_in_the_file_s_order),
		T(a_file_that_was_replaced_or_written_is_noticed),
		T(anchors_are_lines_without_comments),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_free(arena);
	return failed;
}
