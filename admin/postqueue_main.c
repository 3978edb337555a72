/* SPDX-License-Identifier: ISC */
/*
 * postqueue_main.c - lists the queue, as showq tells it over the socket public/showq.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_list.h"
#include "common/base/io.h"

static const char usage[] = "postqueue [-c config_dir] -p | -j\n"
			    "  -p  list the queue as mailq does\n"
			    "  -j  list the queue as JSON, one object for each message\n"
			    "  -c  the directory of main.cf\n";

enum { PATIENCE_SECONDS = 100 };

static struct conf *conf;

static int connect_to_showq(void)
{
	const char *queue = conf_text(conf, "queue_directory");
	int directory = open(queue, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = directory == -1 ? -1 : io_unix_connect(directory, "public/showq");

	if (fd != -1) {
		close(directory);
		return fd;
	}
	if (errno == EACCES || errno == EPERM)
		command_fail(COMMAND_SOFTWARE,
		    "Connect to the showq service in %s: %s; root and the owner of the instance "
		    "may",
		    queue, strerror(errno));
	command_fail(COMMAND_UNAVAILABLE,
	    "Queue report unavailable - mail system is down (Connect to the showq service in %s: "
	    "%s)",
	    queue, strerror(errno));
}

static void print_list(int fd, enum queue_list_form form)
{
	struct queue_list list = { .form = form, .out = stdout };
	static char piece[16384];
	struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		got = read(fd, piece, sizeof(piece));
		if (got > 0 && queue_list_feed(&list, slice_new(piece, (size_t)got)) == -1)
			command_fail(COMMAND_SOFTWARE, "malformed showq server response");
	} while (got > 0 || (got == -1 && errno == EINTR));
	if (got == -1)
		command_fail(COMMAND_UNAVAILABLE, "Queue report is cut short: %s",
		    errno == EAGAIN ? "showq says nothing more" : strerror(errno));
	if (queue_list_finish(&list) == -1)
		command_fail(COMMAND_UNAVAILABLE,
		    "Queue report unavailable - showq ended before the list did; see the log");
	queue_list_clear(&list);
}

int main(int argc, char **argv)
{
	const char *config = NULL;
	enum queue_list_form form = LIST_TEXT;
	int option, modes = 0;

	command_start("postqueue", usage, argc, argv);
	while ((option = getopt(argc, argv, "c:jp")) != -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'j':
		case 'p':
			form = option == 'j' ? LIST_JSON : LIST_TEXT;
			modes++;
			break;
		default:
			command_usage("postqueue lists the queue (-p, -j); flushing (-f, -i, -s) "
				      "is not part of this version");
		}
	}
	if (modes != 1 || optind != argc)
		command_usage(NULL);
	tzset();
	conf = command_conf(command_config_path(config), false);
	print_list(connect_to_showq(), form);
	conf_free(conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return 0;
}
