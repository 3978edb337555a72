/* SPDX-License-Identifier: ISC */
/*
 * resolver_answer.c - reads the DNS message in which libunbound answers. It was checked there; but its
 * names and addresses are strangers' data, and this is where they become ours: each byte is checked.
 */
#include "support/resolver.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	HEADER = 12,
	NAME_WIRE_LIMIT = 255,
	NAME_TEXT_LIMIT = 253,
	LABEL_LIMIT = 63,
	POINTER = 0xc0,
	QUESTION_REST = 4, /* type, class */
	RECORD_REST = 10,  /* type, class, TTL, length */
	TYPE_CNAME = 5,
	TYPE_RRSIG = 46,
	TYPE_DNSKEY = 48,
	CLASS_IN = 1,
	RCODE_OK = 0,
	RCODE_NXDOMAIN = 3,
	DAY = 86400
};

enum name_kind { NAME_MALFORMED, NAME_ODD, NAME_GOOD };

struct name {
	enum name_kind kind;
	char text[NAME_WIRE_LIMIT + 1]; /* without a final dot; the root is empty */
	size_t len;
};

struct record {
	struct name owner;
	unsigned type, class;
	uint32_t ttl;
	size_t data, end; /* offsets in the message */
};

struct reader {
	struct slice message;
	size_t at;
};

/* One that was found, to be sorted. */
struct datum {
	unsigned preference;
	size_t place;
	struct slice data;
};

struct collected {
	struct datum *items;
	size_t count, room;
	unsigned odd;
};

static unsigned byte_at(const struct reader *r, size_t at)
{
	return (unsigned char)r->message.data[at];
}

static unsigned u16_at(const struct reader *r, size_t at)
{
	return byte_at(r, at) << 8 | byte_at(r, at + 1);
}

static uint32_t u32_at(const struct reader *r, size_t at)
{
	return (uint32_t)u16_at(r, at) << 16 | u16_at(r, at + 2);
}

static bool is_host_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '_' || c == '/';
}

bool resolver_name_is_good(struct slice name)
{
	size_t label = 0;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (c == '.' ? label == 0 : !is_host_byte(c))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_LIMIT)
			return false;
	}
	return label > 0 && name.len <= NAME_TEXT_LIMIT;
}

static void add_label(const struct reader *r, size_t at, size_t len, struct name *name)
{
	if (name->len > 0)
		name->text[name->len++] = '.';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)r->message.data[at + i];

		if (!is_host_byte(c))
			name->kind = NAME_ODD;
		name->text[name->len++] = (char)c;
	}
}

/* Moves behind the name. A pointer must lead to before the place where the bytes that it ends began:
 * so each jump goes back, and there is an end. */
static void read_name(struct reader *r, struct name *name)
{
	size_t at = r->at, began = r->at, end = r->message.len, wire = 1;
	bool jumped = false;

	*name = (struct name){ .kind = NAME_GOOD };
	while (at < end) {
		unsigned len = byte_at(r, at);

		if ((len & POINTER) == POINTER && at + 1 < end) {
			size_t target = u16_at(r, at) & 0x3fff;

			if (!jumped)
				r->at = at + 2;
			if (target >= began)
				break;
			jumped = true;
			at = began = target;
			continue;
		}
		if (len == 0) {
			if (!jumped)
				r->at = at + 1;
			name->text[name->len] = '\0';
			return;
		}
		wire += len + 1;
		if (len > LABEL_LIMIT || wire > NAME_WIRE_LIMIT || at + 1 + len > end)
			break;
		add_label(r, at + 1, len, name);
		at += 1 + len;
	}
	name->kind = NAME_MALFORMED;
}

static bool same_name(const struct name *a, const struct name *b)
{
	return slice_equal_nocase(slice_new(a->text, a->len), slice_new(b->text, b->len));
}

/* Moves behind the record. */
static bool read_record(struct reader *r, struct record *record)
{
	read_name(r, &record->owner);
	if (record->owner.kind == NAME_MALFORMED || r->message.len - r->at < RECORD_REST)
		return false;
	record->type = u16_at(r, r->at);
	record->class = u16_at(r, r->at + 2);
	record->ttl = u32_at(r, r->at + 4);
	record->data = r->at + RECORD_REST;
	record->end = record->data + u16_at(r, r->at + 8);
	r->at = record->end;
	return record->end <= r->message.len;
}

