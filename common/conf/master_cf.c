/* SPDX-License-Identifier: ISC */
/*
 * master_cf.c - reads master.cf: which services there are, and how each is run.
 */
#include "common/conf/master_cf.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/internal.h"
#include "common/conf/lines.h"

static const char *const type_names[] = {
	[ENTRY_INET] = "inet",
	[ENTRY_UNIX] = "unix",
	[ENTRY_UNIX_DGRAM] = "unix-dgram",
	[ENTRY_FIFO] = "fifo",
	[ENTRY_PASS] = "pass",
};

/* One entry while its line is read. */
struct reading {
	struct reporter *reporter;
	const char *file;
	unsigned line;
	struct slice name; /* of the entry, for messages */
};

#define WRONG(reading, ...)                                                                        \
	complain((reading)->reporter, CONF_ERROR, (reading)->file, (reading)->line, __VA_ARGS__)

/* For "%.*s": what is hostile may be long. */
static int shown(struct slice s)
{
	return (int)(s.len > 60 ? 60 : s.len);
}

const char *entry_type_name(enum entry_type type)
{
	return type_names[type];
}

static struct slice skip_blanks(struct slice s)
{
	while (s.len > 0 && strchr(" \t\r", s.data[0]) != NULL)
		s = slice_part(s, 1, s.len);
	return s;
}

int master_next_word(struct slice *rest, struct slice *word, bool *grouped)
{
	size_t level = 0;

	*rest = skip_blanks(*rest);
	*grouped = rest->len > 0 && rest->data[0] == '{';
	if (!*grouped)
		return text_next_word(rest, " \t\r", word);
	for (size_t i = 0; i < rest->len; i++) {
		if (rest->data[i] == '{')
			level++;
		else if (rest->data[i] == '}' && --level == 0) {
			*word = slice_trim(slice_part(*rest, 1, i - 1));
			*rest = slice_part(*rest, i + 1, rest->len);
			return 1;
		}
	}
	return -1;
}

static bool read_type(struct reading *r, struct slice word, struct master_entry *entry)
{
	for (size_t i = 0; i < ARRAY_LENGTH(type_names); i++) {
		if (slice_equal(word, slice_of(type_names[i]))) {
			entry->type = (enum entry_type)i;
			return true;
		}
	}
	WRONG(r, "%.*s: the type (column 2) is \"%.*s\"; use inet, unix, unix-dgram, fifo or pass",
	    shown(r->name), r->name.data, shown(word), word.data);
	return false;
}

static bool read_flag(struct reading *r, const char *column, struct slice word, bool fallback)
{
	if (slice_equal(word, SLICE("-")))
		return fallback;
	if (!slice_equal(word, SLICE("y")) && !slice_equal(word, SLICE("n")))
		WRONG(r, "%.*s: %s is \"%.*s\"; use y, n or -", shown(r->name), r->name.data,
		    column, shown(word), word.data);
	return slice_equal(word, SLICE("y"));
}

static int64_t read_number(struct reading *r, const char *column, struct slice word,
    int64_t fallback)
{
	uint64_t value = 0;

	if (slice_equal(word, SLICE("-")))
		return fallback;
	if (!text_number(word, INT32_MAX, &value))
		WRONG(r, "%.*s: %s is \"%.*s\"; use a number, 0 or above, or -", shown(r->name),
		    r->name.data, column, shown(word), word.data);
	return (int64_t)value;
}

static void check_port(struct reading *r, struct slice port)
{
	uint64_t number;
	bool digits = true;

	for (size_t i = 0; i < port.len; i++)
		digits = digits && port.data[i] >= '0' && port.data[i] <= '9';
	if (port.len == 0 || slice_find(port, '.') != -1)
		WRONG(r,
		    "%.*s: an inet name needs a port; write host:port, [address]:port or a port",
		    shown(r->name), r->name.data);
	else if (digits && (!text_number(port, 65535, &number) || number == 0))
		WRONG(r, "%.*s: there is no port %.*s; use 1 to 65535", shown(r->name),
		    r->name.data, shown(port), port.data);
}

