/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a DNS message, after one byte that chooses the type: no crash, and an answer holds what may
 * be sent on: at most the limit, sorted, names and addresses of plain characters.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/ipc/messages.h"
#include "common/net/address.h"
#include "support/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum dns_type types[] = { DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA };

static void check_datum(enum dns_type type, struct slice datum)
{
	struct net_address address;
	bool is_address = net_address_parse(datum, &address);

	if ((type == DNS_A || type == DNS_AAAA) && !is_address)
		abort();
	if ((type == DNS_MX || type == DNS_PTR) && datum.len > 0 && !resolver_name_is_good(datum))
		abort();
}

static void check(enum dns_type type, const struct msg_dns_answer *answer)
{
	struct buf encoded = { 0 };
	const char *why;

	if ((answer->status == DNS_OK) != (answer->data.count > 0) ||
	    !resolver_name_is_good(answer->canonical))
		abort();
	for (size_t i = 0; i < answer->data.count; i++) {
		check_datum(type, answer->data.items[i]);
		if (type == DNS_MX && i > 0 &&
		    answer->preference.items[i - 1] > answer->preference.items[i])
			abort();
	}
	/* It must fit its message. */
	if (!wire_encode(&table_dns_answer, answer, &encoded, &why))
		abort();
	buf_clear(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct msg_dns_answer answer;
	unsigned odd;

	if (size > 0) {
		enum dns_type type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
		struct slice message = slice_new(data + 1, size - 1);

		resolver_has_signed_keys(message);
		if (resolver_parse(message, SLICE("a.test"), type, arena, &answer, &odd))
			check(type, &answer);
	}
	arena_free(arena);
	return 0;
}
