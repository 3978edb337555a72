/* SPDX-License-Identifier: ISC */
/*
 * The queue store keeps what it promised: through opening again, recycling, full disks, failed
 * flushes and damage. What power cuts do is in test_faults.c.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/queue/internal.h"
#include "tests/unit/queue/one_store.h"

/* --- the ordinary ----------------------------------------------------------------------------- */

static void a_message_is_there_after_its_callback_and_after_a_crash(void **state)
{
	struct bench *b = *state;
	struct store_loaded *l;

	assert_int_equal(put(b, "AAAAAA", 2), 0);
	assert_int_equal(b->answers, 1);
	for (int i = 0; i < 2; i++) {
		l = load_message(b, "AAAAAA");
		assert_non_null(l);
		assert_text(l->message.sender, "me@example.org");
		assert_text(l->message.envelope, "client=nobody");
		assert_text(l->message.content, "Subject: hi\r\n\r\nbody\r\n");
		assert_int_equal(l->message.address.count, 2);
		assert_text(l->message.address.items[1], "you@example.net");
		assert_int_equal(l->message.arrival_us, 1234567);
		assert_int_equal(l->message.flags, 5);
		assert_int_equal(l->state[0], RCPT_QUEUED);
		store_loaded_free(l);
		crash_and_open(b);
		assert_int_equal(b->visited, 1);
	}
}

static void an_id_that_is_there_is_refused(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put(b, "AAAAAA", 1), 0);
	assert_int_equal(put(b, "AAAAAA", 1), EEXIST);
	assert_int_equal(status(b, "AAAAAA", 0, RCPT_DELIVERED, ""), 0);
	assert_int_equal(put(b, "AAAAAA", 1), 0);
}

static void what_is_no_message_is_refused(void **state)
{
	struct bench *b = *state;
	char long_content[RECORD_CONTENT_LIMIT + 1] = { 0 };

	assert_int_equal(put(b, "", 1), EINVAL);
	assert_int_equal(put(b, "AAAAAA", 0), EINVAL);
	assert_int_equal(put_sized(b, "AAAAAA", 1, slice_new(long_content, sizeof(long_content))),
	    EINVAL);
	assert_int_equal(put_sized(b, "AAAAAA", 1, slice_new(long_content, SEGMENT)), EMSGSIZE);
	assert_int_equal(status(b, "AAAAAA", 0, RCPT_DELIVERED, ""), ENOENT);
	assert_int_equal(put(b, "AAAAAA", 1), 0);
	assert_int_equal(status(b, "AAAAAA", 1, RCPT_DELIVERED, ""), EINVAL);
}

static void state_of_each_recipient_survives(void **state)
{
	struct bench *b = *state;
	struct store_loaded *l;

	put(b, "AAAAAA", 100);
	assert_int_equal(status(b, "AAAAAA", 7, RCPT_DEFERRED, "busy"), 0);
	assert_int_equal(status(b, "AAAAAA", 7, RCPT_DEFERRED, "still busy"), 0);
	assert_int_equal(status(b, "AAAAAA", 99, RCPT_DELIVERED, "ok"), 0);
	for (int i = 0; i < 2; i++) {
		struct store_summary summary;

		assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
		assert_int_equal(summary.rcpt_open, 99);
		assert_int_equal(summary.due_us, 99);
		l = load_message(b, "AAAAAA");
		assert_int_equal(l->state[7], RCPT_DEFERRED);
		assert_text(l->reason[7], "still busy");
		assert_int_equal(l->state[99], RCPT_DELIVERED);
		assert_text(l->dsn[99], "4.0.0");
		assert_int_equal(l->state[0], RCPT_QUEUED);
		assert_int_equal(l->reason[0].len, 0);
		store_loaded_free(l);
		crash_and_open(b);
	}
}

static void a_message_without_open_recipients_is_done(void **state)
{
	struct bench *b = *state;

	put(b, "AAAAAA", 2);
	status(b, "AAAAAA", 0, RCPT_DELIVERED, "");
	assert_true(is_there(b, "AAAAAA"));
	status(b, "AAAAAA", 1, RCPT_BOUNCED, "");
	assert_false(is_there(b, "AAAAAA"));
	assert_null(load_message(b, "AAAAAA"));
	assert_int_equal(b->error, ENOENT);
	crash_and_open(b);
	assert_int_equal(b->visited, 0);
}

static void holds_deaths_and_attempts_are_kept(void **state)
{
	struct bench *b = *state;
	struct store_summary summary;
	struct store_loaded *l;

	put(b, "AAAAAA", 1);
	put(b, "BBBBBB", 1);
	store_hold(b->store, SLICE("AAAAAA"), on_done, b);
	assert_int_equal(store_death(b->store, SLICE("AAAAAA"), on_done, b), 1);
	assert_int_equal(store_death(b->store, SLICE("AAAAAA"), on_done, b), 2);
	store_hold(b->store, SLICE("BBBBBB"), on_done, b);
	store_release(b->store, SLICE("BBBBBB"), on_done, b);
	store_attempt(b->store, SLICE("BBBBBB"));
	settle(b);
	crash_and_open(b);
	assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
	assert_true(summary.held);
	assert_int_equal(summary.deaths, 2);
	assert_true(store_summary(b->store, SLICE("BBBBBB"), &summary));
	assert_false(summary.held);
	assert_int_equal(summary.attempts, 1);
	l = load_message(b, "BBBBBB");
	assert_true(l->in_doubt);
	store_loaded_free(l);
	status(b, "BBBBBB", 0, RCPT_DEFERRED, "");
	crash_and_open(b);
	l = load_message(b, "BBBBBB");
	assert_false(l->in_doubt);
	store_loaded_free(l);
	store_delete(b->store, SLICE("BBBBBB"), on_done, b);
	settle(b);
	crash_and_open(b);
	assert_int_equal(b->visited, 1);
}

