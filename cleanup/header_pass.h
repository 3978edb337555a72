/* SPDX-License-Identifier: ISC */
/*
 * header_pass.h - the content of a message on its way through: trace header in front, unwanted fields
 * out, missing ones added, the body as it came.
 */
#ifndef GP_CLEANUP_HEADER_PASS_H
#define GP_CLEANUP_HEADER_PASS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/ipc/messages.h"

struct header_pass;

/* Completes the addresses: as many answers, in the arena. False: nobody knows now. Waits. */
typedef bool complete_addresses(void *arg, struct wire_texts, struct slice *answers,
    struct arena *);

struct header_context {
	const struct msg_admit *admit;
	struct slice sender;	      /* rewritten, for a From that is missing */
	struct slice only_recipient;  /* the recipient, if there is one only */
	bool add_missing;	      /* Message-ID, Date, From */
	complete_addresses *complete; /* NULL: addresses in headers stay as they are */
	void *arg;
};

enum pass_result { PASS_OK, PASS_TOO_MANY_HOPS, PASS_NO_ANSWER };

/* Appends the trace header. context must live as long. */
struct header_pass *header_pass_new(const struct header_context *, struct buf *out);
void header_pass_free(struct header_pass *);
/* A piece of content, cut anywhere; what is decided is appended to out. Waits (complete). */
enum pass_result header_pass_feed(struct header_pass *, struct slice, struct buf *out);
/* No more comes. */
enum pass_result header_pass_end(struct header_pass *, struct buf *out);
/* The values of Message-ID and Resent-Message-ID, cleaned for the log; after the end. */
struct slice header_pass_message_id(const struct header_pass *);
struct slice header_pass_resent_message_id(const struct header_pass *);

/* trace.c: Received and Delivered-To. */
void trace_put(const struct header_context *, struct buf *out);

/* full_name.c: an address and whose it is, as a From has them. The name may be empty. */
void full_name_put(struct slice name, struct slice address, struct buf *out);

/* header_complete.c: the value of a field with its incomplete addresses completed, appended. Waits. */
bool header_put_complete(const struct header_context *, struct slice value, struct buf *out);

#endif
