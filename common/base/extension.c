/* SPDX-License-Identifier: ISC */
/*
 * extension.c - user+ext.
 */
#include "common/base/extension.h"

#include "common/base/mem.h"

static bool ends_nocase(struct slice s, struct slice end)
{
	return s.len >= end.len && slice_equal_nocase(slice_part(s, s.len - end.len, end.len), end);
}

static bool is_left_whole(struct slice local, const char *delimiters)
{
	static const struct slice system_names[] = { { "postmaster", 10 }, { "mailer-daemon", 13 },
		{ "double-bounce", 13 } };

	for (size_t i = 0; i < ARRAY_LENGTH(system_names); i++)
		if (slice_equal_nocase(local, system_names[i]))
			return true;
	/* Names of lists hold a "-" of their own. */
	return strchr(delimiters, '-') != NULL &&
	    (slice_starts_nocase(local, SLICE("owner-")) || ends_nocase(local, SLICE("-request")));
}

bool extension_split(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension)
{
	if (is_left_whole(local, delimiters))
		return false;
	for (size_t i = 1; i < local.len; i++) {
		if (local.data[i] == '\0' || strchr(delimiters, local.data[i]) == NULL)
			continue;
		*user = slice_part(local, 0, i);
		*extension = slice_part(local, i + 1, local.len);
		return true;
	}
	return false;
}
