/* SPDX-License-Identifier: ISC */
/*
 * pattern.c - the engine of cidr:, regexp: and pcre: tables: rules in order, !pattern, if/endif,
 * and the result with $1 filled in.
 *
 * A rule that can't be used is skipped with a warning, as Postfix does; an `if` that can't be used
 * never holds, so that the rules inside it don't become unconditional.
 */
#include "common/dict/pattern.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"

enum rule_kind { RULE_RESULT, RULE_IF, RULE_ENDIF };

struct rule {
	enum rule_kind kind;
	bool negated;
	void *compiled; /* NULL: an if that never holds */
	struct slice result;
	unsigned line;
	size_t end; /* of an if: its endif */
};

struct patterns {
	const struct pattern_kind *kind;
	struct arena *arena;
	struct rule *rules;
	size_t count, size;
	size_t open; /* while reading: 1 + the innermost open if, its end is the next */
	struct pattern_key key;
};

bool pattern_flags(struct slice flags, const struct pattern_flag *known, size_t count,
    unsigned *options, struct buf *why)
{
	for (size_t i = 0; i < flags.len; i++) {
		size_t j = 0;

		while (j < count && known[j].letter != flags.data[i])
			j++;
		if (j == count) {
			buf_printf(why, "unknown flag \"%c\" behind the pattern", flags.data[i]);
			return false;
		}
		*options ^= known[j].bits;
	}
	return true;
}

enum piece { PIECE_END, PIECE_TEXT, PIECE_GROUP, PIECE_BAD };

/* The number in $1, ${1}, $(1); rest starts at the $. */
static enum piece next_group(struct slice *rest, unsigned *group)
{
	struct slice s = slice_part(*rest, 1, rest->len);
	char closing = '\0';
	uint64_t number;
	size_t digits = 0;

	if (s.len > 0 && (s.data[0] == '{' || s.data[0] == '(')) {
		closing = s.data[0] == '{' ? '}' : ')';
		s = slice_part(s, 1, s.len);
	}
	while (digits < s.len && s.data[digits] >= '0' && s.data[digits] <= '9')
		digits++;
	if (!text_number(slice_part(s, 0, digits), PATTERN_GROUPS - 1, &number) || number == 0)
		return PIECE_BAD;
	if (closing != '\0' && (digits == s.len || s.data[digits] != closing))
		return PIECE_BAD;
	*group = (unsigned)number;
	*rest = slice_part(s, digits + (closing != '\0'), s.len);
	return PIECE_GROUP;
}

/* Takes the next piece of a result off rest. */
static enum piece next_piece(struct slice *rest, struct slice *text, unsigned *group)
{
	ptrdiff_t dollar;

	if (rest->len == 0)
		return PIECE_END;
	if (rest->data[0] == '$') {
		if (rest->len == 1 || rest->data[1] != '$')
			return next_group(rest, group);
		*text = slice_part(*rest, 1, 1);
		*rest = slice_part(*rest, 2, rest->len);
		return PIECE_TEXT;
	}
	dollar = slice_find(*rest, '$');
	*text = slice_part(*rest, 0, dollar == -1 ? rest->len : (size_t)dollar);
	*rest = slice_part(*rest, text->len, rest->len);
	return PIECE_TEXT;
}

