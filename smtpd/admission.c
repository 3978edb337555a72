/* SPDX-License-Identifier: ISC */
/*
 * admission.c - DATA: the envelope and the streaming content go to cleanup, and its answer to the client.
 *
 * cleanup may answer before the end (too big, a loop); the rest of the content is then read and dropped,
 * since a client in the middle of DATA hears nothing before its final dot.
 */
#include "smtpd/smtpd.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { CLEANUP_SECONDS = 300 };

struct admission {
	struct session *session;
	struct request *request; /* NULL: nobody takes the content any more */
	struct body body;
	struct buf out;
	uint64_t size;
	deadline until; /* for all of the content, later with every byte of it */
	bool answered_early;
};

static deadline patience(void)
{
	return deadline_after(CLEANUP_SECONDS * CLOCK_SECOND);
}

/* --- the envelope --------------------------------------------------------------------------------- */

static struct request *open_request(struct session *s)
{
	char port[8];
	struct msg_admit m = {
		.id = slice_of(s->t.id),
		.arrival_us = s->t.arrival_us,
		.sender = s->t.sender,
		.client_name = slice_of(s->name),
		.client_address = slice_of(s->address),
		.client_helo = slice_of(s->helo),
		.protocol = s->is_esmtp ? SLICE("ESMTP") : SLICE("SMTP"),
		.flags = (s->t.is_8bit ? ADMIT_8BIT : 0u) |
		    (policy_completes_headers(s) ? ADMIT_LOCAL : 0u),
		.declared_size = s->t.declared_size,
		.envid = s->t.envid,
		.ret = s->t.ret,
	};
	struct channel *c;

	snprintf(port, sizeof(port), "%u", s->client->port);
	m.client_port = slice_of(port);
	/* A process that is just being replaced refuses; its successor is asked. */
	for (int i = 0; i < 2; i++) {
		struct request *r;

		c = service_channel(settings.cleanup_service_name, patience());
		if (c == NULL)
			break;
		r = request_open(c, &table_admit, &m, -1, false, patience());
		if (r != NULL)
			return r;
	}
	log_warning("%s: service %s can't be reached: %m", s->t.id, settings.cleanup_service_name);
	return NULL;
}

static int send_rcpts(struct session *s, struct request *r)
{
	int rc = 0;

	for (size_t at = 0; at < s->t.rcpt_count && rc == 0; at += RCPTS_PER_FRAME) {
		size_t n = s->t.rcpt_count - at < RCPTS_PER_FRAME ? s->t.rcpt_count - at
								  : RCPTS_PER_FRAME;
		struct msg_rcpts m = { { s->t.rcpts + at, n }, { s->t.rcpts + at, n },
			{ s->t.orcpts + at, n }, { s->t.notifies + at, n } };

		rc = request_send(r, &table_rcpts, &m, -1, false, patience());
	}
	return rc;
}

/* --- the content ---------------------------------------------------------------------------------- */

/* A failed send: cleanup has answered already, or is gone; either way nobody takes more. */
static void send_piece(struct admission *a, size_t len)
{
	struct msg_data m = { slice_new(a->out.data, len) };

	if (a->request != NULL && !a->answered_early &&
	    request_send(a->request, &table_data, &m, -1, false, patience()) == -1)
		a->answered_early = true;
	buf_consume(&a->out, len);
}

static void take_output(struct admission *a, bool ended)
{
	if (a->answered_early) {
		a->size += a->out.len;
		buf_reset(&a->out);
		return;
	}
	while (a->out.len >= CHUNK_LIMIT) {
		a->size += CHUNK_LIMIT;
		send_piece(a, CHUNK_LIMIT);
	}
	if (ended && a->out.len > 0) {
		a->size += a->out.len;
		send_piece(a, a->out.len);
	}
}

/* A client that sends a byte now and then holds a session as long as it likes, unless all its content
 * has one deadline, which moves only as fast as smtpd_min_data_rate. */
static deadline content_deadline(struct admission *a, size_t got)
{
	deadline read = client_deadline();

	if (!settings.smtpd_per_request_deadline)
		return read;
	a->until += (deadline)got * CLOCK_SECOND / settings.smtpd_min_data_rate;
	if (a->until > read)
		a->until = read;
	return a->until;
}

/* Reads up to the final dot. False: the client is gone (said). */
static bool read_content(struct admission *a)
{
	struct session *s = a->session;
	bool ended = false;
	size_t taken = 0;
	deadline before;

	a->until = client_deadline();
	while (!ended) {
		struct slice piece;
		int rc = stream_peek(s->stream, &piece, content_deadline(a, taken));

		if (rc != 1) {
			s->data_size = a->size + a->out.len;
			session_lost(s, rc);
			return false;
		}
		taken = body_feed(&a->body, piece, &a->out, &ended);
		stream_consume(s->stream, taken);
		before = clock_now();
		take_output(a, ended);
		a->until += clock_now() - before; /* what cleanup takes is not the client's time */
		task_yield_if_long();
	}
	return true;
}

/* --- the answer ----------------------------------------------------------------------------------- */

/* A message that was taken shows a purpose: what went before is forgiven. */
static void say_taken(struct session *s, const struct msg_reply *m)
{
	s->errors = s->junk = 0;
	reply(s, "%u %.*s %.*s", (unsigned)m->code, (int)m->enhanced.len, m->enhanced.data,
	    (int)m->text.len, m->text.data);
	snprintf(s->unheard, sizeof(s->unheard), "%s", s->t.id);
}

static void pass_answer_on(struct admission *a)
{
	struct session *s = a->session;
	struct frame *f = request_receive(a->request, patience());
	struct msg_reply *m;

	if (f == NULL || f->table != &table_reply) {
		log_warning("%s: service %s gave no answer: %m", s->t.id,
		    settings.cleanup_service_name);
		reply(s, "451 4.3.0 Error: queue file write error");
		return;
	}
	m = f->message;
	if (m->code >= 400)
		reject(s, s->stage, SLICE(""), "%u %.*s %.*s", (unsigned)m->code,
		    (int)m->enhanced.len, m->enhanced.data, (int)m->text.len, m->text.data);
	else
		say_taken(s, m);
}

static void finish(struct admission *a)
{
	struct session *s = a->session;
	struct msg_end end = { a->size };

	s->stage = "END-OF-MESSAGE";
	s->saw_bare_lf = s->saw_bare_lf || a->body.saw_bare_lf;
	if ((a->body.saw_bare_lf || a->body.saw_bare_cr) && policy_rejects_bare_newline(s)) {
		reply_bare_newline(s, a->body.saw_bare_lf ? "LF" : "CR");
		return;
	}
	if (!a->answered_early)
		request_send(a->request, &table_end, &end, -1, true, patience());
	pass_answer_on(a);
}

void admission_run(struct session *s)
{
	struct admission a = { .session = s, .request = open_request(s) };

	if (a.request == NULL || send_rcpts(s, a.request) == -1) {
		request_close(a.request);
		reply(s, "451 4.3.0 Error: queue file write error");
		return;
	}
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	if (session_flush(s) == -1)
		session_lost(s, -1);
	else if (read_content(&a))
		finish(&a);
	request_close(a.request);
	buf_clear(&a.out);
}
