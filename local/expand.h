/* SPDX-License-Identifier: ISC */
/*
 * expand.h - follows names through the alias tables to the end: which places the mail for one
 * recipient shall reach, each once, however many ways lead there.
 *
 * Nothing is delivered here, so a table that can't be read costs nothing but a later try.
 */
#ifndef GP_EXPAND_H
#define GP_EXPAND_H

#include <stdbool.h>
#include <sys/queue.h>

#include "local/alias.h"

enum { EXPAND_DEPTH = 100, EXPAND_COUNT = 50000 };

/* A local part, unquoted and in lower case; user is local without its extension. */
struct local_name {
	struct slice local, user, extension;
};
struct local_name local_name_of(struct arena *, struct slice address);

/* An address to be judged. */
struct judged {
	struct slice address; /* in: as written; out: complete, as it is resolved */
	bool is_ours;	      /* out: this transport delivers it */
};

/* What expansion asks of others. Both may wait. */
struct expand_sources {
	/* As alias_find. */
	int (*find)(struct slice local, struct slice user, struct arena *, struct target **targets,
	    struct slice *name, struct slice *owner, struct verdict *);
	/* Judges up to RCPTS_PER_FRAME addresses. False: try later, the verdict is set. */
	bool (*judge)(void *arg, struct judged *const *items, size_t count, struct verdict *);
	void *arg;
};

enum place_kind {
	PLACE_USER,    /* a name of ours that is no alias: his .forward, else his mailbox */
	PLACE_MAILBOX, /* \user: his mailbox */
	PLACE_ADDRESS, /* elsewhere, or an alias that gives another envelope sender */
	PLACE_TARGET   /* a command, file or :include: of an alias */
};

struct place {
	STAILQ_ENTRY(place) entry;
	enum place_kind kind;
	bool
	    is_own_member; /* of the alias of its name: a message to the name would not end there */
	struct slice address;	/* complete; not of a target */
	struct local_name name; /* of PLACE_USER and PLACE_MAILBOX */
	const struct target *target;
};
STAILQ_HEAD(place_list, place);

struct expansion;

/* Starts with a recipient that is ours. All lives in the arena. */
struct expansion *expand_new(struct arena *, const struct expand_sources *, struct slice recipient);
/* A further member; forward_of is the user whose .forward named it (else empty): his name among what
 * it leads to means his mailbox. */
void expand_add(struct expansion *, struct slice address, struct slice forward_of);
/* Follows all that was added to its end. False: *v says why not. Waits. */
bool expand_run(struct expansion *, struct verdict *v);
/* The next place that was found and not taken yet; NULL when there is none. */
struct place *expand_next(struct expansion *);
/* His mailbox (\user) was found to be a place, taken or not. */
bool expand_has_mailbox(const struct expansion *, struct slice local);
/* The envelope sender for errors that aliases gave, not completed; empty: the message's own. */
struct slice expand_owner(const struct expansion *);

#endif
