/* SPDX-License-Identifier: ISC */
/*
 * expand.c - expands $names with a stack of its own, bounded in depth, size and steps.
 *
 * Each frame is a text on its way to a buffer. A comparison is a frame too: it first has its two
 * sides expanded by frames above it, then turns into the text of the branch that was chosen.
 */
#include "common/conf/expand.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { NAME_MAX_LENGTH = 200 };

enum compare { EQUAL, NOT_EQUAL, LESS, AT_MOST, GREATER, AT_LEAST };

/* Longest first, so that "<=" is not taken for "<". */
static const struct {
	const char *sign;
	enum compare compare;
} signs[] = {
	{ "==", EQUAL },
	{ "!=", NOT_EQUAL },
	{ "<=", AT_MOST },
	{ ">=", AT_LEAST },
	{ "<", LESS },
	{ ">", GREATER },
};

/* What follows a $. */
struct reference {
	enum { VALUE, CONDITION, COMPARISON } kind;
	char name[NAME_MAX_LENGTH + 1];
	struct slice left, right;
	enum compare compare;
	bool by_level; /* compatibility levels: 3.10 is more than 3.6 */
	bool has_branch;
	struct slice yes, no;
};

struct frame {
	struct slice text; /* what is still to do */
	struct buf *out;
	char name[NAME_MAX_LENGTH + 1]; /* whose value this is; "" for a part of one */
	bool is_comparison;
	unsigned sides; /* of the comparison that were expanded */
	struct reference reference;
	struct buf left, right;
};

struct expansion {
	const struct expand_source *source;
	struct frame frames[EXPAND_DEPTH];
	unsigned depth;
	char **why;
};

static bool fail(char **why, const char *what, struct slice at)
{
	*why = mem_printf("%s at \"%.*s\"", what, (int)(at.len > 40 ? 40 : at.len), at.data);
	return false;
}

static struct slice skip_blanks(struct slice s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.data[0]) != NULL)
		s = slice_part(s, 1, s.len);
	return s;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_';
}

/* Takes "{ ... }" or "( ... )" off the start; inner is what stands between. */
static bool take_group(struct slice *s, char open, char close, struct slice *inner)
{
	size_t level = 0;

	for (size_t i = 0; i < s->len; i++) {
		if (s->data[i] == open)
			level++;
		else if (s->data[i] == close && --level == 0) {
			*inner = slice_part(*s, 1, i - 1);
			*s = slice_part(*s, i + 1, s->len);
			return true;
		}
	}
	return false;
}

static bool take_braces(struct slice *s, struct slice *inner, char **why)
{
	*s = skip_blanks(*s);
	if (s->len == 0 || s->data[0] != '{')
		return fail(why, "a { is missing", *s);
	if (!take_group(s, '{', '}', inner))
		return fail(why, "the closing } is missing", *s);
	*s = skip_blanks(*s);
	return true;
}

/* "?{yes}:{no}", "?yes", ":no", ":{no}" up to the end. */
static bool parse_branches(struct slice s, struct reference *ref, char **why)
{
	bool yes_first = s.data[0] == '?';
	struct slice *first = yes_first ? &ref->yes : &ref->no;
	struct slice operand = slice_part(s, 1, s.len), braced = skip_blanks(operand);

	ref->has_branch = true;
	if (braced.len == 0 || braced.data[0] != '{') {
		*first = operand;
		return true;
	}
	if (!take_braces(&braced, first, why))
		return false;
	*first = slice_trim(*first);
	if (yes_first && braced.len > 0 && braced.data[0] == ':') {
		operand = slice_part(braced, 1, braced.len);
		braced = skip_blanks(operand);
		if (braced.len == 0 || braced.data[0] != '{') {
			ref->no = operand;
			return true;
		}
		if (!take_braces(&braced, &ref->no, why))
			return false;
		ref->no = slice_trim(ref->no);
	}
	return braced.len == 0 ||
	    fail(why, "nothing may follow the closing }, but something does", braced);
}

static bool parse_comparison(struct slice s, struct reference *ref, char **why)
{
	size_t i = 0;

	ref->kind = COMPARISON;
	if (!take_braces(&s, &ref->left, why))
		return false;
	while (i < ARRAY_LENGTH(signs) && !slice_starts_nocase(s, slice_of(signs[i].sign)))
		i++;
	if (i == ARRAY_LENGTH(signs))
		return fail(why, "one of == != < <= > >= is missing", s);
	ref->compare = signs[i].compare;
	s = slice_part(s, strlen(signs[i].sign), s.len);
	ref->by_level = slice_starts_nocase(s, SLICE("level"));
	if (ref->by_level)
		s = slice_part(s, 5, s.len);
	if (!take_braces(&s, &ref->right, why))
		return false;
	if (s.len == 0)
		return true;
	if (s.data[0] != '?' && s.data[0] != ':')
		return fail(why, "a ? or : is missing", s);
	return parse_branches(s, ref, why);
}

