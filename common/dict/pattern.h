/* SPDX-License-Identifier: ISC */
/*
 * pattern.h - between the engine of pattern tables and its three kinds, inside common/dict only.
 */
#ifndef GP_DICT_PATTERN_H
#define GP_DICT_PATTERN_H

#include "common/dict/table.h"
#include "common/net/address.h"

enum { PATTERN_GROUPS = 100 }; /* $1 to $99; 0 is the whole match */

/* The key can't be compared with this pattern (IPv6 with IPv4): neither it nor its !opposite holds. */
enum { PATTERN_APART = 2 };

/* A key that is looked up, and what the last match captured in it. */
struct pattern_key {
	struct slice text;
	struct net_address address;	     /* of cidr tables */
	struct slice groups[PATTERN_GROUPS]; /* data NULL: took no part in the match */
};

struct pattern_kind {
	bool delimited; /* /pattern/flags, with $1 in the result */
	/* NULL with a reason appended. groups: how many the pattern has. */
	void *(*compile)(struct slice pattern, struct slice flags, unsigned *groups,
	    struct buf *why);
	/* 1 yes, 0 no, PATTERN_APART, -1 with a reason appended. */
	int (*match)(const void *compiled, struct pattern_key *, struct buf *why);
	void (*release)(void *compiled);
};

extern const struct pattern_kind pattern_cidr, pattern_regexp, pattern_pcre;

/* The set bits of flag letters: a letter toggles its bits in *options. False with a reason. */
struct pattern_flag {
	char letter;
	unsigned bits;
};
bool pattern_flags(struct slice flags, const struct pattern_flag *, size_t count, unsigned *options,
    struct buf *why);

#endif
