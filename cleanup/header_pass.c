/* SPDX-License-Identifier: ISC */
/*
 * header_pass.c - the header, field by field, while the content streams by.
 *
 * Nobody waits for a field, so pieces are gathered before they are looked at: the work stays linear
 * even if content comes byte by byte. What is too long for a field is cut, as Postfix does.
 */
#include "cleanup/header_pass.h"

#include <stdlib.h>
#include <time.h>

#include "cleanup/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/header.h"

enum { LOOK_STEP = 8192 };
enum stage { STAGE_FIELDS, STAGE_CUT, STAGE_BODY }; /* CUT: in a field that is too long */

struct header_pass {
	const struct header_context *context;
	enum stage stage;
	struct buf pending;
	size_t look_at; /* bytes that must be pending before they are looked at */
	uint64_t seen;	/* bits by enum header_id */
	bool is_resent;
	int64_t hops;
	struct buf message_id, resent_message_id;
};

#define BIT(id) (UINT64_C(1) << (id))

static const uint64_t address_headers = BIT(HEADER_FROM) | BIT(HEADER_TO) | BIT(HEADER_CC) |
    BIT(HEADER_SENDER) | BIT(HEADER_REPLY_TO) | BIT(HEADER_RESENT_FROM) | BIT(HEADER_RESENT_TO) |
    BIT(HEADER_RESENT_CC) | BIT(HEADER_RESENT_SENDER) | BIT(HEADER_RESENT_REPLY_TO);
static const uint64_t resent_headers = BIT(HEADER_RESENT_FROM) | BIT(HEADER_RESENT_TO) |
    BIT(HEADER_RESENT_CC) | BIT(HEADER_RESENT_BCC) | BIT(HEADER_RESENT_DATE) |
    BIT(HEADER_RESENT_MESSAGE_ID) | BIT(HEADER_RESENT_SENDER) | BIT(HEADER_RESENT_REPLY_TO);
static const uint64_t recipient_headers = BIT(HEADER_TO) | BIT(HEADER_CC) | BIT(HEADER_BCC) |
    BIT(HEADER_RESENT_TO) | BIT(HEADER_RESENT_CC) | BIT(HEADER_RESENT_BCC);

struct header_pass *header_pass_new(const struct header_context *context, struct buf *out)
{
	struct header_pass *p = mem_alloc(sizeof(*p));

	p->context = context;
	p->look_at = LOOK_STEP;
	p->hops = 1; /* ours */
	trace_put(context, out);
	return p;
}

void header_pass_free(struct header_pass *p)
{
	if (p == NULL)
		return;
	buf_clear(&p->pending);
	buf_clear(&p->message_id);
	buf_clear(&p->resent_message_id);
	free(p);
}

struct slice header_pass_message_id(const struct header_pass *p)
{
	return buf_slice(&p->message_id);
}

struct slice header_pass_resent_message_id(const struct header_pass *p)
{
	return buf_slice(&p->resent_message_id);
}

static void keep_message_id(struct buf *kept, struct slice value)
{
	value = slice_trim(value);
	if (kept->len > 0)
		return;
	if (value.len > NAME_LIMIT)
		value.len = NAME_LIMIT;
	buf_put_slice(kept, value);
	text_neuter(kept->data, kept->len);
}

static bool is_dropped(struct slice name)
{
	struct slice rest = slice_of(cleanup_settings.message_drop_headers), word;

	while (text_next_word(&rest, ", \t\r\n", &word))
		if (slice_equal_nocase(word, name))
			return true;
	return false;
}

static void put_line_end(struct slice text, struct buf *out)
{
	if (text.len < 2 || text.data[text.len - 2] != '\r' || text.data[text.len - 1] != '\n')
		buf_puts(out, "\r\n");
}

/* Blanks between the name and its colon go: who reads "From :" later may take it for no From, or as
 * the separator line of a mailbox file. */
static void put_name(const struct header *h, struct buf *out)
{
	buf_put_slice(out, h->name);
	buf_putc(out, ':');
}

static enum pass_result put_field(struct header_pass *p, const struct header *h, struct buf *out)
{
	enum header_id id = header_id(h->name);

