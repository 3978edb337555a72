/* SPDX-License-Identifier: ISC */
/*
 * postconf_master_cf.c - shows rows of master.cf, their columns and their -o values, and changes them.
 *
 * What to show or change is named service/type/name; "*" stands for any, and so does what is left out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/json.h"
#include "admin/postconf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"

static char any[] = "*";

struct requests {
	struct master_request *items;
	char **texts; /* that items point into */
	size_t count;
};

static const char *parts_wanted(const struct postconf *c)
{
	switch (c->object) {
	case 'M':
		return "service_name[/type]";
	case 'F':
		return "service_name[/type[/field]]";
	default:
		return "service_name[/type[/parameter]]";
	}
}

/* Cuts text at its slashes. */
static void parse_request(const struct postconf *c, char *text, struct master_request *request)
{
	size_t most = c->object == 'M' ? 2 : 3, count = 0;
	char *parts[3] = { any, any, any };

	for (char *rest = text; rest != NULL;) {
		char *part = rest, *slash = strchr(part, '/');

		if (count == most)
			command_fail(1, "-%c option requires %s", c->object, parts_wanted(c));
		rest = slash == NULL ? NULL : slash + 1;
		if (slash != NULL)
			*slash = '\0';
		if (*part == '\0')
			command_fail(1, "-%c option requires %s", c->object, parts_wanted(c));
		parts[count++] = part;
	}
	if (c->action != 0 && count < most)
		command_fail(1, "-%c%c requires %s", c->object, c->action,
		    c->object == 'M'	   ? "service_name/type"
			: c->object == 'F' ? "service_name/type/field"
					   : "service_name/type/parameter");
	request->service = parts[0];
	request->type = parts[1];
	request->name = parts[2];
	if (c->object == 'F' && strcmp(parts[2], any) != 0 &&
	    master_field_of(slice_of(parts[2])) == -1)
		command_fail(1, "invalid service attribute name: \"%s\"", parts[2]);
}

static struct requests read_requests(const struct postconf *c)
{
	struct requests r = { .count = c->names_count };

	r.items = mem_alloc_array(r.count + 1, sizeof(*r.items));
	r.texts = mem_alloc_array(r.count + 1, 2 * sizeof(*r.texts));
	for (size_t i = 0; i < r.count; i++) {
		char **text = &r.texts[2 * i];

		if (c->action != 'e')
			text[0] = mem_strdup(c->names[i]);
		else if (!postconf_split(c->names[i], &text[0], &text[1]))
			command_fail(1, "missing '=' after attribute name: \"%s\"", c->names[i]);
		parse_request(c, text[0], &r.items[i]);
		r.items[i].value = text[1];
	}
	return r;
}

static void free_requests(struct requests *r)
{
	for (size_t i = 0; i < 2 * r->count; i++)
		free(r->texts[i]);
	free(r->texts);
	free(r->items);
}

static void warn_of_unmatched(const struct postconf *c, const struct requests *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].matched == 0)
			log_warning("unmatched request: \"%s\"", c->names[i]);
}

/* --- showing -------------------------------------------------------------------------------------- */

/* Puts the expanded values in the place of those of -o. They may refer to each other. */
static void expand_row(const struct postconf *c, struct master_row *row)
{
	struct conf *conf = postconf_load(c);

	for (size_t i = 0; i < row->arguments_count; i++) {
		const struct master_argument *argument = &row->arguments[i];
		char *assignment;

		if (argument->name == NULL)
			continue;
		assignment = mem_printf("%s=%s", argument->name, argument->value);
		conf_override(conf, assignment, "master.cf", row->line, command_report, NULL);
		free(assignment);
	}
	for (size_t i = 0; i < row->arguments_count; i++) {
		struct master_argument *argument = &row->arguments[i];
		char *why = NULL, *value;

		if (argument->name == NULL)
			continue;
		value = conf_expand(conf, argument->value, &why);
		if (value == NULL)
			command_fail(1, "master.cf, line %u: %s: %s", row->line, argument->name,
			    why);
		free(argument->value);
		argument->value = value;
	}
	conf_free(conf);
}

static void show_row(const struct postconf *c, const struct master_row *row)
{
	struct buf text = { 0 };

	if (!c->json) {
		master_row_put(row, c->fold, &text);
		puts(buf_text(&text));
	} else {
		for (int i = 0; i < MASTER_COMMAND; i++)
			json_member(stdout, i == 0 ? "{" : ", ",
			    master_field_name((enum master_field)i), slice_of(row->fields[i]));
		master_row_put_command(row, false, 0, &text);
		json_member(stdout, ", ", master_field_name(MASTER_COMMAND), buf_slice(&text));
		puts("}");
	}
	buf_clear(&text);
}

static void show_part(const struct postconf *c, const struct master_row *row, const char *kind,
    const char *name, const char *value)
{
	const char *service = row->fields[MASTER_SERVICE], *type = row->fields[MASTER_TYPE];
	char *text = mem_printf("%s/%s/%s", service, type, name);
	struct postconf_label label = { text, { "service", "type", kind },
		{ service, type, name } };

	if (c->object == 'F')
		postconf_print_text(c, &label, value);
	else
		postconf_print(c, &label, value);
	free(text);
}

