/* SPDX-License-Identifier: ISC */
/*
 * inspect.c - reads a log without changing it.
 *
 * One segment at a time is in memory. Which bytes are records, which were cut, which are damage is decided as in
 * scan.c; which segments count is decided as in recover.c. What lies in a segment that a later TAIL freed is no
 * fault, and TAIL may come last: so faults are kept until the end.
 */
#include "common/queue/inspect.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/queue/internal.h"

enum { SEGMENT_SIZE_MAX = 1 << 30, HEADERS = 2, FILE_NAME = 64 };

/* A segment's file with what its header says. */
struct found {
	struct segment seg;
	struct inspect_file file;
	bool has_copy[HEADERS];
	uint64_t copy_number[HEADERS];
};

struct walk {
	struct inspect *in;
	struct store store; /* only for the calls that read headers */
	size_t copy;	    /* which of the headers a read shows */
	struct found **found;
	size_t count;
	uint64_t oldest, done, total;
	struct arena *arena; /* of one record */

	/* The segment at hand. */
	struct found *at;
	char *data;
	uint64_t size; /* how far it is looked at */
	bool sealed;
	uint64_t offset;
	uint32_t batch;
};

#define LOST_RECORDS                                                                               \
	"what it told is lost; the next start keeps the bytes as log/damaged-NUMBER-OFFSET and "   \
	"goes on"
#define LOOK_FOR_A_COPY                                                                            \
	"keep the file; if the disk or a backup still has it whole, put it back before the next "  \
	"start"

static const struct {
	const char *name;
	const struct wire_table *table;
} types[] = {
	[RECORD_MESSAGE] = { "MESSAGE", &record_message_table },
	[RECORD_STATUS] = { "STATUS", &record_status_table },
	[RECORD_ATTEMPT] = { "ATTEMPT", &record_note_table },
	[RECORD_HOLD] = { "HOLD", &record_note_table },
	[RECORD_RELEASE] = { "RELEASE", &record_note_table },
	[RECORD_DEATH] = { "DEATH", &record_note_table },
	[RECORD_DONE] = { "DONE", &record_note_table },
	[RECORD_TAIL] = { "TAIL", &record_tail_table },
	[RECORD_CUT] = { "CUT", &record_cut_table },
	[RECORD_MARK] = { "MARK", &record_mark_table },
};

const char *record_name(enum record_type type)
{
	return (size_t)type < ARRAY_LENGTH(types) ? types[type].name : NULL;
}

/* --- faults --------------------------------------------------------------------------------------- */

struct inspect_fault *inspect_add_fault(struct inspect *in, const char *file, const char *format,
    ...)
{
	struct inspect_fault *f;
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	in->faults = mem_resize_array(in->faults, in->fault_count + 1, sizeof(*in->faults));
	f = &in->faults[in->fault_count++];
	*f = (struct inspect_fault){ .file = mem_strdup(file), .what = mem_strdup(text) };
	return f;
}

static struct inspect_fault *fault_here(struct walk *w, uint64_t offset, uint64_t len,
    const char *what)
{
	struct inspect_fault *f = inspect_add_fault(w->in, w->at->seg.name, "%s", what);

	f->segment = w->at->seg.number;
	f->offset = offset;
	f->len = len;
	return f;
}

/* --- files ---------------------------------------------------------------------------------------- */

static bool is_segment_name(const char *name)
{
	return strlen(name) == 8 && strspn(name, "0123456789abcdef") == 8;
}

/* Shows one copy of the header, wherever it is looked for. */
static ssize_t read_copy(void *arg, int fd, void *data, size_t len, off_t at)
{
	struct walk *w = arg;

	return pread(fd, data, len, at % BLOCK + (off_t)w->copy * BLOCK);
}

static ssize_t read_plain(void *arg, int fd, void *data, size_t len, off_t at)
{
	(void)arg;
	return pread(fd, data, len, at);
}

static off_t size_of(void *arg, int fd)
{
	return store_io_posix.size(arg, fd);
}

static bool is_blank(struct walk *w, const struct segment *seg)
{
	const struct store_io plain = { .arg = w, .pread = read_plain, .size = size_of };
	bool blank;

	w->store.io = &plain;
	blank = segment_is_blank(&w->store, seg);
	w->store.io = NULL;
	return blank;
}