static void messages_come_in_the_order_of_ids(void **state)
{
	static const char *const ids[] = { "BBBBBB", "AAAAAA", "CCCCCC", "AAAAAAA" };
	static const char *const sorted[] = { "AAAAAA", "AAAAAAA", "BBBBBB", "CCCCCC" };
	struct bench *b = *state;
	struct store_summary summary;
	char last[32] = "";

	for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
		put(b, ids[i], 1);
	for (size_t i = 0; i < ARRAY_LENGTH(sorted); i++) {
		assert_true(store_next(b->store, slice_of(last), &summary));
		assert_string_equal(summary.id, sorted[i]);
		snprintf(last, sizeof(last), "%s", summary.id);
	}
	assert_false(store_next(b->store, slice_of(last), &summary));
}

static void a_message_is_not_there_before_its_callback(void **state)
{
	struct bench *b = *state;
	struct slice address = SLICE("a@b");
	struct store_message m = { .id = SLICE("AAAAAA"), .address = { &address, 1 } };
	struct store_summary summary;

	store_put(b->store, &m, on_done, b);
	assert_false(is_there(b, "AAAAAA"));
	assert_false(store_next(b->store, SLICE(""), &summary));
	settle(b);
	assert_true(is_there(b, "AAAAAA"));
}

static void records_put_together_share_a_flush(void **state)
{
	struct bench *b = *state;
	struct slice address = SLICE("a@b");
	struct store_counters before, after;

	store_counters(b->store, &before);
	for (int i = 0; i < 10; i++) {
		char id[16];
		struct store_message m = { .id = slice_of(id), .address = { &address, 1 } };

		snprintf(id, sizeof(id), "ID%d", i);
		m.id = slice_of(id);
		store_put(b->store, &m, on_done, b);
	}
	settle(b);
	store_counters(b->store, &after);
	assert_int_equal(b->answers, 10);
	assert_int_equal(after.flushes - before.flushes, 1);
}

/* --- recycling -------------------------------------------------------------------------------- */

static void marks_add_up_and_are_kept(void **state)
{
	struct bench *b = *state;
	struct store_summary summary;
	struct store_loaded *l;

	put(b, "AAAAAA", 1);
	store_mark(b->store, SLICE("AAAAAA"), STORE_EXPIRE, on_done, b);
	assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
	assert_int_equal(summary.marks, STORE_EXPIRE);
	settle(b);
	assert_int_equal(b->error, 0);
	store_mark(b->store, SLICE("AAAAAA"), STORE_WARNED, NULL, NULL);
	settle(b);
	for (int i = 0; i < 2; i++) {
		assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
		assert_int_equal(summary.marks, STORE_EXPIRE | STORE_WARNED);
		l = load_message(b, "AAAAAA");
		assert_int_equal(l->marks, STORE_EXPIRE | STORE_WARNED);
		store_loaded_free(l);
		crash_and_open(b);
	}
	store_mark(b->store, SLICE("AAAAAA"), 256, on_done, b);
	settle(b);
	assert_int_equal(b->error, EINVAL);
	store_mark(b->store, SLICE("BBBBBB"), STORE_WARNED, on_done, b);
	settle(b);
	assert_int_equal(b->error, ENOENT);
}

static void an_old_message_is_copied_forward_with_its_state(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;
	struct store_loaded *l;

	put(b, "OLD", 3);
	store_attempt(b->store, SLICE("OLD"));
	status(b, "OLD", 1, RCPT_DEFERRED, "busy");
	store_hold(b->store, SLICE("OLD"), on_done, b);
	store_mark(b->store, SLICE("OLD"), STORE_WARNED, on_done, b);
	for (int i = 0; i < 300; i++) {
		char id[16];

		snprintf(id, sizeof(id), "N%d", i);
		assert_int_equal(put(b, id, 1), 0);
		assert_int_equal(status(b, id, 0, RCPT_DELIVERED, ""), 0);
	}
	store_counters(b->store, &counters);
	assert_true(counters.copied_bytes > 0);
	assert_true(counters.segments <= 10);
	for (int i = 0; i < 2; i++) {
		l = load_message(b, "OLD");
		assert_non_null(l);
		assert_text(l->message.content, "Subject: hi\r\n\r\nbody\r\n");
		assert_int_equal(l->state[1], RCPT_DEFERRED);
		assert_text(l->reason[1], "busy");
		assert_int_equal(l->attempts, 1);
		assert_true(l->held);
		assert_int_equal(l->marks, STORE_WARNED);
		store_loaded_free(l);
		crash_and_open(b);
		assert_int_equal(b->visited, 1);
	}
}

static void opening_often_takes_no_new_segment_each_time(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;

	put(b, "AAAAAA", 1);
	/* Each takes one of the six blocks of a segment. */
	for (int i = 0; i < 40; i++)
		crash_and_open(b);
	store_counters(b->store, &counters);
	assert_true(counters.segments <= 40 / 6 + 1);
	assert_int_equal(b->visited, 1);
}

/* --- large content ---------------------------------------------------------------------------- */

static int put_large(struct bench *b, const char *id, size_t size, size_t told)
{
	struct slice address = SLICE("a@b");
	struct store_message m = {
		.id = slice_of(id), .address = { &address, 1 }, .large_size = told
	};
	char *content = mem_alloc(size);
	int fd = store_large_create(b->store, slice_of(id));

	assert_true(fd >= 0);
	memset(content, 'x', size);
	assert_int_equal(dev_pwrite(b->device, fd, content, size, 0), size);
	free(content);
	b->error = -1;
	store_put(b->store, &m, on_done, b);
	settle(b);
	return b->error;
}

static void large_content_lives_as_long_as_its_record(void **state)
{
	struct bench *b = *state;
	struct store_loaded *l;
	char byte = 0;

	assert_int_equal(put_large(b, "BIG", 100000, 100000), 0);
	crash_and_open(b);
	l = load_message(b, "BIG");
	assert_non_null(l);
	assert_int_equal(l->message.large_size, 100000);
	assert_true(l->large_fd >= 0);
	assert_int_equal(dev_pread(b->device, l->large_fd, &byte, 1, 99999), 1);
	assert_int_equal(byte, 'x');
	store_loaded_free(l);
	status(b, "BIG", 0, RCPT_DELIVERED, "");
	assert_false(has_large(b, "large/BIG"));
}

