/* SPDX-License-Identifier: ISC */
/*
 * queue_pattern.c - patterns for addresses and clients. fnmatch(3) would do, but takes its time when a
 * stranger's address is made for that.
 */
#include "common/mail/queue_pattern.h"

#include <ctype.h>

/* --- globs ---------------------------------------------------------------------------------------- */

static int lower(char c)
{
	return tolower((unsigned char)c);
}

/* Of "[...]" at this place the bytes up to behind the bracket; 0 when it is not closed. */
static size_t class_length(struct slice pattern, size_t at)
{
	size_t i = at + 1;

	if (i < pattern.len && (pattern.data[i] == '!' || pattern.data[i] == '^'))
		i++;
	for (i++; i < pattern.len; i++)
		if (pattern.data[i] == ']')
			return i + 1 - at;
	return 0;
}

/* inside: what stands between the brackets. */
static bool class_has(struct slice inside, int c)
{
	bool negated = inside.data[0] == '!' || inside.data[0] == '^', found = false;

	for (size_t i = negated ? 1 : 0; i < inside.len; i++) {
		int from = lower(inside.data[i]), to = from;

		if (i + 2 < inside.len && inside.data[i + 1] == '-') {
			to = lower(inside.data[i + 2]);
			i += 2;
		}
		found |= c >= from && c <= to;
	}
	return found != negated;
}

/* Whether the pattern's piece at this place, other than a star, fits the byte. Its length is left. */
static bool piece_fits(struct slice pattern, size_t at, char byte, size_t *len)
{
	int c = lower(byte);
	char p = pattern.data[at];

	*len = 1;
	if (p == '?')
		return true;
	if (p == '[' && (at == 0 || pattern.data[at - 1] != '@')) {
		size_t whole = class_length(pattern, at);

		if (whole > 0) {
			*len = whole;
			return class_has(slice_part(pattern, at + 1, whole - 2), c);
		}
	}
	if (p == '\\' && at + 1 < pattern.len) {
		*len = 2;
		return lower(pattern.data[at + 1]) == c;
	}
	return lower(p) == c;
}

/* Only the last star is ever tried again: an earlier one could take no more than it left. */
bool queue_pattern_glob(struct slice pattern, struct slice text)
{
	size_t p = 0, t = 0, len, star = pattern.len, star_text = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			star_text = t;
		} else if (p < pattern.len && piece_fits(pattern, p, text.data[t], &len)) {
			p += len;
			t++;
		} else if (star < pattern.len) {
			p = star + 1;
			t = ++star_text;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

/* --- reading -------------------------------------------------------------------------------------- */

static bool has_any(struct slice text, const char *bytes)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] != '\0' && strchr(bytes, text.data[i]) != NULL)
			return true;
	return false;
}

bool queue_pattern_domain(struct slice text, struct queue_pattern *out, const char **why)
{
	*why = "a domain is like example.com; .example.com means what is below it";
	if (text.len == 0 || slice_equal(text, SLICE(".")) || has_any(text, "@<> \t\r\n"))
		return false;
	*out = (struct queue_pattern){ .kind = PATTERN_DOMAIN, .text = text };
	return true;
}

bool queue_pattern_address(struct slice text, struct queue_pattern *out, const char **why)
{
	*why = "an address is like user@example.com, @example.com, *@example.*, or <>";
	if (slice_equal(text, SLICE("<>"))) {
		*out = (struct queue_pattern){ .kind = PATTERN_NULL };
		return true;
	}
	if (text.len > 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
		text = slice_part(text, 1, text.len - 2);
	if (text.len == 0 || has_any(text, "\r\n"))
		return false;
	if (text.data[0] == '@')
		return queue_pattern_domain(slice_part(text, 1, text.len), out, why);
	*out = (struct queue_pattern){ .kind = PATTERN_TEXT, .text = text };
	return true;
}

bool queue_pattern_client(struct slice text, struct queue_pattern *out, const char **why)
{
	*out = (struct queue_pattern){ .kind = PATTERN_TEXT, .text = text };
	if (has_any(text, "/")) {
		out->kind = PATTERN_NETWORK;
		return net_network_parse(text, &out->network, why);
	}
	*why = "a client is like host.example.com, .example.com, 192.0.2.1, 192.0.2.0/24";
	if (text.len == 0 || slice_equal(text, SLICE(".")) || has_any(text, " \t\r\n"))
		return false;
	if (text.data[0] == '.')
		out->kind = PATTERN_DOMAIN;
	return true;
}

/* --- comparing ------------------------------------------------------------------------------------ */

/* What is right as it stands needs no quoting. */
static bool text_fits(struct slice pattern, struct slice text)
{
	return slice_equal_nocase(pattern, text) ||
	    (has_any(pattern, "*?[\\") && queue_pattern_glob(pattern, text));
}

static bool domain_fits(struct slice pattern, struct slice domain)
{
	size_t more = domain.len > pattern.len ? domain.len - pattern.len : 0;

	if (has_any(pattern, "*?"))
		return queue_pattern_glob(pattern, domain);
	if (pattern.data[0] != '.')
		return slice_equal_nocase(pattern, domain);
	return more > 0 && slice_equal_nocase(slice_part(domain, more, domain.len), pattern);
}

bool queue_pattern_has_address(const struct queue_pattern *p, struct slice address)
{
	ptrdiff_t at = slice_find_last(address, '@');

	switch (p->kind) {
	case PATTERN_NULL:
		return address.len == 0;
	case PATTERN_DOMAIN:
		return at != -1 &&
		    domain_fits(p->text, slice_part(address, (size_t)at + 1, address.len));
	case PATTERN_TEXT:
		return address.len > 0 && text_fits(p->text, address);
	default:
		return false;
	}
}

bool queue_pattern_has_client(const struct queue_pattern *p, struct slice name,
    struct slice address)
{
	struct net_address parsed;

	switch (p->kind) {
	case PATTERN_NETWORK:
		return net_address_parse(address, &parsed) &&
		    net_network_contains(&p->network, &parsed);
	case PATTERN_DOMAIN:
		return domain_fits(p->text, name);
	case PATTERN_TEXT:
		return (name.len > 0 && text_fits(p->text, name)) ||
		    (address.len > 0 && text_fits(p->text, address));
	default:
		return false;
	}
}