static bool is_wanted(const struct master_request *request, const char *name)
{
	return strcmp(request->name, any) == 0 || strcmp(request->name, name) == 0;
}

/* Of "service/type/command = ". */
static size_t label_width(const struct postconf *c, const struct master_row *row)
{
	if (c->only_values)
		return 0;
	return strlen(row->fields[MASTER_SERVICE]) + strlen(row->fields[MASTER_TYPE]) +
	    strlen("//command = ");
}

static void show_fields(const struct postconf *c, const struct master_row *row,
    struct master_request *request)
{
	for (int i = 0; i < MASTER_FIELDS; i++) {
		const char *name = master_field_name((enum master_field)i);
		struct buf command = { 0 };

		if (!is_wanted(request, name))
			continue;
		request->matched++;
		if (i == MASTER_COMMAND)
			master_row_put_command(row, c->fold, label_width(c, row), &command);
		show_part(c, row, "field", name,
		    i == MASTER_COMMAND ? buf_text(&command) : row->fields[i]);
		buf_clear(&command);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void show_overrides(const struct postconf *c, const struct master_row *row,
    struct master_request *request)
{
	const char **names = mem_alloc_array(row->arguments_count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < row->arguments_count; i++)
		if (row->arguments[i].name != NULL && is_wanted(request, row->arguments[i].name))
			names[count++] = row->arguments[i].name;
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		request->matched++;
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			show_part(c, row, "name", names[i], master_row_override(row, names[i]));
	}
	free(names);
}

static void show_request(const struct postconf *c, const struct master_text *text,
    struct master_request *request)
{
	for (size_t i = 0; i < text->count; i++) {
		const struct master_row *row = &text->rows[i];

		if (!master_request_matches(request, row))
			continue;
		if (c->object == 'F') {
			show_fields(c, row, request);
		} else if (c->object == 'P') {
			show_overrides(c, row, request);
		} else {
			request->matched++;
			show_row(c, row);
		}
	}
}

void postconf_show_master_cf(const struct postconf *c)
{
	const char *path = command_config_path(c->config);
	struct requests r = read_requests(c);
	struct master_request all = { any, any, any, NULL, 0 };
	struct master_text *text;
	bool loud = !c->quiet;

	command_open_directory(path);
	text = master_text_load(command_config_directory(), path, command_report, &loud);
	if (text == NULL)
		command_fail(1, "%s/master.cf can't be used", path);
	for (size_t i = 0; i < text->count && c->expand; i++)
		expand_row(c, &text->rows[i]);
	if (r.count == 0)
		show_request(c, text, &all);
	for (size_t i = 0; i < r.count; i++)
		show_request(c, text, &r.items[i]);
	fflush(stdout);
	if (!c->quiet)
		warn_of_unmatched(c, &r);
	master_text_free(text);
	free_requests(&r);
}

/* --- changing ------------------------------------------------------------------------------------- */

static const struct {
	char object, action;
	enum master_change change;
} changes[] = {
	{ 'M', 'e', MASTER_SET_ROW },
	{ 'M', 'X', MASTER_REMOVE_ROW },
	{ 'M', '#', MASTER_COMMENT_OUT },
	{ 'F', 'e', MASTER_SET_FIELD },
	{ 'P', 'e', MASTER_SET_OVERRIDE },
	{ 'P', 'X', MASTER_REMOVE_OVERRIDE },
};

static void check_request(const struct postconf *c, const struct master_request *request)
{
	if (c->object == 'P' && request->name[strcspn(request->name, " \t={}*")] != '\0')
		command_fail(1, "-P%c: \"%s\" is not one parameter", c->action, request->name);
	if (request->value == NULL)
		return;
	if (request->value[strcspn(request->value, "\r\n")] != '\0')
		command_fail(1, "a value must be one line");
	if (c->object != 'F' || strcmp(request->name, "command") == 0)
		return;
	if (request->value[0] == '\0' || request->value[strcspn(request->value, " \t")] != '\0')
		command_fail(1, "-Fe: \"%s\": the value of %s is one word", request->value,
		    request->name);
}

void postconf_change_master_cf(const struct postconf *c)
{
	const char *path = command_config_path(c->config);
	struct requests r = read_requests(c);

	for (size_t i = 0; i < r.count; i++)
		check_request(c, &r.items[i]);
	command_open_directory(path);
	for (size_t i = 0; i < ARRAY_LENGTH(changes); i++)
		if (changes[i].object == c->object && changes[i].action == c->action &&
		    !master_text_edit(command_config_directory(), path, changes[i].change, r.items,
			r.count, command_report, NULL))
			command_fail(1, "%s/master.cf was not changed", path);
	if (c->action != 'e' || c->object != 'M')
		warn_of_unmatched(c, &r);
	free_requests(&r);
}