static void large_content_of_another_size_is_refused(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_large(b, "BIG", 1000, 2000), EBADMSG);
	assert_false(is_there(b, "BIG"));
	assert_false(has_large(b, "large/BIG"));
	assert_int_equal(store_large_create(b->store, SLICE("../BIG")), -1);
}

static void content_of_a_refused_message_is_removed(void **state)
{
	struct bench *b = *state;
	struct store_message nobody = { .id = SLICE("NOBODY"), .large_size = 1 };

	assert_true(store_large_create(b->store, nobody.id) >= 0);
	store_put(b->store, &nobody, on_done, b);
	settle(b);
	assert_int_equal(b->error, EINVAL);
	assert_false(has_large(b, "large/NOBODY"));

	assert_int_equal(put(b, "SMALL", 1), 0);
	assert_int_equal(put_large(b, "SMALL", 1000, 1000), EEXIST);
	assert_false(has_large(b, "large/SMALL"));
	assert_true(is_there(b, "SMALL"));

	assert_int_equal(put_large(b, "BIG", 1000, 1000), 0);
	nobody = (struct store_message){ .id = SLICE("BIG"), .large_size = 1000 };
	store_put(b->store, &nobody, on_done, b);
	settle(b);
	assert_int_equal(b->error, EINVAL);
	assert_true(has_large(b, "large/BIG"));
}

static void a_large_file_without_a_record_is_removed_at_opening(void **state)
{
	struct bench *b = *state;

	assert_true(store_large_create(b->store, SLICE("BIG")) >= 0);
	close_and_open(b);
	assert_false(has_large(b, "large/BIG"));
}

static void a_record_without_its_large_file_is_held_and_reported(void **state)
{
	struct bench *b = *state;
	struct store_summary summary;

	put_large(b, "BIG", 1000, 1000);
	dev_unlink(b->device, 0, "large/BIG");
	close_and_open(b);
	assert_true(store_summary(b->store, SLICE("BIG"), &summary));
	assert_true(summary.held);
	assert_non_null(strstr(buf_text(&b->reports), "BIG: its content"));
}

/* --- a full disk, a bad disk ------------------------------------------------------------------ */

static void on_a_full_disk_new_mail_is_refused_and_the_queue_drains(void **state)
{
	struct bench *b = *state;
	char content[3000];
	int count = 0;

	memset(content, 'y', sizeof(content));
	b->device->capacity = dev_used(b->device) + 10 * SEGMENT + SEGMENT / 2;
	for (int error = 0; error == 0; count += error == 0) {
		char id[16];

		snprintf(id, sizeof(id), "M%d", count);
		error = put_sized(b, id, 1, slice_new(content, sizeof(content)));
		assert_true(error == 0 || error == ENOSPC);
		assert_true(count < 1000);
	}
	assert_true(count > 10);
	crash_and_open(b);
	assert_int_equal(b->visited, count);
	b->device->capacity = dev_used(b->device);
	for (int i = 0; i < 2; i++) {
		store_hold(b->store, SLICE("M1"), on_done, b);
		settle(b);
		close_and_open(b);
		assert_int_equal(b->visited, count);
	}
	assert_false(store_has_room(b->store, 1));
	/* A batch for each would fill the six blocks of a segment at once. */
	for (int i = 0; i < count; i++) {
		struct store_status delivered = { .state = RCPT_DELIVERED };
		char id[16];

		snprintf(id, sizeof(id), "M%d", i);
		store_status(b->store, slice_of(id), &delivered, 1, 0, on_all_good, b);
	}
	settle(b);
	assert_int_equal(b->refused, 0);
	assert_int_equal(put(b, "AGAIN", 1), 0);
	crash_and_open(b);
	assert_int_equal(b->visited, 1);
}

static void a_failed_flush_is_repeated_in_another_segment(void **state)
{
	struct bench *b = *state;

	put(b, "AAAAAA", 1);
	b->device->fail_fdatasync = 1;
	assert_int_equal(put(b, "BBBBBB", 1), 0);
	assert_non_null(strstr(buf_text(&b->reports), "write or flush failed"));
	b->device->fail_pwrite = 1;
	assert_int_equal(put(b, "CCCCCC", 1), 0);
	buf_reset(&b->reports);
	crash_and_open(b);
	assert_int_equal(b->visited, 3);
	assert_int_equal(b->reports.len, 0);
}

static void when_every_flush_fails_new_mail_is_refused_and_states_are_owed(void **state)
{
	struct bench *b = *state;
	struct store_summary summary;

	put(b, "AAAAAA", 2);
	b->device->fail_fdatasync = 1000;
	assert_int_not_equal(put(b, "BBBBBB", 1), 0);
	assert_false(is_there(b, "BBBBBB"));
	assert_int_not_equal(status(b, "AAAAAA", 0, RCPT_DELIVERED, ""), 0);
	b->device->fail_fdatasync = 0;
	assert_int_equal(put(b, "CCCCCC", 1), 0);
	crash_and_open(b);
	assert_int_equal(b->visited, 2);
	assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
	assert_int_equal(summary.rcpt_open, 1);
}

/* Makes some of the next flushes fail. */
struct countdown {
	struct device *device;
	int flush, first, second; /* 0: none */
};

static void fail_a_flush(void *arg, const char *op)
{
	struct countdown *c = arg;

	if (strcmp(op, "flush") != 0)
		return;
	c->flush++;
	if (c->flush == c->first || c->flush == c->second)
		c->device->fail_fdatasync = 1;
}

static void fail_flushes(struct bench *b, struct countdown *c)
{
	c->device = b->device;
	b->device->before = fail_a_flush;
	b->device->arg = c;
}

static int segments_on_disk(struct bench *b)
{
	int count = 0;

	for (int i = 0; i < b->device->name_count; i++)
		count += dev_is_in(b->device->names[i].name, DEV_LOG) &&
		    strcmp(b->device->names[i].name, "log/lock") != 0;
	return count;
}

