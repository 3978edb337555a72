/* SPDX-License-Identifier: ISC */
/*
 * keyhash.c - SipHash-1-3 (Aumasson and Bernstein): one round for each 8 bytes, three at the end.
 *
 * A checksum alone would do against a bad disk. The key is there against people: content that looks
 * like a record of ours must not pass for one, and its author does not know the key.
 */
#include "common/queue/keyhash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

struct keyhash keyhash_start(const uint8_t key[KEYHASH_KEY], uint64_t tweak)
{
	struct keyhash h;
	uint64_t k[2];

	memcpy(k, key, sizeof(k));
	k[0] = le64toh(k[0]);
	k[1] = le64toh(k[1]);
	h.v[0] = k[0] ^ UINT64_C(0x736f6d6570736575);
	h.v[1] = k[1] ^ UINT64_C(0x646f72616e646f6d);
	h.v[2] = k[0] ^ UINT64_C(0x6c7967656e657261);
	h.v[3] = k[1] ^ UINT64_C(0x7465646279746573);
	absorb(h.v, tweak);
	return h;
}

uint64_t keyhash(struct keyhash h, const void *data, size_t len)
{
	const unsigned char *at = data;
	uint64_t word;

	for (size_t left = len; left >= 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		absorb(h.v, le64toh(word));
	}
	word = 0;
	if (len % 8 != 0)
		memcpy(&word, at, len % 8);
	absorb(h.v, le64toh(word) | (uint64_t)len << 56);
	h.v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(h.v);
	return h.v[0] ^ h.v[1] ^ h.v[2] ^ h.v[3];
}
