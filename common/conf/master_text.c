/* SPDX-License-Identifier: ISC */
/*
 * master_text.c - master.cf as rows of words, and rows as text in Postfix's columns.
 */
#include "common/conf/master_text.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/internal.h"
#include "common/conf/lines.h"

static const char *const field_names[MASTER_FIELDS] = { "service", "type", "private",
	"unprivileged", "chroot", "wakeup", "process_limit", "command" };
/* Where the columns of a row start. */
static const size_t columns[MASTER_FIELDS] = { 0, 11, 17, 25, 33, 41, 49, 57 };

static const char fold_indent[] = "    ";

const char *master_field_name(enum master_field field)
{
	return field_names[field];
}

int master_field_of(struct slice name)
{
	for (int i = 0; i < MASTER_FIELDS; i++)
		if (slice_equal(name, slice_of(field_names[i])))
			return i;
	return -1;
}

/* --- reading -------------------------------------------------------------------------------------- */

void master_row_clear(struct master_row *row)
{
	for (size_t i = 0; i < MASTER_FIELDS; i++)
		free(row->fields[i]);
	for (size_t i = 0; i < row->arguments_count; i++) {
		free(row->arguments[i].name);
		free(row->arguments[i].value);
	}
	free(row->arguments);
	*row = (struct master_row){ 0 };
}

void master_text_free(struct master_text *text)
{
	if (text == NULL)
		return;
	for (size_t i = 0; i < text->count; i++)
		master_row_clear(&text->rows[i]);
	free(text->rows);
	free(text);
}

void master_row_add(struct master_row *row, size_t at, struct master_argument argument)
{
	row->arguments = mem_resize_array(row->arguments, row->arguments_count + 1,
	    sizeof(*row->arguments));
	memmove(row->arguments + at + 1, row->arguments + at,
	    (row->arguments_count - at) * sizeof(*row->arguments));
	row->arguments[at] = argument;
	row->arguments_count++;
}

/* The assignment behind -o, which text starts with. */
static bool read_override(struct master_row *row, struct slice word, struct slice *rest, char **why)
{
	struct slice value = slice_part(word, 2, word.len);
	struct master_argument argument = { .is_option = true };
	bool grouped;

	if (value.len == 0 && master_next_word(rest, &value, &grouped) != 1) {
		*why = mem_strdup("-o has no value; write -o name=value or -o { name = value }");
		return false;
	}
	if (!conf_split_assignment(value, &argument.name, &argument.value, why))
		return false;
	master_row_add(row, row->arguments_count, argument);
	return true;
}

static bool read_arguments(struct master_row *row, struct slice rest, char **why)
{
	struct slice word;
	bool grouped, options = true;
	int found;

	while ((found = master_next_word(&rest, &word, &grouped)) == 1) {
		options = options && !grouped && word.len > 1 && word.data[0] == '-';
		if (options && word.data[1] == 'o') {
			if (!read_override(row, word, &rest, why))
				return false;
			continue;
		}
		master_row_add(row, row->arguments_count,
		    (struct master_argument){ .is_option = options,
			.value = grouped ? mem_printf("{%.*s}", (int)word.len, word.data)
					 : slice_dup(word) });
	}
	if (found == -1)
		*why = mem_strdup("a closing } is missing");
	return found == 0;
}

bool master_row_parse(struct master_row *row, struct slice line, char **why)
{
	struct slice word;

	if (slice_find(line, '\0') != -1) {
		*why = mem_strdup("there is a NUL byte in this line; this file must be text");
		return false;
	}
	for (size_t i = 0; i < MASTER_FIELDS; i++) {
		if (!text_next_word(&line, " \t\r", &word)) {
			*why = mem_printf("there are %zu columns; write 8: service type private "
					  "unprivileged chroot wakeup maxproc command",
			    i);
			return false;
		}
		row->fields[i] = slice_dup(word);
	}
	return read_arguments(row, line, why);
}

/* The bytes of the logical line that lies in content, without what stands around it. */
static void find_bytes(struct slice content, struct slice after, size_t from,
    struct master_row *row)
{
	struct slice rest = slice_part(content, from, (size_t)(after.data - content.data) - from);
	bool started = false;