/* Moves to the first answer. One question, whose name is given. */
static bool read_head(struct reader *r, struct name *question, unsigned *answers)
{
	if (r->message.len < HEADER || u16_at(r, 4) != 1)
		return false;
	*answers = u16_at(r, 6);
	r->at = HEADER;
	read_name(r, question);
	if (question->kind == NAME_MALFORMED || r->message.len - r->at < QUESTION_REST)
		return false;
	r->at += QUESTION_REST;
	return true;
}

/* The name that begins at `at` and must end where its record does. */
static enum name_kind name_in_data(const struct reader *r, const struct record *record, size_t at,
    struct name *name)
{
	struct reader inner = { r->message, at };

	if (at >= record->end)
		return NAME_MALFORMED;
	read_name(&inner, name);
	return inner.at == record->end ? name->kind : NAME_MALFORMED;
}

static void collect(struct collected *all, struct arena *arena, unsigned preference,
    struct slice data)
{
	if (all->count == all->room) {
		size_t room = all->room == 0 ? 16 : 2 * all->room;
		struct datum *items = arena_alloc(arena, room * sizeof(*items));

		if (all->count > 0)
			memcpy(items, all->items, all->count * sizeof(*items));
		all->items = items;
		all->room = room;
	}
	all->items[all->count] = (struct datum){ preference, all->count, arena_copy(arena, data) };
	all->count++;
}

static bool collect_name(const struct reader *r, const struct record *record, size_t at,
    unsigned preference, struct arena *arena, struct collected *all)
{
	struct name name;
	enum name_kind kind = name_in_data(r, record, at, &name);

	if (kind == NAME_GOOD)
		collect(all, arena, preference, slice_new(name.text, name.len));
	all->odd += kind == NAME_ODD;
	return kind != NAME_MALFORMED;
}

static bool collect_address(const struct reader *r, const struct record *record,
    struct arena *arena, struct collected *all)
{
	char text[INET6_ADDRSTRLEN];
	bool is_v6 = record->type == DNS_AAAA;

	if (record->end - record->data != (is_v6 ? 16U : 4U))
		return false;
	inet_ntop(is_v6 ? AF_INET6 : AF_INET, r->message.data + record->data, text, sizeof(text));
	collect(all, arena, 0, slice_of(text));
	return true;
}

/* Its strings, joined. What can't be a line of text is left out. */
static bool collect_text(const struct reader *r, const struct record *record, struct arena *arena,
    struct collected *all)
{
	struct buf joined = { 0 };
	size_t at = record->data;
	bool ok = true, odd = false;

	while (ok && at < record->end) {
		size_t len = byte_at(r, at++);

		ok = len <= record->end - at;
		if (ok)
			buf_append(&joined, r->message.data + at, len);
		at += len;
	}
	for (size_t i = 0; i < joined.len; i++)
		odd = odd || joined.data[i] == '\0' || joined.data[i] == '\r' ||
		    joined.data[i] == '\n';
	if (ok && !odd)
		collect(all, arena, 0, buf_slice(&joined));
	all->odd += ok && odd;
	buf_clear(&joined);
	return ok;
}

static bool collect_record(const struct reader *r, const struct record *record, struct arena *arena,
    struct collected *all)
{
	switch (record->type) {
	case DNS_A:
	case DNS_AAAA:
		return collect_address(r, record, arena, all);
	case DNS_MX:
		if (record->end - record->data < 3)
			return false;
		return collect_name(r, record, record->data + 2, u16_at(r, record->data), arena,
		    all);
	case DNS_PTR:
		return collect_name(r, record, record->data, 0, arena, all);
	default:
		return collect_text(r, record, arena, all);
	}
}

