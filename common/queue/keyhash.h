/* SPDX-License-Identifier: ISC */
/*
 * keyhash.h - a 64-bit checksum that only who knows the key can compute (SipHash-1-3).
 */
#ifndef GP_KEYHASH_H
#define GP_KEYHASH_H

#include <stddef.h>
#include <stdint.h>

enum { KEYHASH_KEY = 16 };

struct keyhash {
	uint64_t v[4];
};

/* The state of a key, computed once, used for many hashes. `tweak` makes equal bytes at different
 * places hash differently. */
struct keyhash keyhash_start(const uint8_t key[KEYHASH_KEY], uint64_t tweak);
/* The hash of the bytes; the state can be used again. */
uint64_t keyhash(struct keyhash, const void *data, size_t len);

#endif
