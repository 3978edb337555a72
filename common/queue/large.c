/* SPDX-License-Identifier: ISC */
/*
 * large.c - content that is too large for a record: a file of its own in large/.
 *
 * The file and its name are flushed before the record is written; it is removed after the record that
 * ends the message is flushed. So a file without a record is litter, and opening removes it; a record
 * without its file is damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { MEASURE_SIZE = 256 << 10 };

bool large_name(char name[LARGE_NAME], struct slice id)
{
	if (id.len == 0 || id.len > RECORD_ID_LIMIT)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!((id.data[i] >= '0' && id.data[i] <= '9') ||
			(id.data[i] >= 'A' && id.data[i] <= 'Z') ||
			(id.data[i] >= 'a' && id.data[i] <= 'z')))
			return false;
	snprintf(name, LARGE_NAME, "large/%.*s", (int)id.len, id.data);
	return true;
}

int store_large_create(struct store *s, struct slice id)
{
	char name[LARGE_NAME];

	if (!large_name(name, id)) {
		errno = EINVAL;
		return -1;
	}
	return s->io->open(s->io->arg, s->options.directory, name, O_WRONLY | O_CREAT | O_EXCL,
	    0600);
}

/* --- removal ---------------------------------------------------------------------------------- */

struct remove_job {
	struct job job;
	char name[LARGE_NAME];
};

static void remove_run(struct store *s, struct job *job)
{
	struct remove_job *r = (struct remove_job *)job;

	/* Not flushed: a file that comes back has no record and goes at the next opening. */
	if (s->io->unlink(s->io->arg, s->options.directory, r->name) == -1 && errno != ENOENT)
		store_report(s, "%s: can't be removed: %s", r->name, strerror(errno));
}

static void remove_finish(struct store *s, struct job *job)
{
	(void)s;
	free(job);
}

void large_remove(struct store *s, struct slice id)
{
	struct remove_job *r = mem_alloc(sizeof(*r));

	if (!large_name(r->name, id)) {
		free(r);
		return;
	}
	r->job.run = remove_run;
	r->job.finish = remove_finish;
	job_submit(s, &r->job);
}

void store_large_discard(struct store *s, struct slice id)
{
	if (entry_find(s, id) == NULL)
		large_remove(s, id);
}

/* --- flush, then the record ------------------------------------------------------------------- */

struct flush_job {
	struct job job;
	struct append *record;
	char name[LARGE_NAME];
	uint64_t size;
	int error;
};

/* 0 or errno. */
static int flush_file(struct store *s, const char *name, uint64_t size)
{
	int fd = s->io->open(s->io->arg, s->options.directory, name, O_RDWR, 0);
	off_t found;
	int error = 0;

	if (fd == -1)
		return errno;
	found = s->io->size(s->io->arg, fd);
	if (found == -1 || s->io->fdatasync(s->io->arg, fd) == -1)
		error = errno;
	else if ((uint64_t)found != size)
		error = EBADMSG;
	s->io->close(s->io->arg, fd);
	if (error == 0 && s->io->sync_directory(s->io->arg, s->large_dir) == -1)
		error = errno;
	return error;
}

static void flush_run(struct store *s, struct job *job)
{
	struct flush_job *f = (struct flush_job *)job;

	f->error = flush_file(s, f->name, f->size);
}

static void flush_finish(struct store *s, struct job *job)
{
	struct flush_job *f = (struct flush_job *)job;
	struct append *a = f->record;

	if (f->error == 0) {
		log_submit(s, a);
	} else {
		store_done *done = a->done;
		void *arg = a->arg;

		a->error = f->error;
		put_finish(s, a);
		done(arg, f->error);
	}
	free(f);
}

void large_put(struct store *s, struct append *a)
{
	struct flush_job *f = mem_alloc(sizeof(*f));

	large_name(f->name, slice_of(a->entry->id));
	f->record = a;
	f->size = a->entry->size;
	f->job.run = flush_run;
	f->job.finish = flush_finish;
	job_submit(s, &f->job);
}
