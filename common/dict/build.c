/* SPDX-License-Identifier: ISC */
/*
 * build.c - what postmap and postalias do: a text source becomes a hash: or btree: table.
 *
 * A line that can't be used is skipped with a warning, as there: one typo must not take all
 * aliases away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"

/* name: value; the name may stand in quotes, which are not part of it. */
static bool split_alias(const struct source *s, struct slice entry, struct buf *key,
    struct slice *value)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < entry.len && (quoted || entry.data[i] != ':'); i++) {
		if (entry.data[i] == '"') {
			quoted = !quoted;
			continue;
		}
		if (entry.data[i] == '\\' && i + 1 < entry.len)
			i++;
		buf_putc(key, entry.data[i]);
	}
	while (key->len > 0 && strchr(" \t", key->data[key->len - 1]) != NULL)
		key->len--;
	*value = slice_trim(slice_part(entry, i + 1, entry.len));
	if (i < entry.len && key->len > 0 && value->len > 0)
		return true;
	source_warn(s,
	    quoted ? "the closing quote of the name is missing: line skipped"
		   : "expected \"name: value\": line skipped");
	return false;
}

static bool split_map(const struct source *s, struct slice entry, struct buf *key,
    struct slice *value)
{
	struct slice word;

	if (!source_split(entry, &word, value)) {
		source_warn(s, "expected: key, blank, value: line skipped");
		return false;
	}
	if (word.data[word.len - 1] == ':')
		source_warn(s,
		    "\"key:\" with a colon: is this an alias file? postalias reads those");
	buf_put_slice(key, word);
	return true;
}

static int put_entry(struct dict_writer *w, const struct source *s, struct slice key,
    struct slice value, char **why)
{
	int rc = dict_writer_put(w, key, value);

	if (rc == 0)
		source_warn(s, "\"%.*s\" is there already: line skipped",
		    (int)(key.len < 100 ? key.len : 100), key.data);
	if (rc == -1)
		dict_refuse(why, "%s, line %u: %s", s->name, s->line, dict_writer_error(w));
	return rc == -1 ? -1 : 0;
}

static int put_all(struct dict_writer *w, struct source *s, enum dict_source_kind kind, char **why)
{
	struct slice entry, value;
	struct buf key = { 0 };
	int rc = 0;

	while (rc == 0 && source_next(s, &entry)) {
		buf_reset(&key);
		if (!(kind == DICT_SOURCE_ALIASES ? split_alias : split_map)(s, entry, &key,
			&value))
			continue;
		text_lower(key.data, key.len);
		rc = put_entry(w, s, buf_slice(&key), value, why);
	}
	/* sendmail's mark of a complete file. */
	if (rc == 0 && kind == DICT_SOURCE_ALIASES &&
	    dict_writer_put(w, SLICE("@"), SLICE("@")) == -1)
		rc = dict_refuse(why, "%s: %s", s->name, dict_writer_error(w));
	buf_clear(&key);
	return rc;
}

int dict_build(int directory, const char *type_and_name, enum dict_source_kind kind, char **why)
{
	const char *colon = strchr(type_and_name, ':');
	const char *name = colon == NULL ? "" : colon + 1;
	struct dict_writer *w = NULL;
	struct source s;
	struct stat file;
	char *ignored = NULL;
	int rc = -1;

	if (name[0] == '\0' || name[0] == '{')
		return dict_refuse(why, "%s: write the table as hash:/path/of/source",
		    type_and_name);
	if (source_open(&s, NULL, directory, name, why) == -1)
		return -1;
	if (fstatat(directory, name, &file, 0) == -1)
		dict_refuse(why, "%s: %s", name, strerror(errno));
	else
		w = dict_writer_open(directory, type_and_name, file.st_mode & 0666, why);
	if (w != NULL) {
		rc = put_all(w, &s, kind, why);
		if (rc == 0)
			rc = dict_writer_close(w, true, why);
		else
			dict_writer_close(w, false, &ignored);
	}
	source_close(&s);
	return rc;
}