/* What stands in ${ } or $( ). */
static bool parse_body(struct slice body, struct reference *ref, char **why)
{
	struct slice s = skip_blanks(body);
	size_t len = 0;

	if (s.len > 0 && s.data[0] == '{')
		return parse_comparison(s, ref, why);
	/* A transport's name may have a '-': ${smtp-amavis_destination_concurrency_limit} */
	while (len < s.len && (is_name_byte(s.data[len]) || s.data[len] == '-'))
		len++;
	if (len == 0 || len > NAME_MAX_LENGTH)
		return fail(why, "a parameter name is missing", body);
	memcpy(ref->name, s.data, len);
	s = skip_blanks(slice_part(s, len, s.len));
	if (s.len == 0)
		return true;
	if (s.data[0] == '{')
		return fail(why, "there is no function of this name", body);
	if (s.data[0] != '?' && s.data[0] != ':')
		return fail(why, "a name has letters, digits and _ only", s);
	ref->kind = CONDITION;
	return parse_branches(s, ref, why);
}

/* s starts behind the $. */
static bool parse_reference(struct slice *s, struct reference *ref, char **why)
{
	struct slice body;
	size_t len = 0;

	memset(ref, 0, sizeof(*ref));
	if (s->len > 0 && (s->data[0] == '{' || s->data[0] == '(')) {
		bool brace = s->data[0] == '{';

		if (!take_group(s, brace ? '{' : '(', brace ? '}' : ')', &body))
			return fail(why,
			    brace ? "the closing } is missing" : "the closing ) is missing", *s);
		return parse_body(body, ref, why);
	}
	while (len < s->len && is_name_byte(s->data[len]))
		len++;
	if (len == 0 || len > NAME_MAX_LENGTH)
		return fail(why, "a name is missing behind $ (write $$ for a $)", *s);
	memcpy(ref->name, s->data, len);
	*s = slice_part(*s, len, s->len);
	return true;
}

static struct frame *push(struct expansion *e, const char *name, struct slice text, struct buf *out)
{
	struct frame *f;

	if (e->depth == EXPAND_DEPTH) {
		fail(e->why, "nested too deep", text);
		return NULL;
	}
	f = &e->frames[e->depth++];
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->text = text;
	f->out = out;
	return f;
}

static bool is_running(const struct expansion *e, const char *name)
{
	for (unsigned i = 0; i < e->depth; i++)
		if (strcmp(e->frames[i].name, name) == 0)
			return true;
	return false;
}

static bool push_value(struct expansion *e, const char *name, struct buf *out)
{
	bool raw = false;
	const char *value;

	if (is_running(e, name)) {
		*e->why =
		    mem_printf("the value of %s needs itself; take $%s out of what it refers to",
			name, name);
		return false;
	}
	value = e->source->find(e->source->arg, name, &raw);
	if (value == NULL) {
		if (e->source->unknown != NULL)
			e->source->unknown(e->source->arg, name);
		return true;
	}
	if (raw) {
		buf_puts(out, value);
		return true;
	}
	return push(e, name, slice_of(value), out) != NULL;
}

/* The frame goes on with the branch: it stays below, so that its rest follows. */
static bool push_choice(struct expansion *e, const struct reference *ref, bool chosen,
    struct buf *out)
{
	if (!ref->has_branch) {
		buf_puts(out, chosen ? "true" : "");
		return true;
	}
	return push(e, "", chosen ? ref->yes : ref->no, out) != NULL;
}

static bool refer(struct expansion *e, const struct reference *ref, struct buf *out)
{
	bool raw;
	const char *value;
	struct frame *f;

	switch (ref->kind) {
	case VALUE:
		return push_value(e, ref->name, out);
	case CONDITION:
		value = e->source->find(e->source->arg, ref->name, &raw);
		return push_choice(e, ref, value != NULL && *value != '\0', out);
	case COMPARISON:
		f = push(e, "", slice_of(""), out);
		if (f == NULL)
			return false;
		f->is_comparison = true;
		f->reference = *ref;
		return true;
	}
	panic("expand: reference of kind %d", (int)ref->kind);
}

