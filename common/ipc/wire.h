/* SPDX-License-Identifier: ISC */
/*
 * wire.h - structs as bytes. A message is a plain struct and one constant table of its members; the
 * table alone gives encode, decode, print and the tests that walk over all messages.
 *
 * On the wire: for each member that is not empty its tag (u16), length (u32), bytes; integers are
 * 8 bytes; all little-endian. A list of texts is count (u32), then length (u32) and bytes of each; a
 * list of numbers 8 bytes each. Unknown tags are skipped if below WIRE_MUST, refused otherwise, so
 * that a newer peer can add what an older one may ignore. Doubled tags, missing required members,
 * values over their limit and surplus bytes are refused.
 */
#ifndef GP_WIRE_H
#define GP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

/* What a member may be. */
struct wire_texts {
	struct slice *items;
	size_t count;
};
struct wire_numbers {
	uint64_t *items;
	size_t count;
};
enum wire_type { WIRE_U64, WIRE_I64, WIRE_BYTES, WIRE_TEXTS, WIRE_NUMBERS };

enum wire_flag {
	WIRE_OPTIONAL = 0,
	WIRE_REQUIRED = 1, /* must be in the message */
	WIRE_CLEAN = 2,	   /* bytes or texts that hold no NUL, CR or LF; the encoder refuses too */
};

struct wire_member {
	const char *name;
	uint16_t tag;  /* unique in its table for ever, ascending */
	uint8_t type;  /* enum wire_type */
	uint8_t flags; /* enum wire_flag */
	uint32_t offset;
	uint64_t limit; /* largest number; most bytes of a text; most items of a list */
};

struct wire_table {
	const char *name;
	uint16_t type; /* the frame's or record's type */
	bool takes_fd; /* a descriptor travels with it */
	size_t size;   /* of the struct */
	const struct wire_member *members;
	size_t count;
};

/* Longest text inside a list. */
enum { WIRE_TEXT_LIMIT = 65536, WIRE_MUST = 0x8000 };
/* Tag and length before a member's bytes. */
enum { WIRE_MEMBER_HEADER = 6 };

#define WIRE_TYPE_OF(structure, member)                                                            \
	_Generic(((structure *)0)->member, uint64_t                                                \
		 : WIRE_U64, int64_t                                                               \
		 : WIRE_I64, struct slice                                                          \
		 : WIRE_BYTES, struct wire_texts                                                   \
		 : WIRE_TEXTS, struct wire_numbers                                                 \
		 : WIRE_NUMBERS)
#define WIRE(structure, tag, member, flags, limit)                                                 \
	{                                                                                          \
#member, (tag), WIRE_TYPE_OF(structure, member), (flags),                          \
		    offsetof(structure, member), (limit)                                           \
	}
#define WIRE_TABLE(text, number, structure, member_rows, fd)                                       \
	{                                                                                          \
		.name = (text), .type = (number), .takes_fd = (fd), .size = sizeof(structure),     \
		.members = (member_rows), .count = sizeof(member_rows) / sizeof((member_rows)[0])  \
	}

/* Appends the message. False (a bug or a value that must not travel) with a static reason. */
bool wire_encode(const struct wire_table *, const void *message, struct buf *, const char **why);
/* Fills the zeroed struct. Texts point into `bytes`; lists are made in the arena. False with a
 * static reason for anything that the table does not allow. */
bool wire_decode(const struct wire_table *, struct slice bytes, void *message, struct arena *,
    const char **why);
/* The bytes of the first member with this tag, where they lie in an encoded message; false when there is
 * none. */
bool wire_find(struct slice message, uint16_t tag, struct slice *bytes);
/* "name{member=value, ...}" for debugging and dumps; bytes are neutered and cut at 200. */
void wire_print(const struct wire_table *, const void *message, struct buf *);

#endif
