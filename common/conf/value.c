/* SPDX-License-Identifier: ISC */
/*
 * value.c - is this value one of its parameter's type, and what to write instead.
 */
#include "common/conf/internal.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { LONGEST_SHOWN = 80 };

/* The types of lookup tables. advice NULL: this build has it. */
static const struct {
	const char *type;
	const char *advice;
} table_types[] = {
	{ "btree", NULL },
	{ "cdb", "is missing here; use hash:" },
	{ "cidr", NULL },
	{ "dbm", "is obsolete; use hash:" },
	{ "debug", "is missing here; look the key up with postmap -q" },
	{ "environ", "is missing here; use inline:" },
	{ "fail", NULL },
	{ "hash", NULL },
	{ "inline", NULL },
	{ "internal", "is of no use in main.cf; use inline:" },
	{ "ldap", "is missing here yet; use hash:, filled from the directory" },
	{ "lmdb", "is missing here yet; use hash:" },
	{ "memcache", "is missing here yet; use hash:" },
	{ "mongodb", "is missing here yet; use hash:, filled from the database" },
	{ "mysql", "is missing here yet; use hash:, filled from the database" },
	{ "netinfo", "is obsolete; use hash:" },
	{ "nis", "is obsolete; use hash: or unix:" },
	{ "nisplus", "is obsolete; use hash: or unix:" },
	{ "pcre", NULL },
	{ "pgsql", "is missing here yet; use hash:, filled from the database" },
	{ "pipemap", "is missing here yet; join the tables into one" },
	{ "proxy", NULL },
	{ "randmap", "is missing here yet; use inline: or hash:" },
	{ "regexp", NULL },
	{ "sdbm", "is obsolete; use hash:" },
	{ "socketmap", "is missing here yet; use hash:" },
	{ "sqlite", "is missing here yet; use hash:, filled from the database" },
	{ "static", NULL },
	{ "tcp", "is missing here yet; use hash:" },
	{ "texthash", NULL },
	{ "unionmap", "is missing here yet; join the tables into one" },
	{ "unix", NULL },
};

bool value_bool(struct slice text, bool *value)
{
	*value = slice_equal_nocase(text, SLICE("yes"));
	return *value || slice_equal_nocase(text, SLICE("no"));
}

bool value_time(struct slice text, char unit, int64_t *value)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	uint64_t number;

	if (text.len > 0 && (text.data[text.len - 1] < '0' || text.data[text.len - 1] > '9')) {
		unit = text.data[text.len - 1];
		text.len--;
	}
	if (!text_number(text, INT32_MAX, &number))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if ((unit | 0x20) != units[i].unit)
			continue;
		*value = (int64_t)number * units[i].seconds;
		return true;
	}
	return false;
}

static char *bool_problem(const struct parameter *row, const char *value)
{
	bool is;

	(void)row;
	return value_bool(slice_of(value), &is) ? NULL : mem_strdup("use yes or no");
}

static char *number_problem(const struct parameter *row, const char *value)
{
	uint64_t number;

	if (text_number(slice_of(value), INT64_MAX, &number) && (int64_t)number >= row->least &&
	    (int64_t)number <= row->most)
		return NULL;
	if (row->most >= INT32_MAX)
		return mem_printf("use a number, at least %lld", (long long)row->least);
	return mem_printf("use a number from %lld to %lld", (long long)row->least,
	    (long long)row->most);
}

static char *time_problem(const struct parameter *row, const char *value)
{
	int64_t seconds;

	if (!value_time(slice_of(value), row->unit, &seconds))
		return mem_strdup("use a number and one of s, m, h, d, w, such as 30s or 5d");
	if (seconds < row->least || seconds > row->most)
		return mem_printf("use at least %llds and at most %llds", (long long)row->least,
		    (long long)row->most);
	return NULL;
}

static char *nothing_wrong(const struct parameter *row, const char *value)
{
	(void)row;
	(void)value;
	return NULL;
}

/* "type:name" -> type. IPv6 addresses and name=value have colons too. */
static bool table_type(struct slice item, struct slice *type)
{
	ptrdiff_t colon = slice_find(item, ':');
	char text[INET6_ADDRSTRLEN + 1];
	unsigned char address[16];

	if (colon <= 0)
		return false;
	*type = slice_part(item, 0, (size_t)colon);
	for (size_t i = 0; i < type->len; i++) {
		char c = type->data[i];

		if (!((c >= 'a' && c <= 'z') || (i > 0 && ((c >= '0' && c <= '9') || c == '_'))))
			return false;
	}
	if (item.len < sizeof(text)) {
		memcpy(text, item.data, item.len);
		text[item.len] = '\0';
		if (inet_pton(AF_INET6, text, address) == 1)
			return false;
	}
	return true;
}

