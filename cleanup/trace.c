/* SPDX-License-Identifier: ISC */
/*
 * trace.c - where this message came from, as its first header fields.
 *
 * What a client said of itself must not look like anything else there: no comments, no brackets.
 */
#include "cleanup/cleanup.h"
#include "cleanup/header_pass.h"
#include "common/base/text.h"
#include "common/mail/header.h"

enum { HELO_SHOWN = 255 };

static void put_harmless(struct slice text, struct buf *out)
{
	size_t start = out->len;

	if (text.len > HELO_SHOWN)
		text.len = HELO_SHOWN;
	buf_put_slice(out, text);
	text_neuter(out->data + start, out->len - start);
	for (size_t i = start; i < out->len; i++)
		if (strchr(" <>()\\\";@", out->data[i]) != NULL)
			out->data[i] = '?';
}

static void put_client(const struct msg_admit *m, struct buf *out)
{
	buf_puts(out, "from ");
	put_harmless(m->client_helo.len > 0 ? m->client_helo : SLICE("unknown"), out);
	buf_puts(out, " (");
	put_harmless(m->client_name.len > 0 ? m->client_name : SLICE("unknown"), out);
	buf_puts(out, slice_find(m->client_address, ':') == -1 ? " [" : " [IPv6:");
	put_harmless(m->client_address, out);
	buf_puts(out, "])\r\n\t");
}

void trace_put(const struct header_context *c, struct buf *out)
{
	const struct msg_admit *m = c->admit;
	char date[64];

	mail_date(date, m->arrival_us);
	buf_puts(out, "Received: ");
	if (m->protocol.len > 0) {
		put_client(m, out);
		buf_printf(out, "by %s (%s) with ", cleanup_settings.myhostname,
		    cleanup_settings.mail_name);
		put_harmless(m->protocol, out);
		buf_printf(out, " id %.*s", (int)m->id.len, m->id.data);
		if (c->only_recipient.len > 0)
			buf_printf(out, "\r\n\tfor <%.*s>", (int)c->only_recipient.len,
			    c->only_recipient.data);
	} else {
		buf_printf(out, "by %s (%s%s%.*s)\r\n\tid %.*s", cleanup_settings.myhostname,
		    cleanup_settings.mail_name, m->received_by.len > 0 ? ", " : "",
		    (int)m->received_by.len, m->received_by.data, (int)m->id.len, m->id.data);
	}
	buf_printf(out, "; %s\r\n", date);
	if (m->delivered_to.len > 0)
		buf_printf(out, "Delivered-To: %.*s\r\n", (int)m->delivered_to.len,
		    m->delivered_to.data);
}
