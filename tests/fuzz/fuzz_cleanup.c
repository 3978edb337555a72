/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as content: the header comes out the same however it was cut into pieces, and no line of
 * it ends otherwise than with CRLF if none did before.
 */
#include <stdint.h>
#include <stdlib.h>

#include "cleanup/cleanup.h"
#include "cleanup/header_pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool complete(void *arg, struct wire_texts texts, struct slice *answers, struct arena *a)
{
	(void)arg;
	if (texts.count == 0 || texts.count > RCPTS_PER_FRAME)
		abort();
	for (size_t i = 0; i < texts.count; i++) {
		if (texts.items[i].len == 0 || texts.items[i].len > ADDRESS_LIMIT)
			abort();
		answers[i] = slice_of(arena_printf(a, "%.*s@x.example", (int)texts.items[i].len,
		    texts.items[i].data));
	}
	return true;
}

static enum pass_result pass(const struct header_context *c, struct slice in, size_t piece,
    struct buf *out)
{
	struct header_pass *p = header_pass_new(c, out);
	enum pass_result result = PASS_OK;

	for (size_t at = 0; result == PASS_OK && at < in.len; at += piece)
		result = header_pass_feed(p, slice_part(in, at, piece), out);
	if (result == PASS_OK)
		result = header_pass_end(p, out);
	header_pass_free(p);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_admit message = { .id = SLICE("ID"),
		.protocol = SLICE("SMTP"),
		.client_helo = SLICE("x"),
		.client_address = SLICE("192.0.2.1") };
	struct header_context context = { .admit = &message,
		.sender = SLICE("s@x.example"),
		.add_missing = size > 0 && (data[0] & 1),
		.complete = complete };
	struct slice in = slice_new(data, size);
	struct buf whole = { 0 }, pieces = { 0 };
	enum pass_result result;

	cleanup_settings = (struct cleanup_settings){ .myhostname = "h",
		.mail_name = "n",
		.message_drop_headers = "bcc, return-path",
		.undisclosed_recipients_header = "To: u:;",
		.hopcount_limit = 10,
		.header_size_limit = size > 1 ? data[1] + 1 : 100000,
		.append_dot_mydomain = true };
	result = pass(&context, in, size + 1, &whole);
	if (pass(&context, in, size > 2 ? data[2] % 40 + 1u : 1, &pieces) != result)
		abort();
	if (result == PASS_OK && !slice_equal(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
