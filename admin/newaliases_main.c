/* SPDX-License-Identifier: ISC */
/*
 * newaliases_main.c - makes every table of alias_database anew.
 */
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/table_command.h"
#include "common/base/mem.h"

static const char usage[] = "newaliases [-v] [-c config_dir]\n"
			    "  -v  say how many entries were written\n"
			    "  -c  the directory of main.cf\n";

static bool build_one(const struct table_job *job, struct conf *conf, struct slice item)
{
	char *table = slice_find(item, ':') != -1
	    ? slice_dup(item)
	    : mem_printf("%s:%.*s", conf_text(conf, "default_database_type"), (int)item.len,
		  item.data);
	bool ok = table_is_file(table) && table_build(job, table);

	free(table);
	return ok;
}

int main(int argc, char **argv)
{
	struct table_job job = { .syntax = TABLE_ALIASES };
	const char *config = NULL;
	struct conf *conf;
	struct slice rest, item;
	bool ok = true;
	int option;

	command_start("newaliases", usage, argc, argv);
	while ((option = getopt(argc, argv, "c:v")) != -1) {
		if (option == 'c')
			config = optarg;
		else if (option == 'v')
			job.verbose = true;
		else
			command_usage(NULL);
	}
	if (optind != argc)
		command_usage(NULL);
	conf = command_conf(command_config_path(config), false);
	rest = slice_of(conf_text(conf, "alias_database"));
	while (conf_next_item(&rest, &item))
		ok = build_one(&job, conf, item) && ok;
	conf_free(conf);
	return ok ? 0 : 1;
}