static void a_segment_that_fails_at_opening_is_not_written_again(void **state)
{
	struct bench *b = *state;
	struct countdown c = { .first = 2 }; /* behind that of the segment: CUT */
	struct store_summary summary;

	put(b, "AAAAAA", 2);
	store_close(b->store);
	for (int i = b->device->name_count; i-- > 0;)
		if (dev_is_in(b->device->names[i].name, DEV_LOG) &&
		    strcmp(b->device->names[i].name, "log/00000001") != 0)
			dev_unlink(b->device, 0, b->device->names[i].name);
	b->device->capacity = dev_used(b->device);
	fail_flushes(b, &c);
	open_store(b);
	b->device->before = NULL;
	assert_int_equal(b->visited, 1);
	assert_int_equal(status(b, "AAAAAA", 0, RCPT_DELIVERED, ""), ENOSPC);
	b->device->capacity = 0;
	settle(b);
	crash_and_open(b);
	assert_true(store_summary(b->store, SLICE("AAAAAA"), &summary));
	assert_int_equal(summary.rcpt_open, 1);
}

static void a_segment_whose_flush_fails_at_opening_is_not_written(void **state)
{
	struct bench *b = *state;

	put(b, "AAAAAA", 1);
	store_close(b->store);
	b->device->fail_fdatasync = segments_on_disk(b);
	open_store(b);
	assert_int_equal(b->device->fail_fdatasync, 0);
	assert_int_equal(put(b, "BBBBBB", 1), 0);
	settle(b);
	assert_int_equal(b->device->untrusted_writes, 0);
	crash_and_open(b);
	assert_int_equal(b->visited, 2);
}

static void an_empty_newest_segment_that_fails_hides_nothing(void **state)
{
	struct bench *b = *state;
	struct countdown batches = { .first = 1, .second = 4 }; /* between them the next header's */
	struct countdown cut = { .first = 0 };
	struct device *before = b->device;

	put(b, "AAAAAA", 1);
	fail_flushes(b, &batches);
	assert_int_equal(put(b, "BBBBBB", 1), EIO);
	before->before = NULL;
	b->device = device_crash(before, DEV_LOSE_ALL, 1);
	before->dead = true;
	store_close(b->store);
	device_free(before);
	cut.first = segments_on_disk(b) + 1;
	fail_flushes(b, &cut);
	open_store(b);
	b->device->before = NULL;
	assert_true(cut.flush > cut.first);
	crash_and_open(b);
	assert_true(is_there(b, "AAAAAA"));
}

/* Its record may be on the disk all the same: only the next opening knows. */
static void content_stays_while_its_record_may_be_on_the_disk(void **state)
{
	struct bench *b = *state;
	/* Behind that of the file; behind those of the next header. */
	struct countdown records = { .first = 2, .second = 5 };
	struct device *before = b->device;
	struct slice address = SLICE("you@example.net");
	struct store_message m = {
		.id = SLICE("BIG"), .address = { &address, 1 }, .large_size = 4
	};
	int fd = store_large_create(b->store, m.id);

	assert_int_equal(dev_pwrite(b->device, fd, "text", 4, 0), 4);
	fail_flushes(b, &records);
	b->error = -1;
	store_put(b->store, &m, on_done, b);
	for (int i = 0; b->error == -1 && i < 50; i++)
		store_poll(b->store);
	assert_int_equal(b->error, EIO);
	assert_int_equal(records.flush, records.second);
	/* No header that tells where the log ended is written. */
	before->fail_pwrite = 1000;
	settle(b);
	before->before = NULL;
	b->device = device_crash(before, DEV_KEEP_ALL, 1);
	before->dead = true;
	store_close(b->store);
	device_free(before);
	buf_reset(&b->reports);
	open_store(b);
	assert_true(is_there(b, "BIG"));
	assert_true(has_large(b, "large/BIG"));
	assert_int_equal(b->reports.len, 0);
}

static void content_goes_when_no_crash_can_bring_its_record_back(void **state)
{
	struct bench *b = *state;
	struct countdown records = { .first = 2, .second = 5 };

	fail_flushes(b, &records);
	assert_int_equal(put_large(b, "BIG", 1000, 1000), EIO);
	b->device->before = NULL;
	assert_false(has_large(b, "large/BIG"));
	crash_and_open(b);
	assert_false(is_there(b, "BIG"));
	assert_int_equal(put_large(b, "BIG", 1000, 1000), 0);
}

static void content_whose_record_was_never_written_goes_at_once(void **state)
{
	struct bench *b = *state;
	char envelope[SEGMENT] = { 0 };
	struct slice address = SLICE("you@example.net");
	struct store_message m = { .id = SLICE("BIG"),
		.address = { &address, 1 },
		.envelope = slice_new(envelope, sizeof(envelope)),
		.large_size = 4 };
	int fd = store_large_create(b->store, m.id);

	assert_int_equal(dev_pwrite(b->device, fd, "text", 4, 0), 4);
	store_put(b->store, &m, on_done, b);
	settle(b);
	assert_int_equal(b->error, EMSGSIZE);
	assert_false(has_large(b, "large/BIG"));
}

static void a_large_file_that_can_not_be_flushed_is_refused(void **state)
{
	struct bench *b = *state;

	b->device->fail_fdatasync = 1;
	assert_int_equal(put_large(b, "BIG", 1000, 1000), EIO);
	assert_false(is_there(b, "BIG"));
}

/* The file of the device, or NULL. */
/* --- damage ----------------------------------------------------------------------------------- */

static void damage_costs_the_record_it_lies_in(void **state)
{
	struct bench *b = *state;

	put_sized(b, "AAAAAA", 1, SLICE("first text"));
	put_sized(b, "BBBBBB", 1, SLICE("second text"));
	put_sized(b, "CCCCCC", 1, SLICE("third text"));
	assert_true(damage(b, "second text"));
	crash_and_open(b);
	assert_true(is_there(b, "AAAAAA"));
	assert_false(is_there(b, "BBBBBB"));
	assert_true(is_there(b, "CCCCCC"));
	assert_non_null(strstr(buf_text(&b->reports), "message BBBBBB: "));
	assert_non_null(strstr(buf_text(&b->reports), "set aside"));
	assert_true(has_large(b, "log/damaged-1-12288"));
}

