/* SPDX-License-Identifier: ISC */
/*
 * header_address.c - the addresses in a To, Cc or From.
 *
 * People write what RFC 5322 does not allow, so nothing is refused: words without quotes are
 * taken together, missing brackets and quotes end with the text. What comes out is always safe
 * to use as a path: if the domain is none, the whole becomes one quoted local part.
 */
#include "common/mail/mail_address.h"

enum { COMMENT_DEPTH_LIMIT = 50 };

enum token_kind { TOKEN_END, TOKEN_TOO_DEEP, TOKEN_WORD, TOKEN_SPECIAL };

struct token {
	enum token_kind kind;
	char special; /* one of < > , ; : @ . */
	bool blank_before;
};

struct mailbox {
	struct buf raw; /* without quoting and comments */
	ptrdiff_t at;	/* the last @ outside quotes, or -1 */
	bool after_word;
};

struct list {
	struct slice rest;
	struct buf word;     /* of the last TOKEN_WORD */
	struct mailbox bare; /* what stands outside of brackets: a name or an address */
	struct mailbox angle;
	bool in_angle, has_angle, in_route;
	size_t left; /* addresses that may still come */
	struct arena *arena;
	header_address_visit *visit;
	void *arg;
};

static bool is_blank(char c)
{
	return (c >= 0 && c <= ' ') || c == 0x7f;
}

/* Behind the comment that starts at rest; false when it nests too deep. */
static bool skip_comment(struct slice *rest)
{
	size_t depth = 0, i;

	for (i = 0; i < rest->len; i++) {
		char c = rest->data[i];

		if (c == '\\')
			i++;
		else if (c == '(' && ++depth > COMMENT_DEPTH_LIMIT)
			return false;
		else if (c == ')' && --depth == 0)
			break;
	}
	*rest = slice_part(*rest, i + 1, rest->len);
	return true;
}

/* Text up to the closing byte; keeps brackets, drops quotes and what folding left. */
static void take_delimited(struct slice *rest, char closing, struct buf *word)
{
	bool keep = closing == ']';
	size_t i;

	if (keep)
		buf_putc(word, '[');
	for (i = 1; i < rest->len && rest->data[i] != closing; i++) {
		if (rest->data[i] == '\\' && i + 1 < rest->len)
			i++;
		if (rest->data[i] == '\t' || !is_blank(rest->data[i]) || rest->data[i] == ' ')
			buf_putc(word, rest->data[i]);
	}
	if (keep)
		buf_putc(word, ']');
	*rest = slice_part(*rest, i + 1, rest->len);
}

static void take_atom(struct slice *rest, struct buf *word)
{
	size_t i;

	for (i = 0; i < rest->len; i++) {
		if (is_blank(rest->data[i]) || strchr("()<>,;:@.\"[", rest->data[i]) != NULL)
			break;
		if (rest->data[i] == '\\' && i + 1 < rest->len && !is_blank(rest->data[i + 1]))
			i++;
		buf_putc(word, rest->data[i]);
	}
	*rest = slice_part(*rest, i, rest->len);
}

/* Blanks and comments before the next token. False when a comment nests too deep. */
static bool skip_filling(struct slice *rest, bool *any)
{
	*any = false;
	while (rest->len > 0 && (is_blank(rest->data[0]) || rest->data[0] == '(')) {
		*any = true;
		if (rest->data[0] != '(')
			*rest = slice_part(*rest, 1, rest->len);
		else if (!skip_comment(rest))
			return false;
	}
	return true;
}

static struct token next_token(struct list *l)
{
	struct token t = { 0 };
	struct slice *rest = &l->rest;

	if (!skip_filling(rest, &t.blank_before)) {
		t.kind = TOKEN_TOO_DEEP;
	} else if (rest->len == 0) {
		t.kind = TOKEN_END;
	} else if (strchr("<>,;:@.)", rest->data[0]) != NULL) {
		t.kind = TOKEN_SPECIAL;
		t.special = rest->data[0];
		*rest = slice_part(*rest, 1, rest->len);
	} else {
		t.kind = TOKEN_WORD;
		buf_reset(&l->word);
		if (rest->data[0] == '"')
			take_delimited(rest, '"', &l->word);
		else if (rest->data[0] == '[')
			take_delimited(rest, ']', &l->word);
		else
			take_atom(rest, &l->word);
	}
	return t;
}

