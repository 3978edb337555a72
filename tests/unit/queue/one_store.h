/* SPDX-License-Identifier: ISC */
/*
 * one_store.h - one store on the disk in memory of device.h, for tests that step through its rules.
 */
#ifndef GP_TEST_ONE_STORE_H
#define GP_TEST_ONE_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/queue/internal.h"
#include "tests/unit/queue/crash.h"

enum { SEGMENT = 32 << 10 };

/* One store on a device, and what its callbacks and reports said. */
struct bench {
	struct device *device;
	struct store *store;
	struct buf reports;
	bool allow_network;
	int answers, error; /* callbacks so far; what the last one said */
	int visited, refused;
	struct store_loaded *loaded;
};

static inline void on_report(void *arg, const char *text)
{
	struct bench *b = arg;

	buf_printf(&b->reports, "%s\n", text);
}

static inline void on_visit(void *arg, const struct store_summary *summary)
{
	struct bench *b = arg;

	(void)summary;
	b->visited++;
}

static inline void on_done(void *arg, int error)
{
	struct bench *b = arg;

	b->answers++;
	b->error = error;
}

static inline void on_all_good(void *arg, int error)
{
	struct bench *b = arg;

	b->refused += error != 0;
}

static inline void on_read(void *arg, struct store_loaded *loaded, int error)
{
	struct bench *b = arg;

	b->loaded = loaded;
	on_done(arg, error);
}

static inline void settle(struct bench *b)
{
	for (int i = 0; i < 50; i++)
		store_poll(b->store);
}

static inline struct store *try_open(struct bench *b, char **why)
{
	struct store_options options = {
		.directory = -1,
		.io = &b->device->io,
		.segment_size = SEGMENT,
		.no_threads = true,
		.allow_network = b->allow_network,
		.report = on_report,
		.arg = b,
	};

	b->visited = 0;
	b->store = store_open(&options, on_visit, b, why);
	return b->store;
}

static inline void open_store(struct bench *b)
{
	char *why = NULL;

	if (try_open(b, &why) == NULL)
		fail_msg("store_open: %s", why);
}

/* Closes as a crash does: what was not flushed is gone. */
static inline void crash_and_open(struct bench *b)
{
	struct device *after = device_crash(b->device, DEV_LOSE_ALL, 1);

	b->device->dead = true;
	store_close(b->store);
	device_free(b->device);
	b->device = after;
	open_store(b);
}

static inline void close_and_open(struct bench *b)
{
	store_close(b->store);
	open_store(b);
}

static inline int setup(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->device = device_new(1);
	open_store(b);
	settle(b);
	*state = b;
	return 0;
}

static inline int teardown(void **state)
{
	struct bench *b = *state;

	store_close(b->store);
	assert_int_equal(b->device->untrusted_writes, 0);
	device_free(b->device);
	buf_clear(&b->reports);
	free(b);
	return 0;
}

static inline int put_sized(struct bench *b, const char *id, size_t rcpts, struct slice content)
{
	struct slice address[200];
	struct store_message m = {
		.id = slice_of(id),
		.arrival_us = 1234567,
		.flags = 5,
		.sender = SLICE("me@example.org"),
		.envelope = SLICE("client=nobody"),
		.address = { address, rcpts },
		.content = content,
	};

	for (size_t i = 0; i < rcpts; i++)
		address[i] = SLICE("you@example.net");
	b->error = -1;
	store_put(b->store, &m, on_done, b);
	settle(b);
	return b->error;
}

static inline int put(struct bench *b, const char *id, size_t rcpts)
{
	return put_sized(b, id, rcpts, SLICE("Subject: hi\r\n\r\nbody\r\n"));
}

static inline int status(struct bench *b, const char *id, uint64_t rcpt, enum rcpt_state state,
    const char *reason)
{
	struct store_status one = {
		.index = rcpt, .state = state, .dsn = SLICE("4.0.0"), .reason = slice_of(reason)
	};

	b->error = -1;
	store_status(b->store, slice_of(id), &one, 1, 99, on_done, b);
	settle(b);
	return b->error;
}

static inline struct store_loaded *load_message(struct bench *b, const char *id)
{
	b->loaded = NULL;
	b->error = -1;
	store_read(b->store, slice_of(id), true, on_read, b);
	settle(b);
	return b->loaded;
}

static inline bool is_there(struct bench *b, const char *id)
{
	struct store_summary summary;

	return store_summary(b->store, slice_of(id), &summary);
}

static inline void assert_text(struct slice got, const char *wanted)
{
	assert_int_equal(got.len, strlen(wanted));
	assert_memory_equal(got.data, wanted, got.len);
}

static inline struct dev_file *file_named(struct bench *b, const char *name)
{
	int i = dev_find(b->device->names, b->device->name_count, name);

	return i < 0 ? NULL : &b->device->file[b->device->names[i].file];
}

static inline void write_over(struct bench *b, const char *name, size_t at, char byte, size_t len)
{
	struct dev_file *f = file_named(b, name);

	assert_non_null(f);
	assert_true(at + len <= f->size);
	for (size_t i = 0; i < len; i++)
		dev_spoil(f, at + i, &byte, 1);
}

/* Changes one byte of this file at the place of the text; false when it is not there. */
static inline bool damage_file(struct dev_file *f, const char *text)
{
	const char *at = f->size == 0 ? NULL : memmem(f->now->at, f->size, text, strlen(text));
	char other;

	if (at == NULL)
		return false;
	other = *at ^ 1;
	dev_spoil(f, (size_t)(at - f->now->at), &other, 1);
	return true;
}

/* In any file of the disk. */
static inline bool damage(struct bench *b, const char *text)
{
	for (int i = 0; i < b->device->files; i++)
		if (damage_file(&b->device->file[i], text))
			return true;
	return false;
}

static inline bool has_large(struct bench *b, const char *name)
{
	return dev_find(b->device->names, b->device->name_count, name) >= 0;
}

static inline size_t count_text(const char *text, const char *wanted)
{
	size_t count = 0;

	for (; (text = strstr(text, wanted)) != NULL; text++)
		count++;
	return count;
}

/* Spoils the directory of each segment, so that opening scans; whether there was any. */
static inline bool without_directories(struct bench *b)
{
	bool found = false;

	for (int i = 0; i < b->device->name_count; i++) {
		struct dev_names *n = &b->device->names[i];

		if (strstr(n->name, DIRECTORY_SUFFIX) == NULL)
			continue;
		write_over(b, n->name, 0, 0, 8);
		found = true;
	}
	return found;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