	while (rest.len > 0) {
		struct slice line = conf_physical_line(&rest);
		size_t start = (size_t)(line.data - content.data);

		if (conf_says_nothing(line))
			continue;
		if (!started)
			row->start = start;
		started = true;
		row->end = start + line.len;
	}
}

static void read_line(struct master_text *text, const struct conf_lines *lines, struct slice line,
    struct master_row row, struct reporter *reporter, const char *file)
{
	char *why = NULL;

	row.line = lines->number;
	if (lines->stray)
		why = mem_strdup("a line that starts with a blank continues the one before it, but "
				 "there is none; remove the blank");
	else if (master_row_parse(&row, line, &why)) {
		text->rows = mem_resize_array(text->rows, text->count + 1, sizeof(row));
		text->rows[text->count++] = row;
		return;
	}
	complain(reporter, CONF_ERROR, file, lines->number, "%s", why);
	free(why);
	master_row_clear(&row);
}

struct master_text *master_text_parse(struct slice content, const char *path,
    struct reporter *reporter)
{
	struct master_text *text = mem_alloc(sizeof(*text));
	struct conf_lines lines = { .rest = content };
	char *file = mem_printf("%s/master.cf", path);
	unsigned before = reporter->errors;
	size_t from = 0;
	struct buf line = { 0 };

	while (conf_lines_next(&lines, &line)) {
		struct master_row row = { 0 };

		find_bytes(content, lines.rest, from, &row);
		from = (size_t)(lines.rest.data - content.data);
		read_line(text, &lines, buf_slice(&line), row, reporter, file);
	}
	buf_clear(&line);
	free(file);
	if (reporter->errors == before)
		return text;
	master_text_free(text);
	return NULL;
}

struct master_text *master_text_load(int directory, const char *path, conf_report *report,
    void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct buf content = { 0 };
	struct master_text *text = NULL;

	if (conf_read_file(directory, path, "master.cf", &content, &reporter))
		text = master_text_parse(buf_slice(&content), path, &reporter);
	buf_clear(&content);
	return text;
}

/* --- writing -------------------------------------------------------------------------------------- */

/* A line that grows by words. */
struct folding {
	struct buf *out;
	bool fold, must_break;
	size_t used; /* of the present line */
};

static void put_word(struct folding *f, const char *word, bool alone)
{
	size_t len = strlen(word);

	bool fits = f->used + 1 + len < MASTER_LINE_MOST;

	/* A line that starts with # would be a comment. */
	if (f->fold && word[0] != '#' && (alone || f->must_break || !fits)) {
		buf_printf(f->out, "\n%s%s", fold_indent, word);
		f->used = sizeof(fold_indent) - 1 + len;
	} else {
		buf_printf(f->out, " %s", word);
		f->used += 1 + len;
	}
	f->must_break = alone;
}

static char *override_text(const struct master_argument *argument)
{
	bool blanks = argument->value[strcspn(argument->value, " \t\r\n")] != '\0';

	return mem_printf(blanks ? "-o {%s=%s}" : "-o %s=%s", argument->name, argument->value);
}

void master_row_put_command(const struct master_row *row, bool fold, size_t column, struct buf *out)
{
	const char *command = row->fields[MASTER_COMMAND];
	struct folding f = { .out = out, .fold = fold, .used = column + strlen(command) };

	buf_puts(out, command);
	for (size_t i = 0; i < row->arguments_count; i++) {
		const struct master_argument *argument = &row->arguments[i];
		char *text = argument->name == NULL ? mem_strdup(argument->value)
						    : override_text(argument);

		put_word(&f, text, argument->name != NULL);
		free(text);
	}
}

void master_row_put(const struct master_row *row, bool fold, struct buf *out)
{
	size_t start = out->len;

	for (size_t i = 0; i < MASTER_COMMAND; i++) {
		buf_puts(out, row->fields[i]);
		do
			buf_putc(out, ' ');
		while (out->len - start < columns[i + 1]);
	}
	master_row_put_command(row, fold, out->len - start, out);
}

const char *master_row_override(const struct master_row *row, const char *name)
{
	for (size_t i = row->arguments_count; i > 0; i--)
		if (row->arguments[i - 1].name != NULL &&
		    strcmp(row->arguments[i - 1].name, name) == 0)
			return row->arguments[i - 1].value;
	return NULL;
}