static void check_inet_name(struct reading *r, struct slice name)
{
	ptrdiff_t colon = slice_find_last(name, ':'), bracket = slice_find_last(name, ']');

	if (name.data[0] == '[') {
		if (bracket == -1)
			WRONG(r, "%.*s: the closing ] is missing; write [address]:port",
			    shown(name), name.data);
		else
			check_port(r,
			    colon == bracket + 1 ? slice_part(name, (size_t)colon + 1, name.len)
						 : slice_of(""));
	} else if (colon == -1) {
		check_port(r, name);
	} else if (colon != slice_find(name, ':')) {
		WRONG(r, "%.*s: an IPv6 address needs brackets; write [address]:port", shown(name),
		    name.data);
	} else {
		check_port(r, slice_part(name, (size_t)colon + 1, name.len));
	}
}

static void check_name(struct reading *r, const struct master_entry *entry)
{
	struct slice name = r->name;

	if (entry->type == ENTRY_INET) {
		check_inet_name(r, name);
		if (entry->is_private)
			WRONG(r, "%.*s: an inet service can't be private; write n in column 3",
			    shown(name), name.data);
	} else if (name.data[0] == '/' || name.data[0] == '.' || slice_find(name, '/') != -1) {
		WRONG(r, "%.*s: the name of this service becomes a file name; use one without /",
		    shown(name), name.data);
	}
}

static void add_word(char ***words, size_t *count, char *word)
{
	*words = mem_resize_array(*words, *count + 1, sizeof(**words));
	(*words)[(*count)++] = word;
}

static void add_override(struct reading *r, struct master_entry *entry, struct slice assignment)
{
	char *name, *value, *why;

	if (!conf_split_assignment(assignment, &name, &value, &why)) {
		WRONG(r, "%.*s: -o %s without blanks, or -o { name = value }", shown(r->name),
		    r->name.data, why);
		free(why);
		return;
	}
	add_word(&entry->overrides, &entry->overrides_count, mem_printf("%s=%s", name, value));
	free(name);
	free(value);
}

/* -o name=value, -oname=value, -o { name = value }. False: there is no more to read. */
static bool read_option(struct reading *r, struct master_entry *entry, struct slice option,
    struct slice *rest)
{
	struct slice value = slice_part(option, 2, option.len);
	bool grouped;
	int found;

	switch (option.data[1]) {
	case 'o':
		found = value.len > 0 ? 1 : master_next_word(rest, &value, &grouped);
		if (found == 1) {
			add_override(r, entry, value);
			return true;
		}
		WRONG(r, "%.*s: %s; write -o name=value or -o { name = value }", shown(r->name),
		    r->name.data,
		    found == 0 ? "-o has no value" : "the closing } of -o is missing");
		return false;
	case 'v':
	case 'D':
		complain(r->reporter, CONF_NOTE, r->file, r->line,
		    "%.*s: -%c has no effect here; remove it", shown(r->name), r->name.data,
		    option.data[1]);
		return true;
	}
	WRONG(r, "%.*s: %.*s is no option of a service; use -o name=value", shown(r->name),
	    r->name.data, shown(option), option.data);
	return false;
}

static void read_command(struct reading *r, struct master_entry *entry, struct slice rest)
{
	struct slice word;
	bool grouped, options = true;
	int found;

	while ((found = master_next_word(&rest, &word, &grouped)) == 1) {
		if (options && !grouped && word.len > 1 && word.data[0] == '-') {
			if (!read_option(r, entry, word, &rest))
				return;
			continue;
		}
		options = false;
		add_word(&entry->args, &entry->args_count, slice_dup(word));
	}
	if (found == -1)
		WRONG(r, "%.*s: the closing } is missing behind \"%.*s\"", shown(r->name),
		    r->name.data, shown(rest), rest.data);
}

enum column { NAME, TYPE, PRIVATE, UNPRIVILEGED, CHROOT, WAKEUP, MAXPROC, COMMAND, COLUMNS };