/* However often the block is looked for, behind damage and before it. */
static void a_block_that_cannot_be_read_costs_what_lies_in_it(void **state)
{
	struct bench *b = *state;
	char content[3 * BLOCK];

	memset(content, 'x', sizeof(content));
	put(b, "AAAAAA", 1);
	put_sized(b, "BBBBBB", 1, slice_new(content, sizeof(content)));
	put(b, "CCCCCC", 1);
	store_close(b->store);
	assert_true(without_directories(b));
	b->device->unreadable = SEGMENT_DATA + 3 * BLOCK + 100;
	open_store(b);
	assert_true(is_there(b, "AAAAAA"));
	assert_false(is_there(b, "BBBBBB"));
	assert_true(is_there(b, "CCCCCC"));
	assert_int_equal(count_text(buf_text(&b->reports), "log/00000001: can't read at 20480: "),
	    1);
	assert_int_equal(count_text(buf_text(&b->reports), "message BBBBBB: "), 1);
	assert_int_equal(count_text(buf_text(&b->reports), "but not whole: "), 1);
	assert_true(has_large(b, "log/damaged-1-12288"));
	assert_int_equal(file_named(b, "log/damaged-1-12288")->size, 4 * BLOCK);
}

/* A crash amid the saving left its name without the bytes. */
static void damage_that_was_not_saved_whole_is_saved_again(void **state)
{
	struct bench *b = *state;
	struct dev_file *saved;
	uint64_t size;

	put(b, "AAAAAA", 1);
	put(b, "BBBBBB", 1);
	assert_true(damage(b, "Subject: hi"));
	crash_and_open(b);
	saved = file_named(b, "log/damaged-1-8192");
	assert_non_null(saved);
	size = saved->size;
	saved->size = saved->durable_size = 0;
	crash_and_open(b);
	saved = file_named(b, "log/damaged-1-8192");
	assert_int_equal(saved->size, size);
	assert_memory_equal(saved->now->at, file_named(b, "log/00000001")->now->at + 8192, size);
}

/* A block that the disk wrote where another belongs. */
static void a_misplaced_block_costs_what_it_hit(void **state)
{
	struct bench *b = *state;
	struct dev_file *f;

	put(b, "AAAAAA", 1);
	put(b, "BBBBBB", 1);
	put(b, "CCCCCC", 1);
	f = file_named(b, "log/00000001");
	dev_spoil(f, SEGMENT_DATA, f->now->at + SEGMENT_DATA + 2 * BLOCK, BLOCK);
	crash_and_open(b);
	assert_false(is_there(b, "AAAAAA"));
	assert_true(is_there(b, "BBBBBB"));
	assert_true(is_there(b, "CCCCCC"));
}

static void a_damaged_header_costs_nothing(void **state)
{
	struct bench *b = *state;

	put(b, "AAAAAA", 1);
	assert_true(damage(b, "GPqueue"));
	crash_and_open(b);
	assert_int_equal(b->visited, 1);
}

static void a_lost_segment_is_reported(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 8; i++) {
		char id[16];

		snprintf(id, sizeof(id), "M%d", i);
		put(b, id, 1);
	}
	assert_true(damage(b, "GPqueue"));
	assert_true(damage(b, "GPqueue"));
	crash_and_open(b);
	assert_non_null(strstr(buf_text(&b->reports), "segment 1 of the log is missing"));
	assert_true(b->visited > 0);
	for (int i = 0; i < 20; i++) {
		char id[16];

		snprintf(id, sizeof(id), "N%d", i);
		assert_int_equal(put(b, id, 1), 0);
	}
}

static void the_newest_segment_without_a_header_is_kept(void **state)
{
	struct bench *b = *state;

	put(b, "AAAAAA", 1);
	assert_true(damage(b, "GPqueue"));
	assert_true(damage(b, "GPqueue"));
	crash_and_open(b);
	assert_non_null(strstr(buf_text(&b->reports), "has no header: kept as"));
	assert_non_null(file_named(b, "log/damaged-file-00000001"));
	assert_int_equal(put(b, "BBBBBB", 1), 0);
	crash_and_open(b);
	assert_int_equal(b->visited, 1);
}

static void a_log_of_another_version_is_refused_and_left_alone(void **state)
{
	struct bench *b = *state;
	char *why = NULL;

	put(b, "AAAAAA", 1);
	store_close(b->store);
	write_over(b, "log/00000001", 8, 2, 1);
	write_over(b, "log/00000001", BLOCK + 8, 2, 1);
	assert_null(try_open(b, &why));
	assert_non_null(strstr(why, "log/00000001: format version 2"));
	free(why);
	write_over(b, "log/00000001", 8, 1, 1);
	open_store(b);
	assert_int_equal(b->visited, 1);
}

static void a_segment_cut_short_costs_what_is_gone(void **state)
{
	static const size_t sizes[] = { SEGMENT_DATA + BLOCK, SEGMENT_DATA + BLOCK + 100,
		SEGMENT_DATA + 3 * BLOCK };
	struct bench *b = *state;
	int there = 3;

	put(b, "AAAAAA", 1);
	put(b, "BBBBBB", 1);
	put(b, "CCCCCC", 1);
	for (size_t i = ARRAY_LENGTH(sizes); i-- > 0; there = 1) {
		store_close(b->store);
		buf_reset(&b->reports);
		assert_int_equal(dev_truncate(b->device, DEV_FD + 1, (off_t)sizes[i]), 0);
		open_store(b);
		assert_int_equal(b->visited, there);
		assert_true(is_there(b, "AAAAAA"));
		assert_non_null(strstr(buf_text(&b->reports), "log/00000001: cut short"));
	}
	assert_int_equal(put(b, "DDDDDD", 1), 0);
	buf_reset(&b->reports);
	crash_and_open(b);
	assert_int_equal(b->visited, 2);
	assert_int_equal(b->reports.len, 0);
}

