/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue_verify.c - gatepost queue verify: is everything there that the queue promised?
 *
 * It reads all and changes nothing: an opening of the queue repairs, this says what there is to repair.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/gatepost_queue.h"
#include "admin/queue_history.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { PIECE = 64 << 10, MEBIBYTE = 1 << 20, SET_ASIDE_LIMIT = 64 << 20, NAME_SIZE = 320 };

static struct {
	struct inspect in;
	struct history history;
	bool shows_progress;
	unsigned percent;
	uint64_t large_files, large_bytes, faults;
} verify;

/* --- progress ------------------------------------------------------------------------------------- */

static void show_progress(const char *what, uint64_t done, uint64_t total)
{
	unsigned percent = total == 0 ? 100 : (unsigned)(done * 100 / total);

	if (!verify.shows_progress || percent == verify.percent)
		return;
	verify.percent = percent;
	fprintf(stderr, "\r%s: %3u%% ", what, percent);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	show_progress("log", done, total);
}

static void end_progress(void)
{
	if (verify.shows_progress)
		fprintf(stderr, "\r%20s\r", "");
	verify.percent = 0;
}

/* --- records -------------------------------------------------------------------------------------- */

static void on_record(void *arg, const struct inspect_record *r)
{
	const char *why = history_take(&verify.history, r);
	const struct slice *id = r->record;
	struct inspect_fault *f;

	(void)arg;
	if (why == NULL)
		return;
	f = inspect_add_fault(&verify.in, r->file, "%s", why);
	f->segment = r->segment;
	f->offset = r->offset;
	f->len = r->len;
	f->advice = "look at it with gatepost queue dump --records ID";
	/* The id comes first in each record that a message has. */
	snprintf(f->id, sizeof(f->id), "%.*s", (int)id->len, id->data);
	text_neuter(f->id, strlen(f->id));
}
_Static_assert(offsetof(struct record_message, put.id) == 0 &&
	offsetof(struct record_status, id) == 0 && offsetof(struct record_note, id) == 0,
    "a record of a message begins with its id");

/* --- large content -------------------------------------------------------------------------------- */

static void large_fault(const struct history_message *m, uint64_t at, uint64_t len,
    const char *what)
{
	char name[NAME_SIZE];
	struct inspect_fault *f;

	snprintf(name, sizeof(name), "large/%s", m->id);
	f = inspect_add_fault(&verify.in, name, "%s", what);
	snprintf(f->id, sizeof(f->id), "%s", m->id);
	f->offset = at;
	f->len = len;
	f->advice =
	    "the next start holds the message; put the file back from a backup, or delete it";
}

static void read_large(const struct history_message *m, int fd)
{
	static char piece[PIECE];
	uint64_t at = 0;
	ssize_t got;

	while ((got = pread(fd, piece, sizeof(piece), (off_t)at)) > 0) {
		at += (uint64_t)got;
		show_progress("large", at, m->size);
	}
	if (got == -1)
		large_fault(m, at, m->size - at, strerror(errno));
	else if (at < m->size)
		large_fault(m, at, m->size - at, "the content is cut short");
	else if (at > m->size)
		large_fault(m, m->size, at - m->size,
		    "the content is longer than its message says");
	verify.large_bytes += at;
}

static void check_large(const struct history_message *m)
{
	char name[NAME_SIZE];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "large/%s", m->id);
	fd = openat(verify.in.directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	verify.large_files++;
	if (fd == -1)
		large_fault(m, 0, m->size,
		    errno == ENOENT ? "the content is missing" : strerror(errno));
	else if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		large_fault(m, 0, m->size, "the content is no regular file");
	else
		read_large(m, fd);
	if (fd != -1)
		close(fd);
}

static void check_name(const char *name)
{
	struct history_message *m = history_find(&verify.history, slice_of(name));
	char path[NAME_SIZE];
	struct inspect_fault *f;
	struct stat st = { 0 };

	if (m != NULL && m->large && m->fate == FATE_QUEUED)
		return;
	snprintf(path, sizeof(path), "large/%s", name);
	fstatat(verify.in.directory, path, &st, AT_SYMLINK_NOFOLLOW);
	f = inspect_add_fault(&verify.in, path,
	    strncmp(name, "damaged-", strlen("damaged-")) == 0
		? "content without a message, that an opening kept"
		: "content without a message in the queue");
	f->len = (uint64_t)st.st_size;
	f->harmless = true;
	f->advice = strncmp(name, "damaged-", strlen("damaged-")) == 0
	    ? "look whether it is still wanted, then remove it"
	    : "the next start removes it, or keeps it as damaged-... when the log is damaged";
}