static char *type_problem(struct slice type)
{
	struct slice best = slice_of("");
	unsigned nearest = 3, distance;

	for (size_t i = 0; i < ARRAY_LENGTH(table_types); i++) {
		struct slice known = slice_of(table_types[i].type);

		if (slice_equal(known, type))
			return table_types[i].advice == NULL
			    ? NULL
			    : mem_printf("the table type \"%s\" %s", table_types[i].type,
				  table_types[i].advice);
		distance = edit_distance(type, known, 2);
		if (table_types[i].advice == NULL && distance < nearest) {
			nearest = distance;
			best = known;
		}
	}
	if (best.len > 0)
		return mem_printf("there is no table type \"%.*s\"; did you mean %s:",
		    (int)type.len, type.data, best.data);
	return mem_printf("there is no table type \"%.*s\"; use one of postconf -m, such as hash:",
	    (int)type.len, type.data);
}

/* proxy: stands before the type of the table proper, ! before an exception. */
static char *item_problem(struct slice item)
{
	struct slice type;
	char *problem = NULL;

	while (item.len > 0 && item.data[0] == '!')
		item = slice_part(item, 1, item.len);
	for (unsigned i = 0; i < 2 && problem == NULL && table_type(item, &type); i++) {
		problem = type_problem(type);
		if (!slice_equal(type, SLICE("proxy")))
			break;
		item = slice_part(item, type.len + 1, item.len);
	}
	return problem;
}

static char *list_problem(const struct parameter *row, const char *value)
{
	struct slice rest = slice_of(value), item;
	char *problem = NULL;

	(void)row;
	while (problem == NULL && text_next_item(&rest, &item))
		problem = item_problem(item);
	return problem;
}

/* The address of a network, without [ ] and /bits, in address. 0: it is none, but a name or table. */
static int network_family(struct slice item, unsigned char address[16], struct slice *bits)
{
	bool bracket = item.len > 0 && item.data[0] == '[';
	ptrdiff_t end = bracket ? slice_find(item, ']') : slice_find(item, '/');
	struct slice host = slice_part(item, bracket, end == -1 ? item.len : (size_t)end - bracket);
	char text[INET6_ADDRSTRLEN + 1];

	if (bracket && end == -1)
		return 0;
	*bits = end == -1 ? slice_of("") : slice_part(item, (size_t)end + bracket, item.len);
	if (host.len == 0 || host.len >= sizeof(text))
		return 0;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (inet_pton(AF_INET, text, address) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, address) == 1 ? AF_INET6 : 0;
}

/* True if address has no bit behind the first `bits`; makes it so. */
static bool clear_host_bits(unsigned char *address, unsigned bits, unsigned size)
{
	bool clear = true;

	for (unsigned i = bits; i < size; i++) {
		unsigned char bit = (unsigned char)(0x80 >> i % 8);

		clear = clear && (address[i / 8] & bit) == 0;
		address[i / 8] &= (unsigned char)~bit;
	}
	return clear;
}

static char *network_problem(struct slice item)
{
	unsigned char address[16];
	char text[INET6_ADDRSTRLEN];
	struct slice after;
	int family;
	uint64_t bits;

	while (item.len > 0 && item.data[0] == '!')
		item = slice_part(item, 1, item.len);
	family = network_family(item, address, &after);
	if (family == 0) {
		if (item.len > 0 &&
		    (item.data[0] == '[' || strspn(item.data, "0123456789./") >= item.len))
			return mem_printf("\"%.*s\" is no network; write 192.0.2.0/24 or "
					  "[2001:db8::]/32",
			    (int)(item.len > LONGEST_SHOWN ? LONGEST_SHOWN : item.len), item.data);
		return item_problem(item);
	}
	unsigned size = family == AF_INET ? 32 : 128;
	if (family == AF_INET6 && item.data[0] != '[')
		return mem_printf("an IPv6 network needs brackets; write [%.*s]%.*s",
		    (int)(item.len - after.len), item.data, (int)after.len, after.data);
	if (after.len == 0)
		return NULL;
	if (after.data[0] != '/' || !text_number(slice_part(after, 1, after.len), size, &bits))
		return mem_printf("\"%.*s\" does not end in a number of bits; write / and 0 to %u",
		    (int)(item.len > LONGEST_SHOWN ? LONGEST_SHOWN : item.len), item.data, size);
	if (clear_host_bits(address, (unsigned)bits, size))
		return NULL;
	inet_ntop(family, address, text, sizeof(text));
	return mem_printf(family == AF_INET ? "\"%.*s\" has bits behind the network; write %s/%u"
					    : "\"%.*s\" has bits behind the network; write [%s]/%u",
	    (int)(item.len > LONGEST_SHOWN ? LONGEST_SHOWN : item.len), item.data, text,
	    (unsigned)bits);
}

