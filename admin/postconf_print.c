/* SPDX-License-Identifier: ISC */
/*
 * postconf_print.c - names and values as Postfix prints them, which other programs read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/json.h"
#include "admin/postconf.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* Words with one blank between; fold: no line longer than MASTER_LINE_MOST unless a word is. */
static void put_words(struct buf *out, size_t used, bool fold, const char *value)
{
	struct slice rest = slice_of(value), word;
	bool first = true;

	for (; text_next_word(&rest, " \t\r\n", &word); first = false) {
		bool gap = !first || used > 0;

		if (fold && gap && word.data[0] != '#' && used + 1 + word.len > MASTER_LINE_MOST) {
			buf_puts(out, "\n    ");
			used = 4;
		} else if (gap) {
			buf_putc(out, ' ');
			used++;
		}
		buf_put_slice(out, word);
		used += word.len;
	}
}

static void print_json(const struct postconf_label *label, const char *value)
{
	const char *before = "{";

	for (size_t i = 0; i < ARRAY_LENGTH(label->names) && label->names[i] != NULL; i++) {
		json_member(stdout, before, label->names[i], slice_of(label->values[i]));
		before = ", ";
	}
	json_member(stdout, before, "value", slice_of(value));
	puts("}");
}

void postconf_print_text(const struct postconf *c, const struct postconf_label *label,
    const char *text)
{
	if (c->json)
		print_json(label, text);
	else if (c->only_names)
		puts(label->text);
	else if (c->only_values)
		puts(text);
	else
		printf("%s =%s%s\n", label->text, *text == '\0' ? "" : " ", text);
}

void postconf_print(const struct postconf *c, const struct postconf_label *label, const char *value)
{
	struct buf out = { 0 };

	if (c->json || c->only_values || c->only_names) {
		put_words(&out, 0, c->fold && !c->json, value);
		postconf_print_text(c, label, buf_text(&out));
	} else {
		buf_printf(&out, "%s =", label->text);
		put_words(&out, out.len, c->fold, value);
		puts(buf_text(&out));
	}
	buf_clear(&out);
}

bool postconf_split(const char *assignment, char **name, char **value)
{
	struct slice text = slice_of(assignment), left;
	ptrdiff_t equal = slice_find(text, '=');

	if (equal == -1)
		return false;
	left = slice_trim(slice_part(text, 0, (size_t)equal));
	for (size_t i = 0; i < left.len; i++)
		if (strchr(" \t\r\n", left.data[i]) != NULL)
			return false;
	*name = slice_dup(left);
	*value = slice_dup(slice_trim(slice_part(text, (size_t)equal + 1, text.len)));
	return true;
}
