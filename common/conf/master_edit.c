/* SPDX-License-Identifier: ISC */
/*
 * master_edit.c - postconf -M, -F and -P change rows of master.cf: a changed row is written anew in
 * Postfix's columns, all others stay as they are.
 */
#include "common/conf/master_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/internal.h"
#include "common/conf/lines.h"
#include "common/conf/master_cf.h"

struct editing {
	enum master_change change;
	struct master_request *requests;
	size_t count;
	struct reporter *reporter;
	const char *path; /* of the directory */
	char *file;
	struct buf *content;
};

enum fate { KEEP, REWRITE, REMOVE, COMMENT_OUT };

static bool word_matches(const char *pattern, const char *word)
{
	return strcmp(pattern, "*") == 0 || strcmp(pattern, word) == 0;
}

bool master_request_matches(const struct master_request *request, const struct master_row *row)
{
	return word_matches(request->service, row->fields[MASTER_SERVICE]) &&
	    word_matches(request->type, row->fields[MASTER_TYPE]);
}

/* --- one row -------------------------------------------------------------------------------------- */

/* Reads the text as a row in the place of *row. */
static bool replace_row(struct editing *e, struct master_row *row, struct slice text)
{
	struct master_row made = { .line = row->line, .start = row->start, .end = row->end };
	char *why = NULL;
	bool ok = master_row_parse(&made, text, &why);

	if (ok) {
		master_row_clear(row);
		*row = made;
	} else {
		complain(e->reporter, CONF_ERROR, e->file, row->line, "%s", why);
		master_row_clear(&made);
	}
	free(why);
	return ok;
}

static bool set_field(struct editing *e, struct master_row *row,
    const struct master_request *request)
{
	struct buf text = { 0 };
	bool any = strcmp(request->name, "*") == 0, ok;

	for (size_t i = 0; i < MASTER_FIELDS; i++) {
		if (any || strcmp(request->name, master_field_name((enum master_field)i)) == 0)
			buf_puts(&text, request->value);
		else if (i == MASTER_COMMAND)
			master_row_put_command(row, false, 0, &text);
		else
			buf_puts(&text, row->fields[i]);
		buf_putc(&text, ' ');
	}
	ok = replace_row(e, row, buf_slice(&text));
	buf_clear(&text);
	return ok;
}

static void set_override(struct master_row *row, const struct master_request *request)
{
	size_t at = 0;

	for (size_t i = row->arguments_count; i > 0; i--) {
		struct master_argument *argument = &row->arguments[i - 1];

		if (argument->name == NULL || strcmp(argument->name, request->name) != 0)
			continue;
		free(argument->value); /* the last one counts */
		argument->value = mem_strdup(request->value);
		return;
	}
	while (at < row->arguments_count && row->arguments[at].is_option)
		at++;
	master_row_add(row, at,
	    (struct master_argument){ .is_option = true,
		.name = mem_strdup(request->name),
		.value = mem_strdup(request->value) });
}

/* Whether there was one. */
static bool remove_override(struct master_row *row, const char *name)
{
	size_t kept = 0;
	bool found;

	for (size_t i = 0; i < row->arguments_count; i++) {
		struct master_argument *argument = &row->arguments[i];

		if (argument->name != NULL && strcmp(argument->name, name) == 0) {
			free(argument->name);
			free(argument->value);
		} else {
			row->arguments[kept++] = *argument;
		}
	}
	found = kept < row->arguments_count;
	row->arguments_count = kept;
	return found;
}

/* Applies the request to a row that it matches. False: an error was reported. */
static bool apply(struct editing *e, struct master_row *row, struct master_request *request,
    enum fate *fate)
{
	bool again = request->matched++ > 0;

	switch (e->change) {
	case MASTER_SET_ROW:
		*fate = again ? REMOVE : REWRITE;
		return again || replace_row(e, row, slice_of(request->value));
	case MASTER_SET_FIELD:
		*fate = REWRITE;
		return set_field(e, row, request);
	case MASTER_SET_OVERRIDE:
		*fate = REWRITE;
		set_override(row, request);
		return true;
	case MASTER_REMOVE_OVERRIDE:
		if (remove_override(row, request->name))
			*fate = REWRITE;
		else
			request->matched--;
		return true;
	case MASTER_REMOVE_ROW:
		*fate = REMOVE;
		return true;
	case MASTER_COMMENT_OUT:
		*fate = COMMENT_OUT;
		return true;
	}
	return true;
}

/* --- checking what was made ----------------------------------------------------------------------- */

struct place {
	struct editing *editing;
	unsigned line;
};

/* What is wrong with a row by itself has its place in the file. */
static void report_at(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	struct place *place = arg;

	(void)line;
	if (severity == CONF_ERROR)
		complain(place->editing->reporter, severity, file, place->line, "%s", text);
}

