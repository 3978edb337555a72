/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue_import.c - gatepost queue import: messages from files into a stopped queue.
 *
 * A file is read twice: first all of it is checked, then it is put in. What is in the queue already is not put in
 * again, also when it had to get another id: that id is made of the message, so that a second run finds it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include "admin/command.h"
#include "admin/gatepost_queue.h"
#include "admin/gatepost_queue_move.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/messages.h"
#include "common/mail/queue_id.h"

enum { PIECE = 64 << 10, OTHER_IDS = 100 };

/* A directory, or one file of it. */
struct source {
	int directory;
	const char *path; /* of the directory */
	char *file;	  /* NULL: all; on the heap */
};

static struct {
	struct conf *conf;
	struct queue_direct *queue;
	bool remove;
	uint64_t imported, present, refused;
} import;

/* --- are they the same ---------------------------------------------------------------------------- */

static bool is_same_list(struct wire_texts a, struct wire_texts b)
{
	for (size_t i = 0; i < a.count && a.count == b.count; i++)
		if (!slice_equal(a.items[i], b.items[i]))
			return false;
	return a.count == b.count;
}

static bool is_same_large(int a, int b, uint64_t b_at, uint64_t size)
{
	static char of_a[PIECE], of_b[PIECE];

	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(a, of_a, sizeof(of_a), (off_t)at);

		if (n <= 0)
			return false;
		if ((uint64_t)n > size - at)
			n = (ssize_t)(size - at);
		if (pread(b, of_b, (size_t)n, (off_t)(b_at + at)) != n ||
		    memcmp(of_a, of_b, (size_t)n) != 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

bool queue_is_same(const struct store_loaded *l, const struct message_file *file, int fd)
{
	const struct store_message *a = &l->message, *b = &file->loaded.message;

	if (a->arrival_us != b->arrival_us || a->large_size != b->large_size ||
	    !slice_equal(a->sender, b->sender) || !is_same_list(a->address, b->address) ||
	    !slice_equal(a->content, b->content))
		return false;
	return a->large_size == 0 ||
	    is_same_large(l->large_fd, fd, file->content_at, a->large_size);
}

/* --- ids ------------------------------------------------------------------------------------------ */

/* The n-th other id of a message: the same whenever it is asked for. */
static void other_id(const struct message_file *file, uint32_t n, char out[QUEUE_ID_SIZE])
{
	const struct store_message *m = &file->loaded.message;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint32_t maker, counter;
	SHA2_CTX all;

	SHA256Init(&all);
	SHA256Update(&all, file->digest, sizeof(file->digest));
	SHA256Update(&all, (const uint8_t *)m->id.data, m->id.len);
	SHA256Final(digest, &all);
	memcpy(&maker, digest, sizeof(maker));
	memcpy(&counter, digest + sizeof(maker), sizeof(counter));
	queue_id_make(out, m->arrival_us, maker, counter % UINT16_MAX + n);
}

enum occupant { NOBODY, THE_SAME, ANOTHER };

static enum occupant occupant_of(const char *id, const struct message_file *file, int fd)
{
	struct store_summary s;
	struct store_loaded *l;
	bool same;

	if (!store_summary(queue_direct_store(import.queue), slice_of(id), &s))
		return NOBODY;
	l = queue_direct_load(import.queue, slice_of(id), true);
	same = l != NULL && queue_is_same(l, file, fd);
	store_loaded_free(l);
	return same ? THE_SAME : ANOTHER;
}

/* An id that is free; or, with *present, the one under which the message is there. False: none. */
static bool find_id(const struct message_file *file, int fd, char id[ID_LIMIT + 1], bool *present)
{
	enum occupant own;
	char other[QUEUE_ID_SIZE];

	snprintf(id, ID_LIMIT + 1, "%.*s", (int)file->loaded.message.id.len,
	    file->loaded.message.id.data);
	own = occupant_of(id, file, fd);
	*present = own == THE_SAME;
	/* Its own may be free again by now, and the message there under another. */
	for (uint32_t n = 0; own != THE_SAME && n < OTHER_IDS; n++) {
		enum occupant who;

		other_id(file, n, other);
		who = occupant_of(other, file, fd);
		if (who == ANOTHER)
			continue;
		*present = who == THE_SAME;
		if (own == ANOTHER || *present)
			snprintf(id, ID_LIMIT + 1, "%s", other);
		return true;
	}
	return own != ANOTHER;
}

/* --- one file ------------------------------------------------------------------------------------- */

static bool copy_content(int from, uint64_t at, uint64_t size, int to)
{
	static char piece[PIECE];

	for (uint64_t done = 0; done < size;) {
		uint64_t left = size - done;
		ssize_t n = pread(from, piece, left < sizeof(piece) ? (size_t)left : sizeof(piece),
		    (off_t)(at + done));

		if (n == 0)
			errno = EIO;
		if (n <= 0 || io_write_all(to, piece, (size_t)n) == -1)
			return false;
		done += (uint64_t)n;
	}
	return true;
}

/* 0 or errno. */
static int put_large(const struct message_file *file, int fd)
{
	const struct store_message *m = &file->loaded.message;
	struct store *store = queue_direct_store(import.queue);
	int to = store_large_create(store, m->id), error = 0;

	if (to == -1)
		return errno;
	if (!copy_content(fd, file->content_at, m->large_size, to))
		error = errno;
	if (close(to) == -1 && error == 0)
		error = errno;
	if (error != 0)
		store_large_discard(store, m->id);
	return error;
}

static bool refuse(const char *path, const char *file, const char *why)
{
	log_error("%s/%s: not imported: %s", path, file, why);
	import.refused++;
	return false;
}

/* True: the message is durable in the queue. */
static bool put(const struct source *source, const char *name, struct message_file *file, int fd)
{
	struct store_message *m = &file->loaded.message;
	struct slice own = m->id;
	char id[ID_LIMIT + 1];
	bool present;
	int error = 0;

	if (!find_id(file, fd, id, &present))
		return refuse(source->path, name,
		    "its id and all others that it may get are taken");
	m->id = slice_of(id);
	if (!present && m->large_size > 0)
		error = put_large(file, fd);
	if (!present && error == 0)
		error = queue_direct_put(import.queue, &file->loaded);
	if (error != 0)
		return refuse(source->path, name, strerror(error));
	import.imported += !present;
	import.present += present;
	printf("%.*s: %s", (int)own.len, own.data, present ? "is there already" : "imported");
	if (!slice_equal(own, m->id))
		printf("%s %s, as its own id is another message's", present ? ", as" : " as", id);
	printf("\n");
	return true;
}

static void remove_file(const struct source *source, const char *name)
{
	if (unlinkat(source->directory, name, 0) == -1)
		log_warning("%s/%s: is imported, but can't be removed: %s", source->path, name,
		    strerror(errno));
}

static void import_file(const struct source *source, const char *name)
{
	int fd = openat(source->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct message_file file;
	struct stat st;
	const char *why;

	if (fd == -1 || fstat(fd, &st) == -1) {
		refuse(source->path, name, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		refuse(source->path, name, "it is no regular file");
	} else {
		if (!message_file_read(fd, &file, &why))
			refuse(source->path, name, why);
		else if (put(source, name, &file, fd) && import.remove)
			remove_file(source, name);
		message_file_clear(&file);
	}
	if (fd != -1)
		close(fd);
}

/* --- sources -------------------------------------------------------------------------------------- */

static int is_message_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix = strlen(MESSAGE_FILE_SUFFIX);

	return entry->d_name[0] != '.' && len > suffix &&
	    strcmp(entry->d_name + len - suffix, MESSAGE_FILE_SUFFIX) == 0;
}

static void import_source(const struct source *source)
{
	struct dirent **list = NULL;
	int count;

	if (source->file != NULL) {
		import_file(source, source->file);
	} else {
		count = scandirat(source->directory, ".", &list, is_message_file, alphasort);
		if (count == -1) {
			refuse(source->path, ".", strerror(errno));
			return;
		}
		for (int i = 0; i < count; i++) {
			import_file(source, list[i]->d_name);
			free(list[i]);
		}
		free(list);
	}
	/* A file that came back would be delivered a second time. */
	if (import.remove && fsync(source->directory) == -1)
		log_warning("%s: flush failed: %s", source->path, strerror(errno));
}

/* Opened with the caller's rights; the files in it are opened and read with queue_owner's. */
static struct source open_source(char *path)
{
	struct source s = { .directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.path = path };
	char *copy;

	if (s.directory == -1 && errno == ENOTDIR) {
		copy = mem_strdup(path);
		s.file = mem_strdup(basename(copy));
		free(copy);
		s.path = dirname(path);
		s.directory = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s.directory == -1)
		command_fail(COMMAND_UNAVAILABLE, "%s: %s", path, strerror(errno));
	return s;
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void tell_total(void)
{
	char *tag = mem_printf("%s/gatepost", conf_text(import.conf, "syslog_name"));
	char *text = mem_printf("Imported: %llu message%s", (unsigned long long)import.imported,
	    import.imported == 1 ? "" : "s");

	log_info("%s; there already: %llu; refused: %llu", text, (unsigned long long)import.present,
	    (unsigned long long)import.refused);
	if (import.imported > 0)
		queue_access_log(NULL, LOG_LEVEL_INFO, tag, slice_of(text));
	free(tag);
	free(text);
}

int queue_import(int argc, char **argv)
{
	static const struct option options[] = { { "remove", no_argument, NULL, 'r' }, { 0 } };
	struct source *sources;
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option != 'r')
			command_usage(NULL);
		import.remove = true;
	}
	if (optind == argc)
		command_usage("a file or a directory to read is missing");
	import.conf = queue_conf();
	queue_needs_stop(import.conf);
	if (!command_is_owner(import.conf))
		command_fail(COMMAND_NOPERM, "root and the owner of the instance may move mail");
	sources = mem_alloc_array((size_t)argc, sizeof(*sources));
	for (int i = optind; i < argc; i++)
		sources[i] = open_source(argv[i]);
	import.queue = queue_direct_open(import.conf);
	if (queue_direct_store(import.queue) == NULL)
		command_fail(COMMAND_UNAVAILABLE,
		    "there is no queue yet: start and stop the mail system once");
	for (int i = optind; i < argc; i++) {
		import_source(&sources[i]);
		free(sources[i].file);
	}
	queue_direct_close(import.queue);
	free(sources);
	tell_total();
	conf_free(import.conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return import.refused == 0 ? 0 : QUEUE_FOUND;
}
