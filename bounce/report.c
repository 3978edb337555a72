/* SPDX-License-Identifier: ISC */
/*
 * report.c - message/delivery-status: a group of fields about the message, one about each recipient. Programs
 * read the names, their order and X-Postfix-... as Postfix writes them.
 */
#include "bounce/bounce.h"
#include "common/mail/header.h"
#include "common/mail/xtext.h"

struct field {
	struct buf text;
	struct buf *out;
};

static void begin(struct field *f, const char *name_and_type)
{
	buf_reset(&f->text);
	buf_puts(&f->text, name_and_type);
}

static void end(struct field *f, struct slice value)
{
	buf_put_slice(&f->text, value);
	lines_put_folded(f->out, buf_slice(&f->text));
}

static void end_address(struct field *f, struct slice address)
{
	buf_put_slice(&f->text, address);
	lines_put_whole(f->out, buf_slice(&f->text));
}

static void put(struct field *f, const char *name_and_type, struct slice value)
{
	begin(f, name_and_type);
	end(f, value);
}

/* What is no xtext stays as it is. */
static void put_decoded(struct buf *out, struct slice xtext)
{
	if (!xtext_decode(xtext, out))
		buf_put_slice(out, xtext);
}

static void put_date(struct field *f, const char *name, int64_t when_us)
{
	char date[64];

	put(f, name, slice_of(mail_date(date, when_us)));
}

static void put_message(struct field *f, const struct notice *n)
{
	const struct msg_notice *m = n->about;

	put(f, "Reporting-MTA: dns; ", slice_of(bounce_settings.myhostname));
	if (m->envid.len > 0) {
		begin(f, "Original-Envelope-Id: ");
		put_decoded(&f->text, m->envid);
		end(f, SLICE(""));
	}
	put(f, "X-Postfix-Queue-ID: ", m->id);
	if (m->sender.len > 0) {
		begin(f,
		    lines_have_8bit(m->sender) ? "X-Postfix-Sender: utf-8; "
					       : "X-Postfix-Sender: rfc822; ");
		end_address(f, m->sender);
	}
	put_date(f, "Arrival-Date: ", m->arrival_us);
}

static const char *action(const struct notice *n, const struct notice_rcpt *r)
{
	static const char *const successes[] = {
		[SUCCESS_DELIVERED] = "delivered",
		[SUCCESS_RELAYED] = "relayed",
		[SUCCESS_PASSED] = "relayed",
		[SUCCESS_EXPANDED] = "expanded",
	};

	if (n->about->kind == NOTICE_FAILURE)
		return "failed";
	if (n->about->kind == NOTICE_DELAY)
		return "delayed";
	if (n->about->kind == NOTICE_VERIFY)
		return r->dsn.len > 0 && r->dsn.data[0] == '2' ? "deliverable" : "undeliverable";
	return successes[r->success <= SUCCESS_EXPANDED ? r->success : SUCCESS_DELIVERED];
}

static void put_original(struct field *f, const struct notice_rcpt *r)
{
	ptrdiff_t semicolon = slice_find(r->orcpt, ';');

	begin(f, "Original-Recipient: ");
	if (semicolon > 0) {
		buf_put_slice(&f->text, slice_part(r->orcpt, 0, (size_t)semicolon + 1));
		put_decoded(&f->text, slice_part(r->orcpt, (size_t)semicolon + 1, r->orcpt.len));
		end_address(f, SLICE(""));
	} else if (r->original.len > 0) {
		buf_puts(&f->text, lines_have_8bit(r->original) ? "utf-8;" : "rfc822;");
		end_address(f, r->original);
	}
}

static void put_rcpt(struct field *f, const struct notice *n, const struct notice_rcpt *r)
{
	static const char *const statuses[] = { [NOTICE_FAILURE] = "5.0.0",
		[NOTICE_DELAY] = "4.0.0",
		[NOTICE_SUCCESS] = "2.0.0",
		[NOTICE_VERIFY] = "5.0.0" };

	buf_puts(f->out, "\r\n");
	begin(f,
	    lines_have_8bit(r->address) ? "Final-Recipient: utf-8; " : "Final-Recipient: rfc822; ");
	end_address(f, r->address);
	put_original(f, r);
	put(f, "Action: ", slice_of(action(n, r)));
	put(f, "Status: ", r->dsn.len > 0 ? r->dsn : slice_of(statuses[n->about->kind]));
	if (r->remote.len > 0)
		put(f, "Remote-MTA: dns; ", r->remote);
	if (r->diagnostic.len > 0)
		put(f, "Diagnostic-Code: ", r->diagnostic);
	else if (r->reason.len > 0)
		put(f, "Diagnostic-Code: X-Postfix; ", r->reason);
	if (n->about->kind == NOTICE_DELAY && n->about->retry_until_us > 0)
		put_date(f, "Will-Retry-Until: ", n->about->retry_until_us);
}

void report_put(const struct notice *n, struct buf *out)
{
	struct field f = { .out = out };

	put_message(&f, n);
	for (size_t i = 0; i < n->list->count; i++)
		put_rcpt(&f, n, &n->list->items[i]);
	buf_clear(&f.text);
}
