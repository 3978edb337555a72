/* SPDX-License-Identifier: ISC */
/*
 * queue_source.c - one list from two places, in the same form.
 */
#include "admin/queue_source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_progress.h"
#include "common/base/io.h"
#include "common/mail/queue_wire.h"

enum { PATIENCE_SECONDS = 100 };

static void stop_if_interrupted(void)
{
	if (!queue_interrupted())
		return;
	log_warning("interrupted while the queue was read; nothing was done");
	queue_interrupts_obey();
}

/* --- showq ---------------------------------------------------------------------------------------- */

/* -1 with errno. */
static int connect_to_showq(struct conf *conf)
{
	int directory = open(conf_text(conf, "queue_directory"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = directory == -1 ? -1 : io_unix_connect(directory, "public/showq");
	int saved = errno;

	if (directory != -1)
		close(directory);
	errno = saved;
	return fd;
}

static _Noreturn void no_showq(struct conf *conf, int error)
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

static void read_showq(int fd, struct queue_list *list)
{
	static char piece[65536];
	struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		got = read(fd, piece, sizeof(piece));
		if (got > 0 && queue_list_feed(list, slice_new(piece, (size_t)got)) == -1)
			command_fail(COMMAND_SOFTWARE, "malformed showq server response");
		stop_if_interrupted();
	} while (got > 0 || (got == -1 && errno == EINTR));
	if (got == -1)
		command_fail(COMMAND_UNAVAILABLE, "Queue report is cut short: %s",
		    errno == EAGAIN ? "showq says nothing more" : strerror(errno));
	close(fd);
}

/* --- the store ------------------------------------------------------------------------------------ */

struct direct_list {
	struct queue_list *list;
	struct buf wire;
	bool in_message;
};

static void feed(struct direct_list *d)
{
	queue_list_feed(d->list, buf_slice(&d->wire));
	buf_reset(&d->wire);
	stop_if_interrupted();
}

static void add_entry(void *arg, const struct msg_list_entry *entry)
{
	struct direct_list *d = arg;

	queue_wire_entry(&d->wire, entry, &d->in_message);
	feed(d);
}

static void read_store(struct queue_access *access, struct queue_list *list)
{
	struct direct_list d = { .list = list };

	queue_wire_start(&d.wire);
	queue_access_list(access, add_entry, &d);
	queue_wire_end(&d.wire, d.in_message);
	feed(&d);
	buf_clear(&d.wire);
}

/* --- both ----------------------------------------------------------------------------------------- */

void queue_source_list(struct conf *conf, struct queue_access **access, const struct queue_sink *to)
{
	struct queue_list list = { .to = to };
	bool is_direct = *access != NULL && queue_access_is_direct(*access);
	int fd = is_direct ? -1 : connect_to_showq(conf), error = errno;

	if (fd != -1) {
		read_showq(fd, &list);
	} else {
		if (!is_direct &&
		    ((error != ENOENT && error != ECONNREFUSED) || !command_is_owner(conf)))
			no_showq(conf, error);
		if (*access == NULL)
			*access = queue_access_open(conf);
		if (!queue_access_is_direct(*access))
			command_fail(COMMAND_UNAVAILABLE, "the mail system starts; try again");
		read_store(*access, &list);
	}
	if (queue_list_finish(&list) == -1)
		command_fail(COMMAND_UNAVAILABLE,
		    "Queue report unavailable - showq ended before the list did; see the log");
	queue_list_clear(&list);
}
