/* SPDX-License-Identifier: ISC */
/*
 * resend.c - one queued message becomes another, for other recipients.
 */
#include "local/resend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "common/base/mem.h"
#include "common/mail/queue_id.h"
#include "common/service/service.h"

enum { PIECE = 65536 };

/* Each new recipient stands for the old one: what its sender wanted to hear goes with it. */
static bool send_rcpts(struct request *request, const struct msg_deliver *m, size_t at,
    const struct wire_texts *addresses, deadline when)
{
	struct slice *original = mem_alloc_array(RCPTS_PER_FRAME, sizeof(*original));
	struct slice *orcpt = mem_alloc_array(RCPTS_PER_FRAME, sizeof(*orcpt));
	uint64_t notify[RCPTS_PER_FRAME];
	bool ok = true;

	for (size_t i = 0; i < RCPTS_PER_FRAME; i++) {
		original[i] = m->original.items[at].len > 0 ? m->original.items[at]
							    : m->address.items[at];
		orcpt[i] = m->orcpt.items[at];
		notify[i] = m->notify.items[at];
	}
	for (size_t done = 0; ok && done < addresses->count; done += RCPTS_PER_FRAME) {
		size_t left = addresses->count - done;
		size_t count = left < RCPTS_PER_FRAME ? left : RCPTS_PER_FRAME;
		struct msg_rcpts rcpts = {
			.address = { addresses->items + done, count },
			.original = { original, count },
			.orcpt = { orcpt, count },
			.notify = { notify, count },
		};

		ok = request_send(request, &table_rcpts, &rcpts, -1, false, when) == 0;
	}
	free(original);
	free(orcpt);
	return ok;
}

static bool send_content(struct request *request, const struct msg_deliver *m, int fd,
    deadline when)
{
	struct msg_end end = { m->content_size };
	char *piece = fd == -1 ? NULL : mem_alloc(PIECE);
	uint64_t done = 0;
	bool ok = true;

	while (ok && done < m->content_size) {
		struct msg_data data = { m->content };

		if (fd != -1) {
			uint64_t left = m->content_size - done;
			ssize_t got = pread(fd, piece, left < PIECE ? (size_t)left : PIECE,
			    (off_t)(m->content_offset + done));

			if (got == -1 && errno == EINTR)
				continue;
			ok = got > 0;
			data.data = slice_new(piece, got > 0 ? (size_t)got : 0);
		}
		ok = ok && request_send(request, &table_data, &data, -1, false, when) == 0;
		done += data.data.len;
	}
	free(piece);
	return ok && request_send(request, &table_end, &end, -1, true, when) == 0;
}

static const char *new_id(char id[QUEUE_ID_SIZE])
{
	static uint32_t counter;

	queue_id_make(id, clock_wall_us(), service_process_number(), counter++);
	return id;
}

static void judge(const struct msg_reply *reply, const char *id, struct verdict *v)
{
	bool never = reply->code >= 500;
	char dsn[16];

	if (reply->code == 250) {
		verdict_set(v, OUTCOME_SENT, "2.0.0", "forwarded as %s", id);
		return;
	}
	snprintf(dsn, sizeof(dsn), "%.*s", (int)reply->enhanced.len, reply->enhanced.data);
	if (dsn[0] != (never ? '5' : '4'))
		strlcpy(dsn, never ? "5.3.0" : "4.3.0", sizeof(dsn));
	verdict_set(v, never ? OUTCOME_BOUNCED : OUTCOME_DEFERRED, dsn, "cannot forward: %.*s",
	    (int)reply->text.len, reply->text.data);
}

void resend(const struct msg_deliver *m, size_t at, int content_fd, struct slice sender,
    const struct wire_texts *addresses, struct verdict *v)
{
	deadline when = deadline_after(conf_time(service_conf(), "ipc_timeout"));
	struct channel *cleanup = service_channel(conf_text(service_conf(), "cleanup_service_name"),
	    when);
	char id[QUEUE_ID_SIZE];
	struct msg_admit admit = {
		.id = slice_of(new_id(id)),
		.arrival_us = clock_wall_us(),
		.sender = sender,
		.flags = ADMIT_INTERNAL | (m->flags & ADMIT_8BIT),
		.envid = m->envid,
		.ret = m->ret,
		.delivered_to = m->address.items[at],
	};
	struct request *request = NULL;
	struct frame *frame = NULL;

	if (cleanup != NULL)
		request = request_open(cleanup, &table_admit, &admit, -1, false, when);
	if (request != NULL && send_rcpts(request, m, at, addresses, when) &&
	    send_content(request, m, content_fd, when))
		frame = request_receive(request, when);
	if (frame == NULL || frame->table != &table_reply)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "cannot forward now: %s",
		    frame == NULL ? strerror(errno) : "an unexpected answer");
	else
		judge(frame->message, id, v);
	request_close(request);
}