static char *networks_problem(const struct parameter *row, const char *value)
{
	struct slice rest = slice_of(value), item;
	char *problem = NULL;

	(void)row;
	while (problem == NULL && text_next_item(&rest, &item))
		problem = network_problem(item);
	return problem;
}

static char *host_problem(const struct parameter *row, const char *value)
{
	static const char name_bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	struct slice rest = slice_of(value), label;
	size_t labels = 0, dots = 0;

	(void)row;
	for (const char *p = value; *p != '\0'; p++)
		dots += *p == '.';
	while (text_next_word(&rest, ".", &label)) {
		if (label.len > 63 || strspn(label.data, name_bytes) < label.len ||
		    label.data[0] == '-' || label.data[label.len - 1] == '-')
			return mem_strdup("use one host name: labels of letters, digits and -, "
					  "with dots between");
		labels++;
	}
	if (labels != dots + 1 || strlen(value) > 255)
		return mem_strdup("use one host name, such as mail.example.com, without a dot at "
				  "its ends");
	return NULL;
}

/* Whether the word is among those of the row; idle: it stands there in parentheses. */
static bool has_word(const struct parameter *row, struct slice word, bool *idle)
{
	struct slice rest = slice_of(row->words), known;

	while (text_next_word(&rest, " ", &known)) {
		*idle = known.data[0] == '(';
		if (*idle)
			known = slice_part(known, 1, known.len - 2);
		if (slice_equal_nocase(known, word))
			return true;
	}
	return false;
}

static char *words_remedy(const struct parameter *row, struct slice word)
{
	struct buf out = { 0 };
	struct slice rest = slice_of(row->words), known;

	if (word.len > LONGEST_SHOWN)
		word.len = LONGEST_SHOWN;
	buf_printf(&out, "\"%.*s\" is not known here; use", (int)word.len, word.data);
	while (text_next_word(&rest, " ", &known)) {
		if (known.data[0] == '(')
			continue;
		buf_puts(&out,
		    out.data[out.len - 1] == 'e' && out.len < word.len + 28 ? " " : ", ");
		buf_put_slice(&out, known);
	}
	return buf_take(&out);
}

static char *words_problem(const struct parameter *row, const char *value)
{
	struct slice rest = slice_of(value), word;
	bool idle;

	while (text_next_item(&rest, &word))
		if (!has_word(row, word, &idle))
			return words_remedy(row, word);
	return NULL;
}

static char *choice_problem(const struct parameter *row, const char *value)
{
	bool idle;

	return has_word(row, slice_of(value), &idle) ? NULL : words_remedy(row, slice_of(value));
}

struct slice value_idle_word(const struct parameter *row, const char *value)
{
	struct slice rest = slice_of(value), word;
	bool idle = false;

	if (row->kind == KIND_WORDS)
		while (text_next_item(&rest, &word))
			if (has_word(row, word, &idle) && idle)
				return word;
	return slice_of("");
}

static const struct {
	char *(*problem)(const struct parameter *, const char *value);
	bool may_be_empty;
} kinds[KIND_COUNT] = {
	[KIND_BOOL] = { bool_problem, false },
	[KIND_NUMBER] = { number_problem, false },
	[KIND_TIME] = { time_problem, false },
	[KIND_TEXT] = { nothing_wrong, true },
	[KIND_FILLED] = { nothing_wrong, false },
	[KIND_HOST] = { host_problem, false },
	[KIND_RAW] = { nothing_wrong, true },
	[KIND_LIST] = { list_problem, true },
	[KIND_NETWORKS] = { networks_problem, true },
	[KIND_MAPS] = { list_problem, true },
	[KIND_TABLES] = { nothing_wrong, true },
	[KIND_CHOICE] = { choice_problem, false },
	[KIND_WORDS] = { words_problem, true },
};

char *value_problem(const struct parameter *row, const char *value)
{
	if (*value == '\0' && !kinds[row->kind].may_be_empty)
		return mem_strdup("it is empty; give a value or remove the line");
	return kinds[row->kind].problem(row, value);
}
