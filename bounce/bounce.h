/* SPDX-License-Identifier: ISC */
/*
 * bounce.h - what the parts of bounce share: settings, one notice, text in wire form.
 */
#ifndef GP_BOUNCE_H
#define GP_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/conf/template.h"
#include "common/ipc/channel.h"
#include "common/ipc/message_content.h"
#include "common/ipc/messages.h"

/* Parameters of main.cf by their own names. */
struct bounce_settings {
	const char *myhostname, *myorigin, *double_bounce_sender, *notify_classes;
	const char *second_bounce_notice_recipient; /* 2bounce_... */
	const char *bounce_notice_recipient, *delay_notice_recipient;
	const char *bounce_template_file;
	bool enable_threaded_bounces;
	int64_t bounce_size_limit, ipc_timeout;
};
extern struct bounce_settings bounce_settings;

/* --- a notice ------------------------------------------------------------------------------------- */

enum { NOTICE_RCPTS = 1000, NOTICE_BYTES = 1024 * 1024 }; /* that one notice lists */

/* One recipient of the message that the notice is about. */
struct notice_rcpt {
	struct slice address, original, orcpt, dsn, reason, remote, diagnostic;
	uint64_t success; /* enum success */
};
/* Those that one reader is told of: the first ones, and how many they are in all. */
struct notice_list {
	struct notice_rcpt *items;
	size_t count, size, bytes;
	uint64_t total;
};

struct notice {
	const struct msg_notice *about;
	const struct notice_list *list;
	bool is_copy;	 /* for the postmaster */
	struct slice to; /* envelope and To: */
	struct message_content content;
	bool headers_only; /* of the content */
	int64_t now_us;	   /* wall clock */
};

/* list.c: who is told of what. */
/* Whether the sender is to hear of this recipient (RFC 3461, and the kind of notice). */
bool list_is_due(const struct msg_notice *, uint64_t notify, uint64_t success);
/* Copies the recipient at this place of the frame into the arena, if there is still room. */
void list_add(struct notice_list *, const struct msg_notice_rcpts *, size_t at, struct arena *);
void list_clear(struct notice_list *);

/* compose.c */
/* It tells of addresses in UTF-8, and so is itself a mail for which SMTPUTF8 is needed (RFC 6533). */
bool compose_is_utf8(const struct notice *);
/* The notice in wire form, appended, up to where the content of the message begins, and what
 * stands behind it. is_8bit: the content has bytes above 127. */
void compose_head(const struct notice *, bool is_8bit, struct buf *out);
void compose_tail(const struct notice *, struct buf *out);

/* report.c: the part for programs (RFC 3464). */
void report_put(const struct notice *, struct buf *out);

/* returned.c: how much of the content a notice returns, found in one pass over it. */
struct returned {
	uint64_t size;	    /* from its start */
	bool is_8bit, ends; /* ends: with a line end */
};
/* False with errno when it can't be read. */
bool returned_measure(const struct notice *, struct returned *);
/* Appends the message's Message-ID, and what References of an answer to it has; nothing when it has none. */
void returned_thread(const struct notice *, struct buf *message_id, struct buf *references);

/* request.c */
extern const struct handler bounce_handlers[];

/* words.c */
/* Reads bounce_template_file; what is wrong there is logged, and the built-in text counts. */
void words_open(void);
const struct template *words_of(enum notice_kind);

/* lines.c: text in wire form. Control bytes and what is no UTF-8 become '?'. */
bool lines_have_8bit(struct slice);
/* Each line as it is. */
void lines_put(struct buf *out, struct slice text);
/* One line, unless it is so long that it must be folded: for addresses, in which a blank means something. */
void lines_put_whole(struct buf *out, struct slice text);
/* One paragraph or header field in lines of up to 79 bytes, cut at blanks (words that are longer stay whole
 * up to 900 bytes); all but the first are indented by 4. */
void lines_put_folded(struct buf *out, struct slice text);

#endif
