/* SPDX-License-Identifier: ISC */
/*
 * mail_address.h - mail addresses as in commands (RFC 5321) and in headers (RFC 5322).
 */
#ifndef GP_MAIL_ADDRESS_H
#define GP_MAIL_ADDRESS_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* Not RFC 5321's 64 bytes for a local part: senders of lists (VERP, SRS) go beyond it. */
enum { DOMAIN_LIMIT = 255, MAIL_ADDRESS_LIMIT = 320 };

/* Both parts in external form: the local part quoted where it must be; the domain as given (an
 * address literal with its brackets), empty for an address without @. */
struct mail_address {
	struct slice local, domain;
};

enum path_flag {
	PATH_NULL_OK = 1,      /* <> */
	PATH_NO_DOMAIN_OK = 2, /* <postmaster>, and bare local parts */
	PATH_BARE_OK = 4,      /* without angle brackets (strict_rfc821_envelopes = no) */
	PATH_UTF8_OK = 8,      /* SMTPUTF8 */
};
/* The path of MAIL FROM or RCPT TO at the start of text: source routes are dropped, blanks before
 * it are skipped; rest is what follows (the parameters). The address, in its shortest external form,
 * is made in the arena. Nothing but a blank may follow it. False with a static reason. */
bool path_parse(struct slice text, unsigned flags, struct arena *, struct slice *address,
    struct slice *rest, const char **why);

/* Cuts at the last @ outside quotes. */
struct mail_address mail_address_split(struct slice address);
/* The local part without its quoting (what a user name is compared with), appended. */
void local_part_unquote(struct slice local, struct buf *);
/* The other way round, appended; CR, LF and NUL are dropped. */
void local_part_quote(struct slice raw, struct buf *);
/* See base/extension.h. */
bool local_part_split(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension);
/* Host name of RFC 5321 and 1123 (also with "_" and 8-bit bytes, not only digits and dots), or an
 * address literal in brackets. */
bool domain_is_valid(struct slice domain);

/* Addresses of a header's value (To, From): display names, groups, comments, route addresses.
 * Calls visit for each, with the external form (what has no usable domain becomes one local part,
 * quoted); stops and returns false at the first one behind limit, or when the nesting of comments
 * passes 50. Linear time, no recursion. */
typedef void header_address_visit(void *arg, struct slice address);
bool header_addresses(struct slice value, size_t limit, struct arena *, header_address_visit *visit,
    void *arg);

#endif