static bool same_words(const struct master_row *a, const struct master_row *b)
{
	if (a->arguments_count != b->arguments_count)
		return false;
	for (size_t i = 0; i < a->arguments_count; i++) {
		const char *left = a->arguments[i].name, *right = b->arguments[i].name;

		if ((left == NULL) != (right == NULL) ||
		    (left != NULL && strcmp(left, right) != 0) ||
		    strcmp(a->arguments[i].value, b->arguments[i].value) != 0)
			return false;
	}
	return true;
}

/* Appends the row to out, if it reads as what it was made of and master would take it. */
static bool put_checked(struct editing *e, const struct master_row *row, struct buf *out)
{
	struct buf text = { 0 }, line = { 0 };
	struct place place = { e, row->line };
	struct reporter reporter = { .report = report_at, .arg = &place };
	struct master_row again = { 0 };
	struct master_cf *cf;
	char *why = NULL;
	bool ok;

	master_row_put(row, false, &line);
	ok = master_row_parse(&again, buf_slice(&line), &why) && same_words(row, &again);
	if (!ok)
		complain(e->reporter, CONF_ERROR, e->file, row->line,
		    "%s: the braces of a value do not pair", row->fields[MASTER_SERVICE]);
	cf = master_cf_parse(buf_slice(&line), e->path, &reporter);
	if (cf != NULL && cf->count == 0)
		complain(e->reporter, CONF_ERROR, e->file, row->line,
		    "%s: the name of a service can't start with #", row->fields[MASTER_SERVICE]);
	ok = ok && cf != NULL && cf->count == 1;
	master_cf_free(cf);
	if (ok) {
		master_row_put(row, true, &text);
		buf_printf(out, "%s\n", buf_text(&text));
	}
	master_row_clear(&again);
	free(why);
	buf_clear(&text);
	buf_clear(&line);
	return ok;
}

/* --- the file ------------------------------------------------------------------------------------- */

/* The physical lines of a row that is no longer wanted as it is: its comments, and itself as one. */
static void put_rest(struct slice rest, enum fate fate, struct buf *out)
{
	while (rest.len > 0) {
		struct slice line = conf_physical_line(&rest);
		bool is_comment = conf_says_nothing(line);

		if (!is_comment && fate != COMMENT_OUT)
			continue;
		if (!is_comment)
			buf_putc(out, '#');
		buf_put_slice(out, line);
	}
}

static bool edit_row(struct editing *e, struct master_row *row, struct buf *out)
{
	struct slice bytes = slice_part(buf_slice(e->content), row->start, row->end - row->start);
	struct master_row original = *row;
	enum fate fate = KEEP;

	for (size_t i = 0; i < e->count; i++) {
		if (fate == REMOVE || fate == COMMENT_OUT)
			break;
		if (master_request_matches(&e->requests[i], row) &&
		    !apply(e, row, &e->requests[i], &fate))
			return false;
	}
	if (fate == KEEP) {
		buf_put_slice(out, bytes);
		return true;
	}
	if (fate == REWRITE && !put_checked(e, row, out))
		return false;
	put_rest(slice_part(buf_slice(e->content), original.start, bytes.len), fate, out);
	return true;
}

static void end_line(struct buf *out)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_putc(out, '\n');
}

static bool add_rows(struct editing *e, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < e->count; i++) {
		struct master_row row = { 0 };

		if (e->change != MASTER_SET_ROW || e->requests[i].matched > 0)
			continue;
		end_line(out);
		ok = replace_row(e, &row, slice_of(e->requests[i].value)) &&
		    put_checked(e, &row, out);
		master_row_clear(&row);
	}
	return ok;
}

static bool change_content(void *arg, struct buf *content)
{
	struct editing *e = arg;
	struct master_text *text = master_text_parse(buf_slice(content), e->path, e->reporter);
	struct buf out = { 0 };
	size_t at = 0;
	bool ok = text != NULL;

	e->content = content;
	for (size_t i = 0; ok && i < text->count; i++) {
		struct master_row *row = &text->rows[i];
		size_t end = row->end;

		buf_put_slice(&out, slice_part(buf_slice(content), at, row->start - at));
		ok = edit_row(e, row, &out);
		at = end;
	}
	if (ok)
		buf_put_slice(&out, slice_part(buf_slice(content), at, content->len));
	ok = ok && add_rows(e, &out);
	master_text_free(text);
	if (ok) {
		buf_clear(content);
		*content = out;
		return true;
	}
	buf_clear(&out);
	errno = EINVAL;
	return false;
}

bool master_text_edit(int directory, const char *path, enum master_change change,
    struct master_request *requests, size_t count, conf_report *report, void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct editing e = { .change = change,
		.requests = requests,
		.count = count,
		.reporter = &reporter,
		.path = path,
		.file = mem_printf("%s/master.cf", path) };
	bool ok = edit_file(directory, "master.cf", change_content, &e) == 0;

	if (!ok && reporter.errors == 0)
		complain(&reporter, CONF_ERROR, e.file, 0, "can't be changed: %s", strerror(errno));
	free(e.file);
	return ok;
}
