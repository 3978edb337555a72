/* SPDX-License-Identifier: ISC */
/*
 * postqueue_main.c - lists the queue, as showq tells it over the socket public/showq, and has deferred mail
 * tried now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_access.h"
#include "admin/queue_list.h"
#include "common/base/io.h"
#include "common/mail/queue_wire.h"

static const char usage[] = "postqueue [-v] [-c config_dir] -p | -j | -f | -i QUEUE_ID | -s SITE\n"
			    "  -p  list the queue as mailq does\n"
			    "  -j  list the queue as JSON, one object for each message\n"
			    "  -f  try all deferred mail now\n"
			    "  -i  try this deferred message now\n"
			    "  -s  try all deferred mail for recipients in this domain now\n"
			    "  -v  accepted\n"
			    "  -c  the directory of main.cf\n";

enum { PATIENCE_SECONDS = 100 };

static struct conf *conf;

/* --- listing --------------------------------------------------------------------------------------- */

/* -1 with errno. */
static int connect_to_showq(void)
{
	int directory = open(conf_text(conf, "queue_directory"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = directory == -1 ? -1 : io_unix_connect(directory, "public/showq");
	int saved = errno;

	if (directory != -1)
		close(directory);
	errno = saved;
	return fd;
}

static _Noreturn void no_showq(int error)
{
	const char *queue = conf_text(conf, "queue_directory");

	if (error == EACCES || error == EPERM)
		command_fail(COMMAND_SOFTWARE,
		    "Connect to the showq service in %s: %s; root and the owner of the instance "
		    "may",
		    queue, strerror(error));
	command_fail(COMMAND_UNAVAILABLE,
	    "Queue report unavailable - mail system is down (Connect to the showq service in %s: "
	    "%s)",
	    queue, strerror(error));
}

static void finish_list(struct queue_list *list)
{
	if (queue_list_finish(list) == -1)
		command_fail(COMMAND_UNAVAILABLE,
		    "Queue report unavailable - showq ended before the list did; see the log");
	queue_list_clear(list);
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
	finish_list(&list);
}

/* Of the store itself, in the same form. */
struct direct_list {
	struct queue_list list;
	struct buf wire;
	bool in_message;
};

static void feed(struct direct_list *d)
{
	queue_list_feed(&d->list, buf_slice(&d->wire));
	buf_reset(&d->wire);
}

static void add_entry(void *arg, const struct msg_list_entry *entry)
{
	struct direct_list *d = arg;

	queue_wire_entry(&d->wire, entry, &d->in_message);
	feed(d);
}

static void list_directly(void *arg)
{
	struct direct_list *d = arg;
	struct queue_access *access = queue_access_open(conf);

	if (!queue_access_is_direct(access))
		command_fail(COMMAND_UNAVAILABLE, "the mail system starts; try again");
	queue_wire_start(&d->wire);
	queue_access_list(access, add_entry, d);
	queue_wire_end(&d->wire, d->in_message);
	feed(d);
	queue_access_close(access);
	finish_list(&d->list);
	buf_clear(&d->wire);
}

static void list_queue(enum queue_list_form form)
{
	int fd = connect_to_showq(), error = errno;
	struct direct_list d = { .list = { .form = form, .out = stdout } };

	if (fd != -1)
		print_list(fd, form);
	else if ((error == ENOENT || error == ECONNREFUSED) && command_is_owner(conf))
		queue_access_run(list_directly, &d);
	else
		no_showq(error);
}

/* --- flushing -------------------------------------------------------------------------------------- */

static struct flush {
	char mode;
	const char *which;
} wanted;

static void flush(void *arg)
{
	struct queue_access *access = queue_access_connect(conf);
	struct slice which = slice_of(wanted.which == NULL ? "" : wanted.which);
	struct msg_queue_order order = { .op = ORDER_FLUSH, .all = wanted.mode == 'f' };
	uint64_t count;

	(void)arg;
	if (access == NULL)
		command_fail(COMMAND_UNAVAILABLE,
		    "Cannot flush mail queue - mail system is down (Connect to the flush service "
		    "in %s: %s)",
		    conf_text(conf, "queue_directory"), strerror(errno));
	if (wanted.mode == 'i')
		order.ids = (struct wire_texts){ &which, 1 };
	if (wanted.mode == 's')
		order.site = which;
	count = queue_access_order(access, &order, NULL);
	if (wanted.mode == 'i' && count == 0)
		log_warning("%s is not in the deferred queue", wanted.which);
	queue_access_close(access);
}

static void flush_queue(void)
{
	if (wanted.mode == 'i' && !command_is_queue_id(slice_of(wanted.which)))
		command_usage("a queue id consists of letters and digits");
	if (wanted.mode == 's' &&
	    (*wanted.which == '\0' || strlen(wanted.which) > ADDRESS_LIMIT ||
		wanted.which[strcspn(wanted.which, "@ \t\r\n")] != '\0'))
		command_usage("a site is a domain, or an address in []");
	queue_access_run(flush, NULL);
}

int main(int argc, char **argv)
{
	const char *config = NULL;
	int option, modes = 0;

	command_start("postqueue", usage, argc, argv);
	while ((option = getopt(argc, argv, "c:fi:jps:v")) != -1) {
		if (option == '?')
			command_usage(NULL);
		if (option == 'c') {
			config = optarg;
		} else if (option != 'v') {
			wanted = (struct flush){ (char)option, optarg };
			modes++;
		}
	}
	if (modes != 1 || optind != argc)
		command_usage(NULL);
	tzset();
	conf = command_conf(command_config_path(config), false);
	if (wanted.mode == 'p' || wanted.mode == 'j') {
		command_authorized(conf, "authorized_mailq_users", "view the mail queue");
		list_queue(wanted.mode == 'j' ? LIST_JSON : LIST_TEXT);
	} else {
		command_authorized(conf, "authorized_flush_users", "flush the mail queue");
		flush_queue();
	}
	conf_free(conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return 0;
}
