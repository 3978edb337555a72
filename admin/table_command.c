/* SPDX-License-Identifier: ISC */
/*
 * table_command.c - the command lines of postmap and postalias: build, ask, list, delete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/table_command.h"
#include "admin/table_entries.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

static const char options_text[] =
    " [-finoprsvw] [-N] [-c config_dir] [-d key] [-q key] [file_type:]file_name...\n"
    "  -q key  print the value of the key; with \"-\", of each line of standard input\n"
    "  -s      print all entries of hash: and btree: tables\n"
    "  -d key  delete the entry; with \"-\", the keys are lines of standard input\n"
    "  -i      add entries from standard input to the table\n"
    "  -r, -w  a key that is there already: replace it, or skip it, without a warning\n"
    "  -f      keep upper case in keys (they are folded to lower case otherwise)\n"
    "  -o      as root, build tables of other users' files as root\n"
    "  -p      a new table gets mode 0644, whatever the source has\n"
    "  -N      store keys and values with a NUL behind them, which is always done\n"
    "  -n      refused: a table without them\n"
    "  -v      say how many entries were written\n"
    "  -c      the directory of main.cf\n";

struct command {
	struct table_job job;
	const char *config, *query, *delete;
	bool list;
};

/* --- asking --------------------------------------------------------------------------------------- */

static struct dict *open_table(const struct command *c, const char *table)
{
	char *why;
	struct dict *dict = dict_open(AT_FDCWD, table, c->job.keep_case ? 0 : DICT_FOLD_KEY, &why);

	if (dict == NULL)
		command_fail(1, "%s", why);
	return dict;
}

/* As Postfix: postmap parts key and value by a TAB, postalias as an alias file does. */
static const char *separator(const struct command *c)
{
	return c->job.syntax == TABLE_ALIASES ? ":\t" : "\t";
}

static bool ask(const struct command *c, struct dict *dict, struct slice key, bool show_key)
{
	struct buf value = { 0 };
	int found = dict_lookup(dict, key, &value);

	if (found == -1)
		command_fail(1, "%s: %s", dict_name(dict), dict_error(dict));
	if (found == 1 && show_key)
		printf("%.*s%s%s\n", (int)key.len, key.data, separator(c), buf_text(&value));
	else if (found == 1)
		printf("%s\n", buf_text(&value));
	buf_clear(&value);
	return found == 1;
}

/* Each line of standard input without its end. False at the end. */
static bool next_input(char **line, size_t *size, struct slice *key)
{
	ssize_t len = getline(line, size, stdin);

	if (len == -1)
		return false;
	if (len > 0 && (*line)[len - 1] == '\n')
		len--;
	*key = slice_new(*line, (size_t)len);
	return true;
}

static bool ask_lines(const struct command *c, struct dict **dicts, size_t count)
{
	char *line = NULL;
	size_t size = 0;
	struct slice key;
	bool any = false;

	while (next_input(&line, &size, &key)) {
		bool found = false;

		for (size_t i = 0; i < count && !found; i++)
			found = ask(c, dicts[i], key, true);
		any = any || found;
	}
	free(line);
	return any;
}

static bool run_query(const struct command *c, char **tables, size_t count)
{
	struct dict **dicts = mem_alloc_array(count, sizeof(*dicts));
	bool found = false;

	for (size_t i = 0; i < count; i++)
		dicts[i] = open_table(c, tables[i]);
	if (strcmp(c->query, "-") == 0)
		found = ask_lines(c, dicts, count);
	else
		for (size_t i = 0; i < count && !found; i++)
			found = ask(c, dicts[i], slice_of(c->query), false);
	for (size_t i = 0; i < count; i++)
		dict_close(dicts[i]);
	free(dicts);
	return found;
}

/* --- listing and deleting ------------------------------------------------------------------------- */

static void print_entry(void *arg, struct slice key, struct slice value)
{
	printf("%.*s%s%.*s\n", (int)key.len, key.data, separator(arg), (int)value.len, value.data);
}

static bool list_table(const struct command *c, const char *table)
{
	if (table_file_each(table, print_entry, (void *)(uintptr_t)c) == -1)
		command_fail(1, "open %s.db: %s", strchr(table, ':') + 1, strerror(errno));
	return true;
}

static void keep_entry(void *arg, struct slice key, struct slice value)
{
	table_entries_put(arg, key, value, true);
}

