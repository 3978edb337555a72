/* SPDX-License-Identifier: ISC */
/*
 * queue_print.c - prints the listing, a message at a time, in Postfix's columns.
 */
#include "admin/queue_print.h"

#include <inttypes.h>
#include <time.h>

#include "admin/json.h"

enum { REASON_COLUMN = 76 };

static const char heading[] =
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n";

/* --- JSON ----------------------------------------------------------------------------------------- */

static void json_message(void *arg, const struct queue_head *m)
{
	struct queue_print *p = arg;

	json_member(p->out, "{", "queue_name", m->queue);
	json_member(p->out, ", ", "queue_id", m->id);
	fprintf(p->out,
	    ", \"arrival_time\": %" PRId64 ", \"message_size\": %" PRIu64 ", \"forced_expire\": %s",
	    m->arrival, m->size, m->expired ? "true" : "false");
	json_member(p->out, ", ", "sender", m->sender);
	fputs(", \"recipients\": [", p->out);
	p->has_rcpt = false;
}

static const char *json_reason_name(struct slice log_class)
{
	if (slice_equal(log_class, SLICE("bounce")))
		return "bounce_reason";
	return log_class.len == 0 || slice_equal(log_class, SLICE("defer")) ? "delay_reason"
									    : "other_reason";
}

static void json_rcpt(void *arg, const struct queue_rcpt *r)
{
	struct queue_print *p = arg;
	const char *before = p->has_rcpt ? ", {" : "{";

	if (r->original.len > 0) {
		json_member(p->out, before, "orig_address", r->original);
		before = ", ";
	}
	json_member(p->out, before, "address", r->address);
	if (r->reason.len > 0)
		json_member(p->out, ", ", json_reason_name(r->log_class), r->reason);
	putc('}', p->out);
	p->has_rcpt = true;
}

static void json_end(void *arg)
{
	struct queue_print *p = arg;

	fputs("]}\n", p->out);
	p->messages++;
}

/* --- text ----------------------------------------------------------------------------------------- */

static const char *mark_of(const struct queue_head *m)
{
	if (m->expired)
		return "#";
	if (slice_equal(m->queue, SLICE("active")))
		return "*";
	return slice_equal(m->queue, SLICE("hold")) ? "!" : "";
}

static void text_message(void *arg, const struct queue_head *m)
{
	struct queue_print *p = arg;
	char when[32] = "";
	time_t seconds = (time_t)m->arrival;
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(when, sizeof(when), "%a %b %e %H:%M:%S", &tm);
	fputs(p->messages == 0 ? heading : "\n", p->out);
	buf_reset(&p->id);
	buf_put_slice(&p->id, m->id);
	buf_puts(&p->id, mark_of(m));
	fprintf(p->out, "%-17s %8" PRIu64 " %19.19s %.*s\n", buf_text(&p->id), m->size, when,
	    (int)m->sender.len, m->sender.data);
	buf_reset(&p->last_reason);
	p->bytes += m->size;
}

/* A reason is said once for all recipients in a row that share it. */
static void text_rcpt(void *arg, const struct queue_rcpt *r)
{
	struct queue_print *p = arg;

	if (!slice_equal(r->reason, buf_slice(&p->last_reason))) {
		struct slice shown = r->reason.len > 0 ? r->reason : SLICE("reason unavailable");
		int indent = shown.len < REASON_COLUMN ? REASON_COLUMN - (int)shown.len : 0;

		fprintf(p->out, "%*s(%.*s)\n", indent, "", (int)shown.len, shown.data);
		buf_reset(&p->last_reason);
		buf_put_slice(&p->last_reason, r->reason);
	}
	fprintf(p->out, "%-17s %8s %19s %.*s\n", "", "", "", (int)r->address.len, r->address.data);
}

static void text_end(void *arg)
{
	((struct queue_print *)arg)->messages++;
}

/* --- both ----------------------------------------------------------------------------------------- */

void queue_print_init(struct queue_print *p, enum queue_form form, FILE *out)
{
	*p = (struct queue_print){ .form = form, .out = out };
	p->sink = form == QUEUE_JSON ? (struct queue_sink){ p, json_message, json_rcpt, json_end }
				     : (struct queue_sink){ p, text_message, text_rcpt, text_end };
}

void queue_print_finish(struct queue_print *p)
{
	if (p->form == QUEUE_TEXT && p->messages == 0)
		fputs(p->is_selection ? "No message is selected\n" : "Mail queue is empty\n",
		    p->out);
	else if (p->form == QUEUE_TEXT)
		fprintf(p->out, "\n-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
		    p->bytes / 1024, p->messages, p->messages == 1 ? "" : "s");
	buf_clear(&p->id);
	buf_clear(&p->last_reason);
}
