/* SPDX-License-Identifier: ISC */
/*
 * Directories of sealed segments: opening by them brings back the same as scanning does, one that is not whole
 * to the bit is not believed, and damage in a segment that nobody scanned is found when it is read.
 */
#include "tests/unit/queue/one_store.h"

enum { MESSAGES = 30, DONE = 5, BIG = 9000 };

static const char directory_one[] = "log/00000001" DIRECTORY_SUFFIX;

/* Messages of several sizes in several segments, some put off, some done, some held; copied forward partly. */
static void fill(struct bench *b)
{
	static char content[BIG];
	char id[16], text[32];

	memset(content, 'x', sizeof(content));
	for (int i = 0; i < MESSAGES; i++) {
		snprintf(id, sizeof(id), "M%02d", i);
		snprintf(text, sizeof(text), "content of %s", id);
		memcpy(content, text, strlen(text));
		assert_int_equal(put_sized(b, id, 1 + (size_t)i % 3,
				     slice_new(content, i % 7 == 0 ? BIG : 600)),
		    0);
		if (i % 5 == 1)
			assert_int_equal(status(b, id, 0,
					     i % 3 == 0 ? RCPT_DELIVERED : RCPT_DEFERRED,
					     "not now"),
			    0);
		if (i % 6 == 2)
			store_hold(b->store, slice_of(id), NULL, NULL);
		if (i % 6 == 3)
			store_mark(b->store, slice_of(id), STORE_WARNED, NULL, NULL);
		if (i % 6 == 4)
			store_attempt(b->store, slice_of(id));
		if (i % 9 == 8)
			store_delete(b->store, slice_of(id), NULL, NULL);
		settle(b);
	}
}

static void print_loaded(const struct store_loaded *l, struct buf *out)
{
	const struct store_message *m = &l->message;

	buf_printf(out, "%.*s %.*s %.*s due %lld attempts %u deaths %u marks %llu held %d doubt %d",
	    (int)m->id.len, m->id.data, (int)m->sender.len, m->sender.data, (int)m->envelope.len,
	    m->envelope.data, (long long)l->due_us, l->attempts, l->deaths,
	    (unsigned long long)l->marks, l->held, l->in_doubt);
	for (size_t i = 0; i < m->address.count; i++)
		buf_printf(out, "; %.*s %d %.*s", (int)m->address.items[i].len,
		    m->address.items[i].data, l->state[i], (int)l->reason[i].len,
		    l->reason[i].data);
	buf_putc(out, '\n');
}

struct page {
	struct buf *out;
	size_t missing;
	bool done;
};

static void on_page(void *arg, struct store_loaded **loaded, size_t count)
{
	struct page *p = arg;

	for (size_t i = 0; i < count; i++) {
		if (loaded[i] == NULL)
			p->missing++;
		else
			print_loaded(loaded[i], p->out);
		store_loaded_free(loaded[i]);
	}
	p->done = true;
}

/* All that the store tells of its messages, read in one page; and each by itself with its content. */
static void tell(struct bench *b, struct buf *out)
{
	struct store_summary summary;
	struct slice ids[MESSAGES];
	char names[MESSAGES][16], after[16] = "";
	struct page page = { .out = out };
	size_t count = 0;

	while (store_next(b->store, slice_of(after), &summary)) {
		snprintf(after, sizeof(after), "%s", summary.id);
		memcpy(names[count], after, sizeof(after));
		ids[count] = slice_of(names[count]);
		buf_printf(out, "%s %llu %u/%u\n", summary.id, (unsigned long long)summary.size,
		    summary.rcpt_open, summary.rcpt_count);
		count++;
	}
	store_read_page(b->store, ids, count, on_page, &page);
	settle(b);
	assert_true(page.done);
	assert_int_equal(page.missing, 0);
	for (size_t i = 0; i < count; i++) {
		struct store_loaded *l = load_message(b, names[i]);

		assert_non_null(l);
		print_loaded(l, out);
		buf_printf(out, "%zu %.14s\n", l->message.content.len, l->message.content.data);
		store_loaded_free(l);
	}
}

static void assert_told(struct bench *b, struct buf *wanted)
{
	struct buf got = { 0 };

	tell(b, &got);
	assert_string_equal(buf_text(&got), buf_text(wanted));
	buf_clear(&got);
}