static void promised_records_that_became_zeros_are_reported(void **state)
{
	struct bench *b = *state;
	char id[16];

	/* Six to a segment; the second one's header tells where the first ends. */
	for (int i = 0; i < 8; i++) {
		snprintf(id, sizeof(id), "M%d", i);
		put(b, id, 1);
	}
	write_over(b, "log/00000001", SEGMENT - BLOCK, 0, BLOCK);
	assert_true(without_directories(b));
	crash_and_open(b);
	assert_int_equal(b->visited, 7);
	assert_non_null(strstr(buf_text(&b->reports), "set aside"));
}

static void content_that_lost_its_record_is_kept(void **state)
{
	struct bench *b = *state;

	put_large(b, "BIG", 1000, 1000);
	put(b, "AAAAAA", 1);
	assert_true(damage(b, "BIG"));
	crash_and_open(b);
	assert_int_equal(b->visited, 1);
	assert_false(has_large(b, "large/BIG"));
	assert_non_null(strstr(buf_text(&b->reports), "kept as large/damaged-BIG"));
	close_and_open(b);
	assert_true(has_large(b, "large/damaged-BIG"));
}

/* The content with which the record of a message takes one block. */
static size_t content_for_a_block(void)
{
	static char zeros[BLOCK];
	struct slice address = SLICE("you@example.net");
	struct record_message m = { .put = { .id = SLICE("AAAAAA"), .address = { &address, 1 } } };

	for (size_t len = BLOCK; len > 0; len--) {
		struct append *a = append_new(RECORD_MESSAGE, NULL);
		bool fits;

		m.put.content = slice_new(zeros, len);
		fits = append_encode(a, &record_message_table, &m) &&
		    frame_size(a->payload.len) == BLOCK;
		append_free(a);
		if (fits)
			return len;
	}
	fail_msg("no content fits");
	return 0;
}

static void what_was_cut_does_not_come_up_behind_the_cut(void **state)
{
	struct bench *b = *state;
	struct slice address = SLICE("you@example.net");
	struct store_message first = { .id = SLICE("AAAAAA"), .address = { &address, 1 } };
	struct store_message second = { .id = SLICE("BBBBBB"), .address = { &address, 1 } };
	char content[BLOCK] = { 0 };

	first.content = slice_new(content, content_for_a_block());
	store_put(b->store, &first, on_done, b);
	store_put(b->store, &second, on_done, b);
	settle(b);
	assert_int_equal(entry_find(b->store, second.id)->message.offset, SEGMENT_DATA + BLOCK);
	/* The first block of the batch was torn. */
	write_over(b, "log/00000001", SEGMENT_DATA, 0, BLOCK);
	for (int i = 0; i < 3; i++) {
		crash_and_open(b);
		assert_int_equal(b->visited, 0);
	}
}

/* The CUT that an opening wrote last is torn behind its header: it comes alone, so no record is lost. */
static void a_torn_cut_is_no_damage(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;
	uint64_t end;

	put(b, "AAAAAA", 1);
	for (int i = 0; i < 3; i++) {
		crash_and_open(b);
		end = b->store->current->end;
		write_over(b, "log/00000001", end - BLOCK + FRAME_HEADER, 0, BLOCK - FRAME_HEADER);
		crash_and_open(b);
		store_counters(b->store, &counters);
		assert_int_equal(counters.set_aside, 0);
		assert_int_equal(b->store->current->end, end);
		assert_int_equal(b->visited, 1);
	}
	/* What is behind a damaged one was promised, and is found. */
	put(b, "BBBBBB", 1);
	write_over(b, "log/00000001", end - BLOCK + FRAME_HEADER, 0, BLOCK - FRAME_HEADER);
	crash_and_open(b);
	assert_true(is_there(b, "AAAAAA"));
	assert_true(is_there(b, "BBBBBB"));
}

static void each_segment_has_its_own_secret(void **state)
{
	static const uint8_t zeros[KEYHASH_KEY];
	struct bench *b = *state;
	uint8_t first[KEYHASH_KEY];

	memcpy(first, b->store->current->nonce, sizeof(first));
	assert_memory_not_equal(first, zeros, sizeof(first));
	b->device->fail_fdatasync = 1;
	assert_int_equal(put(b, "AAAAAA", 1), 0);
	assert_memory_not_equal(first, b->store->current->nonce, sizeof(first));
}

static void content_that_looks_like_a_record_is_content(void **state)
{
	struct bench *b = *state;
	struct dev_file *first = NULL;
	char copy[8192];

	/* The bytes of a whole batch with another message, mailed; then the mail's own record breaks. */
	put_sized(b, "AAAAAA", 1, SLICE("victim text"));
	for (int i = 0; i < b->device->files; i++)
		if (b->device->file[i].size > 0 &&
		    memmem(b->device->file[i].now->at, b->device->file[i].size, "victim text",
			11) != NULL)
			first = &b->device->file[i];
	assert_non_null(first);
	memcpy(copy, first->now->at + SEGMENT_DATA, sizeof(copy));
	put_sized(b, "BBBBBB", 1, slice_new(copy, sizeof(copy)));
	status(b, "AAAAAA", 0, RCPT_DELIVERED, "");
	put(b, "CCCCCC", 1);
	assert_true(damage(b, "BBBBBB"));
	crash_and_open(b);
	assert_false(is_there(b, "AAAAAA"));
	assert_false(is_there(b, "BBBBBB"));
	assert_true(is_there(b, "CCCCCC"));
}

static void damage_found_while_copying_is_set_aside(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;

	put_sized(b, "OLD", 1, SLICE("soon damaged"));
	put_sized(b, "OLDER", 1, SLICE("stays whole"));
	hot_drop(b->store, entry_find(b->store, SLICE("OLD")));
	assert_true(damage(b, "soon damaged"));
	for (int i = 0; i < 300; i++) {
		char id[16];

		snprintf(id, sizeof(id), "N%d", i);
		put(b, id, 1);
		status(b, id, 0, RCPT_DELIVERED, "");
	}
	store_counters(b->store, &counters);
	assert_true(counters.segments <= 10);
	assert_int_equal(counters.set_aside, 1);
	assert_false(is_there(b, "OLD"));
	assert_true(is_there(b, "OLDER"));
}