	p->seen |= BIT(id);
	p->is_resent = p->is_resent || (resent_headers & BIT(id)) != 0;
	if (id == HEADER_RECEIVED && ++p->hops >= cleanup_settings.hopcount_limit)
		return PASS_TOO_MANY_HOPS;
	if (id == HEADER_MESSAGE_ID)
		keep_message_id(&p->message_id, h->value);
	if (id == HEADER_RESENT_MESSAGE_ID)
		keep_message_id(&p->resent_message_id, h->value);
	if (is_dropped(h->name))
		return PASS_OK;
	put_name(h, out);
	if (p->context->complete == NULL || (address_headers & BIT(id)) == 0)
		buf_put_slice(out, h->value);
	else if (!header_put_complete(p->context, h->value, out))
		return PASS_NO_ANSWER;
	buf_puts(out, "\r\n");
	return PASS_OK;
}

/* The lines of a field that is too long which still fit; of a single line, its start. */
static enum pass_result put_cut_field(struct header_pass *p, struct slice whole, struct buf *out)
{
	struct slice kept = slice_part(whole, 0, (size_t)cleanup_settings.header_size_limit);
	ptrdiff_t end = slice_find_last(kept, '\n');
	struct header h;
	bool blank_line;

	if (end > 0)
		kept.len = (size_t)end + 1;
	else if (kept.data[kept.len - 1] == '\r')
		kept.len--;
	if (header_next(&kept, true, &h, &blank_line) != HEADER_FIELD)
		return PASS_OK; /* not even its name fits */
	return put_field(p, &h, out);
}

static const char *resent(const struct header_pass *p)
{
	return p->is_resent ? "Resent-" : "";
}

static bool lacks(const struct header_pass *p, enum header_id plain, enum header_id when_resent)
{
	return (p->seen & BIT(p->is_resent ? when_resent : plain)) == 0;
}

static void add_message_id(struct header_pass *p, struct buf *out)
{
	const struct msg_admit *m = p->context->admit;
	time_t seconds = (time_t)(m->arrival_us / 1000000);
	struct tm tm;
	char stamp[32] = "", *id;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	id = mem_printf("<%s.%.*s@%s>", stamp, (int)m->id.len, m->id.data,
	    cleanup_settings.myhostname);
	buf_printf(out, "%sMessage-Id: %s\r\n", resent(p), id);
	keep_message_id(p->is_resent ? &p->resent_message_id : &p->message_id, slice_of(id));
	free(id);
}

static void add_missing(struct header_pass *p, struct buf *out)
{
	struct slice sender = p->context->sender;
	const char *undisclosed = cleanup_settings.undisclosed_recipients_header;
	char date[64];

	if (lacks(p, HEADER_MESSAGE_ID, HEADER_RESENT_MESSAGE_ID))
		add_message_id(p, out);
	if (lacks(p, HEADER_DATE, HEADER_RESENT_DATE))
		buf_printf(out, "%sDate: %s\r\n", resent(p),
		    mail_date(date, p->context->admit->arrival_us));
	if (lacks(p, HEADER_FROM, HEADER_RESENT_FROM)) {
		buf_printf(out, "%sFrom: ", resent(p));
		if (sender.len > 0)
			full_name_put(p->context->admit->full_name, sender, out);
		else
			buf_printf(out, "MAILER-DAEMON@%s (Mail Delivery System)",
			    cleanup_settings.myhostname);
		buf_puts(out, "\r\n");
	}
	if ((p->seen & recipient_headers) == 0 && *undisclosed != '\0')
		buf_printf(out, "%s\r\n", undisclosed);
}

