/* SPDX-License-Identifier: ISC */
/*
 * targets.c - alias right-hand sides and .forward files, taken apart item by item.
 *
 * A quoted item keeps its quotes off when it names a command or file ("|cmd arg"), and on when it is an
 * address, whose quotes belong to the local part.
 */
#include "local/targets.h"

#include <stdbool.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/mail/mail_address.h"

struct reader {
	struct slice rest;
	bool line_start;
};

/* Steps over blanks, commas, line ends and comment lines. */
static void skip_separators(struct reader *r)
{
	while (r->rest.len > 0) {
		char c = r->rest.data[0];

		if (c == '#' && r->line_start) {
			ptrdiff_t end = slice_find(r->rest, '\n');

			r->rest = slice_part(r->rest, end < 0 ? r->rest.len : (size_t)end,
			    r->rest.len);
			continue;
		}
		if (c != ' ' && c != '\t' && c != ',' && c != '\n' && c != '\r')
			return;
		r->line_start = c == '\n';
		r->rest = slice_part(r->rest, 1, r->rest.len);
	}
}

/* Cuts one item, which ends at a comma or line end outside quotes and comments. False when a quote or
 * comment is left open. */
static bool cut_item(struct reader *r, struct slice *item)
{
	bool quoted = false;
	size_t depth = 0, at = 0;

	for (; at < r->rest.len; at++) {
		char c = r->rest.data[at];

		if (c == '\\' && (quoted || depth > 0) && at + 1 < r->rest.len)
			at++;
		else if (c == '"' && depth == 0)
			quoted = !quoted;
		else if (c == '(' && !quoted && r->rest.data[0] != '|')
			depth++;
		else if (c == ')' && !quoted && depth > 0)
			depth--;
		else if ((c == ',' || c == '\n') && !quoted && depth == 0)
			break;
	}
	*item = slice_trim(slice_part(r->rest, 0, at));
	r->rest = slice_part(r->rest, at, r->rest.len);
	r->line_start = false;
	return !quoted && depth == 0;
}

/* "|cmd \"x\"" -> |cmd "x"; false when it is not one quoted string from end to end. */
static bool unquote(struct slice item, struct arena *arena, struct slice *out)
{
	struct buf text = { 0 };

	if (item.len < 2 || item.data[0] != '"' || item.data[item.len - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < item.len; i++) {
		if (item.data[i] == '"')
			goto not_one;
		if (item.data[i] == '\\' && i + 2 < item.len)
			i++;
		buf_putc(&text, item.data[i]);
	}
	*out = arena_copy(arena, buf_slice(&text));
	buf_clear(&text);
	return true;
not_one:
	buf_clear(&text);
	return false;
}

struct list {
	struct target *first, **end;
	size_t count;
	struct arena *arena;
};

static void add(struct list *list, enum target_kind kind, struct slice text)
{
	struct target *t = arena_alloc(list->arena, sizeof(*t));

	t->kind = kind;
	t->text = arena_copy(list->arena, text);
	*list->end = t;
	list->end = &t->next;
	list->count++;
}

static void add_address(void *arg, struct slice address)
{
	struct list *list = arg;

	add(list, TARGET_ADDRESS, address);
}

static const struct slice include_prefix = { ":include:", 9 };

static bool add_item(struct list *list, struct slice item)
{
	struct slice plain = item;
	bool quoted = unquote(item, list->arena, &plain);

	if (plain.len == 0)
		return true;
	if (slice_find(item, '\r') >= 0 || slice_find(item, '\n') >= 0)
		return false; /* within quotes; nothing that leaves this process may hold one */
	if (plain.data[0] == '|') {
		plain = slice_trim(slice_part(plain, 1, plain.len));
		/* |"command with blanks": the other place for the quotes, not a second pair. */
		if (!quoted)
			(void)unquote(plain, list->arena, &plain);
		plain = slice_trim(plain);
		if (plain.len == 0)
			return false;
		add(list, TARGET_COMMAND, plain);
	} else if (plain.data[0] == '/') {
		add(list, TARGET_FILE, plain);
	} else if (slice_starts_nocase(plain, include_prefix)) {
		add(list, TARGET_INCLUDE,
		    slice_trim(slice_part(plain, include_prefix.len, plain.len)));
	} else if (plain.data[0] == '\\') {
		add(list, TARGET_USER, slice_part(plain, 1, plain.len));
	} else {
		size_t before = list->count;

		return header_addresses(item, 1, list->arena, add_address, list) &&
		    list->count == before + 1;
	}
	return true;
}

struct target *targets_parse(struct slice text, size_t limit, struct arena *arena, const char **why)
{
	struct list list = { .arena = arena };
	struct reader r = { text, true };
	struct slice item;

	list.end = &list.first;
	*why = NULL;
	if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL) {
		*why = "a NUL byte in the list";
		return NULL;
	}
	for (;;) {
		skip_separators(&r);
		if (r.rest.len == 0)
			return list.first;
		if (!cut_item(&r, &item)) {
			*why = "a quote or comment is not closed";
			return NULL;
		}
		if (!add_item(&list, item)) {
			*why = "an item that is no address, file, command or :include:";
			return NULL;
		}
		if (list.count > limit) {
			*why = "too many members";
			return NULL;
		}
	}
}

char *target_quote(struct arena *arena, const char *prefix, struct slice text)
{
	char *quoted = arena_alloc(arena, strlen(prefix) + 2 * text.len + 3);
	char *out = quoted;

	*out++ = '"';
	out = stpcpy(out, prefix);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			*out++ = '\\';
		*out++ = text.data[i];
	}
	*out = '"';
	return quoted;
}