static const char *result_problem(const struct rule *r, unsigned groups, unsigned flags)
{
	struct slice rest = r->result, text = SLICE("");
	unsigned group = 0;
	enum piece piece;

	while ((piece = next_piece(&rest, &text, &group)) != PIECE_END) {
		if (piece == PIECE_BAD)
			return "bad $number in the result: write $1, ${1}, or $$ for a dollar sign";
		if (piece != PIECE_GROUP)
			continue;
		if (flags & DICT_NO_REGSUB)
			return "$number is not allowed here: it would be chosen by a stranger";
		if (r->negated)
			return "$number in the result of a !pattern, which matches no text";
		if (group > groups)
			return "$number in the result without such a group in the pattern";
	}
	return NULL;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Takes the word off text if it stands there alone. */
static bool takes_word(struct slice *text, struct slice word)
{
	if (!slice_starts_nocase(*text, word) ||
	    (text->len > word.len && is_letter_or_digit(text->data[word.len])))
		return false;
	*text = slice_trim(slice_part(*text, word.len, text->len));
	return true;
}

static bool takes_negation(struct slice *text)
{
	bool negated = false;

	while (text->len > 0 && text->data[0] == '!') {
		negated = !negated;
		*text = slice_trim(slice_part(*text, 1, text->len));
	}
	return negated;
}

static size_t word_length(struct slice text)
{
	size_t len = 0;

	while (len < text.len && text.data[len] != ' ' && text.data[len] != '\t')
		len++;
	return len;
}

/* Takes /pattern/flags, or a word, off text. False with a reason. */
static bool takes_pattern(bool delimited, struct slice *text, struct slice *pattern,
    struct slice *flags, struct buf *why)
{
	size_t end = 1, len;

	*flags = SLICE("");
	if (!delimited) {
		*pattern = slice_part(*text, 0, word_length(*text));
		*text = slice_trim(slice_part(*text, pattern->len, text->len));
		return true;
	}
	if (text->len == 0 || is_letter_or_digit(text->data[0]) || text->data[0] == '\\') {
		buf_puts(why, "no pattern: write it as /pattern/ result");
		return false;
	}
	while (end < text->len && text->data[end] != text->data[0])
		end += text->data[end] == '\\' ? 2 : 1;
	if (end >= text->len) {
		buf_printf(why, "the closing %c of the pattern is missing", text->data[0]);
		return false;
	}
	*pattern = slice_part(*text, 1, end - 1);
	*text = slice_part(*text, end + 1, text->len);
	len = word_length(*text);
	*flags = slice_part(*text, 0, len);
	*text = slice_trim(slice_part(*text, len, text->len));
	return true;
}

static struct rule *append(struct patterns *p, struct rule r)
{
	if (p->count == p->size) {
		p->size = p->size == 0 ? 32 : p->size * 2;
		p->rules = mem_resize_array(p->rules, p->size, sizeof(*p->rules));
	}
	p->rules[p->count] = r;
	return &p->rules[p->count++];
}

/* The end of an open if holds the if around it, until its own endif is read. */
static void open_if(struct patterns *p, struct rule r)
{
	r.end = p->open;
	append(p, r);
	p->open = p->count;
}

static void close_if(struct patterns *p, unsigned line)
{
	struct rule *opener = &p->rules[p->open - 1];

	p->open = opener->end;
	opener->end = p->count;
	append(p, (struct rule){ .kind = RULE_ENDIF, .line = line });
}

static void read_endif(struct patterns *p, const struct source *s, struct slice rest)
{
	if (rest.len > 0)
		source_warn(s, "text behind endif is ignored");
	if (p->open == 0)
		source_warn(s, "endif without an if: line skipped");
	else
		close_if(p, s->line);
}

/* Compiles the pattern at the start of text and checks the rest. False with a reason. */
static bool read_rule(struct patterns *p, struct slice text, unsigned flags, struct rule *r,
    struct buf *why)
{
	struct slice pattern, letters;
	const char *problem;
	unsigned groups = 0;

	if (!takes_pattern(p->kind->delimited, &text, &pattern, &letters, why))
		return false;
	r->compiled = p->kind->compile(pattern, letters, &groups, why);
	if (r->compiled == NULL)
		return false;
	r->result = text;
	problem = r->kind == RULE_RESULT && p->kind->delimited ? result_problem(r, groups, flags)
							       : NULL;
	if (problem == NULL && text.len <= DICT_VALUE_LIMIT)
		return true;
	buf_puts(why, problem != NULL ? problem : "the result is too long");
	p->kind->release(r->compiled);
	r->compiled = NULL;
	return false;
}

static void read_entry(struct patterns *p, const struct source *s, struct slice text,
    unsigned flags)
{
	struct rule r = { .line = s->line };
	struct buf why = { 0 };
	bool ok;

	if (takes_word(&text, SLICE("endif"))) {
		read_endif(p, s, text);
		return;
	}
	if (takes_word(&text, SLICE("if")))
		r.kind = RULE_IF;
	r.negated = takes_negation(&text);
	ok = read_rule(p, text, flags, &r, &why);
	if (!ok)
		source_warn(s, "%s: %s", buf_text(&why),
		    r.kind == RULE_IF ? "the rules up to its endif are skipped" : "rule skipped");
	else if (r.kind == RULE_IF && r.result.len > 0)
		source_warn(s, "text behind the pattern of an if is ignored");
	else if (r.kind == RULE_RESULT && r.result.len == 0)
		source_warn(s, "no result behind the pattern: an empty one is used");
	buf_clear(&why);
	if (r.kind == RULE_IF) {
		open_if(p, r);
	} else if (ok) {
		r.result = arena_copy(p->arena, r.result);
		append(p, r);
	}
}

static int open_patterns(struct dict *d, int directory, const char *name, char **why,
    const struct pattern_kind *kind)
{
	struct patterns *p;
	struct slice text;
	struct source s;

	if (source_open(&s, d, directory, name, why) == -1)
		return -1;
	p = mem_alloc(sizeof(*p));
	p->kind = kind;
	p->arena = arena_new();
	while (source_next(&s, &text))
		read_entry(p, &s, text, d->flags);
	while (p->open != 0) {
		s.line = p->rules[p->open - 1].line;
		source_warn(&s, "if without an endif: it ends with the table");
		close_if(p, s.line);
	}
	source_close(&s);
	d->state = p;
	return 0;
}

static void close_patterns(struct dict *d)
{
	struct patterns *p = d->state;

	for (size_t i = 0; i < p->count; i++)
		if (p->rules[i].compiled != NULL)
			p->kind->release(p->rules[i].compiled);
	arena_free(p->arena);
	free(p->rules);
	free(p);
}

static void put_result(const struct patterns *p, const struct rule *r, struct buf *value)
{
	struct slice rest = r->result, text = SLICE("");
	unsigned group = 0;
	enum piece piece;

	if (!p->kind->delimited) {
		buf_put_slice(value, r->result);
		return;
	}
	while ((piece = next_piece(&rest, &text, &group)) != PIECE_END)
		buf_put_slice(value, piece == PIECE_TEXT ? text : p->key.groups[group]);
}

/* Does the rule hold? 1, 0, -1. */
static int rule_holds(struct dict *d, struct patterns *p, const struct rule *r)
{
	int rc;

	if (r->compiled == NULL)
		return 0;
	buf_reset(&d->error);
	rc = p->kind->match(r->compiled, &p->key, &d->error);
	if (rc == -1) {
		buf_printf(&d->error, " (table %s, line %u)", d->name, r->line);
		return -1;
	}
	return rc != PATTERN_APART && (rc == 1) != r->negated;
}

/* Groups can be large, and a result may name one many times. */
static size_t result_length(const struct patterns *p, const struct rule *r)
{
	struct slice rest = r->result, text = SLICE("");
	unsigned group = 0;
	size_t total = 0;
	enum piece piece;

	if (!p->kind->delimited)
		return r->result.len;
	while ((piece = next_piece(&rest, &text, &group)) != PIECE_END)
		total += piece == PIECE_TEXT ? text.len : p->key.groups[group].len;
	return total;
}

static int answer(struct dict *d, const struct patterns *p, const struct rule *r, struct buf *value)
{
	if (result_length(p, r) > DICT_VALUE_LIMIT)
		return dict_fail(d, "table %s, line %u: the result is too long", d->name, r->line);
	put_result(p, r, value);
	return 1;
}

static int lookup_patterns(struct dict *d, struct slice key, struct buf *value)
{
	struct patterns *p = d->state;

	/* With a NUL behind it: regexec is given the length, but its checkers measure the text. */
	buf_reset(&d->folded);
	buf_put_slice(&d->folded, key);
	buf_text(&d->folded);
	p->key.text = buf_slice(&d->folded);
	if (!p->kind->delimited && !net_address_parse(key, &p->key.address))
		return 0; /* a name is in no network, and not in its opposite either */
	for (size_t i = 0; i < p->count; i++) {
		const struct rule *r = &p->rules[i];
		int holds = r->kind == RULE_ENDIF ? 1 : rule_holds(d, p, r);

		if (holds == -1)
			return -1;
		if (holds == 0 && r->kind == RULE_IF)
			i = r->end;
		else if (holds == 1 && r->kind == RULE_RESULT)
			return answer(d, p, r, value);
	}
	return 0;
}

static int open_cidr(struct dict *d, int directory, const char *name, char **why)
{
	return open_patterns(d, directory, name, why, &pattern_cidr);
}

static int open_regexp(struct dict *d, int directory, const char *name, char **why)
{
	return open_patterns(d, directory, name, why, &pattern_regexp);
}

static int open_pcre(struct dict *d, int directory, const char *name, char **why)
{
	return open_patterns(d, directory, name, why, &pattern_pcre);
}

const struct dict_type dict_type_cidr = { "cidr", true, open_cidr, lookup_patterns,
	close_patterns };
const struct dict_type dict_type_regexp = { "regexp", true, open_regexp, lookup_patterns,
	close_patterns };
const struct dict_type dict_type_pcre = { "pcre", true, open_pcre, lookup_patterns,
	close_patterns };