static void opening_by_directories_tells_the_same_as_scanning(void **state)
{
	struct bench *b = *state;
	struct buf wanted = { 0 };

	fill(b);
	close_and_open(b); /* what was under way is in doubt from here on */
	tell(b, &wanted);
	crash_and_open(b);
	assert_told(b, &wanted);
	close_and_open(b);
	assert_told(b, &wanted);
	store_close(b->store);
	assert_true(without_directories(b));
	open_store(b);
	assert_told(b, &wanted);
	assert_int_equal(b->reports.len, 0);
	buf_clear(&wanted);
}

/* The file that the message's record lies in. */
static struct dev_file *file_of(struct bench *b, const char *id)
{
	return file_named(b,
	    segment_find(b->store, entry_find(b->store, slice_of(id))->message.segment)->name);
}

/* A byte of its content. */
static void make_unreadable(struct bench *b, const char *id)
{
	struct entry *e = entry_find(b->store, slice_of(id));

	b->device->unreadable = e->message.offset + e->message.len / 2;
	b->device->unreadable_in = file_of(b, id);
}

/* A block of a sealed segment that no read may touch: neither opening nor a list does. */
static void opening_and_lists_leave_sealed_segments_alone(void **state)
{
	struct bench *b = *state;
	struct page page = { .out = &(struct buf){ 0 } };
	struct slice id = SLICE("M00");

	fill(b);
	make_unreadable(b, "M00");
	close_and_open(b);
	assert_int_equal(b->reports.len, 0);
	assert_true(is_there(b, "M00"));
	store_read_page(b->store, &id, 1, on_page, &page);
	settle(b);
	assert_int_equal(page.missing, 0);
	buf_clear(page.out);
	/* It is read now: the bad block shows, the message stays until an opening looks at all of the segment. */
	assert_null(load_message(b, "M00"));
	assert_int_equal(b->error, EIO);
	assert_true(is_there(b, "M00"));
	close_and_open(b);
	assert_false(is_there(b, "M00"));
	assert_non_null(strstr(buf_text(&b->reports), "can't read at"));
}

/* Once scanned, a segment has a directory again. */
static void a_directory_is_made_anew_when_it_was_missing(void **state)
{
	struct bench *b = *state;

	fill(b);
	store_close(b->store);
	assert_true(without_directories(b));
	open_store(b);
	settle(b);
	make_unreadable(b, "M00");
	close_and_open(b);
	assert_int_equal(b->reports.len, 0);
	assert_true(is_there(b, "M00"));
}

static void a_directory_that_is_not_whole_is_not_believed(void **state)
{
	struct bench *b = *state;
	struct buf wanted = { 0 };
	size_t size;

	fill(b);
	close_and_open(b); /* what was under way is in doubt from here on */
	tell(b, &wanted);
	size = file_named(b, directory_one)->size;
	assert_true(size > 500);
	for (size_t at = 0; at < size; at += at < 200 ? 1 : 61) {
		struct dev_file *f;
		char other;

		store_close(b->store);
		f = file_named(b, directory_one);
		other = f->now->at[at] ^ 0x10;
		dev_spoil(f, at, &other, 1);
		open_store(b);
		assert_told(b, &wanted);
		assert_int_equal(b->reports.len, 0);
		settle(b);
	}
	/* Cut short, at any place. */
	for (size_t at = 0; at < size; at += 97) {
		store_close(b->store);
		file_named(b, directory_one)->size = at;
		open_store(b);
		assert_told(b, &wanted);
		assert_int_equal(b->reports.len, 0);
		settle(b);
	}
	buf_clear(&wanted);
}

/* What another use of the segment left, and another segment's. */
static void another_directory_is_not_believed(void **state)
{
	struct bench *b = *state;
	struct buf wanted = { 0 };
	struct dev_file *one, *two = NULL;

	fill(b);
	close_and_open(b); /* what was under way is in doubt from here on */
	tell(b, &wanted);
	store_close(b->store);
	one = file_named(b, directory_one);
	for (int i = 0; i < b->device->name_count; i++)
		if (strstr(b->device->names[i].name, DIRECTORY_SUFFIX) != NULL &&
		    strcmp(b->device->names[i].name, directory_one) != 0)
			two = &b->device->file[b->device->names[i].file];
	if (two != NULL) {
		dev_resize(one, two->size);
		dev_spoil(one, 0, two->now->at, two->size);
	}
	open_store(b);
	assert_non_null(two);
	assert_told(b, &wanted);
	assert_int_equal(b->reports.len, 0);
	buf_clear(&wanted);
}

