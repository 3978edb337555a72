/* SPDX-License-Identifier: ISC */
/*
 * expand.c - virtual aliases: the recipients that one address stands for in the end.
 *
 * A worklist, no recursion: each address that turns up is looked up once. One that stands for itself
 * among others is a recipient; one that leads back to an address on its own way is a loop, and
 * no recipient of it gets the mail before the administrator has mended the table.
 */
#include <bsd/sys/tree.h>

#include "common/base/extension.h"
#include "common/base/mem.h"
#include "common/mail/mail_address.h"
#include "common/task/task.h"
#include "rewrite/rewrite.h"

struct node {
	RB_ENTRY(node) entry;
	struct slice address;
	const struct node *parent;
	int64_t depth;
	bool keeps_itself; /* its alias names itself */
	struct node *next; /* in the worklist */
};

static int compare(const struct node *x, const struct node *y)
{
	size_t len = x->address.len < y->address.len ? x->address.len : y->address.len;
	int rc = len == 0 ? 0 : strncasecmp(x->address.data, y->address.data, len);

	return rc != 0 ? rc : (x->address.len > y->address.len) - (x->address.len < y->address.len);
}

RB_HEAD(seen, node);
RB_GENERATE_INTERNAL(seen, node, entry, compare, static inline)

struct work {
	const struct tables *t;
	struct arena *arena;
	struct expansion *out;
	struct seen seen;
	struct node *first, **end;
	int64_t count;
	struct slice why;
};

static bool fail(struct work *w, const char *what, struct slice address)
{
	w->why = slice_of(arena_printf(w->arena, "4.6.0 %s: %.*s", what,
	    (int)(address.len < 200 ? address.len : 200), address.data));
	return false;
}

static bool is_on_its_own_way(const struct node *from, const struct node *to)
{
	for (; from != NULL; from = from->parent)
		if (from == to)
			return true;
	return false;
}

static bool add(struct work *w, struct slice address, struct node *parent)
{
	struct node *n = arena_alloc(w->arena, sizeof(*n)), *before;

	n->address = address;
	before = RB_INSERT(seen, &w->seen, n);
	if (before != NULL && before == parent)
		parent->keeps_itself = true;
	else if (before != NULL && is_on_its_own_way(parent, before))
		return fail(w, "virtual alias loop", address);
	if (before != NULL)
		return true;
	n->parent = parent;
	n->depth = parent == NULL ? 0 : parent->depth + 1;
	if (n->depth > w->t->settings->virtual_alias_recursion_limit)
		return fail(w, "virtual alias nesting exceeds virtual_alias_recursion_limit",
		    address);
	if (++w->count > w->t->settings->virtual_alias_expansion_limit + 1)
		return fail(w, "virtual alias expansion exceeds virtual_alias_expansion_limit",
		    address);
	*w->end = n;
	w->end = &n->next;
	return true;
}

static bool emit(struct work *w, struct slice address)
{
	struct expansion *out = w->out;

	out->bytes += address.len;
	if (out->count >= EXPANSION_LIMIT || out->bytes > EXPANSION_BYTES)
		return fail(w, "too many recipients behind one alias", address);
	if (out->count == out->size) {
		size_t size = out->size == 0 ? 16 : out->size * 2;
		struct slice *items = arena_alloc(w->arena, size * sizeof(*items));

		if (out->count > 0)
			memcpy(items, out->items, out->count * sizeof(*items));
		out->items = items;
		out->size = size;
	}
	out->items[out->count++] = address;
	return true;
}