/* The newer of the valid copies goes into the segment. */
static void read_headers(struct walk *w, struct found *f)
{
	const struct store_io io = { .arg = w, .pread = read_copy };
	struct segment best = f->seg;

	w->store.io = &io;
	for (w->copy = 0; w->copy < HEADERS; w->copy++) {
		struct segment seg = f->seg;

		f->has_copy[w->copy] = segment_read_header(&w->store, &seg);
		f->copy_number[w->copy] = f->has_copy[w->copy] ? seg.number : 0;
		if (f->has_copy[w->copy] && seg.number > best.number)
			best = seg;
	}
	f->seg = best;
	w->store.io = NULL;
}

static uint64_t version_of(struct walk *w, struct found *f)
{
	const struct store_io plain = { .arg = w, .pread = read_plain };
	uint64_t version;

	w->store.io = &plain;
	version = segment_version(&w->store, &f->seg);
	w->store.io = NULL;
	return version;
}

/* No segment in use: blank, or one whose headers are gone. */
static void take_headless(struct walk *w, struct found *f)
{
	uint64_t version = version_of(w, f);

	f->file.kind = INSPECT_BLANK;
	if (version != 0 && version != SEGMENT_VERSION) {
		inspect_add_fault(w->in, f->seg.name,
		    "is of format version %" PRIu64 ", which this program can't read", version);
	} else if (!is_blank(w, &f->seg)) {
		inspect_add_fault(w->in, f->seg.name,
		    "both copies of its header are damaged: nothing in it can be read");
		w->in->faults[w->in->fault_count - 1].advice = LOOK_FOR_A_COPY;
	}
}

