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
    "  verify [DIR]\n"
    "      read every byte of the queue, or of a copy of one below DIR, and say what is wrong\n"
    "  dump [--records] [--json | -j] [--content] [--from DIR] [ID...]\n"
    "      show what the log tells of messages, also of those that are done; with --records each\n"
    "      record, with --content what a message holds, too\n"
    "  export [--remove] FILE|DIR [ID...]\n"
    "      write messages to files that hold all of them (without ID: every message);\n"
    "      --remove takes them from the queue when their files are durable\n"
    "  import [--remove] FILE|DIR...\n"
    "      read such files into the queue; --remove removes a file when its message is durable\n"
    "The mail system has to be stopped. Exit status: 0; 1 when damage was found, or a message or\n"
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

/* A copy may lie where nothing can be written: to look for a lock is enough there. */
static void refuse_open_queue(int queue, bool is_copy)
{
	int fd = openat(queue, "log/lock", (is_copy ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int rc;

	if (fd == -1 && errno == ENOENT)
		return;
	if (fd == -1)
		command_fail(COMMAND_SOFTWARE, "log/lock of the queue: %s", strerror(errno));
	rc = fcntl(fd, is_copy ? F_OFD_GETLK : F_OFD_SETLK, &lock);
	if (rc == -1 || (is_copy && lock.l_type != F_UNLCK))
		command_fail(COMMAND_TEMPORARY,
		    "the queue is in use: a queue manager or a command has it open; \"gatepost "
		    "stop\" first, or name a copy of it");
}

int queue_open_to_read(const char *path, char **name)
{
	struct conf *conf = path != NULL && geteuid() != 0 ? NULL : queue_conf();
	int queue;

	if (path == NULL) {
		queue_needs_stop(conf);
		if (!command_is_owner(conf))
			command_fail(COMMAND_NOPERM,
			    "root and the owner of the instance may read its queue");
	}
	*name = mem_strdup(path == NULL ? conf_text(conf, "queue_directory") : path);
	queue = open(*name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue == -1)
		command_fail(COMMAND_UNAVAILABLE, "%s: %s", *name, strerror(errno));
	if (conf != NULL)
		queue_direct_become_owner(conf);
	conf_free(conf);
	refuse_open_queue(queue, path != NULL);
	return queue;
}

int gatepost_queue(const char *config, int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(int argc, char **argv);
	} words[] = {
		{ "verify", queue_verify },
		{ "dump", queue_dump },
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
