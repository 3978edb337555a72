/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as records with valid checksums (another version's, a bug's), and any bytes written over
 * the log: the queue opens, what it shows can be read, and it takes new mail.
 *
 * Input: a type, a length and a payload for each record; after a type of 0, an offset and bytes that
 * go over the first segment.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"
#include "tests/unit/queue/device.h"

enum { FUZZ_SEGMENT = 32 << 10, FUZZ_FIRST_FILE = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *open_store(struct device *d)
{
	struct store_options options = {
		.directory = -1,
		.io = &d->io,
		.segment_size = FUZZ_SEGMENT,
		.no_threads = true,
	};
	char *why = NULL;
	struct store *s = store_open(&options, NULL, NULL, &why);

	/* Another program's log: the one thing that is not opened. */
	if (s == NULL && strstr(why, "format version") == NULL)
		abort();
	free(why);
	return s;
}

static void settle(struct store *s)
{
	for (int i = 0; i < 20; i++)
		store_poll(s);
}

/* Hands in the records; returns what is left of the input. */
static struct slice append_records(struct store *s, struct slice in)
{
	while (in.len >= 3 && in.data[0] != 0) {
		struct append *a = append_new((enum record_type)(in.data[0] % 12), NULL);
		size_t len = (unsigned char)in.data[1] | (size_t)(unsigned char)in.data[2] << 8;
		struct slice payload = slice_part(in, 3, len);

		buf_put_slice(&a->payload, payload);
		log_submit(s, a);
		in = slice_part(in, 3 + payload.len, in.len);
	}
	return slice_part(in, 1, in.len);
}

static void write_over(struct device *d, struct slice in)
{
	size_t at;

	if (in.len < 3)
		return;
	at = ((unsigned char)in.data[0] | (size_t)(unsigned char)in.data[1] << 8) % FUZZ_SEGMENT;
	in = slice_part(in, 2, FUZZ_SEGMENT - at);
	dev_pwrite(d, DEV_FD + FUZZ_FIRST_FILE, in.data, in.len, (off_t)at);
}

static void on_read(void *arg, struct store_loaded *loaded, int error)
{
	(void)arg;
	if ((loaded == NULL) != (error != 0))
		abort();
	store_loaded_free(loaded);
}

static void on_put(void *arg, int error)
{
	*(int *)arg = error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice address = SLICE("a@b"), rest;
	struct store_message m = { .id = SLICE("0fuzz"), .address = { &address, 1 } };
	struct device *d = device_new(1);
	struct store *s = open_store(d);
	struct store_summary summary;
	char last[RECORD_ID_LIMIT + 1] = "";
	int error = -1;

	rest = append_records(s, slice_new(data, size));
	settle(s);
	store_close(s);
	write_over(d, rest);
	s = open_store(d);
	if (s == NULL) {
		device_free(d);
		return 0;
	}
	while (store_next(s, slice_of(last), &summary)) {
		snprintf(last, sizeof(last), "%s", summary.id);
		store_read(s, slice_of(last), true, on_read, NULL);
	}
	settle(s);
	store_put(s, &m, on_put, &error);
	settle(s);
	if (error != 0 && error != EEXIST)
		abort();
	store_close(s);
	device_free(d);
	return 0;
}