static void mailbox_reset(struct mailbox *m)
{
	buf_reset(&m->raw);
	m->at = -1;
	m->after_word = false;
}

static void mailbox_add(struct mailbox *m, const struct token *t, struct slice word)
{
	if (t->kind == TOKEN_SPECIAL) {
		if (t->special == '@')
			m->at = (ptrdiff_t)m->raw.len;
		buf_putc(&m->raw, t->special);
		m->after_word = false;
		return;
	}
	if (m->after_word && t->blank_before)
		buf_putc(&m->raw, ' ');
	buf_put_slice(&m->raw, word);
	m->after_word = true;
}

/* A domain that can stand behind an @ as it is; whether it exists is for others. */
static bool domain_is_safe(struct slice domain)
{
	bool literal = domain.len > 2 && domain.data[0] == '[' &&
	    domain.data[domain.len - 1] == ']';

	if (domain.len == 0 || domain.len > DOMAIN_LIMIT)
		return false;
	for (size_t i = 0; i < domain.len; i++) {
		if (is_blank(domain.data[i]) || strchr("()<>,;\"\\@", domain.data[i]) != NULL)
			return false;
		if (!literal && strchr(":[]", domain.data[i]) != NULL)
			return false;
	}
	return true;
}

/* Ends the present entry of the list. False when there are too many. */
static bool emit(struct list *l)
{
	struct mailbox *m = l->has_angle || l->in_angle ? &l->angle : &l->bare;
	struct slice raw = buf_slice(&m->raw);
	struct slice domain = SLICE("");
	struct buf out = { 0 };
	bool ok = true;

	if (m->at != -1)
		domain = slice_part(raw, (size_t)m->at + 1, raw.len);
	if (domain_is_safe(domain)) {
		local_part_quote(slice_part(raw, 0, (size_t)m->at), &out);
		buf_putc(&out, '@');
		buf_put_slice(&out, domain);
	} else if (raw.len > 0) {
		local_part_quote(raw, &out);
	}
	if (out.len > 0) {
		ok = l->left > 0;
		if (ok) {
			l->left--;
			l->visit(l->arg, arena_copy(l->arena, buf_slice(&out)));
		}
	}
	buf_clear(&out);
	mailbox_reset(&l->bare);
	mailbox_reset(&l->angle);
	l->in_angle = l->has_angle = l->in_route = false;
	return ok;
}

static bool step_in_angle(struct list *l, const struct token *t)
{
	char c = t->kind == TOKEN_SPECIAL ? t->special : '\0';

	if (c == '>') {
		l->in_angle = l->in_route = false;
		l->has_angle = true;
	} else if (l->in_route) {
		l->in_route = c != ':';
	} else if (c == '@' && l->angle.raw.len == 0) {
		l->in_route = true;
	} else if (c == ',' || c == ';') { /* the > is missing */
		return emit(l);
	} else if (c == '<') {
		mailbox_reset(&l->angle);
	} else {
		mailbox_add(&l->angle, t, buf_slice(&l->word));
	}
	return true;
}

static bool step(struct list *l, const struct token *t)
{
	char c = t->kind == TOKEN_SPECIAL ? t->special : '\0';

	if (l->in_angle)
		return step_in_angle(l, t);
	if (c == ',' || c == ';')
		return emit(l);
	if (c == '<') {
		if (l->has_angle && !emit(l)) /* the comma between two is missing */
			return false;
		l->in_angle = true;
	} else if (c == ':') {
		mailbox_reset(&l->bare); /* the name of a group */
	} else if (c != '>' && c != ')') {
		mailbox_add(&l->bare, t, buf_slice(&l->word));
	}
	return true;
}

bool header_addresses(struct slice value, size_t limit, struct arena *a,
    header_address_visit *visit, void *arg)
{
	struct list l = { .rest = value, .left = limit, .arena = a, .visit = visit, .arg = arg };
	bool ok = true;
	struct token t;

	mailbox_reset(&l.bare);
	mailbox_reset(&l.angle);
	do {
		t = next_token(&l);
		if (t.kind == TOKEN_TOO_DEEP)
			ok = false;
		else
			ok = t.kind == TOKEN_END ? emit(&l) : step(&l, &t);
	} while (ok && t.kind != TOKEN_END);
	buf_clear(&l.word);
	buf_clear(&l.bare.raw);
	buf_clear(&l.angle.raw);
	return ok;
}
