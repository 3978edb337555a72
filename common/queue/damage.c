/* SPDX-License-Identifier: ISC */
/*
 * damage.c - a message whose record turns out to be damaged when it is read: by a delivery, or to be copied
 * forward.
 *
 * What is left of it is saved beside the segment, as opening does with what it finds, and only then does the
 * message end: its entry keeps the segment from being freed until the bytes are saved. DONE makes that last, because
 * a directory would bring the message back at the next opening.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

struct damage_job {
	struct job job;
	struct entry *entry;	/* a reference */
	struct segment segment; /* as it is now */
	struct place place;
};

/* Content in a file of its own is as good as it was: kept under a name that opening leaves alone. */
static void keep_large(struct store *s, const struct entry *e)
{
	char name[LARGE_NAME], kept[LARGE_NAME];

	if (!e->large || !large_name(name, slice_of(e->id)))
		return;
	snprintf(kept, sizeof(kept), "large/damaged-%s", e->id);
	/* Flushed before the message ends: opening would remove it by its old name. */
	if (s->io->rename(s->io->arg, s->options.directory, name, kept) == -1 ||
	    s->io->sync_directory(s->io->arg, s->large_dir) == -1)
		store_report(s, "%s: can't be kept as %s: %s", name, kept, strerror(errno));
	else
		store_report(s, "%s: kept as %s: its record is damaged", name, kept);
}

static void damage_run(struct store *s, struct job *job)
{
	struct damage_job *d = (struct damage_job *)job;
	char why[RECORD_ID_LIMIT + 40];

	snprintf(why, sizeof(why), "damaged record of message %s", d->entry->id);
	scan_set_aside(s, &d->segment, d->place.offset, d->place.len, why);
	keep_large(s, d->entry);
}

static void damage_finish(struct store *s, struct job *job)
{
	struct damage_job *d = (struct damage_job *)job;

	if (!d->entry->gone)
		change_end(s, d->entry);
	entry_unref(d->entry);
	free(d);
}

void damage_give_up(struct store *s, struct entry *e)
{
	struct damage_job *d;

	if (e->damaged)
		return;
	e->damaged = true;
	d = mem_alloc(sizeof(*d));
	d->entry = e;
	entry_ref(e);
	d->place = e->message;
	d->segment = *segment_find(s, e->message.segment);
	d->job.run = damage_run;
	d->job.finish = damage_finish;
	job_submit(s, &d->job);
}
