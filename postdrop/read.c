/* SPDX-License-Identifier: ISC */
/*
 * read.c - the message on standard input. A state machine, since lines may be of any length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "postdrop/sendmail.h"

enum { PIECE = 65536 };
enum place { AT_START, BEHIND_DOT, BEHIND_DOT_CR, IN_LINE };

struct reading {
	struct spool *spool;
	uint64_t limit;
	enum place place;
	bool ended;
};

static void keep(struct reading *r, struct slice text)
{
	if (r->limit > 0 && r->spool->size + text.len > r->limit)
		fail_now(EXIT_UNAVAILABLE, "message file too big");
	if (spool_append(r->spool, text) == -1)
		fail_now(EXIT_TEMPORARY, "cannot keep the message: %s", strerror(errno));
}

/* The dot, and the CR, that turned out to be text. */
static void keep_held(struct reading *r)
{
	if (r->place == BEHIND_DOT)
		keep(r, SLICE("."));
	else if (r->place == BEHIND_DOT_CR)
		keep(r, SLICE(".\r"));
	r->place = IN_LINE;
}

/* One byte where a line begins or may be a dot alone. False: it is to be looked at as text. */
static bool take_start(struct reading *r, char c)
{
	if (r->place == AT_START && c == '.') {
		r->place = BEHIND_DOT;
		return true;
	}
	if (r->place == BEHIND_DOT && c == '\r') {
		r->place = BEHIND_DOT_CR;
		return true;
	}
	if (r->place != AT_START && c == '\n') {
		r->ended = true;
		return true;
	}
	keep_held(r);
	return false;
}

static void take(struct reading *r, struct slice in)
{
	size_t at = 0;

	while (at < in.len && !r->ended) {
		struct slice rest = slice_part(in, at, in.len);
		ptrdiff_t end;

		if (r->place != IN_LINE && take_start(r, rest.data[0])) {
			at++;
			continue;
		}
		end = slice_find(rest, '\n');
		if (end != -1)
			rest.len = (size_t)end + 1;
		keep(r, rest);
		at += rest.len;
		r->place = end != -1 ? AT_START : IN_LINE;
	}
}

void read_message(struct spool *spool, bool keep_dots, uint64_t limit)
{
	struct reading r = { .spool = spool, .limit = limit };
	char *piece = mem_alloc(PIECE);
	ssize_t got = 1;

	while (!r.ended && got > 0) {
		got = read(STDIN_FILENO, piece, PIECE);
		if (got == -1 && errno == EINTR) {
			got = 1;
			continue;
		}
		if (got == -1)
			fail_now(EXIT_DATA, "cannot read the message: %s", strerror(errno));
		if (keep_dots)
			keep(&r, slice_new(piece, (size_t)got));
		else
			take(&r, slice_new(piece, (size_t)got));
	}
	/* A dot alone, and no line end behind it, ends it too. */
	if (!r.ended && r.place == BEHIND_DOT_CR)
		keep_held(&r);
	free(piece);
}