/* The next address of a table's value: commas and blanks separate, outside of quotes. */
static bool next_address(struct slice *rest, struct slice *address)
{
	size_t start = 0, end;
	bool quoted = false;

	while (start < rest->len && strchr(", \t\r\n", rest->data[start]) != NULL &&
	    rest->data[start] != '\0')
		start++;
	for (end = start; end < rest->len; end++) {
		char c = rest->data[end];

		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && end + 1 < rest->len)
			end++;
		else if (!quoted && c != '\0' && strchr(", \t\r\n", c) != NULL)
			break;
	}
	*address = slice_part(*rest, start, end - start);
	*rest = slice_part(*rest, end, rest->len);
	if (address->len > 2 && address->data[0] == '<' && address->data[address->len - 1] == '>')
		*address = slice_part(*address, 1, address->len - 2);
	return address->len > 0;
}

static bool is_clean(struct slice address)
{
	for (size_t i = 0; i < address.len; i++)
		if ((unsigned char)address.data[i] < ' ' || address.data[i] == 0x7f)
			return false;
	return true;
}

/* user@x found for user+ext@y becomes user+ext@x. */
static struct slice keep_extension(struct work *w, struct slice result, struct slice original,
    struct slice extension)
{
	struct mail_address from = mail_address_split(original), to = mail_address_split(result);
	const char *delimiters = w->t->settings->recipient_delimiter;
	struct slice user, ext;

	if (extension.len == 0 || !w->t->propagate_extension || to.local.len == 0 ||
	    to.local.data[0] == '"' || !extension_split(from.local, delimiters, &user, &ext))
		return result;
	return slice_of(arena_printf(w->arena, "%.*s%c%.*s%.*s", (int)to.local.len, to.local.data,
	    from.local.data[user.len], (int)ext.len, ext.data, (int)(result.len - to.local.len),
	    result.data + to.local.len));
}

static bool add_result(struct work *w, struct node *n, struct slice text, struct slice extension)
{
	struct slice address = arena_copy(w->arena, text);

	if (address.data[0] == '@') /* the same user elsewhere */
		address = slice_of(arena_printf(w->arena, "%.*s%.*s",
		    (int)mail_address_split(n->address).local.len, n->address.data,
		    (int)address.len, address.data));
	else
		address = keep_extension(w, address, n->address, extension);
	address = address_complete(w->t->settings, true, address, w->arena);
	if ((int64_t)address.len > w->t->settings->virtual_alias_address_length_limit ||
	    address.len > ADDRESS_LIMIT)
		return fail(w, "virtual alias gives an address that is too long", n->address);
	if (!is_clean(address))
		return fail(w, "virtual alias gives an address with control bytes", n->address);
	return add(w, address, n);
}

static bool add_results(struct work *w, struct node *n, struct slice value, struct slice extension)
{
	struct slice text;
	bool any = false;

	while (next_address(&value, &text)) {
		any = true;
		if (!add_result(w, n, text, extension))
			return false;
	}
	return any ? true : fail(w, "virtual alias without addresses", n->address);
}

static bool expand_node(struct work *w, struct node *n)
{
	struct buf value = { 0 };
	struct slice extension;
	bool ok = true;
	int rc = alias_lookup(w->t, n->address, &value, &extension);

	if (rc == -1) {
		w->why = SLICE("4.3.0 Temporary lookup failure");
		ok = false;
	} else if (rc == 1) {
		ok = add_results(w, n, buf_slice(&value), extension);
	}
	buf_clear(&value);
	if (ok && (rc == 0 || n->keeps_itself))
		ok = emit(w, n->address);
	task_yield_if_long();
	return ok;
}

enum resolve_status address_expand(const struct tables *t, bool local, struct slice address,
    struct arena *a, struct expansion *out, struct slice *why)
{
	struct work w = { .t = t, .arena = a, .out = out };
	bool ok;

	RB_INIT(&w.seen);
	w.end = &w.first;
	if (address.len == 0)
		address = slice_of(t->settings->empty_address_recipient);
	ok = add(&w, address_complete(t->settings, local, address, a), NULL);
	for (struct node *n = w.first; ok && n != NULL; n = n->next)
		ok = expand_node(&w, n);
	*why = w.why;
	return ok ? RESOLVE_OK : RESOLVE_TEMPORARY;
}
