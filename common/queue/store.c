/* SPDX-License-Identifier: ISC */
/*
 * store.c - opening, closing, and the questions that need no disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { RESERVE_SEGMENTS = 2, SEGMENT_SIZE_MIN = 8 * BLOCK };

void store_report(struct store *s, const char *format, ...)
{
	char text[512];
	struct report *r;
	va_list args;

	if (s->options.report == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r = mem_alloc(sizeof(*r));
	r->text = mem_strdup(text);
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->reports, r, link);
	pthread_mutex_unlock(&s->lock);
	if (pthread_equal(pthread_self(), s->caller))
		store_tell_reports(s);
	else
		work_wake(s);
}

void store_tell_reports(struct store *s)
{
	struct report_list reports = STAILQ_HEAD_INITIALIZER(reports);
	struct report *r;

	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&reports, &s->reports);
	pthread_mutex_unlock(&s->lock);
	while ((r = STAILQ_FIRST(&reports)) != NULL) {
		STAILQ_REMOVE_HEAD(&reports, link);
		s->options.report(s->options.arg, r->text);
		free(r->text);
		free(r);
	}
}

/* --- opening ---------------------------------------------------------------------------------- */

/* The folder, made when it is missing; -1 with errno. */
static int open_folder(struct store *s, const char *name)
{
	int fd = s->io->open(s->io->arg, s->options.directory, name, O_RDONLY | O_DIRECTORY, 0);

	/* Whoever installed the queue made it; a service's sandbox lets nobody make a folder. */
	if (fd != -1 || errno != ENOENT)
		return fd;
	if (s->io->mkdir(s->io->arg, s->options.directory, name, 0700) == -1 ||
	    s->io->sync_directory(s->io->arg, s->options.directory) == -1)
		return -1;
	return s->io->open(s->io->arg, s->options.directory, name, O_RDONLY | O_DIRECTORY, 0);
}

static bool is_disk_local(struct store *s, char **why)
{
	const char *network = s->io->network(s->io->arg, s->options.directory);

	if (network == NULL)
		return true;
	if (!s->options.allow_network) {
		*why = mem_printf("it lies on a network file system (%s), where mail can get lost "
				  "after it was accepted; use a local disk, or set "
				  "queue_allow_network_filesystem = yes",
		    network);
		return false;
	}
	store_report(s,
	    "the queue lies on a network file system (%s): what is accepted may get lost", network);
	return true;
}

static bool take_ownership(struct store *s, char **why)
{
	s->log_dir = open_folder(s, "log");
	s->large_dir = s->log_dir == -1 ? -1 : open_folder(s, "large");
	if (s->large_dir == -1) {
		*why = mem_printf("the queue's folders can't be opened: %s", strerror(errno));
		return false;
	}
	s->lock_fd = s->io->open(s->io->arg, s->options.directory, "log/lock", O_RDWR | O_CREAT,
	    0600);
	if (s->lock_fd != -1 && s->io->lock(s->io->arg, s->lock_fd) == 0)
		return true;
	*why = errno == EBUSY ? mem_strdup("another process owns the queue (EBUSY)")
			      : mem_printf("the queue can't be locked: %s", strerror(errno));
	return false;
}

static void close_fd(struct store *s, int fd)
{
	if (fd != -1)
		s->io->close(s->io->arg, fd);
}

static void free_segments(struct store *s, struct segment **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		segment_free(s, list[i]);
	free(list);
}

static void free_store(struct store *s)
{
	struct entry *e, *next;
	struct append *a;

	/* First: the log thread tries what is owed again and again. */
	work_stop(s);
	store_tell_reports(s);
	while ((a = STAILQ_FIRST(&s->owed)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->owed, link);
		append_free(a);
	}
	RB_FOREACH_SAFE(e, entry_tree, &s->index, next)
		entry_remove(s, e);
	work_clear(s);
	free_segments(s, s->used, s->used_count);
	free_segments(s, s->spare, s->spare_count);
	free_segments(s, s->broken, s->broken_count);
	close_fd(s, s->lock_fd);
	close_fd(s, s->large_dir);
	close_fd(s, s->log_dir);
	buf_clear(&s->out);
	buf_clear(&s->directory_memory);
	free(s);
}

