/* SPDX-License-Identifier: ISC */
/*
 * table_build.c - text becomes a table: a new file beside the old one, put in its place when whole.
 *
 * For root a source that belongs to somebody else is built as that user, so that the table belongs to
 * who may change the source anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/table_command.h"
#include "admin/table_entries.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

enum { SOURCE_LIMIT = 1024 * 1024 * 1024, DEFAULT_MODE = 0644 };

struct source_file {
	struct buf text;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

static bool read_source(const struct table_job *job, const char *name, struct source_file *file)
{
	/* Asked of the descriptor: the name may stand for another file by now. */
	int fd = job->incremental ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool ok = fd != -1 && fstat(fd, &st) == 0 &&
	    io_read_all(fd, SOURCE_LIMIT, &file->text) == 0;

	if (!ok)
		log_error("open %s: %s", job->incremental ? "standard input" : name,
		    strerror(errno));
	if (fd > STDERR_FILENO)
		close(fd);
	if (!ok)
		return false;
	file->mode = job->default_mode || job->incremental ? DEFAULT_MODE : st.st_mode & 0666;
	file->uid = job->incremental ? geteuid() : st.st_uid;
	file->gid = job->incremental ? getegid() : st.st_gid;
	return true;
}

/* --- identity ------------------------------------------------------------------------------------- */

static bool become_owner(const struct table_job *job, const struct source_file *file)
{
	if (geteuid() != 0 || job->as_root || file->uid == 0)
		return true;
	if (setgroups(1, &file->gid) == -1 || setegid(file->gid) == -1 ||
	    seteuid(file->uid) == -1) {
		log_error("can't act as uid %u: %s", (unsigned)file->uid, strerror(errno));
		return false;
	}
	return true;
}

static void become_self_again(void)
{
	gid_t own = getgid();

	if (geteuid() == getuid())
		return;
	if (seteuid(getuid()) == -1 || setegid(own) == -1 || setgroups(1, &own) == -1)
		log_fatal("can't become root again: %s", strerror(errno));
}

/* --- entries -------------------------------------------------------------------------------------- */

static void keep_entry(void *arg, struct slice key, struct slice value)
{
	table_entries_put(arg, key, value, true);
}

static void add_source(const struct table_job *job, const char *name, struct slice text,
    struct table_entries *entries)
{
	struct table_source source = {
		.name = job->incremental ? "standard input" : name,
		.syntax = job->syntax,
		.keep_case = job->keep_case,
		.lines = { .rest = text },
	};
	struct slice key, value;

	while (table_source_next(&source, &key, &value))
		if (!table_entries_put(entries, key, value,
			job->duplicates == DUPLICATES_REPLACE) &&
		    job->duplicates == DUPLICATES_WARN)
			log_warning("%s, line %u: duplicate entry: \"%.*s\"; the first one counts",
			    source.name, source.lines.number, (int)key.len, key.data);
	table_source_clear(&source);
	if (job->syntax == TABLE_ALIASES && !job->incremental)
		table_entries_put(entries, SLICE("@"), SLICE("@"),
		    false); /* sendmail's mark: whole */
}

struct writing {
	struct dict_writer *writer;
	size_t count;
	bool failed;
};

static void write_entry(void *arg, struct slice key, struct slice value)
{
	struct writing *w = arg;

	if (!w->failed && dict_writer_put(w->writer, key, value) == -1)
		w->failed = true;
	w->count++;
}

bool table_write(const char *type_and_name, mode_t mode, struct table_entries *entries,
    bool verbose)
{
	struct writing w = { 0 };
	char *why = NULL;

	w.writer = dict_writer_open(AT_FDCWD, type_and_name, mode, &why);
	if (w.writer == NULL) {
		log_error("%s", why);
		free(why);
		return false;
	}
	table_entries_each(entries, write_entry, &w);
	if (w.failed)
		log_error("%s: %s", type_and_name, dict_writer_error(w.writer));
	if (dict_writer_close(w.writer, !w.failed, &why) == -1) {
		log_error("%s", why);
		w.failed = true;
	}
	free(why);
	if (verbose && !w.failed)
		log_info("%s: %zu entries", type_and_name, w.count);
	return !w.failed;
}

bool table_is_file(const char *type_and_name)
{
	if (strncmp(type_and_name, "hash:", 5) == 0 || strncmp(type_and_name, "btree:", 6) == 0)
		return true;
	log_error("%s: unsupported map type for this operation; only hash: and btree: tables are "
		  "made",
	    type_and_name);
	return false;
}

bool table_build(const struct table_job *job, const char *type_and_name)
{
	const char *name = strchr(type_and_name, ':') + 1;
	struct source_file file = { 0 };
	struct table_entries *entries = NULL;
	bool ok = read_source(job, name, &file) && become_owner(job, &file);
	int lock = -1;

	if (ok) {
		entries = table_entries_new();
		lock = table_file_lock(type_and_name);
		if (job->incremental)
			ok = table_file_each(type_and_name, keep_entry, entries) == 0 ||
			    errno == ENOENT;
		add_source(job, name, buf_slice(&file.text), entries);
	}
	ok = ok && table_write(type_and_name, file.mode, entries, job->verbose);
	if (lock != -1)
		close(lock);
	become_self_again();
	table_entries_free(entries);
	buf_clear(&file.text);
	return ok;
}