static void damage_is_set_aside_when_it_is_read_and_stays_away(void **state)
{
	struct bench *b = *state;

	fill(b);
	crash_and_open(b);
	assert_true(damage(b, "content of M03"));
	assert_true(is_there(b, "M03"));
	assert_null(load_message(b, "M03"));
	assert_int_equal(b->error, EBADMSG);
	settle(b);
	assert_false(is_there(b, "M03"));
	assert_non_null(strstr(buf_text(&b->reports), "damaged record of message M03: "));
	assert_int_equal(count_text(buf_text(&b->reports), "set aside as log/damaged-"), 1);
	assert_non_null(load_message(b, "M02"));
	store_loaded_free(b->loaded);
	crash_and_open(b);
	assert_false(is_there(b, "M03"));
	assert_true(is_there(b, "M02"));
}

static void large_content_whose_record_is_damaged_is_kept(void **state)
{
	struct bench *b = *state;
	struct slice address = SLICE("you@example.net");
	struct store_message m = { .id = SLICE("LARGE"),
		.sender = SLICE("sender-of-large@x"),
		.address = { &address, 1 },
		.large_size = 4 };
	int fd = store_large_create(b->store, m.id);

	assert_int_equal(dev_pwrite(b->device, fd, "text", 4, 0), 4);
	dev_close(b->device, fd);
	store_put(b->store, &m, on_done, b);
	settle(b);
	assert_int_equal(b->error, 0);
	fill(b);
	crash_and_open(b);
	assert_true(damage_file(file_of(b, "LARGE"), "sender-of-large@x"));
	assert_null(load_message(b, "LARGE"));
	settle(b);
	assert_false(is_there(b, "LARGE"));
	assert_true(has_large(b, "large/damaged-LARGE"));
	crash_and_open(b);
	assert_false(is_there(b, "LARGE"));
	assert_true(has_large(b, "large/damaged-LARGE"));
}

/* Whether fill() ended this message. */
static bool is_done(int number)
{
	return number % 9 == 8 || number == 6 || number == 21;
}

/* 24 bytes of a segment. */
static void write_over_somewhere(struct bench *b, uint64_t *random)
{
	size_t at = SEGMENT_DATA + dev_random(random) % (SEGMENT - SEGMENT_DATA - 24);
	struct dev_names *n;

	do
		n = &b->device->names[dev_random(random) % (unsigned)b->device->name_count];
	while (strlen(n->name) != strlen("log/00000001"));
	for (size_t i = 0; i < 24; i++)
		write_over(b, n->name, at + i, (char)dev_random(random), 1);
}

/* Ten places anywhere in the log: what they did not hit is there, to the byte; what they hit is reported. */
static void ten_places_written_over_cost_only_what_they_hit(void **state)
{
	struct bench *b = *state;
	uint64_t random = 88172645463325252u;
	int all = 0;

	for (int round = 0; round < 40; round++) {
		int lost = 0, there = 0;
		char id[16], text[32];

		if (round > 0) {
			teardown(state);
			setup(state);
			b = *state;
		}
		fill(b);
		store_close(b->store);
		for (int i = 0; i < 10; i++)
			write_over_somewhere(b, &random);
		if (round % 2 == 0)
			without_directories(b);
		open_store(b);
		for (int i = 0; i < MESSAGES; i++) {
			struct store_loaded *l;

			if (is_done(i))
				continue;
			snprintf(id, sizeof(id), "M%02d", i);
			snprintf(text, sizeof(text), "content of %s", id);
			l = load_message(b, id);
			settle(b);
			if (l == NULL) {
				lost++;
				assert_false(is_there(b, id));
				continue;
			}
			there++;
			assert_memory_equal(l->message.content.data, text, strlen(text));
			store_loaded_free(l);
		}
		assert_true(there + lost == MESSAGES - DONE && lost <= 10);
		assert_true((size_t)lost <=
		    count_text(buf_text(&b->reports), "set aside as log/damaged-"));
		all += lost;
	}
	assert_true(all > 40);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_STORE(opening_by_directories_tells_the_same_as_scanning),
		WITH_STORE(opening_and_lists_leave_sealed_segments_alone),
		WITH_STORE(a_directory_is_made_anew_when_it_was_missing),
		WITH_STORE(a_directory_that_is_not_whole_is_not_believed),
		WITH_STORE(another_directory_is_not_believed),
		WITH_STORE(damage_is_set_aside_when_it_is_read_and_stays_away),
		WITH_STORE(large_content_whose_record_is_damaged_is_kept),
		WITH_STORE(ten_places_written_over_cost_only_what_they_hit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