static void a_network_file_system_is_refused_unless_it_is_asked_for(void **state)
{
	struct bench *b = *state;
	unsigned long changes;
	char *why = NULL;

	store_close(b->store);
	b->device->network = "NFS";
	changes = b->device->changes;
	assert_null(try_open(b, &why));
	assert_non_null(strstr(why, "network file system (NFS)"));
	free(why);
	assert_int_equal(b->device->changes, changes);
	b->allow_network = true;
	assert_non_null(try_open(b, &why));
	assert_non_null(strstr(b->reports.data, "(NFS): what is accepted may get lost"));
}

/* Texts of outcomes that together are larger than a segment: the copy goes without them. */
static void a_copy_that_would_outgrow_a_segment_goes_without_texts(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;
	struct store_loaded *l;
	char reason[401], id[16];

	memset(reason, 'r', 400);
	reason[400] = '\0';
	assert_int_equal(put(b, "LONG", 100), 0);
	/* Apart, so that folding has no part in it. */
	for (uint64_t first = 0; first < 100; first += 25) {
		struct store_status many[25];

		for (uint64_t i = 0; i < 25; i++)
			many[i] = (struct store_status){ .index = first + i,
				.state = first + i == 7 ? RCPT_DELIVERED : RCPT_DEFERRED,
				.dsn = SLICE("4.4.1"),
				.reason = slice_of(reason) };
		store_status(b->store, SLICE("LONG"), many, 25, 77, NULL, NULL);
		settle(b);
	}
	for (int i = 0; i < 400; i++) {
		snprintf(id, sizeof(id), "M%03d", i);
		assert_int_equal(put_sized(b, id, 1, slice_new(reason, 400)), 0);
		assert_int_equal(status(b, id, 0, RCPT_DELIVERED, ""), 0);
	}
	store_counters(b->store, &counters);
	assert_true(counters.segments < 12);
	crash_and_open(b);
	l = load_message(b, "LONG");
	assert_non_null(l);
	assert_int_equal(l->state[7], RCPT_DELIVERED);
	assert_int_equal(l->state[8], RCPT_DEFERRED);
	assert_int_equal(l->due_us, 77);
	assert_text(l->dsn[8], "4.4.1");
	assert_text(l->reason[8], "");
	store_loaded_free(l);
	assert_int_equal(b->reports.len, 0);
}

static void many_outcomes_of_a_message_are_folded(void **state)
{
	struct bench *b = *state;
	struct store_counters counters;
	struct store_loaded *l;

	put(b, "AAAAAA", 2);
	status(b, "AAAAAA", 0, RCPT_DEFERRED, "first");
	for (int i = 0; i < 40; i++)
		assert_int_equal(status(b, "AAAAAA", 1, RCPT_DEFERRED, "busy"), 0);
	store_counters(b->store, &counters);
	assert_true(counters.copied_bytes > 0);
	crash_and_open(b);
	l = load_message(b, "AAAAAA");
	assert_text(l->reason[0], "first");
	assert_text(l->reason[1], "busy");
	store_loaded_free(l);
}

/* --- real files and threads ------------------------------------------------------------------- */

struct flight {
	struct store *store;
	unsigned open, good;
};

static void on_landing(void *arg, int error)
{
	struct flight *f = arg;

	f->open--;
	f->good += error == 0;
}

static void on_loaded(void *arg, struct store_loaded *loaded, int error)
{
	if (error == 0 && loaded->message.content.len == 1000)
		on_landing(arg, 0);
	else
		on_landing(arg, EIO);
	store_loaded_free(loaded);
}

/* Until at most `most` are under way. */
static void land(struct flight *f, unsigned most)
{
	while (f->open > most) {
		struct pollfd event = { .fd = store_event_fd(f->store), .events = POLLIN };

		assert_int_equal(poll(&event, 1, 10000), 1);
		store_poll(f->store);
	}
}

static void put_many(struct flight *f, unsigned count)
{
	struct slice address = SLICE("a@b");
	char content[1000];

	memset(content, 'z', sizeof(content));
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		struct store_message m = { .address = { &address, 1 },
			.content = slice_new(content, sizeof(content)) };

		snprintf(id, sizeof(id), "M%05u", i);
		m.id = slice_of(id);
		store_put(f->store, &m, on_landing, f);
		f->open++;
		land(f, 31);
	}
	land(f, 0);
}

/* All but each 50th are delivered; those are read again and again meanwhile. */
static void deliver_many(struct flight *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct store_status delivered = { .state = RCPT_DELIVERED };
		char id[16], kept[16];

		snprintf(id, sizeof(id), "M%05u", i);
		snprintf(kept, sizeof(kept), "M%05u", i / 50 * 50);
		store_attempt(f->store, slice_of(id));
		if (i % 50 != 0)
			store_status(f->store, slice_of(id), &delivered, 1, 0, on_landing, f);
		else
			store_hold(f->store, slice_of(id), on_landing, f);
		store_read(f->store, slice_of(kept), true, on_loaded, f);
		f->open += 2;
		land(f, 31);
	}
	land(f, 0);
}

static void threads_keep_what_they_promise_on_real_files(void **state)
{
	enum { COUNT = 3000 };
	char path[] = "/tmp/test-queue-XXXXXX", command[64], *why = NULL;
	struct store_options options = { .segment_size = 128 << 10 };
	struct store_counters counters;
	struct flight f = { 0 };

	(void)state;
	assert_non_null(mkdtemp(path));
	options.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.store = store_open(&options, NULL, NULL, &why);
	assert_non_null(f.store);
	assert_null(store_open(&options, NULL, NULL, &why));
	assert_non_null(strstr(why, "EBUSY"));
	free(why);
	put_many(&f, COUNT);
	deliver_many(&f, COUNT);
	assert_int_equal(f.good, 3 * COUNT);
	store_counters(f.store, &counters);
	assert_int_equal(counters.messages, COUNT / 50);
	store_close(f.store);
	/* What is no file there is passed over. */
	assert_int_equal(mkdirat(options.directory, "log/000fffff", 0700), 0);
	assert_int_equal(symlinkat("/etc/passwd", options.directory, "log/000ffffe"), 0);
	f.store = store_open(&options, NULL, NULL, &why);
	assert_non_null(f.store);
	store_counters(f.store, &counters);
	assert_int_equal(counters.messages, COUNT / 50);
	assert_int_equal(counters.set_aside, 0);
	store_close(f.store);
	close(options.directory);
	snprintf(command, sizeof(command), "rm -r %s", path);
	assert_int_equal(system(command), 0);
}

