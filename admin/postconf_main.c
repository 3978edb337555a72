/* SPDX-License-Identifier: ISC */
/*
 * postconf_main.c - shows and changes main.cf.
 *
 * Other programs read what it prints: "name = value", and "name =" for an empty value.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

static const char usage[] = "postconf [-dhHnx] [-c config_dir] [-o name=value] [name...]\n"
			    "       postconf [-e] [-c config_dir] name=value...\n"
			    "       postconf -m\n"
			    "  -d  show defaults instead of what main.cf says\n"
			    "  -n  show only what main.cf sets\n"
			    "  -x  expand $names in values\n"
			    "  -h  show values without names\n"
			    "  -H  show names without values\n"
			    "  -o  show what this setting would do\n"
			    "  -e  change main.cf\n"
			    "  -m  list the types of lookup tables\n"
			    "  -c  the directory of main.cf\n";

enum { OVERRIDES_MOST = 64 };

struct command {
	const char *config;
	bool defaults, explicit, expand, only_values, only_names, edit, types;
	const char *overrides[OVERRIDES_MOST];
	size_t overrides_count;
	struct conf *conf;
};

/* --- names ---------------------------------------------------------------------------------------- */

struct names {
	const char **items;
	size_t count;
};

static void add_name(struct names *names, const char *name)
{
	names->items = mem_resize_array(names->items, names->count + 1, sizeof(*names->items));
	names->items[names->count++] = name;
}

static void add_explicit(void *arg, const char *name, const char *value)
{
	(void)value;
	add_name(arg, name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All that there is to show, sorted, each once. */
static void collect_names(const struct command *c, struct names *names)
{
	size_t count, kept = 0;
	const struct conf_parameter *rows = conf_parameters(&count);

	for (size_t i = 0; i < count && !c->explicit; i++)
		add_name(names, rows[i].name);
	conf_each_explicit(c->conf, add_explicit, names);
	if (names->count == 0)
		return;
	qsort(names->items, names->count, sizeof(*names->items), compare_names);
	for (size_t i = 0; i < names->count; i++)
		if (i == 0 || strcmp(names->items[i], names->items[kept - 1]) != 0)
			names->items[kept++] = names->items[i];
	names->count = kept;
}

/* --- showing -------------------------------------------------------------------------------------- */

/* The value as written or the default as the table has it; NULL: there is no such parameter. */
static const char *value_of(const struct command *c, const char *name)
{
	const char *value = c->expand ? NULL : conf_explicit(c->conf, name);
	size_t count;
	const struct conf_parameter *rows;

	if (value != NULL)
		return value;
	value = conf_text(c->conf, name);
	if (c->expand || value == NULL)
		return value;
	rows = conf_parameters(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].name, name) == 0 && rows[i].fallback[0] != '\0')
			return rows[i].fallback;
	return value; /* empty, or found out on this system */
}

/* On one line, as Postfix shows it: a run of blanks is one. */
static void show_value(const char *value)
{
	struct slice rest = slice_of(value), word;
	bool first = true;

	for (; text_next_word(&rest, " \t\r\n", &word); first = false)
		printf("%s%.*s", first ? "" : " ", (int)word.len, word.data);
	putchar('\n');
}

static void show(const struct command *c, const char *name)
{
	const char *value = value_of(c, name);

	if (value == NULL) {
		log_warning("%s: unknown parameter", name);
		return;
	}
	if (c->explicit && conf_explicit(c->conf, name) == NULL)
		return;
	if (c->only_names) {
		puts(name);
		return;
	}
	if (!c->only_values)
		printf("%s =%s", name, *value == '\0' ? "" : " ");
	show_value(value);
}

static void load(struct command *c)
{
	const char *path = command_config_path(c->config);

	c->conf = c->defaults ? conf_defaults(path) : command_conf(path, true);
	for (size_t i = 0; i < c->overrides_count; i++)
		if (!conf_override(c->conf, c->overrides[i], "-o", 0, command_report, NULL))
			exit(1);
}

static void show_all(struct command *c, char **wanted)
{
	bool loud = true;
	struct names names = { 0 };

	load(c);
	if (*wanted == NULL) {
		collect_names(c, &names);
		for (size_t i = 0; i < names.count; i++)
			show(c, names.items[i]);
		fflush(stdout);
		if (!c->defaults)
			conf_check(c->conf, command_report, &loud);
	}
	for (; *wanted != NULL; wanted++)
		show(c, *wanted);
	free(names.items);
	conf_free(c->conf);
}

static void show_types(void)
{
	struct names names = { 0 };

	for (const char *const *type = dict_types(); *type != NULL; type++)
		add_name(&names, *type);
	qsort(names.items, names.count, sizeof(*names.items), compare_names);
	for (size_t i = 0; i < names.count; i++)
		puts(names.items[i]);
	free(names.items);
}

/* --- changing ------------------------------------------------------------------------------------- */

static void edit(const struct command *c, char **assignments, size_t count)
{
	const char **names = mem_alloc_array(count, sizeof(*names));
	const char **values = mem_alloc_array(count, sizeof(*values));
	const char *path = command_config_path(c->config);

	for (size_t i = 0; i < count; i++) {
		struct slice text = slice_of(assignments[i]);
		ptrdiff_t equal = slice_find(text, '=');

		if (equal == -1)
			command_fail(1, "missing '=' after attribute name: \"%s\"", assignments[i]);
		names[i] = slice_dup(slice_trim(slice_part(text, 0, (size_t)equal)));
		values[i] = slice_dup(slice_trim(slice_part(text, (size_t)equal + 1, text.len)));
	}
	conf_free(command_conf(path, false));
	if (conf_edit(command_config_directory(), names, values, count) == -1)
		command_fail(1, "edit %s/main.cf: %s", path,
		    errno == EINVAL ? "a name must be one word, a value one line"
				    : strerror(errno));
	for (size_t i = 0; i < count; i++) {
		free((char *)(uintptr_t)names[i]);
		free((char *)(uintptr_t)values[i]);
	}
	free(names);
	free(values);
}

/* --- the command line ----------------------------------------------------------------------------- */

static void parse_options(struct command *c, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:dehHmno:x")) != -1) {
		switch (option) {
		case 'c':
			c->config = optarg;
			break;
		case 'd':
			c->defaults = true;
			break;
		case 'e':
			c->edit = true;
			break;
		case 'h':
			c->only_values = true;
			break;
		case 'H':
			c->only_names = true;
			break;
		case 'm':
			c->types = true;
			break;
		case 'n':
			c->explicit = true;
			break;
		case 'o':
			if (c->overrides_count == OVERRIDES_MOST)
				command_usage("too many -o");
			c->overrides[c->overrides_count++] = optarg;
			break;
		case 'x':
			c->expand = true;
			break;
		default:
			command_usage("master.cf (-M, -F, -P) and Postfix's other options are not "
				      "part of this version");
		}
	}
	if (c->defaults && (c->explicit || c->edit))
		command_usage("-d goes with neither -n nor -e");
	if (c->only_names && c->only_values)
		command_usage("either -h or -H");
}

int main(int argc, char **argv)
{
	struct command c = { 0 };

	command_start("postconf", usage, argc, argv);
	parse_options(&c, argc, argv);
	if (c.types)
		show_types();
	else if (c.edit && optind == argc)
		command_usage("-e needs name=value");
	else if (c.edit || (optind < argc && strchr(argv[optind], '=') != NULL))
		edit(&c, argv + optind, (size_t)(argc - optind));
	else
		show_all(&c, argv + optind);
	if (fflush(stdout) != 0)
		command_fail(1, "write error: %s", strerror(errno));
	return 0;
}
