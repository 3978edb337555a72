/* SPDX-License-Identifier: ISC */
/*
 * relay.c - the opener's side of an admission. cleanup may answer before the end; the rest is dropped then.
 */
#include "postdrop/relay.h"

#include "common/log/log.h"
#include "postdrop/pickup.h"

static deadline patience(void)
{
	return deadline_after(pickup_settings.ipc_timeout);
}

void relay_make_id(char id[QUEUE_ID_SIZE])
{
	static uint32_t counter;

	queue_id_make(id, clock_wall_us(), service_process_number(), counter++);
}

void relay_refuse(struct relay *r, unsigned code, const char *enhanced, const char *text)
{
	if (r->reply.code == 0)
		r->reply = (struct msg_reply){ code, slice_of(enhanced), slice_of(text) };
}

/* cleanup said it, or nobody does. */
static void take_reply(struct relay *r)
{
	struct frame *f = r->request == NULL ? NULL : request_receive(r->request, patience());
	const struct msg_reply *m;

	if (f == NULL || f->table != &table_reply) {
		log_warning("%s: service %s gave no answer: %m", r->id,
		    pickup_settings.cleanup_service_name);
		relay_refuse(r, 451, "4.3.0", "Error: queue file write error");
		return;
	}
	m = f->message;
	r->reply = (struct msg_reply){ m->code, arena_copy(r->arena, m->enhanced),
		arena_copy(r->arena, m->text) };
}

void relay_open(struct relay *r, const struct msg_admit *admit)
{
	r->arena = arena_new();
	/* A process that is just being replaced refuses; its successor is asked. */
	for (int i = 0; i < 2 && r->request == NULL; i++) {
		struct channel *c = service_channel(pickup_settings.cleanup_service_name,
		    patience());

		if (c == NULL)
			break;
		r->request = request_open(c, &table_admit, admit, -1, false, patience());
	}
	if (r->request != NULL)
		return;
	log_warning("%s: service %s can't be reached: %m", r->id,
	    pickup_settings.cleanup_service_name);
	relay_refuse(r, 451, "4.3.0", "Error: queue file write error");
}

static void send_frame(struct relay *r, const struct wire_table *table, const void *message,
    bool last)
{
	if (r->reply.code == 0 &&
	    request_send(r->request, table, message, -1, last, patience()) == -1)
		take_reply(r);
}

void relay_rcpts(struct relay *r, const struct msg_rcpts *m)
{
	send_frame(r, &table_rcpts, m, false);
}

void relay_content(struct relay *r, bool ended)
{
	size_t at = 0;

	while (r->reply.code == 0 &&
	    (r->out.len - at >= CHUNK_LIMIT || (ended && at < r->out.len))) {
		struct msg_data m = { slice_part(buf_slice(&r->out), at, CHUNK_LIMIT) };

		at += m.data.len;
		r->size += m.data.len;
		send_frame(r, &table_data, &m, false);
	}
	buf_consume(&r->out, r->reply.code == 0 ? at : r->out.len);
}

void relay_end(struct relay *r)
{
	struct msg_end end;

	relay_content(r, true);
	end.size = r->size;
	send_frame(r, &table_end, &end, true);
	if (r->reply.code == 0)
		take_reply(r);
}

void relay_clear(struct relay *r)
{
	request_close(r->request);
	buf_clear(&r->out);
	arena_free(r->arena);
}