/* A real disk whose flushes of segments can be made to fail, and who heard of it in which thread. */
struct bad_disk {
	struct store_io io;
	atomic_bool fails;
	pthread_t owner;
	int reports, from_elsewhere;
};

static int flush_or_fail(void *arg, int fd)
{
	struct bad_disk *disk = arg;

	if (!disk->fails)
		return store_io_posix.fdatasync(NULL, fd);
	errno = EIO;
	return -1;
}

static void on_bad_disk(void *arg, const char *text)
{
	struct bad_disk *disk = arg;

	assert_true(strlen(text) > 0);
	disk->reports++;
	disk->from_elsewhere += !pthread_equal(pthread_self(), disk->owner);
}

static void reports_and_owed_records_come_from_threads_in_order(void **state)
{
	char path[] = "/tmp/test-queue-XXXXXX", command[64], *why = NULL;
	struct bad_disk disk = { .io = store_io_posix, .owner = pthread_self() };
	struct store_options options = {
		.segment_size = SEGMENT, .io = &disk.io, .report = on_bad_disk, .arg = &disk
	};
	struct store_summary summary;
	struct flight f = { 0 };

	(void)state;
	disk.io.arg = &disk;
	disk.io.fdatasync = flush_or_fail;
	assert_non_null(mkdtemp(path));
	options.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int round = 0; round < 2; round++) {
		f.store = store_open(&options, NULL, NULL, &why);
		assert_non_null(f.store);
		assert_int_equal(store_summary(f.store, SLICE("M00000"), &summary), round > 0);
		if (round == 0)
			put_many(&f, 1);
		disk.fails = true;
		store_hold(f.store, SLICE("M00000"), on_landing, &f);
		f.open++;
		land(&f, 0);
		/* The first time it is lost with the disk; the second time the disk gets well. */
		disk.fails = round == 0;
		store_close(f.store);
		disk.fails = false;
	}
	assert_true(disk.reports > 0);
	assert_int_equal(disk.from_elsewhere, 0);
	f.store = store_open(&options, NULL, NULL, &why);
	assert_true(store_summary(f.store, SLICE("M00000"), &summary));
	assert_true(summary.held);
	store_close(f.store);
	close(options.directory);
	snprintf(command, sizeof(command), "rm -r %s", path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_STORE(a_message_is_there_after_its_callback_and_after_a_crash),
		WITH_STORE(an_id_that_is_there_is_refused),
		WITH_STORE(what_is_no_message_is_refused),
		WITH_STORE(state_of_each_recipient_survives),
		WITH_STORE(a_message_without_open_recipients_is_done),
		WITH_STORE(holds_deaths_and_attempts_are_kept),
		WITH_STORE(marks_add_up_and_are_kept),
		WITH_STORE(messages_come_in_the_order_of_ids),
		WITH_STORE(a_message_is_not_there_before_its_callback),
		WITH_STORE(records_put_together_share_a_flush),
		WITH_STORE(an_old_message_is_copied_forward_with_its_state),
		WITH_STORE(opening_often_takes_no_new_segment_each_time),
		WITH_STORE(large_content_lives_as_long_as_its_record),
		WITH_STORE(large_content_of_another_size_is_refused),
		WITH_STORE(content_of_a_refused_message_is_removed),
		WITH_STORE(a_large_file_without_a_record_is_removed_at_opening),
		WITH_STORE(a_record_without_its_large_file_is_held_and_reported),
		WITH_STORE(on_a_full_disk_new_mail_is_refused_and_the_queue_drains),
		WITH_STORE(a_failed_flush_is_repeated_in_another_segment),
		WITH_STORE(when_every_flush_fails_new_mail_is_refused_and_states_are_owed),
		WITH_STORE(a_segment_that_fails_at_opening_is_not_written_again),
		WITH_STORE(a_segment_whose_flush_fails_at_opening_is_not_written),
		WITH_STORE(an_empty_newest_segment_that_fails_hides_nothing),
		WITH_STORE(content_stays_while_its_record_may_be_on_the_disk),
		WITH_STORE(content_goes_when_no_crash_can_bring_its_record_back),
		WITH_STORE(content_whose_record_was_never_written_goes_at_once),
		WITH_STORE(a_large_file_that_can_not_be_flushed_is_refused),
		WITH_STORE(damage_costs_the_record_it_lies_in),
		WITH_STORE(a_block_that_cannot_be_read_costs_what_lies_in_it),
		WITH_STORE(damage_that_was_not_saved_whole_is_saved_again),
		WITH_STORE(a_misplaced_block_costs_what_it_hit),
		WITH_STORE(a_damaged_header_costs_nothing),
		WITH_STORE(a_lost_segment_is_reported),
		WITH_STORE(the_newest_segment_without_a_header_is_kept),
		WITH_STORE(a_log_of_another_version_is_refused_and_left_alone),
		WITH_STORE(a_segment_cut_short_costs_what_is_gone),
		WITH_STORE(promised_records_that_became_zeros_are_reported),
		WITH_STORE(content_that_lost_its_record_is_kept),
		WITH_STORE(what_was_cut_does_not_come_up_behind_the_cut),
		WITH_STORE(a_torn_cut_is_no_damage),
		WITH_STORE(each_segment_has_its_own_secret),
		WITH_STORE(content_that_looks_like_a_record_is_content),
		WITH_STORE(damage_found_while_copying_is_set_aside),
		WITH_STORE(a_copy_that_would_outgrow_a_segment_goes_without_texts),
		WITH_STORE(many_outcomes_of_a_message_are_folded),
		WITH_STORE(a_network_file_system_is_refused_unless_it_is_asked_for),
		cmocka_unit_test(threads_keep_what_they_promise_on_real_files),
		cmocka_unit_test(reports_and_owed_records_come_from_threads_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
