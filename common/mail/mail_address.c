/* SPDX-License-Identifier: ISC */
/*
 * mail_address.c - the path of MAIL FROM and RCPT TO, and the parts of an address.
 *
 * More is accepted than RFC 5321 says where live senders need it (dots anywhere in a local part,
 * long local parts, "_" in domains), never anything that two programs could read differently: a
 * second @, blanks, brackets, control bytes.
 */
#include "common/mail/mail_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/base/extension.h"
#include "common/base/text.h"

enum { LABEL_LIMIT = 63 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
	return (c >= 0 && c < 0x20) || c == 0x7f;
}

/* RFC 5322 atext, and 8-bit bytes, which the caller judges. */
static bool is_atom(char c)
{
	return !is_control(c) && c != '\0' && strchr(" ()<>[]:;@\\,.\"", c) == NULL;
}

static bool label_is_valid(struct slice label)
{
	if (label.len == 0 || label.len > LABEL_LIMIT || label.data[0] == '-' ||
	    label.data[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.data[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '-' || c == '_' || (c & 0x80)))
			return false;
	}
	return true;
}

static bool literal_is_valid(struct slice literal)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	int family = AF_INET;

	if (literal.len < 2 || literal.data[literal.len - 1] != ']')
		return false;
	literal = slice_part(literal, 1, literal.len - 2);
	if (slice_starts_nocase(literal, SLICE("IPv6:"))) {
		literal = slice_part(literal, 5, literal.len);
		family = AF_INET6;
	}
	if (literal.len >= sizeof(text) || slice_find(literal, '\0') != -1)
		return false;
	memcpy(text, literal.data, literal.len);
	text[literal.len] = '\0';
	return inet_pton(family, text, bytes) == 1;
}

bool domain_is_valid(struct slice domain)
{
	bool numeric = true;

	if (domain.len == 0 || domain.len > DOMAIN_LIMIT)
		return false;
	if (domain.data[0] == '[')
		return literal_is_valid(domain);
	for (;;) {
		ptrdiff_t dot = slice_find(domain, '.');
		struct slice label = slice_part(domain, 0, dot == -1 ? domain.len : (size_t)dot);
		uint64_t number;

		if (!label_is_valid(label))
			return false;
		numeric = numeric && text_number(label, UINT64_MAX, &number);
		if (dot == -1)
			return !numeric; /* 192.0.2.1 is an address without its brackets */
		domain = slice_part(domain, (size_t)dot + 1, domain.len);
	}
}

/* A path as it is read; every step takes what it understood off rest. */
struct path {
	struct slice rest;
	unsigned flags;
	struct buf local; /* without quoting */
	struct slice domain;
	const char *why;
};

static bool refuse(struct path *p, const char *why)
{
	p->why = why;
	return false;
}

static bool next_is(const struct path *p, char c)
{
	return p->rest.len > 0 && p->rest.data[0] == c;
}

static void skip(struct path *p, size_t count)
{
	p->rest = slice_part(p->rest, count, p->rest.len);
}

/* @one,@two: before the mailbox. */
static bool skip_route(struct path *p)
{
	ptrdiff_t end;

	if (!next_is(p, '@'))
		return true;
	end = slice_find(p->rest, ':');
	for (ptrdiff_t i = 0; i < end; i++)
		if (!is_atom(p->rest.data[i]) && strchr("@.,[]", p->rest.data[i]) == NULL)
			return refuse(p, "malformed source route");
	if (end == -1)
		return refuse(p, "source route without a mailbox");
	skip(p, (size_t)end + 1);
	return true;
}

static bool read_quoted(struct path *p)
{
	skip(p, 1);
	while (p->rest.len > 0) {
		if (next_is(p, '"')) {
			skip(p, 1);
			return true;
		}
		if (next_is(p, '\\'))
			skip(p, 1);
		if (p->rest.len == 0)
			break;
		if (is_control(p->rest.data[0]))
			return refuse(p, "control byte in the local part");
		buf_putc(&p->local, p->rest.data[0]);
		skip(p, 1);
	}
	return refuse(p, "quoted local part without its closing quote");
}

static bool read_local(struct path *p)
{
	size_t len = 0;

	if (next_is(p, '"'))
		return read_quoted(p);
	while (len < p->rest.len && (is_atom(p->rest.data[len]) || p->rest.data[len] == '.'))
		len++;
	if (len == 0)
		return refuse(p, "empty local part");
	buf_append(&p->local, p->rest.data, len);
	skip(p, len);
	return true;
}

