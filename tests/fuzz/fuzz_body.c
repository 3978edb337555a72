/* SPDX-License-Identifier: ISC */
/*
 * Any bytes behind DATA: cut anywhere they mean the same, and nothing in what comes out can be taken for
 * another line end or for the end of the message.
 */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct body body;
	struct buf out;
	size_t taken;
	bool ended;
};

static void read_all(struct result *r, struct slice in, size_t piece)
{
	for (size_t at = 0; at < in.len && !r->ended; at += piece)
		r->taken += body_feed(&r->body, slice_part(in, at, piece), &r->out, &r->ended);
}

static void check_safe(struct slice out)
{
	for (size_t i = 0; i < out.len; i++) {
		char before = i > 0 ? out.data[i - 1] : '\n';

		if (out.data[i] == '\0' || (out.data[i] == '\n') != (before == '\r' && i > 0))
			abort();
		if (before == '\n' && out.data[i] == '.' && i + 1 < out.len &&
		    out.data[i + 1] == '\r')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_new(data, size);
	struct result whole = { 0 }, pieces = { 0 };

	read_all(&whole, in, size + 1);
	read_all(&pieces, in, size > 0 ? data[0] % 7 + 1u : 1);
	if (whole.ended != pieces.ended || whole.taken != pieces.taken ||
	    !slice_equal(buf_slice(&whole.out), buf_slice(&pieces.out)))
		abort();
	if (whole.ended && (whole.taken < 3 || memcmp(data + whole.taken - 3, ".\r\n", 3) != 0))
		abort();
	check_safe(buf_slice(&whole.out));
	buf_clear(&whole.out);
	buf_clear(&pieces.out);
	return 0;
}
