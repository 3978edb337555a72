/* SPDX-License-Identifier: ISC */
/*
 * queue_pattern.h - what an administrator writes for addresses and clients when he selects mail.
 *
 * Upper and lower case are the same, as in lookup tables. The texts that it is compared with are
 * strangers': the time of a comparison grows with the product of both lengths, no faster.
 */
#ifndef GP_QUEUE_PATTERN_H
#define GP_QUEUE_PATTERN_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/net/address.h"

enum queue_pattern_kind {
	PATTERN_TEXT,	/* the whole text, or the glob that it is */
	PATTERN_DOMAIN, /* of an address; with a dot in front, what is below it */
	PATTERN_NULL,	/* the empty sender */
	PATTERN_NETWORK
};

struct queue_pattern {
	enum queue_pattern_kind kind;
	struct slice text; /* part of what was parsed, which must live as long */
	struct net_network network;
};

/* "user@example.com", also in <>; "@example.com", "@.example.com"; "*@example.*"; "<>". False with a reason
 * (static text). */
bool queue_pattern_address(struct slice, struct queue_pattern *, const char **why);
/* "example.com", ".example.com", "[192.0.2.1]", a glob. */
bool queue_pattern_domain(struct slice, struct queue_pattern *, const char **why);
/* A host name, ".example.com", an address, a network ("192.0.2.0/24"), a glob. */
bool queue_pattern_client(struct slice, struct queue_pattern *, const char **why);

/* address: in external form; empty is the empty sender. */
bool queue_pattern_has_address(const struct queue_pattern *, struct slice address);
bool queue_pattern_has_client(const struct queue_pattern *, struct slice name,
    struct slice address);
/* As a shell would match it, without special files: * ? [a-z] [!a-z], and \ in front of what means itself. A
 * [ right behind an @ means itself, too. */
bool queue_pattern_glob(struct slice pattern, struct slice text);

#endif