static bool read_domain(struct path *p)
{
	size_t len = 0;

	if (!next_is(p, '@'))
		return (p->flags & PATH_NO_DOMAIN_OK) ? true
						      : refuse(p, "address without a domain");
	skip(p, 1);
	if (next_is(p, '[')) {
		ptrdiff_t end = slice_find(p->rest, ']');

		len = end == -1 ? 0 : (size_t)end + 1;
	} else {
		while (len < p->rest.len &&
		    (is_atom(p->rest.data[len]) || p->rest.data[len] == '.'))
			len++;
	}
	p->domain = slice_part(p->rest, 0, len);
	skip(p, len);
	if (p->domain.len > 1 && p->domain.data[p->domain.len - 1] == '.')
		p->domain.len--; /* the root's dot */
	return domain_is_valid(p->domain) ? true : refuse(p, "malformed domain");
}

static bool characters_are_allowed(struct path *p)
{
	struct slice parts[] = { buf_slice(&p->local), p->domain };

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < parts[i].len; j++)
			if ((parts[i].data[j] & 0x80) && !(p->flags & PATH_UTF8_OK))
				return refuse(p, "non-ASCII address without SMTPUTF8");
	if (!text_is_utf8(parts[0]) || !text_is_utf8(parts[1]))
		return refuse(p, "address is not valid UTF-8");
	return true;
}

static bool read_path(struct path *p, bool *is_null)
{
	bool bracket = next_is(p, '<');

	if (!bracket && !(p->flags & PATH_BARE_OK))
		return refuse(p, "address without angle brackets");
	if (bracket)
		skip(p, 1);
	*is_null = bracket && next_is(p, '>');
	if (*is_null && !(p->flags & PATH_NULL_OK))
		return refuse(p, "empty address");
	if (!*is_null && (!skip_route(p) || !read_local(p) || !read_domain(p)))
		return false;
	if (bracket && !next_is(p, '>'))
		return refuse(p, "malformed address");
	if (bracket)
		skip(p, 1);
	if (p->rest.len > 0 && !is_blank(p->rest.data[0]))
		return refuse(p, bracket ? "text behind the address" : "malformed address");
	return characters_are_allowed(p);
}

static bool put_address(struct path *p, struct arena *a, struct slice *address)
{
	struct buf out = { 0 };
	bool fits;

	local_part_quote(buf_slice(&p->local), &out);
	if (p->domain.len > 0) {
		buf_putc(&out, '@');
		buf_put_slice(&out, p->domain);
	}
	fits = out.len <= MAIL_ADDRESS_LIMIT;
	if (fits)
		*address = arena_copy(a, buf_slice(&out));
	buf_clear(&out);
	return fits ? true : refuse(p, "address too long");
}

bool path_parse(struct slice text, unsigned flags, struct arena *a, struct slice *address,
    struct slice *rest, const char **why)
{
	struct path p = { .rest = text, .flags = flags };
	bool is_null = false, ok;

	while (p.rest.len > 0 && is_blank(p.rest.data[0]))
		skip(&p, 1);
	*address = SLICE("");
	ok = read_path(&p, &is_null) && (is_null || put_address(&p, a, address));
	buf_clear(&p.local);
	*rest = p.rest;
	*why = p.why;
	return ok;
}

struct mail_address mail_address_split(struct slice address)
{
	ptrdiff_t at = -1;
	bool quoted = false;

	for (size_t i = 0; i < address.len; i++) {
		if (address.data[i] == '"')
			quoted = !quoted;
		else if (address.data[i] == '\\')
			i++;
		else if (address.data[i] == '@' && !quoted)
			at = (ptrdiff_t)i;
	}
	if (quoted) /* no address of ours; an @ may still stand behind the open quote */
		at = slice_find_last(address, '@');
	if (at == -1)
		return (struct mail_address){ address, SLICE("") };
	return (struct mail_address){ slice_part(address, 0, (size_t)at),
		slice_part(address, (size_t)at + 1, address.len) };
}

void local_part_unquote(struct slice local, struct buf *out)
{
	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '"')
			continue;
		if (local.data[i] == '\\' && i + 1 < local.len)
			i++;
		buf_putc(out, local.data[i]);
	}
}

static bool is_dot_string(struct slice raw)
{
	if (raw.len == 0 || raw.data[raw.len - 1] == '.')
		return false;
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.data[i] == '.' ? i == 0 || raw.data[i - 1] == '.' : !is_atom(raw.data[i]))
			return false;
	}
	return true;
}

void local_part_quote(struct slice raw, struct buf *out)
{
	if (is_dot_string(raw)) {
		buf_put_slice(out, raw);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.data[i];

		if (c == '\0' || c == '\r' || c == '\n')
			continue;
		if (c == '"' || c == '\\')
			buf_putc(out, '\\');
		buf_putc(out, c);
	}
	buf_putc(out, '"');
}

bool local_part_split(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension)
{
	return extension_split(local, delimiters, user, extension);
}