static void add_file(struct walk *w, const char *name)
{
	struct found *f = mem_alloc(sizeof(*f));
	struct stat st;

	snprintf(f->seg.name, sizeof(f->seg.name), "log/%s", name);
	f->file.name = mem_strdup(f->seg.name);
	f->seg.fd = openat(w->in->directory, f->seg.name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->seg.fd == -1 || fstat(f->seg.fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		inspect_add_fault(w->in, f->seg.name, "can't be read: %s",
		    f->seg.fd == -1 ? strerror(errno) : "it is no regular file");
	} else {
		f->file.size = (uint64_t)st.st_size;
		read_headers(w, f);
		f->file.number = f->seg.number;
		if (f->seg.number == 0)
			take_headless(w, f);
	}
	w->found = mem_resize_array(w->found, w->count + 1, sizeof(struct found *));
	w->found[w->count++] = f;
}

static void add_set_aside(struct walk *w, const char *name)
{
	struct found *f = mem_alloc(sizeof(*f));
	struct stat st;

	f->seg.fd = -1;
	f->file.name = mem_printf("log/%s", name);
	f->file.kind = INSPECT_SET_ASIDE;
	if (fstatat(w->in->directory, f->file.name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		f->file.size = (uint64_t)st.st_size;
	w->found = mem_resize_array(w->found, w->count + 1, sizeof(struct found *));
	w->found[w->count++] = f;
}

static void visit(void *arg, const char *name)
{
	if (is_segment_name(name))
		add_file(arg, name);
	else if (strncmp(name, "damaged-", strlen("damaged-")) == 0 && strlen(name) < FILE_NAME)
		add_set_aside(arg, name);
}

static int by_number(const void *a, const void *b)
{
	const struct found *x = *(struct found *const *)a, *y = *(struct found *const *)b;

	if (x->seg.number != y->seg.number)
		return x->seg.number < y->seg.number ? -1 : 1;
	return strcmp(x->file.name, y->file.name);
}

/* --- which segments count ------------------------------------------------------------------------- */

/* Whether a later header says that nothing in it counts; its end when one says that. */
static bool is_void(const struct walk *w, uint64_t number, uint64_t *end)
{
	*end = 0;
	for (size_t i = w->count; i-- > 0 && w->found[i]->seg.number > number;) {
		const struct segment_end *previous = &w->found[i]->seg.previous;

		if (previous->number > number)
			continue;
		*end = previous->number == number ? previous->end : 0;
		return previous->number != number;
	}
	return false;
}

static bool is_present(const struct walk *w, uint64_t number)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->found[i]->seg.number == number)
			return true;
	return false;
}

static void look_for_missing(struct walk *w)
{
	for (size_t i = 0; i < w->count; i++) {
		uint64_t number = w->found[i]->seg.previous.number, end;
		struct inspect_fault *f;

		if (number == 0 || number < w->oldest || is_present(w, number) ||
		    is_void(w, number, &end))
			continue;
		f = inspect_add_fault(w->in, "log",
		    "segment %" PRIu64 " is missing, with all its records", number);
		f->segment = number;
		f->len = end;
		f->advice = LOOK_FOR_A_COPY;
	}
}

/* --- frames, as in scan.c ------------------------------------------------------------------------- */

static bool frame_at(const struct walk *w, uint64_t at, struct frame *f)
{
	return at + FRAME_HEADER <= w->size && frame_header(&w->at->seg, at, w->data + at, f) &&
	    f->batch >= w->batch && frame_size(f->len) <= w->size - at;
}

static bool payload_at(const struct walk *w, uint64_t at, const struct frame *f,
    struct slice *payload)
{
	*payload = slice_new(w->data + at + FRAME_HEADER, f->len);
	return frame_payload_ok(&w->at->seg, w->data + at, f);
}

static uint64_t next_frame(const struct walk *w, uint64_t at, struct frame *f)
{
	for (; at + FRAME_HEADER <= w->size; at += FRAME_ALIGN)
		if (frame_at(w, at, f))
			return at;
	return w->size;
}

static bool is_torn_cut(const struct walk *w, uint64_t at, const struct frame *f)
{
	struct slice payload;

	return f->type == RECORD_CUT && !payload_at(w, at, f, &payload);
}

static bool is_later_batch_behind(const struct walk *w, uint64_t at)
{
	struct frame f;

	for (; (at = next_frame(w, at, &f)) < w->size; at += FRAME_ALIGN)
		if (f.batch > w->batch && !is_torn_cut(w, at, &f))
			return true;
	return false;
}

static bool is_cut_from(struct walk *w, uint64_t at, const struct frame *f)
{
	struct record_cut cut = { 0 };
	struct slice payload;
	const char *why;

	arena_reset(w->arena);
	return f->type == RECORD_CUT && payload_at(w, at, f, &payload) &&
	    wire_decode(&record_cut_table, payload, &cut, w->arena, &why) && cut.from == w->offset;
}

static bool pass_cut(struct walk *w)
{
	struct frame f;

	for (uint64_t at = w->offset; (at = next_frame(w, at, &f)) < w->size; at += FRAME_ALIGN)
		if (is_cut_from(w, at, &f)) {
			w->offset = at;
			return true;
		}
	return false;
}

/* The id in a record whose checksum is wrong; it is what an administrator looks for. */
static void name_message(struct walk *w, const struct frame *f, struct slice payload,
    struct inspect_fault *fault)
{
	union {
		struct record_message message;
		struct record_status status;
		struct record_note note;
		struct record_mark mark;
	} r = { 0 };
	struct slice id = { 0 };
	char name[LARGE_NAME];
	const char *why;

	arena_reset(w->arena);
	if (record_name(f->type) == NULL || f->type == RECORD_TAIL || f->type == RECORD_CUT ||
	    !wire_decode(types[f->type].table, payload, &r, w->arena, &why))
		return;
	id = f->type == RECORD_MESSAGE ? r.message.put.id
	    : f->type == RECORD_STATUS ? r.status.id
	    : f->type == RECORD_MARK   ? r.mark.id
				       : r.note.id;
	if (large_name(name, id))
		snprintf(fault->id, sizeof(fault->id), "%.*s", (int)id.len, id.data);
}

/* Nothing valid at w->offset. True: go on there. */
static bool pass_damage(struct walk *w)
{
	uint64_t from = w->offset, next = from + FRAME_ALIGN;
	struct inspect_fault *fault;
	struct slice payload;
	struct frame f;
	bool whole;

	if (pass_cut(w))
		return true;
	if (!w->sealed && !is_later_batch_behind(w, from))
		return false;
	whole = frame_at(w, from, &f);
	if (whole)
		next = from + frame_size(f.len);
	fault = fault_here(w, from, 0, "damaged records");
	fault->advice = LOST_RECORDS;
	if (whole && record_name(f.type) != NULL) {
		free(fault->what);
		fault->what = mem_printf("damaged %s record", record_name(f.type));
		payload_at(w, from, &f, &payload);
		name_message(w, &f, payload, fault);
	}
	next = next_frame(w, next, &f);
	fault->len = next - from;
	w->offset = next;
	return next < w->size;
}

/* --- records -------------------------------------------------------------------------------------- */

union any_record {
	struct record_message message;
	struct record_status status;
	struct record_note note;
	struct record_tail tail;
	struct record_cut cut;
	struct record_mark mark;
};

static void take_record(struct walk *w, const struct frame *f, struct slice payload)
{
	union any_record r = { 0 };
	struct inspect_record told = { .file = w->at->seg.name,
		.segment = w->at->seg.number,
		.offset = w->offset,
		.len = frame_size(f->len),
		.type = (enum record_type)f->type,
		.record = &r };
	const char *why;

	arena_reset(w->arena);
	if (record_name(told.type) != NULL)
		told.table = types[f->type].table;
	if (told.table == NULL || !wire_decode(told.table, payload, &r, w->arena, &why) ||
	    (told.type == RECORD_MESSAGE && !record_message_is_sound(&r.message)) ||
	    (told.type == RECORD_TAIL && r.tail.oldest > told.segment)) {
		fault_here(w, told.offset, told.len, "a record of unknown form")
		    ->advice = LOST_RECORDS;
		return;
	}
	if (told.type == RECORD_TAIL && r.tail.oldest > w->oldest)
		w->oldest = r.tail.oldest;
	w->at->file.records++;
	if (w->in->record != NULL)
		w->in->record(w->in->arg, &told);
}

static void walk_records(struct walk *w)
{
	struct frame f;

	while (w->offset < w->size) {
		struct slice payload;

		if (!frame_at(w, w->offset, &f) || !payload_at(w, w->offset, &f, &payload)) {
			if (!pass_damage(w))
				break;
			continue;
		}
		take_record(w, &f, payload);
		w->offset += frame_size(f.len);
		w->batch = f.batch;
		if (f.last) {
			w->offset = (w->offset + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
			w->batch++;
		}
	}
	w->at->file.end = w->offset;
}

/* --- one segment ---------------------------------------------------------------------------------- */

/* A block that can't be read is zeros, and so is found to be damaged where it matters. */
static void read_data(struct walk *w)
{
	for (uint64_t at = 0, step; at < w->at->seg.size; at += step) {
		uint64_t left = w->at->seg.size - at;
		ssize_t got;

		step = left < (1 << 20) ? left : 1 << 20;
		got = pread(w->at->seg.fd, w->data + at, step, (off_t)at);
		if (got == -1 && step > BLOCK) {
			step = BLOCK;
			got = pread(w->at->seg.fd, w->data + at, step, (off_t)at);
		}
		if (got == 0)
			break;
		if (got == -1)
			fault_here(w, at, step, strerror(errno));
		else
			step = (uint64_t)got;
		w->done += step;
		if (w->in->progress != NULL)
			w->in->progress(w->in->arg, w->done, w->total);
	}
}

static void check_header(struct walk *w, bool is_newest)
{
	struct found *f = w->at;

	for (size_t i = 0; i < HEADERS; i++) {
		struct inspect_fault *fault;

		if (f->copy_number[i] == f->seg.number)
			continue;
		fault = fault_here(w, i * BLOCK, SEGMENT_DATA - BLOCK,
		    "one copy of its header is damaged; the other one is whole and serves");
		fault->advice = "nothing is lost; look after the disk";
		/* A crash in its first moment: nothing was written behind it yet. */
		fault->harmless = is_newest && f->file.records == 0;
	}
}

static void check_size(struct walk *w)
{
	if (w->at->file.size >= w->at->seg.size)
		return;
	fault_here(w, w->at->file.size, w->at->seg.size - w->at->file.size,
	    "the file is cut short: its end is missing")
	    ->advice = LOOK_FOR_A_COPY;
}

static void walk_segment(struct walk *w, bool is_newest)
{
	uint64_t end;

	if (is_void(w, w->at->seg.number, &end))
		return;
	if (w->at->seg.size > SEGMENT_SIZE_MAX || w->at->seg.size < SEGMENT_DATA) {
		fault_here(w, 0, 0, "its header tells a size that no segment has");
		return;
	}
	w->data = mem_alloc(w->at->seg.size);
	w->sealed = end != 0;
	w->size = w->sealed && end < w->at->seg.size ? end : w->at->seg.size;
	w->offset = SEGMENT_DATA;
	w->batch = 1;
	read_data(w);
	walk_records(w);
	check_header(w, is_newest);
	check_size(w);
	free(w->data);
}

/* --- the whole ------------------------------------------------------------------------------------ */

/* What a TAIL that came later freed. */
static void drop_freed(struct walk *w)
{
	struct inspect *in = w->in;
	size_t kept = 0;

	for (size_t i = 0; i < in->fault_count; i++) {
		if (in->faults[i].segment == 0 || in->faults[i].segment >= w->oldest) {
			in->faults[kept++] = in->faults[i];
			continue;
		}
		free(in->faults[i].file);
		free(in->faults[i].what);
	}
	in->fault_count = kept;
}

static void hand_over(struct walk *w)
{
	struct inspect *in = w->in;

	in->files = mem_alloc_array(w->count + 1, sizeof(*in->files));
	for (size_t i = 0; i < w->count; i++) {
		struct found *f = w->found[i];

		if (f->seg.number != 0)
			f->file.kind = f->seg.number >= w->oldest ? INSPECT_USED : INSPECT_FREE;
		in->files[in->file_count++] = f->file;
		if (f->seg.fd != -1)
			close(f->seg.fd);
		free(f);
	}
	in->oldest = w->oldest;
	free(w->found);
}

int inspect_log(struct inspect *in)
{
	struct walk w = { .in = in, .arena = arena_new() };
	int log = openat(in->directory, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = log == -1 ? -1 : store_io_posix.list(NULL, log, visit, &w), saved = errno;

	if (rc == 0 && w.count > 0) {
		qsort(w.found, w.count, sizeof(*w.found), by_number);
		w.oldest = w.found[w.count - 1]->seg.oldest;
		for (size_t i = 0; i < w.count; i++)
			if (w.found[i]->seg.number >= w.oldest && w.found[i]->seg.number > 0)
				w.total += w.found[i]->file.size;
	}
	for (size_t i = 0; i < w.count; i++) {
		w.at = w.found[i];
		if (w.at->seg.number > 0 && w.at->seg.number >= w.oldest)
			walk_segment(&w, i + 1 == w.count);
	}
	look_for_missing(&w);
	drop_freed(&w);
	hand_over(&w);
	arena_free(w.arena);
	if (log != -1)
		close(log);
	errno = saved;
	return rc;
}

void inspect_clear(struct inspect *in)
{
	for (size_t i = 0; i < in->file_count; i++)
		free((char *)(uintptr_t)in->files[i].name);
	for (size_t i = 0; i < in->fault_count; i++) {
		free(in->faults[i].file);
		free(in->faults[i].what);
	}
	free(in->files);
	free(in->faults);
	in->files = NULL;
	in->faults = NULL;
	in->file_count = in->fault_count = 0;
}

bool inspect_salvage(struct slice bytes, struct record_message *m, struct arena *arena)
{
	const char *why;
	uint32_t len;

	if (bytes.len < FRAME_HEADER)
		return false;
	memcpy(&len, bytes.data + FRAME_HEADER / 2, sizeof(len));
	len = le32toh(len);
	*m = (struct record_message){ 0 };
	return len <= bytes.len - FRAME_HEADER &&
	    wire_decode(&record_message_table, slice_part(bytes, FRAME_HEADER, len), m, arena,
		&why) &&
	    record_message_is_sound(m);
}