static void read_entry(struct reading *r, struct slice line, struct master_entry *entry)
{
	struct slice column[COLUMNS], wakeup;
	unsigned count = 0;

	while (count < COLUMNS && text_next_word(&line, " \t\r", &column[count]))
		count++;
	r->name = column[NAME];
	entry->name = slice_dup(r->name);
	if (count < COLUMNS) {
		WRONG(r,
		    "%.*s: there are %u columns; write 8: service type private unprivileged chroot"
		    " wakeup maxproc command",
		    shown(r->name), r->name.data, count);
		return;
	}
	if (!read_type(r, column[TYPE], entry))
		return;
	entry->is_private = read_flag(r, "private (column 3)", column[PRIVATE], true);
	entry->unprivileged = read_flag(r, "unprivileged (column 4)", column[UNPRIVILEGED], true);
	entry->chroot = read_flag(r, "chroot (column 5)", column[CHROOT], false);
	wakeup = column[WAKEUP];
	entry->wakeup_if_used = wakeup.len > 1 && wakeup.data[wakeup.len - 1] == '?';
	wakeup.len -= entry->wakeup_if_used;
	entry->wakeup = read_number(r, "wakeup (column 6, seconds)", wakeup, 0);
	entry->maxproc = read_number(r, "maxproc (column 7)", column[MAXPROC], -1);
	if (slice_equal(column[COMMAND], SLICE("-")) || column[COMMAND].data[0] == '{')
		WRONG(r, "%.*s: the command (column 8) is missing; write a program such as smtpd",
		    shown(r->name), r->name.data);
	entry->command = slice_dup(column[COMMAND]);
	check_name(r, entry);
	read_command(r, entry, line);
}

static void entry_clear(struct master_entry *entry)
{
	for (size_t i = 0; i < entry->args_count; i++)
		free(entry->args[i]);
	for (size_t i = 0; i < entry->overrides_count; i++)
		free(entry->overrides[i]);
	free(entry->args);
	free(entry->overrides);
	free(entry->name);
	free(entry->command);
	free(entry->file);
}

static void add_entry(struct reading *r, struct master_cf *cf, struct master_entry entry)
{
	for (size_t i = 0; i < cf->count; i++) {
		struct master_entry *old = &cf->entries[i];

		if (old->type != entry.type || strcmp(old->name, entry.name) != 0)
			continue;
		complain(r->reporter, CONF_WARNING, r->file, r->line,
		    "%s %s was defined in line %u already; this line wins, remove one of them",
		    entry.name, entry_type_name(entry.type), old->line);
		entry_clear(old);
		*old = entry;
		return;
	}
	cf->entries = mem_resize_array(cf->entries, cf->count + 1, sizeof(entry));
	cf->entries[cf->count++] = entry;
}

static void load_line(struct reporter *reporter, struct master_cf *cf, const char *file,
    const struct conf_lines *lines, struct slice text)
{
	struct reading r = { reporter, file, lines->number, slice_of("") };
	struct master_entry entry = { .file = mem_strdup(file), .line = lines->number };
	unsigned before = reporter->errors;

	if (lines->stray)
		WRONG(&r,
		    "a line that starts with a blank continues the one before it, but there is "
		    "none; remove the blank");
	else if (slice_find(text, '\0') != -1)
		WRONG(&r, "there is a NUL byte in this line; this file must be text");
	else
		read_entry(&r, text, &entry);
	if (reporter->errors == before)
		add_entry(&r, cf, entry);
	else
		entry_clear(&entry);
}

struct master_cf *master_cf_parse(struct slice content, const char *path, struct reporter *reporter)
{
	struct master_cf *cf = mem_alloc(sizeof(*cf));
	struct conf_lines lines = { .rest = content };
	char *file = mem_printf("%s/master.cf", path);
	unsigned before = reporter->errors;
	struct buf line = { 0 };

	while (conf_lines_next(&lines, &line))
		load_line(reporter, cf, file, &lines, buf_slice(&line));
	buf_clear(&line);
	free(file);
	if (reporter->errors > before) {
		master_cf_free(cf);
		return NULL;
	}
	return cf;
}

struct master_cf *master_cf_load(int directory, const char *path, conf_report *report, void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct buf content = { 0 };
	struct master_cf *cf = NULL;

	if (conf_read_file(directory, path, "master.cf", &content, &reporter))
		cf = master_cf_parse(buf_slice(&content), path, &reporter);
	buf_clear(&content);
	return cf;
}

void master_cf_free(struct master_cf *cf)
{
	if (cf == NULL)
		return;
	for (size_t i = 0; i < cf->count; i++)
		entry_clear(&cf->entries[i]);
	free(cf->entries);
	free(cf);
}
