/* SPDX-License-Identifier: ISC */
/*
 * header_complete.c - addresses without domain in To, From and the like: found where they stand and
 * replaced there, so that names, comments and folding stay as they were written.
 *
 * Only what is surely one bare address is touched: in doubt a header is left alone.
 */
#include "cleanup/cleanup.h"
#include "cleanup/header_pass.h"
#include "common/mail/mail_address.h"

enum { BATCH = RCPTS_PER_FRAME };

struct span {
	size_t start, len;
};

/* The scan of one value: each entry of its list is one word, or has one in < >. */
struct scan {
	struct slice text;
	size_t at;
	unsigned comment; /* nesting */
	bool quoted, in_angle, had_angle, in_word;
	struct span word;
	unsigned words;
};

static void end_word(struct scan *s)
{
	if (s->in_word)
		s->word.len = s->at - s->word.start;
	s->in_word = false;
}

static void begin_word(struct scan *s)
{
	if (s->in_word)
		return;
	s->in_word = true;
	s->words++;
	s->word.start = s->at;
}

static void new_entry(struct scan *s)
{
	s->words = 0;
	s->had_angle = s->in_angle = false;
}

static bool is_incomplete(struct slice address)
{
	struct mail_address parts = mail_address_split(address);
	bool quoted = parts.local.len > 1 && parts.local.data[0] == '"' &&
	    parts.local.data[parts.local.len - 1] == '"';

	if (address.len == 0 || address.len > ADDRESS_LIMIT || parts.local.len == 0)
		return false;
	for (size_t i = 0; i < address.len; i++) {
		char c = address.data[i];

		if (c <= ' ' || c >= 0x7f)
			return false;
		if (!quoted && strchr("\"\\()<>[]:;,", c) != NULL)
			return false;
	}
	if (parts.local.len == address.len)
		return true;
	return parts.domain.len > 0 && cleanup_settings.append_dot_mydomain &&
	    slice_find(parts.domain, '.') == -1 && parts.domain.data[0] != '[';
}

/* What a byte outside of quotes and comments means. True: an entry is over, and it is `word`. */
static bool step(struct scan *s, char c)
{
	bool one_word;

	switch (c) {
	case '(':
		end_word(s);
		s->comment = 1;
		return false;
	case '<':
		end_word(s);
		s->in_angle = true;
		s->words = 0;
		return false;
	case '>':
		end_word(s);
		one_word = s->in_angle && s->words == 1 && !s->had_angle;
		s->in_angle = false;
		s->had_angle = true;
		return one_word;
	case ',':
	case ';':
		end_word(s);
		one_word = !s->in_angle && !s->had_angle && s->words == 1;
		new_entry(s);
		return one_word;
	case ':':
		end_word(s);
		if (s->in_angle)
			s->words = 2; /* a route: not ours to touch */
		else
			new_entry(s);
		return false;
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		end_word(s);
		return false;
	case '\\':
		begin_word(s);
		s->at++;
		return false;
	default:
		begin_word(s);
		s->quoted = c == '"';
		return false;
	}
}

/* The next incomplete address. */
static bool next_span(struct scan *s, struct span *out)
{
	while (s->at <= s->text.len) {
		char c = s->at < s->text.len ? s->text.data[s->at] : ',';
		bool over = false;

		if (s->at == s->text.len && (s->quoted || s->comment > 0))
			return false;
		if (c == '\\' && (s->quoted || s->comment > 0))
			s->at++;
		else if (s->quoted)
			s->quoted = c != '"';
		else if (s->comment > 0)
			s->comment = c == '(' ? s->comment + 1
			    : c == ')'	      ? s->comment - 1
					      : s->comment;
		else
			over = step(s, c);
		s->at++;
		if (over && is_incomplete(slice_part(s->text, s->word.start, s->word.len))) {
			*out = s->word;
			return true;
		}
	}
	return false;
}

/* Replaces a batch of spans; *done: how much of the value was put out. */
static bool put_batch(const struct header_context *c, struct slice value, const struct span *spans,
    size_t count, size_t *done, struct buf *out)
{
	struct arena *arena = arena_new();
	struct slice *questions = arena_alloc(arena, count * sizeof(*questions));
	struct slice *answers = arena_alloc(arena, count * sizeof(*answers));
	bool ok;

	for (size_t i = 0; i < count; i++)
		questions[i] = slice_part(value, spans[i].start, spans[i].len);
	ok = c->complete(c->arg, (struct wire_texts){ questions, count }, answers, arena);
	for (size_t i = 0; ok && i < count; i++) {
		buf_put_slice(out, slice_part(value, *done, spans[i].start - *done));
		buf_put_slice(out, answers[i]);
		*done = spans[i].start + spans[i].len;
	}
	arena_free(arena);
	return ok;
}

bool header_put_complete(const struct header_context *c, struct slice value, struct buf *out)
{
	struct scan scan = { .text = value };
	struct span spans[BATCH];
	size_t count, done = 0;

	do {
		for (count = 0; count < BATCH && next_span(&scan, &spans[count]); count++)
			;
		if (count > 0 && !put_batch(c, value, spans, count, &done, out))
			return false;
	} while (count == BATCH);
	buf_put_slice(out, slice_part(value, done, value.len));
	return true;
}
