/* SPDX-License-Identifier: ISC */
/*
 * source.c - the rules of a table, from a file or from { } in its name.
 *
 * A line that starts with a blank goes on with the one before it; empty lines and comments between
 * them do not end it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dict/table.h"
#include "common/log/log.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool list_next(struct slice *rest, struct slice *word)
{
	size_t start = 0, end, depth = 0;

	while (start < rest->len && (is_blank(rest->data[start]) || rest->data[start] == ','))
		start++;
	for (end = start; end < rest->len; end++) {
		char c = rest->data[end];

		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
		else if (depth == 0 && (is_blank(c) || c == ','))
			break;
	}
	*word = slice_part(*rest, start, end - start);
	*rest = slice_part(*rest, end, rest->len);
	return word->len > 0;
}

bool brace_strip(struct slice text, struct slice *inside)
{
	size_t depth = 0, i;

	if (text.len < 2 || text.data[0] != '{')
		return false;
	for (i = 0; i < text.len; i++) {
		if (text.data[i] == '{')
			depth++;
		else if (text.data[i] == '}' && --depth == 0)
			break;
	}
	if (i != text.len - 1)
		return false;
	*inside = slice_trim(slice_part(text, 1, text.len - 2));
	return true;
}

static int read_all(int fd, struct buf *b)
{
	ssize_t got;

	do {
		got = read(fd, buf_reserve(b, 65536), 65536);
		if (got > 0)
			b->len += (size_t)got;
		if (b->len > DICT_FILE_LIMIT) {
			errno = EFBIG;
			return -1;
		}
	} while (got > 0 || (got == -1 && errno == EINTR));
	return got == -1 ? -1 : 0;
}

static int read_file(struct source *s, struct dict *d, int directory, const char *name, char **why)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return dict_refuse(why, "cannot open %s: %s", name, strerror(errno));
	if ((d != NULL && dict_watch(d, fd, true) == -1) || read_all(fd, &s->text) == -1) {
		dict_refuse(why, "cannot read %s: %s", name, strerror(errno));
		if (d == NULL)
			close(fd);
		return -1;
	}
	if (d == NULL)
		close(fd);
	s->rest = buf_slice(&s->text);
	return 0;
}

int source_open(struct source *s, struct dict *d, int directory, const char *name, char **why)
{
	*s = (struct source){ .name = name };
	if (name[0] != '{') {
		if (read_file(s, d, directory, name, why) == 0)
			return 0;
		source_close(s);
		return -1;
	}
	s->is_inline = true;
	if (!brace_strip(slice_of(name), &s->rest))
		return dict_refuse(why, "the { at its start is not closed at its end");
	return 0;
}

static struct slice take_line(struct source *s)
{
	ptrdiff_t lf = slice_find(s->rest, '\n');
	size_t len = lf == -1 ? s->rest.len : (size_t)lf + 1;
	struct slice line = slice_part(s->rest, 0, len);

	s->rest = slice_part(s->rest, len, s->rest.len);
	s->next_line++;
	return line;
}

static bool says_nothing(struct slice line)
{
	line = slice_trim(line);
	return line.len == 0 || line.data[0] == '#';
}

/* Takes what goes on with the entry off rest; what does not stays. */
static void take_continuation(struct source *s)
{
	while (s->rest.len > 0) {
		struct source before = *s;
		struct slice line = take_line(s);

		if (says_nothing(line))
			continue;
		if (line.data[0] != ' ' && line.data[0] != '\t') {
			s->rest = before.rest;
			s->next_line = before.next_line;
			return;
		}
		while (line.len > 0 &&
		    (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
			line.len--;
		buf_put_slice(&s->entry, line);
	}
}

static bool next_line_entry(struct source *s, struct slice *entry)
{
	while (s->rest.len > 0) {
		struct slice line = take_line(s);

		if (says_nothing(line))
			continue;
		s->line = s->next_line;
		buf_reset(&s->entry);
		buf_put_slice(&s->entry, slice_trim(line));
		take_continuation(s);
		*entry = slice_trim(buf_slice(&s->entry));
		if (slice_find(*entry, '\0') == -1)
			return true;
		source_warn(s, "a NUL byte: line skipped");
	}
	return false;
}

bool source_next(struct source *s, struct slice *entry)
{
	struct slice word;

	if (!s->is_inline)
		return next_line_entry(s, entry);
	if (!list_next(&s->rest, &word))
		return false;
	s->line++;
	if (!brace_strip(word, entry))
		*entry = word;
	return true;
}

void source_warn(const struct source *s, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_warning("%s, %s %u: %s", s->name, s->is_inline ? "rule" : "line", s->line, text);
}

void source_close(struct source *s)
{
	buf_clear(&s->text);
	buf_clear(&s->entry);
}

bool source_split(struct slice entry, struct slice *key, struct slice *value)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < entry.len; i++) {
		if (entry.data[i] == '"')
			quoted = !quoted;
		else if (entry.data[i] == '\\')
			i++;
		else if (!quoted && is_blank(entry.data[i]))
			break;
	}
	*key = slice_part(entry, 0, i);
	*value = slice_trim(slice_part(entry, i, entry.len));
	return key->len > 0 && value->len > 0;
}
