/* SPDX-License-Identifier: ISC */
/*
 * slice.c - comparing and cutting bytes that somebody else owns.
 */
#include "common/base/slice.h"

#include <strings.h>

#include "common/base/mem.h"

struct slice slice_part(struct slice s, size_t from, size_t len)
{
	if (from >= s.len)
		return slice_new(s.len == 0 ? s.data : s.data + s.len, 0);
	if (len > s.len - from)
		len = s.len - from;
	return slice_new(s.data + from, len);
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	return a.len == b.len && slice_starts_nocase(a, b);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++)
		if (lower(s.data[i]) != lower(prefix.data[i]))
			return false;
	return true;
}

ptrdiff_t slice_find(struct slice s, char c)
{
	const char *at = s.len == 0 ? NULL : memchr(s.data, c, s.len);

	return at == NULL ? -1 : at - s.data;
}

ptrdiff_t slice_find_last(struct slice s, char c)
{
	const char *at = s.len == 0 ? NULL : memrchr(s.data, c, s.len);

	return at == NULL ? -1 : at - s.data;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.data[0])) {
		s.data++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

char *slice_dup(struct slice s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
