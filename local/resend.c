/* SPDX-License-Identifier: ISC */
/*
 * resend.c - one queued message becomes another, for other recipients.
 */
#include "local/resend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "common/base/mem.h"
#include "common/ipc/message_content.h"
#include "common/service/submit.h"

/* Each new recipient stands for the old one: what its sender wanted to hear goes with it. */
static uint64_t notify_of(const struct resending *r)
{
	uint64_t notify = r->message->notify.items[r->at];

	if (!r->is_expansion || (notify & NOTIFY_SUCCESS) == 0)
		return notify;
	notify &= ~(uint64_t)NOTIFY_SUCCESS;
	return notify == 0 ? NOTIFY_NEVER : notify;
}

static void send_rcpts(struct submission *s, const struct resending *r)
{
	const struct msg_deliver *m = r->message;
	const struct wire_texts *addresses = &r->addresses;
	size_t at = r->at;
	struct slice *original = mem_alloc_array(RCPTS_PER_FRAME, sizeof(*original));
	struct slice *orcpt = mem_alloc_array(RCPTS_PER_FRAME, sizeof(*orcpt));
	uint64_t notify[RCPTS_PER_FRAME];

	for (size_t i = 0; i < RCPTS_PER_FRAME; i++) {
		original[i] = m->original.items[at].len > 0 ? m->original.items[at]
							    : m->address.items[at];
		orcpt[i] = m->orcpt.items[at];
		notify[i] = notify_of(r);
	}
	for (size_t done = 0; done < addresses->count; done += RCPTS_PER_FRAME) {
		size_t left = addresses->count - done;
		size_t count = left < RCPTS_PER_FRAME ? left : RCPTS_PER_FRAME;
		struct msg_rcpts rcpts = {
			.address = { addresses->items + done, count },
			.original = { original, count },
			.orcpt = { orcpt, count },
			.notify = { notify, count },
		};

		submit_rcpts(s, &rcpts);
	}
	free(original);
	free(orcpt);
}

static void send_content(struct submission *s, const struct msg_deliver *m, int fd)
{
	const struct message_content content = {
		.small = m->content,
		.fd = fd,
		.offset = m->content_offset,
		.size = m->content_size,
	};
	char *room = fd == -1 ? NULL : mem_alloc(CHUNK_LIMIT);
	struct slice piece;
	bool ok;

	for (uint64_t at = 0; at < content.size; at += piece.len) {
		ok = message_content_read(&content, at, room, &piece);
		if (!ok)
			submit_spoil(s, errno);
		if (!ok || piece.len == 0)
			break;
		submit_data(s, piece);
	}
	free(room);
}

static void judge(const struct msg_reply *reply, const struct resending *r, const char *id,
    struct verdict *v)
{
	bool never = reply->code >= 500;
	char dsn[16];

	if (reply->code == 250) {
		verdict_set(v, OUTCOME_SENT, "2.0.0", "forwarded as %s", id);
		v->success = r->is_expansion ? SUCCESS_EXPANDED : SUCCESS_PASSED;
		return;
	}
	snprintf(dsn, sizeof(dsn), "%.*s", (int)reply->enhanced.len, reply->enhanced.data);
	if (dsn[0] != (never ? '5' : '4'))
		strlcpy(dsn, never ? "5.3.0" : "4.3.0", sizeof(dsn));
	verdict_set(v, never ? OUTCOME_BOUNCED : OUTCOME_DEFERRED, dsn, "cannot forward: %.*s",
	    (int)reply->text.len, reply->text.data);
}

void resend(const struct resending *r, struct verdict *v)
{
	const struct msg_deliver *m = r->message;
	struct msg_admit admit = {
		.sender = r->sender,
		.flags = ADMIT_INTERNAL | (m->flags & (ADMIT_8BIT | ADMIT_SMTPUTF8)),
		.envid = m->envid,
		.ret = m->ret,
		.delivered_to = m->address.items[r->at],
	};
	struct submission s;
	const struct msg_reply *reply;

	submit_open(&s, &admit);
	send_rcpts(&s, r);
	send_content(&s, m, r->content_fd);
	reply = submit_end(&s);
	if (reply == NULL)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "cannot forward now: %s",
		    strerror(errno));
	else
		judge(reply, r, s.id, v);
	submit_close(&s);
}