static int by_preference(const void *left, const void *right)
{
	const struct datum *a = left, *b = right;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

static void hand_over(struct collected *all, enum dns_type type, struct arena *arena,
    struct msg_dns_answer *answer)
{
	size_t count = all->count;

	if (count > 1)
		qsort(all->items, count, sizeof(*all->items), by_preference);
	if (count > DNS_ANSWER_LIMIT)
		count = DNS_ANSWER_LIMIT;
	answer->data = (struct wire_texts){ arena_alloc(arena, count * sizeof(struct slice)),
		count };
	if (type == DNS_MX)
		answer->preference = (struct wire_numbers){
			arena_alloc(arena, count * sizeof(uint64_t)), count
		};
	for (size_t i = 0; i < count; i++) {
		answer->data.items[i] = all->items[i].data;
		if (type == DNS_MX)
			answer->preference.items[i] = all->items[i].preference;
	}
}

/* Follows CNAMEs from the question's name on; libunbound has them in their order. False: malformed. */
static bool walk(struct reader *r, unsigned answers, enum dns_type type, struct name *current,
    struct collected *all, struct arena *arena, uint64_t *ttl)
{
	struct record record;

	for (; answers > 0; answers--) {
		if (!read_record(r, &record))
			return false;
		if (record.class != CLASS_IN || !same_name(&record.owner, current))
			continue;
		if (record.type == TYPE_CNAME) {
			if (name_in_data(r, &record, record.data, current) == NAME_MALFORMED)
				return false;
		} else if (record.type != (unsigned)type) {
			continue;
		} else if (!collect_record(r, &record, arena, all)) {
			return false;
		}
		if (record.ttl < *ttl)
			*ttl = record.ttl;
	}
	return true;
}

static void fail(struct msg_dns_answer *answer, enum dns_status status, struct slice why)
{
	answer->status = status;
	answer->ttl = 0;
	answer->why = why;
}

bool resolver_parse(struct slice message, struct slice name, enum dns_type type,
    struct arena *arena, struct msg_dns_answer *answer, unsigned *odd)
{
	struct reader r = { message, 0 };
	struct name current;
	struct collected all = { 0 };
	unsigned answers, rcode;
	uint64_t ttl = DAY;

	*odd = 0;
	*answer = (struct msg_dns_answer){ .canonical = name };
	if (!read_head(&r, &current, &answers) ||
	    !slice_equal_nocase(slice_new(current.text, current.len), name))
		return false;
	rcode = u16_at(&r, 2) & 15;
	if (!walk(&r, answers, type, &current, &all, arena, &ttl))
		return false;
	*odd = all.odd + (current.kind == NAME_ODD);
	answer->ttl = ttl;
	if (current.kind == NAME_ODD || current.len == 0) {
		fail(answer, DNS_BAD_NAME, SLICE("it is an alias of what is no host name"));
		return true;
	}
	if (!slice_equal_nocase(slice_new(current.text, current.len), name))
		answer->canonical = arena_copy(arena, slice_new(current.text, current.len));
	if (rcode == RCODE_NXDOMAIN)
		fail(answer, DNS_NO_NAME, SLICE("the domain does not exist"));
	else if (rcode != RCODE_OK)
		fail(answer, DNS_TRY_AGAIN, SLICE("the name server failed"));
	else if (all.count == 0 && all.odd > 0)
		fail(answer, DNS_BAD_NAME, SLICE("its records name no host"));
	else if (all.count == 0)
		fail(answer, DNS_NO_DATA, SLICE("the domain has no such record"));
	else {
		answer->status = DNS_OK;
		hand_over(&all, type, arena, answer);
	}
	return true;
}

bool resolver_has_signed_keys(struct slice message)
{
	struct reader r = { message, 0 };
	struct name question;
	struct record record;
	unsigned answers;
	bool keys = false, signatures = false;

	if (!read_head(&r, &question, &answers) || question.len != 0)
		return false;
	for (; answers > 0; answers--) {
		if (!read_record(&r, &record))
			return false;
		if (record.owner.len != 0 || record.class != CLASS_IN)
			continue;
		keys = keys || record.type == TYPE_DNSKEY;
		signatures = signatures ||
		    (record.type == TYPE_RRSIG && record.end - record.data >= 2 &&
			u16_at(&r, record.data) == TYPE_DNSKEY);
	}
	return keys && signatures;
}
