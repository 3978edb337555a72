/* SPDX-License-Identifier: ISC */
/*
 * submit.c - the opener's side of an admission (cleanup/admit.c has the other).
 */
#include "common/service/submit.h"

#include <errno.h>

#include "common/service/service.h"

void submit_open(struct submission *s, struct msg_admit *m)
{
	static uint32_t counter;
	const char *entry = conf_text(service_conf(), "cleanup_service_name");

	*s = (struct submission){
		.when = deadline_after(conf_time(service_conf(), "ipc_timeout")),
	};
	if (m->arrival_us == 0)
		m->arrival_us = clock_wall_us();
	if (m->id.len == 0) {
		queue_id_make(s->id, m->arrival_us, service_process_number(), counter++);
		m->id = slice_of(s->id);
	}
	/* A process that is just being replaced refuses; its successor is asked. */
	for (int i = 0; i < 2 && s->request == NULL; i++) {
		struct channel *c = service_channel(entry, s->when);

		if (c == NULL)
			break;
		s->request = request_open(c, &table_admit, m, -1, false, s->when);
	}
	if (s->request == NULL)
		s->error = errno == 0 ? EPIPE : errno;
}

static void put(struct submission *s, const struct wire_table *table, const void *message,
    bool last)
{
	if (s->error == 0 && request_send(s->request, table, message, -1, last, s->when) == -1)
		s->error = errno;
}

void submit_rcpts(struct submission *s, const struct msg_rcpts *m)
{
	put(s, &table_rcpts, m, false);
}

void submit_data(struct submission *s, struct slice data)
{
	for (size_t at = 0; at < data.len; at += CHUNK_LIMIT) {
		struct msg_data piece = { slice_part(data, at, CHUNK_LIMIT) };

		put(s, &table_data, &piece, false);
		s->size += piece.data.len;
	}
}

void submit_spoil(struct submission *s, int error)
{
	if (s->error == 0)
		s->error = error;
	request_close(s->request);
	s->request = NULL;
}

const struct msg_reply *submit_end(struct submission *s)
{
	struct msg_end end = { s->size };
	struct frame *f = NULL;

	put(s, &table_end, &end, true);
	/* It may have said early why it takes no more. */
	if (s->request != NULL && (s->error == 0 || s->error == ECONNABORTED)) {
		f = request_receive(s->request, s->when);
		if (f == NULL && s->error == 0)
			s->error = errno;
	}
	if (f != NULL && f->table == &table_reply)
		return f->message;
	errno = s->error == 0 ? EPROTO : s->error;
	return NULL;
}

void submit_close(struct submission *s)
{
	request_close(s->request);
	s->request = NULL;
}
