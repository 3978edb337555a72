/* SPDX-License-Identifier: ISC */
/*
 * template_file.c - bounce_template_file, template by template:
 *
 *	failure_template = <<END
 *	Charset: us-ascii
 *	From: ...
 *	Subject: ...
 *	Postmaster-Subject: ...
 *
 *	text
 *	END
 *
 * A template with anything wrong in it is not used at all; the ones behind it are.
 */
#include <stdlib.h>
#include <string.h>

#include "common/conf/template.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const struct {
	const char *name;
	enum notice_kind kind;
} names[] = {
	{ "failure_template", NOTICE_FAILURE },
	{ "delay_template", NOTICE_DELAY },
	{ "success_template", NOTICE_SUCCESS },
	{ "verify_template", NOTICE_VERIFY },
};

const char *template_name(enum notice_kind kind)
{
	size_t i = 0;

	while (names[i].kind != kind)
		i++;
	return names[i].name;
}

static bool next_line(struct template_reader *r, struct slice *line)
{
	ptrdiff_t end = slice_find(r->rest, '\n');

	if (r->rest.len == 0)
		return false;
	*line = slice_part(r->rest, 0, end == -1 ? r->rest.len : (size_t)end);
	r->rest = slice_part(r->rest, line->len + 1, r->rest.len);
	r->line++;
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	return true;
}

void template_draft_clear(struct template_draft *d)
{
	free(d->charset);
	free(d->from);
	free(d->subject);
	free(d->postmaster_subject);
	free(d->text);
	*d = (struct template_draft){ 0 };
}

static char *shown(const char *what, struct slice text)
{
	char *why = mem_printf("%s: \"%.*s\"", what, (int)(text.len > 60 ? 60 : text.len),
	    text.data);

	text_neuter(why, strlen(why));
	return why;
}

static bool is_charset(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr("-_.+:", c) == NULL))
			return false;
	}
	return s.len > 0 && s.len <= 60;
}

/* NULL, or what is wrong. */
static char *take_header(struct template_draft *d, struct slice line)
{
	const struct {
		struct slice name;
		char **value;
	} headers[] = {
		{ SLICE("Charset"), &d->charset },
		{ SLICE("From"), &d->from },
		{ SLICE("Subject"), &d->subject },
		{ SLICE("Postmaster-Subject"), &d->postmaster_subject },
	};
	ptrdiff_t colon = slice_find(line, ':');
	struct slice name = slice_part(line, 0, colon == -1 ? 0 : (size_t)colon),
		     value = slice_trim(slice_part(line, (size_t)(colon + 1), line.len));

	for (size_t i = 0; i < ARRAY_LENGTH(headers); i++) {
		if (!slice_equal_nocase(name, headers[i].name))
			continue;
		if (*headers[i].value != NULL || value.len == 0)
			return shown("it must stand there once, with a value", line);
		*headers[i].value = slice_dup(value);
		if (i == 0 && !is_charset(value))
			return shown("this is no character set", value);
		return NULL;
	}
	return shown("Charset:, From:, Subject:, Postmaster-Subject: or an empty line is expected",
	    line);
}

/* Up to the line that ends the template. NULL, or what is wrong and its line; the rest is skipped then. */
static char *take_lines(struct template_reader *r, struct slice marker, struct template_draft *d,
    unsigned *wrong_line)
{
	struct buf text = { 0 };
	struct slice line;
	bool in_header = true, ended = false;
	char *why = NULL;

	while (!ended && next_line(r, &line)) {
		ended = slice_equal(line, marker);
		if (ended || why != NULL)
			continue;
		*wrong_line = r->line;
		if (!in_header)
			buf_printf(&text, "%.*s\n", (int)line.len, line.data);
		else if (slice_trim(line).len == 0)
			in_header = false;
		else
			why = take_header(d, line);
	}
	if (!ended && why == NULL)
		why = shown("the line that ends the template is missing", marker);
	if (text.len == 0 && why == NULL)
		why = mem_strdup("there is no text behind the header and an empty line");
	d->text = buf_take(&text);
	return why;
}

static char *begin(struct slice line, struct template_draft *d, struct slice *marker)
{
	ptrdiff_t sign = slice_find(line, '=');
	struct slice name = slice_trim(slice_part(line, 0, sign == -1 ? line.len : (size_t)sign)),
		     value = slice_trim(slice_part(line, (size_t)(sign + 1), line.len));

	*marker = SLICE("");
	if (sign == -1 || !slice_starts_nocase(value, SLICE("<<")))
		return shown("\"name = <<END\" is expected", line);
	*marker = slice_trim(slice_part(value, 2, value.len));
	if (marker->len == 0)
		return shown("a word that ends the template is missing behind <<", line);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (slice_equal(name, slice_of(names[i].name))) {
			d->kind = names[i].kind;
			return NULL;
		}
	return shown("there is no template of this name", name);
}

enum template_next template_next(struct template_reader *r, struct template_draft *d, char **why)
{
	struct slice line, marker;

	*d = (struct template_draft){ 0 };
	do
		if (!next_line(r, &line))
			return TEMPLATE_END;
	while (slice_trim(line).len == 0 || line.data[0] == '#');
	d->line = r->wrong_line = r->line;
	*why = begin(line, d, &marker);
	if (marker.len > 0) {
		bool ignored = *why != NULL;
		unsigned wrong_line = r->line;
		char *wrong = take_lines(r, marker, d, &wrong_line);

		if (ignored) {
			free(wrong);
		} else if (wrong != NULL) {
			*why = wrong;
			r->wrong_line = wrong_line;
		}
	}
	if (*why == NULL)
		return TEMPLATE_FOUND;
	template_draft_clear(d);
	return TEMPLATE_WRONG;
}
