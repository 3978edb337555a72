/* SPDX-License-Identifier: ISC */
/*
 * targets.h - the right-hand side of an alias, and a .forward file: who shall get the message.
 */
#ifndef GP_TARGETS_H
#define GP_TARGETS_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

enum target_kind {
	TARGET_ADDRESS, /* user@domain, or a bare name of this system */
	TARGET_USER,	/* \user: his mailbox, no further expansion */
	TARGET_COMMAND, /* |command: text is what follows the bar */
	TARGET_FILE,	/* /file, or /directory/ for a Maildir */
	TARGET_INCLUDE	/* :include:/file: text is the file's name */
};

struct target {
	enum target_kind kind;
	struct slice text;
	bool included; /* for the caller: it came out of an :include: file */
	struct target *next;
};

/* Takes the list apart: separated by commas or line ends; "..." protects, with \ inside; # starts a
 * comment at a line's beginning; (comments) and display names with <address> as in mail headers.
 * No item holds a line end. The result lives in the arena; NULL with *why NULL is an empty list. More than limit targets, or
 * an item that can't be read: NULL with a static reason. */
struct target *targets_parse(struct slice text, size_t limit, struct arena *, const char **why);

/* One item as it would stand in such a list: prefix and text, quoted. In the arena. */
char *target_quote(struct arena *, const char *prefix, struct slice text);

#endif
