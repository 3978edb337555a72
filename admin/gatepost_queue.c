/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue.c - gatepost queue: an administrator's work on a queue that nobody has open.
 *
 * What lies in a queue, and in a file that holds a message, was written by strangers: root opens directories
 * by the names that he gave, and becomes queue_owner before the first byte is read.
 */
#include "admin/gatepost_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/gatepost.h"
#include "common/base/mem.h"
#include "common/service/layout.h"

static const char usage[] =
    "gatepost [-c config_dir] queue WORD ...\n"
    "  export [--remove] FILE|DIR [ID...]\n"
    "      write messages to files that hold all of them (without ID: every message);\n"
    "      --remove takes them from the queue when their files are durable\n"
    "  import [--remove] FILE|DIR...\n"
    "      read such files into the queue; --remove removes a file when its message is durable\n"
    "The mail system has to be stopped. Exit status: 0; 1 when a message or\n"
    "file was left where it is; 64 and up as in sysexits.h.\n";

static const char *config_path;

struct conf *queue_conf(void)
{
	return command_conf(config_path, false);
}

void queue_needs_stop(struct conf *conf)
{
	int queue = layout_open_queue(conf), pid = queue == -1 ? 0 : layout_master_pid(queue);

	if (pid > 0)
		command_fail(COMMAND_TEMPORARY,
		    "the mail system runs (its master is process %d); \"gatepost stop\" first",
		    pid);
	if (queue != -1)
		close(queue);
}

void queue_check_ids(char **ids)
{
	for (; *ids != NULL; ids++)
		if (!command_is_queue_id(slice_of(*ids)))
			command_usage("a queue id consists of letters and digits");
}

int gatepost_queue(const char *config, int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(int argc, char **argv);
	} words[] = {
		{ "export", queue_export },
		{ "import", queue_import },
	};

	command_start("gatepost queue", usage, argc, argv);
	config_path = config;
	for (size_t i = 0; argc > 1 && i < ARRAY_LENGTH(words); i++)
		if (strcmp(argv[1], words[i].word) == 0) {
			optind = 0; /* getopt_long begins anew */
			return words[i].run(argc - 1, argv + 1);
		}
	command_usage(argc > 1 ? "no such word" : NULL);
}
