/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a file of maildrop/: the reader ends, and what it calls a whole message is, written once
 * more, the same message; a part of it is none.
 */
#include <stdint.h>
#include <stdlib.h>

#include "postdrop/drop_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum drop_next read_all(struct slice in, struct buf *copy)
{
	struct drop_reader reader = { .fd = -1 };
	const struct wire_table *table;
	enum drop_next next;
	const char *why;
	void *message;

	drop_put_start(copy);
	buf_put_slice(&reader.in, in);
	while ((next = drop_read(&reader, &table, &message, &why)) == DROP_MESSAGE)
		if (!drop_put(copy, table, message, &why))
			abort();
	drop_reader_clear(&reader);
	return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first = { 0 }, second = { 0 }, cut = { 0 };

	if (read_all(slice_new(data, size), &first) == DROP_END) {
		if (read_all(buf_slice(&first), &second) != DROP_END ||
		    !slice_equal(buf_slice(&first), buf_slice(&second)))
			abort();
		if (read_all(slice_new(data, size - 1), &cut) != DROP_MALFORMED)
			abort();
	}
	buf_clear(&first);
	buf_clear(&second);
	buf_clear(&cut);
	return 0;
}