/* "3.10.2" as one number. */
static bool level_number(struct slice s, uint64_t *value)
{
	struct slice part;
	uint64_t number;
	int parts = 0;

	*value = 0;
	while (text_next_word(&s, ".", &part)) {
		if (++parts > 3 || !text_number(part, 99999, &number))
			return false;
		*value = *value * 100000 + number;
	}
	for (; parts < 3; parts++)
		*value *= 100000;
	return true;
}

static int order_of(struct slice a, struct slice b, bool by_level)
{
	uint64_t x, y;
	bool numbers = by_level ? level_number(a, &x) && level_number(b, &y)
				: text_number(a, UINT64_MAX, &x) && text_number(b, UINT64_MAX, &y);
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order;

	if (numbers)
		return (x > y) - (x < y);
	order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool holds(enum compare compare, int order)
{
	switch (compare) {
	case EQUAL:
		return order == 0;
	case NOT_EQUAL:
		return order != 0;
	case LESS:
		return order < 0;
	case AT_MOST:
		return order <= 0;
	case GREATER:
		return order > 0;
	case AT_LEAST:
		return order >= 0;
	}
	panic("expand: comparison %d", (int)compare);
}

static void pop(struct expansion *e)
{
	struct frame *f = &e->frames[--e->depth];

	buf_clear(&f->left);
	buf_clear(&f->right);
}

static bool step_comparison(struct expansion *e, struct frame *f)
{
	struct reference *ref = &f->reference;
	struct buf *out = f->out;
	bool chosen;

	switch (f->sides++) {
	case 0:
		return push(e, "", ref->left, &f->left) != NULL;
	case 1:
		return push(e, "", ref->right, &f->right) != NULL;
	}
	chosen = holds(ref->compare,
	    order_of(buf_slice(&f->left), buf_slice(&f->right), ref->by_level));
	f->is_comparison = false;
	f->text = slice_of("");
	return push_choice(e, ref, chosen, out);
}

static bool step(struct expansion *e)
{
	struct frame *f = &e->frames[e->depth - 1];
	struct reference ref;
	ptrdiff_t dollar;

	if (f->is_comparison)
		return step_comparison(e, f);
	if (f->text.len == 0) {
		pop(e);
		return true;
	}
	dollar = slice_find(f->text, '$');
	if (dollar == -1) {
		buf_put_slice(f->out, f->text);
		f->text.len = 0;
		return true;
	}
	buf_put_slice(f->out, slice_part(f->text, 0, (size_t)dollar));
	f->text = slice_part(f->text, (size_t)dollar + 1, f->text.len);
	if (f->text.len > 0 && f->text.data[0] == '$') {
		buf_putc(f->out, '$');
		f->text = slice_part(f->text, 1, f->text.len);
		return true;
	}
	return parse_reference(&f->text, &ref, e->why) && refer(e, &ref, f->out);
}

bool expand(const struct expand_source *source, const char *name, struct slice text,
    struct buf *out, char **why)
{
	struct expansion *e = mem_alloc(sizeof(*e));
	unsigned steps = 0;
	bool ok = true;

	e->source = source;
	e->why = why;
	push(e, name == NULL ? "" : name, text, out);
	while (ok && e->depth > 0) {
		if (e->frames[e->depth - 1].out->len > EXPAND_SIZE || steps++ > EXPAND_STEPS) {
			*why = mem_strdup("the value gets too long; keep long lists in tables");
			ok = false;
		} else {
			ok = step(e);
		}
	}
	while (e->depth > 0)
		pop(e);
	free(e);
	return ok;
}

void expand_names(struct slice text, void (*visit)(void *arg, const char *name), void *arg)
{
	char name[NAME_MAX_LENGTH + 1];
	ptrdiff_t dollar;

	while ((dollar = slice_find(text, '$')) != -1) {
		size_t len = 0;

		text = slice_part(text, (size_t)dollar + 1, text.len);
		if (text.len > 0 && text.data[0] == '$') {
			text = slice_part(text, 1, text.len);
			continue;
		}
		if (text.len > 0 && (text.data[0] == '{' || text.data[0] == '('))
			text = skip_blanks(slice_part(text, 1, text.len));
		while (len < text.len && (is_name_byte(text.data[len]) || text.data[len] == '-'))
			len++;
		if (len == 0 || len > NAME_MAX_LENGTH)
			continue;
		memcpy(name, text.data, len);
		name[len] = '\0';
		visit(arg, name);
	}
}
