/* SPDX-License-Identifier: ISC */
/*
 * maildrop.c - the files that postdrop left, one after the other, to cleanup. A file goes when its message
 * is on stable storage; its name is its queue id, so that a second try meets the first.
 *
 * Any local user can bring files here: what is not just as postdrop makes it is put aside.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/task/task.h"
#include "postdrop/drop_file.h"
#include "postdrop/intake.h"
#include "postdrop/maildrop.h"
#include "postdrop/pickup.h"

enum { ABANDONED_SECONDS = 86400 };

static int directory = -1;

void maildrop_open(void)
{
	directory = openat(service_queue_directory(), "maildrop",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory == -1)
		log_fatal("maildrop/ of the queue directory: %m; run \"gatepost check\"");
}

/* --- one file ------------------------------------------------------------------------------------- */

static void put_aside(const char *name, uint32_t uid, const char *why)
{
	char aside[QUEUE_ID_SIZE + 8];

	snprintf(aside, sizeof(aside), MAILDROP_ASIDE "%s", name);
	if (renameat(directory, name, directory, aside) == 0)
		log_error("maildrop/%s of user %u: %s; it is kept as maildrop/%s", name, uid, why,
		    aside);
	else
		log_error("maildrop/%s of user %u: %s; it can't be renamed: %m", name, uid, why);
}

/* No user can make such a thing by postdrop: whoever did, will know. */
static void leave(const char *name)
{
	static bool said;

	if (!said)
		log_warning("maildrop/%s is no file that postdrop made: it is left there", name);
	said = true;
}

static void take_away(const char *name)
{
	if (unlinkat(directory, name, 0) == -1)
		log_error("remove maildrop/%s: %m; its message is in the queue", name);
}

static bool hand_over(struct intake *in, const struct stat *st, const char *name,
    const struct wire_table *table, const void *message)
{
	int64_t now = clock_wall_us(), arrival = queue_id_time(slice_of(name));

	if (table == &table_submit)
		intake_begin(in, st->st_uid, name, arrival < 0 || arrival > now ? now : arrival,
		    message);
	else if (table == &table_rcpts)
		intake_rcpts(in, message);
	else if (table == &table_data)
		intake_data(in, ((const struct msg_data *)message)->data);
	return in->relay.reply.code == 0;
}

/* What cleanup said of the message decides about its file. */
static void conclude(const char *name, uint32_t uid, const struct msg_reply *reply)
{
	char why[300];

	if (reply->code < 300 || reply->code == MAILDROP_IS_QUEUED) {
		take_away(name);
		return;
	}
	snprintf(why, sizeof(why), "%u %.*s %.*s", (unsigned)reply->code, (int)reply->enhanced.len,
	    reply->enhanced.data, (int)reply->text.len, reply->text.data);
	if (reply->code >= 500)
		put_aside(name, uid, why);
	else
		log_warning("maildrop/%s of user %u: %s; it is tried again", name, uid, why);
}

static void submit(int fd, const struct stat *st, const char *name)
{
	struct drop_reader reader = { .fd = fd };
	struct intake in = { 0 };
	const struct wire_table *table;
	enum drop_next next;
	const char *why;
	void *message;

	while ((next = drop_read(&reader, &table, &message, &why)) == DROP_MESSAGE &&
	    hand_over(&in, st, name, table, message))
		task_yield_if_long();
	if (next == DROP_END)
		intake_end(&in);
	if (next == DROP_MALFORMED)
		put_aside(name, st->st_uid, why);
	else if (next == DROP_FAILED)
		log_error("read maildrop/%s: %m", name);
	else
		conclude(name, st->st_uid, &in.relay.reply);
	intake_clear(&in);
	drop_reader_clear(&reader);
}

/* One whose maker was killed. */
static void look_at_unfinished(const char *name, const struct stat *st)
{
	if (time(NULL) - st->st_mtime < ABANDONED_SECONDS)
		return;
	log_warning("maildrop/%s of user %u was never finished: removing it", name, st->st_uid);
	take_away(name);
}

/* A predecessor may be at it still: the lock is its. */
static void take_file(const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd == -1) {
		if (errno != ENOENT)
			leave(name);
		return;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) {
		if (!S_ISREG(st.st_mode))
			leave(name);
		else if (st.st_nlink != 1)
			put_aside(name, st.st_uid, "it has another name, too");
		else if ((st.st_mode & 07777) == MAILDROP_READY)
			submit(fd, &st, name);
		else
			look_at_unfinished(name, &st);
	}
	close(fd);
}

/* --- all of them ---------------------------------------------------------------------------------- */

static void look_through(void)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (list == NULL) {
		log_error("list maildrop/: %m");
		if (fd != -1)
			close(fd);
		return;
	}
	while (!service_draining() && (entry = readdir(list)) != NULL) {
		if (queue_id_is_valid(slice_of(entry->d_name)))
			take_file(entry->d_name);
		task_yield_if_long();
	}
	closedir(list);
}

void maildrop_scan(void)
{
	static bool running, again;

	again = true;
	if (running)
		return;
	running = true;
	while (again && !service_draining()) {
		again = false;
		look_through();
	}
	running = false;
}
