/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue_export.c - gatepost queue export: messages of a stopped queue to files.
 *
 * A file gets its name when it is durable, and a message leaves the queue when the name is durable too.
 * So at any moment it is in one place at least, and to run the command again completes what was interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/gatepost_queue.h"
#include "admin/gatepost_queue_move.h"
#include "common/base/mem.h"
#include "common/ipc/messages.h"

enum { BATCH = 100, NAME_SIZE = ID_LIMIT + 32 };

static struct {
	struct conf *conf;
	struct queue_direct *queue;
	int directory;
	const char *directory_name;
	const char *file; /* the one file; NULL: each gets the name of its id */
	bool remove;
	/* Written, but the directory was not flushed yet. */
	char ids[BATCH][ID_LIMIT + 1];
	size_t id_count;
	uint64_t exported, failed;
} export;

/* --- where to ------------------------------------------------------------------------------------- */

static _Noreturn void no_target(const char *path)
{
	command_fail(COMMAND_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

/* For queue_owner, who will write there. */
static void make_directory(const char *path)
{
	const struct passwd *pw = getpwnam(conf_text(export.conf, "queue_owner"));
	struct stat st;

	if (mkdir(path, 0700) == -1)
		no_target(path);
	export.directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (export.directory == -1 || fstat(export.directory, &st) == -1)
		no_target(path);
	if (geteuid() == 0 && pw != NULL && st.st_uid == 0 && (st.st_mode & 07777) == 0700 &&
	    fchown(export.directory, pw->pw_uid, pw->pw_gid) == -1)
		no_target(path);
}

/* Opened with the caller's rights; written with queue_owner's. */
static void open_target(const char *path, size_t id_count)
{
	char *copy = mem_strdup(path);

	export.directory_name = path;
	export.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (export.directory != -1) {
		free(copy);
		return;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		no_target(path);
	if (id_count != 1 && errno == ENOENT) {
		make_directory(path);
		free(copy);
		return;
	}
	if (id_count != 1)
		command_usage("more than one message goes to a directory, not to a file");
	export.file = mem_strdup(basename(copy));
	free(copy);
	copy = mem_strdup(path);
	export.directory_name = mem_strdup(dirname(copy));
	export.directory = open(export.directory_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (export.directory == -1)
		no_target(export.directory_name);
	free(copy);
}

/* --- one message ---------------------------------------------------------------------------------- */

static bool cant(const char *id, const char *why)
{
	log_error("%s: not exported: %s", id, why);
	export.failed++;
	return false;
}

/* Nothing is written over but an earlier copy of the same message. */
static bool is_free(const char *name, const struct store_loaded *l)
{
	int fd = openat(export.directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct message_file file;
	const char *why;
	bool ok;

	if (fd == -1)
		return errno == ENOENT;
	ok = message_file_read(fd, &file, &why) &&
	    slice_equal(file.loaded.message.id, l->message.id) && queue_is_same(l, &file, fd);
	message_file_clear(&file);
	close(fd);
	return ok;
}

static bool is_written(const char *name, const struct store_loaded *l, const char **why)
{
	int fd = openat(export.directory, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *out = fd == -1 ? NULL : fdopen(fd, "w");
	bool ok;

	if (out == NULL) {
		*why = strerror(errno);
		return false;
	}
	ok = message_file_write(out, l, why);
	if (ok && (fflush(out) != 0 || fsync(fd) == -1)) {
		*why = strerror(errno);
		ok = false;
	}
	if (fclose(out) != 0 && ok) {
		*why = strerror(errno);
		ok = false;
	}
	return ok;
}

static bool export_loaded(const char *id, const struct store_loaded *l)
{
	char name[NAME_SIZE], temporary[NAME_SIZE + 8];
	const char *final = export.file, *why;
	char *all;

	snprintf(name, sizeof(name), "%s" MESSAGE_FILE_SUFFIX, id);
	snprintf(temporary, sizeof(temporary), ".%s.new", id);
	if (final == NULL)
		final = name;
	if (!is_free(final, l)) {
		all = mem_printf("%s/%s is there, and is no file of this message",
		    export.directory_name, final);
		cant(id, all);
		free(all);
		return false;
	}
	if (is_written(temporary, l, &why) &&
	    renameat(export.directory, temporary, export.directory, final) == 0)
		return true;
	if (why == NULL)
		why = strerror(errno); /* of the rename */
	all = mem_printf("%s/%s: %s; who writes is queue_owner, %s", export.directory_name, final,
	    why, conf_text(export.conf, "queue_owner"));
	unlinkat(export.directory, temporary, 0);
	cant(id, all);
	free(all);
	return false;
}

/* What was written is durable from here on, and may leave the queue. */
static void finish_batch(void)
{
	if (export.id_count == 0)
		return;
	if (fsync(export.directory) == -1)
		command_fail(COMMAND_TEMPORARY, "%s: flush failed: %s; nothing more was removed",
		    export.directory_name, strerror(errno));
	for (size_t i = 0; i < export.id_count && export.remove; i++)
		queue_direct_delete(export.queue, slice_of(export.ids[i]));
	queue_direct_settle(export.queue);
	for (size_t i = 0; i < export.id_count; i++)
		printf("%s: exported%s\n", export.ids[i], export.remove ? " and removed" : "");
	export.exported += export.id_count;
	export.id_count = 0;
}

static void export_one(const char *id)
{
	struct store_loaded *l;

	if (export.id_count == BATCH)
		finish_batch();
	errno = ENOENT;
	l = queue_direct_store(export.queue) == NULL
	    ? NULL
	    : queue_direct_load(export.queue, slice_of(id), true);
	if (l == NULL) {
		cant(id, errno == ENOENT ? "no such message" : strerror(errno));
		return;
	}
	if (export_loaded(id, l))
		snprintf(export.ids[export.id_count++], sizeof(export.ids[0]), "%s", id);
	store_loaded_free(l);
}

static void export_all(void)
{
	struct store *store = queue_direct_store(export.queue);
	char id[ID_LIMIT + 1] = "";
	struct store_summary s;

	while (store != NULL && store_next(store, slice_of(id), &s)) {
		snprintf(id, sizeof(id), "%s", s.id);
		export_one(id);
	}
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void tell_total(void)
{
	char *tag = mem_printf("%s/gatepost", conf_text(export.conf, "syslog_name"));
	char *text = mem_printf("Exported%s: %llu message%s", export.remove ? " and removed" : "",
	    (unsigned long long)export.exported, export.exported == 1 ? "" : "s");

	log_info("%s", text);
	if (export.exported > 0)
		queue_access_log(NULL, LOG_LEVEL_INFO, tag, slice_of(text));
	free(tag);
	free(text);
}

int queue_export(int argc, char **argv)
{
	static const struct option options[] = { { "remove", no_argument, NULL, 'r' }, { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option != 'r')
			command_usage(NULL);
		export.remove = true;
	}
	if (optind == argc)
		command_usage("a file or a directory to write to is missing");
	queue_check_ids(argv + optind + 1);
	export.conf = queue_conf();
	queue_needs_stop(export.conf);
	if (!command_is_owner(export.conf))
		command_fail(COMMAND_NOPERM, "root and the owner of the instance may move mail");
	open_target(argv[optind], (size_t)(argc - optind - 1));
	export.queue = queue_direct_open(export.conf);
	for (int i = optind + 1; i < argc; i++)
		export_one(argv[i]);
	if (optind + 1 == argc)
		export_all();
	finish_batch();
	queue_direct_close(export.queue);
	tell_total();
	conf_free(export.conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return export.failed == 0 ? 0 : QUEUE_FOUND;
}
