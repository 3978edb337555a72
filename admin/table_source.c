/* SPDX-License-Identifier: ISC */
/*
 * table_source.c - "key value" and "name: value" lines. One typo must not take a whole table away: what
 * can't be used is named and skipped.
 */
#include "admin/table_source.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"

enum { SHOWN = 100 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool skip(const struct table_source *s, const char *why)
{
	struct slice text = slice_part(buf_slice(&s->line), 0, SHOWN);

	log_warning("%s, line %u: %s -- ignoring this line: \"%.*s\"", s->name, s->lines.number,
	    why, (int)text.len, text.data);
	return false;
}

/* Where the key ends: at the first blank outside of quotes. */
static bool map_key_length(struct slice line, size_t *len)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < line.len && (quoted || !is_blank(line.data[i])); i++) {
		if (line.data[i] == '\\' && i + 1 < line.len)
			i++;
		else if (line.data[i] == '"')
			quoted = !quoted;
	}
	*len = i;
	return !quoted;
}

static bool split_map(struct table_source *s, struct slice line, struct slice *value)
{
	size_t len;

	if (!map_key_length(line, &len))
		return skip(s, "a '\"' without its partner");
	buf_put_slice(&s->key_text, slice_part(line, 0, len));
	*value = slice_trim(slice_part(line, len, line.len));
	if (value->len == 0)
		return skip(s, "expected format: key whitespace value");
	if (line.data[len - 1] == ':')
		log_warning("%s, line %u: record is in \"key: value\" format; is this an alias "
			    "file?",
		    s->name, s->lines.number);
	return true;
}

/* The name without its quotes; returns where it ends. */
static size_t unquote_name(struct slice line, struct buf *name, bool *quoted)
{
	size_t i;

	*quoted = false;
	for (i = 0; i < line.len && (*quoted || line.data[i] != ':'); i++) {
		if (line.data[i] == '"') {
			*quoted = !*quoted;
			continue;
		}
		if (line.data[i] == '\\' && i + 1 < line.len)
			i++;
		buf_putc(name, line.data[i]);
	}
	while (name->len > 0 && is_blank(name->data[name->len - 1]))
		name->len--;
	return i;
}

static bool split_alias(struct table_source *s, struct slice line, struct slice *value)
{
	bool quoted;
	size_t end = unquote_name(line, &s->key_text, &quoted);

	if (quoted)
		return skip(s, "a '\"' without its partner");
	*value = slice_trim(slice_part(line, end + 1, line.len));
	if (end >= line.len || s->key_text.len == 0 || value->len == 0)
		return skip(s, "need name:value pair");
	if (slice_find(buf_slice(&s->key_text), '@') != -1)
		return skip(s, "name must be local");
	return true;
}

static bool is_usable(const struct table_source *s, struct slice line)
{
	if (s->lines.stray)
		return skip(s, "it starts with a blank and continues nothing");
	if (slice_find(line, '\0') != -1)
		return skip(s, "it has a NUL byte");
	if (!text_is_utf8(line))
		return skip(s, "non-UTF-8 input");
	return true;
}

bool table_source_next(struct table_source *s, struct slice *key, struct slice *value)
{
	while (conf_lines_next(&s->lines, &s->line)) {
		struct slice line = slice_trim(buf_slice(&s->line));

		buf_reset(&s->key_text);
		if (!is_usable(s, line))
			continue;
		if (!(s->syntax == TABLE_MAP ? split_map : split_alias)(s, line, value))
			continue;
		if (!s->keep_case)
			text_lower(s->key_text.data, s->key_text.len);
		*key = buf_slice(&s->key_text);
		return true;
	}
	return false;
}

void table_source_clear(struct table_source *s)
{
	buf_clear(&s->line);
	buf_clear(&s->key_text);
}
