/* SPDX-License-Identifier: ISC */
/*
 * postconf_main_cf.c - shows main.cf and changes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/postconf.h"
#include "common/base/mem.h"
#include "common/conf/master_cf.h"
#include "common/conf/parameters.h"
#include "common/log/log.h"

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

static unsigned class_of(const char *name)
{
	size_t len;

	if (parameter_find(name) != NULL || unsupported_find(name) != NULL)
		return CLASS_BUILTIN;
	return parameter_of_all_transports(name, &len) != NULL ? CLASS_SERVICE : CLASS_USER;
}

/* All that there is to show, sorted, each once. */
static void collect_names(const struct postconf *c, struct conf *conf, struct names *names)
{
	size_t count, kept = 0;
	const struct conf_parameter *rows = conf_parameters(&count);

	for (size_t i = 0; i < count && !c->explicit; i++)
		add_name(names, rows[i].name);
	conf_each_explicit(conf, add_explicit, names);
	if (names->count == 0)
		return;
	qsort(names->items, names->count, sizeof(*names->items), compare_names);
	for (size_t i = 0; i < names->count; i++)
		if (kept == 0 || strcmp(names->items[i], names->items[kept - 1]) != 0)
			names->items[kept++] = names->items[i];
	names->count = kept;
}

/* --- showing -------------------------------------------------------------------------------------- */

/* The value as written or the default as the table has it; NULL: there is no such parameter. */
static const char *value_of(const struct postconf *c, struct conf *conf, const char *name)
{
	const char *value = c->expand ? NULL : conf_explicit(conf, name);
	const struct parameter *row = parameter_find(name);

	if (value != NULL)
		return value;
	value = conf_text(conf, name);
	if (!c->expand && value != NULL && row != NULL && row->fallback[0] != '\0')
		return row->fallback;
	return value; /* expanded, or empty, or found out on this system */
}

static void show(const struct postconf *c, struct conf *conf, const char *name)
{
	const char *value = value_of(c, conf, name);
	struct postconf_label label = { name, { "name" }, { name } };

	if (value == NULL) {
		log_warning("%s: unknown parameter", name);
		return;
	}
	if (c->explicit && conf_explicit(conf, name) == NULL)
		return;
	if (c->classes == 0 || (c->classes & class_of(name)) != 0)
		postconf_print(c, &label, value);
}

struct conf *postconf_load(const struct postconf *c)
{
	const char *path = command_config_path(c->config);
	struct conf *conf = c->defaults ? conf_defaults(path) : command_conf(path, !c->quiet);

	for (size_t i = 0; i < c->overrides_count; i++)
		if (!conf_override(conf, c->overrides[i], "-o", 0, command_report, NULL))
			exit(1);
	return conf;
}

/* Names that only an -o of master.cf refers to are used; what is wrong there is not asked for here. */
static void warn(struct conf *conf, const char *path)
{
	struct master_cf *cf = master_cf_load(command_config_directory(), path, NULL, NULL);
	bool loud = true;

	if (cf != NULL)
		master_cf_check(cf, conf, NULL, NULL);
	master_cf_free(cf);
	conf_check(conf, command_report, &loud);
}

void postconf_show_main_cf(const struct postconf *c)
{
	struct conf *conf = postconf_load(c);
	struct names names = { 0 };

	if (c->names_count == 0) {
		collect_names(c, conf, &names);
		for (size_t i = 0; i < names.count; i++)
			show(c, conf, names.items[i]);
		fflush(stdout);
		if (!c->defaults && !c->quiet)
			warn(conf, command_config_path(c->config));
	}
	for (size_t i = 0; i < c->names_count; i++)
		show(c, conf, c->names[i]);
	free(names.items);
	conf_free(conf);
}

/* --- changing ------------------------------------------------------------------------------------- */

static void check_edit(const struct postconf *c, int result)
{
	if (result == -1)
		command_fail(1, "edit %s/main.cf: %s", command_config_path(c->config),
		    errno == EINVAL ? "a name must be one word, a value one line"
				    : strerror(errno));
}

void postconf_edit_main_cf(const struct postconf *c)
{
	char **names = mem_alloc_array(c->names_count, sizeof(*names));
	char **values = mem_alloc_array(c->names_count, sizeof(*values));

	for (size_t i = 0; i < c->names_count; i++)
		if (!postconf_split(c->names[i], &names[i], &values[i]))
			command_fail(1, "missing '=' after attribute name: \"%s\"", c->names[i]);
	command_open_directory(command_config_path(c->config));
	check_edit(c,
	    conf_edit(command_config_directory(), (const char *const *)names,
		(const char *const *)values, c->names_count));
	for (size_t i = 0; i < c->names_count; i++) {
		free(names[i]);
		free(values[i]);
	}
	free(names);
	free(values);
}

void postconf_drop_main_cf(const struct postconf *c)
{
	command_open_directory(command_config_path(c->config));
	check_edit(c,
	    conf_drop(command_config_directory(), (const char *const *)c->names, c->names_count,
		c->action == '#'));
}
