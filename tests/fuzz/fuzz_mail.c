/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a path, a list of addresses, a header, a queue id: no crash, and what is accepted
 * is accepted again as it came out.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/header.h"
#include "common/mail/mail_address.h"
#include "common/mail/queue_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(void *arg, struct slice address)
{
	(void)arg;
	for (size_t i = 0; i < address.len; i++)
		if (strchr("\r\n", address.data[i]) != NULL)
			abort();
}

static void check_path(struct slice text, unsigned flags, struct arena *a)
{
	struct slice address, again, rest;
	struct buf path = { 0 };
	const char *why;

	if (!path_parse(text, flags, a, &address, &rest, &why))
		return;
	check_address(NULL, address);
	buf_putc(&path, '<');
	buf_put_slice(&path, address);
	buf_putc(&path, '>');
	if (!path_parse(buf_slice(&path), flags, a, &again, &rest, &why) ||
	    !slice_equal(address, again))
		abort();
	buf_clear(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_new(data, size), rest = text;
	struct arena *a = arena_new();
	struct header h;
	bool blank;

	for (unsigned flags = 0; flags < 16; flags++)
		check_path(text, flags, a);
	header_addresses(text, 1000, a, check_address, NULL);
	while (header_next(&rest, true, &h, &blank) == HEADER_FIELD)
		header_id(h.name);
	if (queue_id_time(text) != -1 && !queue_id_is_valid(text))
		abort();
	arena_free(a);
	return 0;
}