static void end_header(struct header_pass *p, struct buf *out)
{
	if (p->context->add_missing)
		add_missing(p, out);
	buf_puts(out, "\r\n");
	p->stage = STAGE_BODY;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Behind the field that was cut; false when its end has not come. Keeps a line end whose next byte
 * decides. */
static bool skip_cut_field(struct slice *rest, bool at_end)
{
	size_t at = 0;

	while (at + 2 < rest->len) {
		const char *cr = memchr(rest->data + at, '\r', rest->len - at - 2);

		if (cr == NULL)
			break;
		at = (size_t)(cr - rest->data);
		if (cr[1] == '\n' && !is_blank(cr[2])) {
			*rest = slice_part(*rest, at + 2, rest->len);
			return true;
		}
		at++;
	}
	if (at_end)
		*rest = SLICE("");
	else if (rest->len > 2)
		*rest = slice_part(*rest, rest->len - 2, 2);
	return at_end;
}

/* Too many bytes without the end of a field: what is there is cut, or it is body. */
static enum pass_result cut(struct header_pass *p, struct slice *rest, struct buf *out)
{
	struct slice all = *rest;
	struct header h;
	bool blank_line;

	if (header_next(&all, true, &h, &blank_line) != HEADER_FIELD) {
		end_header(p, out);
		return PASS_OK;
	}
	p->stage = STAGE_CUT;
	*rest = slice_part(*rest, rest->len - 2, 2);
	return put_cut_field(p, h.whole, out);
}

/* "From sender date" in front of all, as mailbox files have it: kept as a header, or everything behind
 * it would be body. */
static bool is_mailbox_line(const struct header_pass *p, struct slice rest)
{
	size_t at = 0;

	while (at < rest.len && rest.data[at] == '>')
		at++;
	return p->seen == 0 && slice_starts_nocase(slice_part(rest, at, rest.len), SLICE("From "));
}

static void put_mailbox_line(struct header_pass *p, struct slice *rest, struct buf *out)
{
	const char *end = memmem(rest->data, rest->len, "\r\n", 2);
	size_t len = end == NULL ? rest->len : (size_t)(end - rest->data) + 2;

	p->seen |= BIT(HEADER_OTHER);
	buf_puts(out, "X-Mailbox-Line: ");
	buf_put_slice(out, slice_part(*rest, 0, len));
	put_line_end(slice_part(*rest, 0, len), out);
	*rest = slice_part(*rest, len, rest->len);
}

/* One step through rest. *more: nothing can be done before more bytes come. */
static enum pass_result step(struct header_pass *p, struct slice *rest, bool at_end, bool *more,
    struct buf *out)
{
	size_t limit = (size_t)cleanup_settings.header_size_limit;
	struct header h;
	bool blank_line;

	if (p->stage == STAGE_CUT) {
		*more = !skip_cut_field(rest, at_end);
		if (!*more)
			p->stage = STAGE_FIELDS;
		return PASS_OK;
	}
	switch (header_next(rest, at_end, &h, &blank_line)) {
	case HEADER_FIELD:
		return h.whole.len > limit ? put_cut_field(p, h.whole, out) : put_field(p, &h, out);
	case HEADER_END:
		if (!blank_line && is_mailbox_line(p, *rest)) {
			*more = !at_end && rest->len <= limit &&
			    memmem(rest->data, rest->len, "\r\n", 2) == NULL;
			if (!*more)
				put_mailbox_line(p, rest, out);
			return PASS_OK;
		}
		end_header(p, out);
		return PASS_OK;
	case HEADER_MORE:
		break;
	}
	if (rest->len > limit && rest->len > 2)
		return cut(p, rest, out);
	*more = true;
	return PASS_OK;
}

static enum pass_result advance(struct header_pass *p, bool at_end, struct buf *out)
{
	struct slice rest = buf_slice(&p->pending);
	enum pass_result result = PASS_OK;
	bool more = false;

	while (result == PASS_OK && !more && p->stage != STAGE_BODY)
		result = step(p, &rest, at_end, &more, out);
	if (p->stage == STAGE_BODY) {
		buf_put_slice(out, rest);
		buf_clear(&p->pending);
		return result;
	}
	buf_consume(&p->pending, p->pending.len - rest.len);
	p->look_at = p->pending.len * 2 + LOOK_STEP;
	return result;
}

enum pass_result header_pass_feed(struct header_pass *p, struct slice data, struct buf *out)
{
	if (p->stage == STAGE_BODY) {
		buf_put_slice(out, data);
		return PASS_OK;
	}
	buf_put_slice(&p->pending, data);
	return p->pending.len < p->look_at ? PASS_OK : advance(p, false, out);
}

enum pass_result header_pass_end(struct header_pass *p, struct buf *out)
{
	return p->stage == STAGE_BODY ? PASS_OK : advance(p, true, out);
}
