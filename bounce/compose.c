/* SPDX-License-Identifier: ISC */
/*
 * compose.c - a notice as a mail: multipart/report (RFC 6522) of words for people, fields for programs, and
 * the message or its header.
 */
#include <stdio.h>
#include <string.h>

#include "bounce/bounce.h"
#include "common/mail/header.h"

enum { BOUNDARY_SIZE = 71 }; /* RFC 2046 allows 70 */

bool compose_is_utf8(const struct notice *n)
{
	if ((n->about->flags & ADMIT_SMTPUTF8) || lines_have_8bit(n->about->sender))
		return true;
	for (size_t i = 0; i < n->list->count; i++)
		if (lines_have_8bit(n->list->items[i].address) ||
		    lines_have_8bit(n->list->items[i].original))
			return true;
	return false;
}

/* Nobody could know it when the message was written. */
static const char *boundary(const struct notice *n, char out[BOUNDARY_SIZE])
{
	snprintf(out, BOUNDARY_SIZE, "%.*s.%lld/%s", (int)n->about->id.len, n->about->id.data,
	    (long long)n->now_us, bounce_settings.myhostname);
	return out;
}

static void put_field(struct buf *out, const char *name, struct slice value)
{
	struct buf field = { 0 };

	buf_puts(&field, name);
	buf_put_slice(&field, value);
	lines_put_folded(out, buf_slice(&field));
	buf_clear(&field);
}

static void put_address(struct buf *out, const char *before, struct slice address,
    const char *after)
{
	struct buf field = { 0 };

	buf_puts(&field, before);
	buf_put_slice(&field, address);
	buf_puts(&field, after);
	lines_put_whole(out, buf_slice(&field));
	buf_clear(&field);
}

static void put_thread(const struct notice *n, struct buf *out)
{
	struct buf message_id = { 0 }, references = { 0 };

	returned_thread(n, &message_id, &references);
	if (message_id.len > 0) {
		put_field(out, "References: ", buf_slice(&references));
		put_field(out, "In-Reply-To: ", buf_slice(&message_id));
	}
	buf_clear(&message_id);
	buf_clear(&references);
}

static void put_header(const struct notice *n, bool is_8bit, struct buf *out)
{
	const struct template *t = words_of((enum notice_kind)n->about->kind);
	char date[64], marker[BOUNDARY_SIZE];

	put_field(out, "Date: ", slice_of(mail_date(date, n->now_us)));
	put_field(out, "From: ", slice_of(t->from));
	put_field(out, "Subject: ", slice_of(n->is_copy ? t->postmaster_subject : t->subject));
	put_address(out, "To: ", n->to, "");
	if (bounce_settings.enable_threaded_bounces)
		put_thread(n, out);
	buf_printf(out,
	    "Auto-Submitted: %s\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n"
	    "%s"
	    "\r\n"
	    "This is a MIME-encapsulated message.\r\n",
	    n->is_copy ? "auto-generated" : "auto-replied", boundary(n, marker),
	    is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

static void begin_part(const struct notice *n, const char *description, const char *type,
    bool is_8bit, struct buf *out)
{
	char marker[BOUNDARY_SIZE];

	buf_printf(out, "\r\n--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n%s\r\n",
	    boundary(n, marker), description, type,
	    is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

/* --- the words ------------------------------------------------------------------------------------ */

/* The postmaster knows what a notice is. */
static void put_introduction(const struct notice *n, struct buf *out)
{
	if (!n->is_copy) {
		lines_put(out, slice_of(words_of((enum notice_kind)n->about->kind)->text));
		return;
	}
	buf_printf(out, "This is the mail system at host %s.\r\n\r\n", bounce_settings.myhostname);
	if (n->about->sender.len == 0) {
		buf_puts(out, "This message came without a sender, so nobody else is told.\r\n");
		return;
	}
	buf_puts(out, "For the postmaster: what became of somebody's message.\r\n\r\n");
	put_address(out, "Sender: ", n->about->sender, "");
}

static void put_reason(const struct notice_rcpt *r, struct buf *text, struct buf *out)
{
	buf_reset(text);
	buf_printf(text, "<%.*s>", (int)r->address.len, r->address.data);
	if (r->original.len > 0 && !slice_equal_nocase(r->address, r->original))
		buf_printf(text, " (expanded from <%.*s>)", (int)r->original.len, r->original.data);
	buf_puts(text, ": ");
	buf_put_slice(text, r->reason.len > 0 ? r->reason : SLICE("no reason was given"));
	buf_puts(out, "\r\n");
	lines_put_folded(out, buf_slice(text));
}

static void put_words(const struct notice *n, struct buf *out)
{
	const struct notice_list *l = n->list;
	struct buf text = { 0 };

	put_introduction(n, out);
	for (size_t i = 0; i < l->count; i++)
		put_reason(&l->items[i], &text, out);
	if (l->total > l->count)
		buf_printf(out, "\r\n%s %llu more recipients.\r\n",
		    n->about->kind == NOTICE_VERIFY ? "There is no room here for"
						    : "The same is true of",
		    (unsigned long long)(l->total - l->count));
	buf_clear(&text);
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void begin_content(const struct notice *n, bool is_8bit, struct buf *out)
{
	static const char *const types[][2] = {
		{ "message/rfc822", "text/rfc822-headers" },
		{ "message/global", "message/global-headers" },
	};
	bool is_undelivered = n->about->kind == NOTICE_FAILURE || n->about->kind == NOTICE_DELAY;
	char description[64];

	snprintf(description, sizeof(description), "%sMessage%s",
	    is_undelivered ? "Undelivered " : "", n->headers_only ? " Headers" : "");
	begin_part(n, description, types[compose_is_utf8(n)][n->headers_only], is_8bit, out);
	put_address(out, "Return-Path: <", n->about->sender, ">");
}

void compose_head(const struct notice *n, bool is_8bit, struct buf *out)
{
	const struct template *t = words_of((enum notice_kind)n->about->kind);
	struct buf words = { 0 }, report = { 0 };
	bool words_8bit, report_8bit;
	char type[100];

	put_words(n, &words);
	report_put(n, &report);
	words_8bit = lines_have_8bit(buf_slice(&words));
	report_8bit = lines_have_8bit(buf_slice(&report));
	put_header(n, is_8bit || words_8bit || report_8bit, out);
	/* What others wrote is UTF-8 where it is not ASCII. */
	snprintf(type, sizeof(type), "text/plain; charset=%s",
	    words_8bit && strcmp(t->charset, "us-ascii") == 0 ? "utf-8" : t->charset);
	begin_part(n, "Notification", type, words_8bit, out);
	buf_put_slice(out, buf_slice(&words));
	begin_part(n, "Delivery report",
	    compose_is_utf8(n) ? "message/global-delivery-status" : "message/delivery-status",
	    report_8bit, out);
	buf_put_slice(out, buf_slice(&report));
	begin_content(n, is_8bit, out);
	buf_clear(&words);
	buf_clear(&report);
}

void compose_tail(const struct notice *n, struct buf *out)
{
	char marker[BOUNDARY_SIZE];

	buf_printf(out, "\r\n--%s--\r\n", boundary(n, marker));
}
