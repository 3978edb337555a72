/* SPDX-License-Identifier: ISC */
/*
 * sites.c - where waiting mail goes, in four bytes for each message: so that mail for one site is found in
 * memory, and only what seems to go there is read.
 *
 * Each domain has two of 31 bits. Most messages go to one domain, so that of mail for others one in some
 * hundreds is read in vain. A domain that is made to look like another costs reads, no more.
 */
#include "qmgr/qmgr.h"

#include <ctype.h>

enum { BITS = 31 };

uint32_t sites_bit(struct slice domain)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < domain.len; i++)
		hash = (hash ^ (uint32_t)tolower((unsigned char)domain.data[i])) * 16777619u;
	return UINT32_C(1) << hash % BITS | UINT32_C(1) << hash / BITS % BITS;
}

/* The highest bit: it is known. */
uint32_t sites_of(struct wire_texts addresses)
{
	uint32_t bits = UINT32_C(1) << BITS;

	for (size_t i = 0; i < addresses.count; i++) {
		struct slice address = addresses.items[i];
		ptrdiff_t at = slice_find_last(address, '@');

		bits |= sites_bit(slice_part(address, (size_t)(at + 1), address.len));
	}
	return bits;
}
