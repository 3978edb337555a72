/* SPDX-License-Identifier: ISC */
/*
 * check_tables.c - whether the files that main.cf names are there: tables, and the words of notices. A service that can't
 * open one of its tables answers nothing at all, so an administrator should hear of it before.
 */
#include "common/conf/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/template.h"

/* The types of tables that are files, and what their names lack. */
static const struct {
	const char *type, *suffix;
} file_types[] = {
	{ "btree:", ".db" },
	{ "cidr:", "" },
	{ "hash:", ".db" },
	{ "pcre:", "" },
	{ "regexp:", "" },
	{ "texthash:", "" },
};

static void check_file(const struct conf *conf, struct reporter *reporter, const char *name,
    struct slice table, const char *suffix, const char *file, unsigned line)
{
	struct slice source = slice_part(table, (size_t)slice_find(table, ':') + 1, table.len);
	bool is_built = *suffix != '\0', is_absolute = source.len > 0 && source.data[0] == '/';
	char *path = mem_printf("%s%s%.*s%s", is_absolute ? "" : conf->path, is_absolute ? "" : "/",
	    (int)source.len, source.data, suffix);

	if (source.len > 0 && source.data[0] != '{' && access(path, F_OK) == -1)
		complain(reporter, CONF_WARNING, file, line, "%s: %s: %s; %s%.*s", name, path,
		    strerror(errno),
		    !is_built				  ? "create it, or take it out of "
			: strcmp(name, "alias_maps") == 0 ? "make it with postalias "
							  : "make it with postmap ",
		    is_built ? (int)table.len : (int)strlen(name), is_built ? table.data : name);
	free(path);
}

void check_tables(const struct conf *conf, struct reporter *reporter, const char *name,
    const char *value, const char *file, unsigned line)
{
	struct slice rest = slice_of(value), item;

	if (strcmp(name, "alias_database") == 0)
		return; /* what newaliases is to make */
	while (text_next_item(&rest, &item)) {
		while (item.len > 0 && item.data[0] == '!')
			item = slice_part(item, 1, item.len);
		if (slice_starts_nocase(item, SLICE("proxy:")))
			item = slice_part(item, strlen("proxy:"), item.len);
		for (size_t i = 0; i < ARRAY_LENGTH(file_types); i++)
			if (slice_starts_nocase(item, slice_of(file_types[i].type)))
				check_file(conf, reporter, name, item, file_types[i].suffix, file,
				    line);
	}
}

void check_templates(struct conf *conf, struct reporter *reporter)
{
	const char *file = conf_text(conf, "bounce_template_file");
	char *path = *file == '/' || *file == '\0' ? mem_strdup(file)
						   : mem_printf("%s/%s", conf->path, file);
	struct templates read;

	template_read(conf, AT_FDCWD, path, true, reporter->report, reporter->arg, &read);
	template_clear(&read);
	free(path);
}