static struct store *new_store(const struct store_options *options)
{
	struct store *s = mem_alloc(sizeof(*s));

	s->options = *options;
	s->io = options->io == NULL ? &store_io_posix : options->io;
	s->segment_size = options->segment_size == 0 ? SEGMENT_SIZE_DEFAULT : options->segment_size;
	s->reserve = options->reserve == 0
	    ? RESERVE_SEGMENTS
	    : (options->reserve + s->segment_size - 1) / s->segment_size;
	s->log_dir = s->large_dir = s->lock_fd = -1;
	s->next_name = 1;
	RB_INIT(&s->index);
	TAILQ_INIT(&s->hot);
	STAILQ_INIT(&s->gathered);
	STAILQ_INIT(&s->submitted);
	STAILQ_INIT(&s->finished);
	STAILQ_INIT(&s->owed);
	STAILQ_INIT(&s->jobs);
	STAILQ_INIT(&s->jobs_finished);
	STAILQ_INIT(&s->reports);
	s->caller = pthread_self();
	return s;
}

struct store *store_open(const struct store_options *options,
    void (*visit)(void *arg, const struct store_summary *), void *arg, char **why)
{
	struct store *s = new_store(options);
	struct store_summary summary;
	struct entry *e;

	if (s->segment_size < SEGMENT_SIZE_MIN || s->segment_size >= UINT32_MAX ||
	    s->segment_size % BLOCK != 0) {
		*why = mem_printf("a segment can't have %llu bytes: a multiple of %d is wanted",
		    (unsigned long long)s->segment_size, BLOCK);
		free(s);
		return NULL;
	}
	if (work_start(s) == -1) {
		*why = mem_printf("eventfd: %s", strerror(errno));
		free(s);
		return NULL;
	}
	if (!is_disk_local(s, why) || !take_ownership(s, why) || !recover(s, why)) {
		free_store(s);
		return NULL;
	}
	RB_FOREACH(e, entry_tree, &s->index) {
		entry_summary(e, &summary);
		if (visit != NULL)
			visit(arg, &summary);
	}
	/* The first store_poll starts to make spares. */
	work_wake(s);
	return s;
}

/* --- closing ---------------------------------------------------------------------------------- */

static void finish_all(struct store *s)
{
	while (!work_idle(s)) {
		struct pollfd event = { .fd = s->event_fd, .events = POLLIN };

		poll(&event, 1, -1);
		work_poll(s);
	}
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	s->closing = true;
	finish_all(s);
	/* One more batch: behind it, bad bytes in the last one that matters are known as damage. */
	if (s->batches > 0)
		log_submit(s, tail_record(s, s->oldest));
	finish_all(s);
	free_store(s);
}

/* --- what comes back -------------------------------------------------------------------------- */

int store_event_fd(struct store *s)
{
	return s->event_fd;
}

void store_poll(struct store *s)
{
	work_poll(s);
	recycle(s);
}

/* --- questions -------------------------------------------------------------------------------- */

bool store_has_room(struct store *s, uint64_t size)
{
	if (clock_now() >= s->space_checked) {
		s->space = s->io->free_bytes(s->io->arg, s->options.directory);
		s->space_checked = s->options.no_threads ? 0 : deadline_after(CLOCK_SECOND / 4);
	}
	return s->space == -1 || (uint64_t)s->space >= size + s->options.minfree;
}

bool store_summary(struct store *s, struct slice id, struct store_summary *out)
{
	struct entry *e = entry_living(s, id);

	if (e == NULL)
		return false;
	entry_summary(e, out);
	return true;
}

bool store_next(struct store *s, struct slice after, struct store_summary *out)
{
	struct entry *e = entry_after(s, after);

	while (e != NULL && e->arriving)
		e = RB_NEXT(entry_tree, &s->index, e);
	if (e == NULL)
		return false;
	entry_summary(e, out);
	return true;
}

void store_counters(struct store *s, struct store_counters *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct store_counters){
		.messages = s->messages,
		.live_bytes = s->live_bytes,
		.segments = s->used_count,
		.flushes = s->flushes,
		.batches = s->batches,
		.copied_bytes = s->copied_bytes,
		.set_aside = s->set_aside,
	};
	pthread_mutex_unlock(&s->lock);
}