static void check_large_files(void)
{
	int fd = openat(verify.in.directory, "large",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	struct history_message *m;
	struct dirent *entry;

	RB_FOREACH(m, history_tree, &verify.history.messages)
		if (m->large && m->fate == FATE_QUEUED)
			check_large(m);
	if (directory == NULL) {
		inspect_add_fault(&verify.in, "large", "can't be listed: %s", strerror(errno));
		return;
	}
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			check_name(entry->d_name);
	closedir(directory);
}

/* --- the table ------------------------------------------------------------------------------------ */

static void show_files(void)
{
	static const char *const names[] = { [INSPECT_USED] = "segments in use",
		[INSPECT_FREE] = "segments to be used again",
		[INSPECT_BLANK] = "segments never used",
		[INSPECT_SET_ASIDE] = "damage set aside earlier" };
	uint64_t records = 0, valid = 0;

	for (size_t kind = 0; kind < ARRAY_LENGTH(names); kind++) {
		uint64_t count = 0, bytes = 0;

		for (size_t i = 0; i < verify.in.file_count; i++) {
			const struct inspect_file *f = &verify.in.files[i];

			if ((size_t)f->kind != kind)
				continue;
			count++;
			bytes += f->size;
			records += f->records;
			valid += f->records > 0 ? f->end : 0;
		}
		printf("%-28s %10" PRIu64 " %12.1f MiB\n", names[kind], count,
		    (double)bytes / MEBIBYTE);
	}
	printf("%-28s %10" PRIu64 " %12.1f MiB\n", "records", records, (double)valid / MEBIBYTE);
	printf("%-28s %10" PRIu64 " %12.1f MiB\n", "large files", verify.large_files,
	    (double)verify.large_bytes / MEBIBYTE);
}

/* Every recipient is in one state, and none is in none: counted twice, by message and by state. */
static void show_messages(void)
{
	uint64_t fates[FATE_REMOVED + 1] = { 0 }, held = 0, states[STATE_COUNT] = { 0 }, sum = 0,
				      rcpts = 0;
	struct history_message *m;

	RB_FOREACH(m, history_tree, &verify.history.messages) {
		fates[m->fate]++;
		held += m->fate == FATE_QUEUED && m->held;
		rcpts += m->rcpt_count;
		history_count(m, states);
	}
	printf("%-28s %10" PRIu64 " (%" PRIu64 " on hold)\n", "messages in the queue",
	    fates[FATE_QUEUED], held);
	printf("%-28s %10" PRIu64 "\n", "messages done", fates[FATE_DONE]);
	printf("%-28s %10" PRIu64 "\n", "messages removed", fates[FATE_REMOVED]);
	printf("%-28s %10" PRIu64 "\n", "recipients", rcpts);
	for (size_t i = 0; i < STATE_COUNT; i++) {
		printf("  %-26s %10" PRIu64 "\n", history_state_name(i), states[i]);
		sum += states[i];
	}
	if (sum != rcpts)
		inspect_add_fault(&verify.in, "log",
		    "%" PRIu64 " recipients have %" PRIu64 " states", rcpts, sum);
}

/* --- faults --------------------------------------------------------------------------------------- */

static void show_fault(const struct inspect_fault *f)
{
	char *file = mem_strdup(f->file);

	text_neuter(file, strlen(file));
	printf("%s: %s: at %" PRIu64 ", %" PRIu64 " bytes: ", f->harmless ? "note" : "damage", file,
	    f->offset, f->len);
	if (f->id[0] != '\0')
		printf("message %s: ", f->id);
	printf("%s%s%s\n", f->what, f->advice == NULL ? "" : "; ",
	    f->advice == NULL ? "" : f->advice);
	free(file);
}

static void show_salvage(const struct record_message *m)
{
	char *sender = slice_dup(m->put.sender), *id = slice_dup(m->put.id);

	text_neuter(sender, m->put.sender.len);
	text_neuter(id, m->put.id.len);
	printf("message %s from <%s>, %zu recipient%s, %" PRIu64
	       " bytes of content%s: its form is whole, but its checksum was wrong\n",
	    id, sender, m->put.address.count, m->put.address.count == 1 ? "" : "s",
	    m->put.large_size > 0 ? m->put.large_size : m->put.content.len,
	    m->put.large_size > 0 ? " in large/" : "");
	free(sender);
	free(id);
}

static void show_set_aside(const struct inspect_file *f)
{
	struct arena *arena = arena_new();
	struct record_message m;
	struct buf bytes = { 0 };
	char *name = mem_strdup(f->name);

	text_neuter(name, strlen(name));
	printf("note: %s: %" PRIu64 " bytes, set aside by an opening: ", name, f->size);
	if (io_read_file(verify.in.directory, f->name, SET_ASIDE_LIMIT, &bytes) == -1)
		printf("can't be read: %s\n", strerror(errno));
	else if (inspect_salvage(buf_slice(&bytes), &m, arena))
		show_salvage(&m);
	else
		printf("no whole message is in it\n");
	free(name);
	buf_clear(&bytes);
	arena_free(arena);
}

static void show_all(const char *name)
{
	printf("queue %s\n", name);
	show_files();
	show_messages();
	for (size_t i = 0; i < verify.in.file_count; i++)
		if (verify.in.files[i].kind == INSPECT_SET_ASIDE)
			show_set_aside(&verify.in.files[i]);
	for (size_t i = 0; i < verify.in.fault_count; i++) {
		show_fault(&verify.in.faults[i]);
		verify.faults += !verify.in.faults[i].harmless;
	}
	if (verify.faults == 0)
		printf("no damage\n");
	else
		printf("%" PRIu64 " fault%s\n", verify.faults, verify.faults == 1 ? "" : "s");
}

int queue_verify(int argc, char **argv)
{
	static const struct option options[] = { { 0 } };
	char *name;

	if (getopt_long(argc, argv, "+", options, NULL) != -1 || argc - optind > 1)
		command_usage(NULL);
	verify.in.directory = queue_open_to_read(argv[optind], &name);
	verify.in.record = on_record;
	verify.in.progress = on_progress;
	verify.shows_progress = isatty(STDERR_FILENO);
	if (inspect_log(&verify.in) == -1)
		command_fail(COMMAND_UNAVAILABLE, "%s/log: %s", name, strerror(errno));
	history_settle(&verify.history, verify.in.oldest);
	check_large_files();
	end_progress();
	show_all(name);
	free(name);
	history_clear(&verify.history);
	inspect_clear(&verify.in);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return verify.faults == 0 ? 0 : QUEUE_FOUND;
}