static bool remove_key(const struct command *c, struct table_entries *entries, struct slice key)
{
	char *folded = slice_dup(key);
	bool removed;

	if (!c->job.keep_case)
		text_lower(folded, key.len);
	removed = table_entries_remove(entries, slice_new(folded, key.len));
	free(folded);
	return removed;
}

static bool remove_keys(const struct command *c, struct table_entries *entries)
{
	char *line = NULL;
	size_t size = 0;
	struct slice key;
	bool any = false;

	if (strcmp(c->delete, "-") != 0)
		return remove_key(c, entries, slice_of(c->delete));
	while (next_input(&line, &size, &key))
		any = remove_key(c, entries, key) || any;
	free(line);
	return any;
}

static bool delete_from(const struct command *c, const char *table)
{
	struct table_entries *entries = table_entries_new();
	int lock;
	bool any;

	lock = table_file_lock(table);
	if (lock == -1 || table_file_each(table, keep_entry, entries) == -1)
		command_fail(1, "open %s.db: %s", strchr(table, ':') + 1, strerror(errno));
	any = remove_keys(c, entries);
	if (any && !table_write(table, 0644, entries, c->job.verbose))
		exit(1);
	close(lock);
	table_entries_free(entries);
	return any;
}

/* --- the command line ----------------------------------------------------------------------------- */

static void parse_options(struct command *c, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:d:finNopq:rsvw")) != -1) {
		switch (option) {
		case 'c':
			c->config = optarg;
			break;
		case 'd':
			c->delete = optarg;
			break;
		case 'f':
			c->job.keep_case = true;
			break;
		case 'i':
			c->job.incremental = true;
			break;
		case 'n':
			command_usage("tables without a NUL behind keys (-n) are not made; lookups "
				      "read both kinds");
		case 'N':
			break;
		case 'o':
			c->job.as_root = true;
			break;
		case 'p':
			c->job.default_mode = true;
			break;
		case 'q':
			c->query = optarg;
			break;
		case 'r':
			c->job.duplicates = DUPLICATES_REPLACE;
			break;
		case 's':
			c->list = true;
			break;
		case 'v':
			c->job.verbose = true;
			break;
		case 'w':
			c->job.duplicates = DUPLICATES_IGNORE;
			break;
		default:
			command_usage(NULL);
		}
	}
	if ((c->query != NULL) + (c->delete != NULL) + c->list + c->job.incremental > 1)
		command_usage("only one of -d, -i, -q and -s");
	if (optind == argc)
		command_usage("which table?");
}

/* "name" means default_database_type:name, for which main.cf is read. */
static char *table_name(const struct command *c, const char *argument)
{
	struct conf *conf;
	char *name;

	if (strchr(argument, ':') != NULL)
		return mem_strdup(argument);
	conf = command_conf(command_config_path(c->config), false);
	name = mem_printf("%s:%s", conf_text(conf, "default_database_type"), argument);
	conf_free(conf);
	return name;
}

static bool run_each(const struct command *c, char **tables, size_t count)
{
	bool ok = c->delete == NULL;

	for (size_t i = 0; i < count; i++) {
		if (!table_is_file(tables[i]))
			return false;
		if (c->delete != NULL)
			ok = delete_from(c, tables[i]) || ok;
		else if (c->list)
			ok = list_table(c, tables[i]) && ok;
		else
			ok = table_build(&c->job, tables[i]) && ok;
	}
	return ok;
}

int table_command(const char *name, enum table_syntax syntax, int argc, char **argv)
{
	struct command c = { .job = { .syntax = syntax } };
	char *usage = mem_printf("%s%s", name, options_text);
	char **tables;
	size_t count;
	bool ok;

	command_start(name, usage, argc, argv);
	parse_options(&c, argc, argv);
	count = (size_t)(argc - optind);
	tables = mem_alloc_array(count, sizeof(*tables));
	for (size_t i = 0; i < count; i++)
		tables[i] = table_name(&c, argv[optind + (int)i]);
	ok = c.query != NULL ? run_query(&c, tables, count) : run_each(&c, tables, count);
	for (size_t i = 0; i < count; i++)
		free(tables[i]);
	free(tables);
	free(usage);
	if (fflush(stdout) != 0)
		command_fail(1, "write error: %s", strerror(errno));
	return ok ? 0 : 1;
}
