/* SPDX-License-Identifier: ISC */
/*
 * transaction.c - MAIL, RCPT, DATA, the content, and what the server says to each.
 *
 * With PIPELINING the commands go out as one group (RFC 2920), but never more than GROUP_BYTES before
 * their replies are read: two sides that both write would wait for each other. After the final dot the
 * message is the server's; before it, nothing has happened.
 */
#include "smtp/transaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ipc/delivery.h"

enum { GROUP_BYTES = 16384, PIECE = 65536, ORPHAN_SECONDS = 20 };

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };
static const struct {
	const char *command, *doing;
} steps[] = {
	[STEP_RSET] = { "RSET", "sending RSET" },
	[STEP_MAIL] = { "MAIL FROM", "sending MAIL FROM" },
	[STEP_RCPT] = { "RCPT TO", "sending RCPT TO" },
	[STEP_DATA] = { "DATA", "sending DATA command" },
};
static const char dot_command[] = "end of DATA", body_doing[] = "sending message body",
		  dot_doing[] = "sending end of data -- message may be sent more than once";

struct talk {
	struct session *s;
	struct delivery *d;
	size_t *rcpts; /* places of the open recipients */
	size_t count, accepted;
	size_t sent, answered, group; /* steps, steps, bytes since the last reading */
	bool heard;		      /* any reply of this transaction */
	bool mail_failed, data_taken;
	bool contradicts;	/* it took a recipient of a MAIL that it refused */
	bool ended;		/* the session is: no reply comes any more */
	struct verdict verdict; /* of all recipients, when one of the last three is so */
};

/* --- steps ---------------------------------------------------------------------------------------- */

static size_t steps_before_rcpts(const struct talk *t)
{
	return t->s->needs_rset ? 2 : 1;
}

/* Then there is no DATA: recipients are only asked about. */
static bool is_verify(const struct talk *t)
{
	return t->d->m->flags & ADMIT_VERIFY;
}

static size_t steps_count(const struct talk *t)
{
	return steps_before_rcpts(t) + t->count + (is_verify(t) ? 0 : 1);
}

static enum step step_at(const struct talk *t, size_t i)
{
	size_t first = steps_before_rcpts(t);

	if (i < first)
		return i + 1 == first ? STEP_MAIL : STEP_RSET;
	return i - first < t->count ? STEP_RCPT : STEP_DATA;
}

static int64_t patience(enum step step)
{
	const int64_t times[] = { [STEP_RSET] = client_settings.rset_timeout,
		[STEP_MAIL] = client_settings.mail_timeout,
		[STEP_RCPT] = client_settings.rcpt_timeout,
		[STEP_DATA] = client_settings.data_init_timeout };

	return times[step];
}

/* --- commands ------------------------------------------------------------------------------------- */

/* As an esmtp-value: the sender's client gave it, and it is passed on as it is. */
static bool is_value(struct slice s)
{
	return s.len > 0 && s.len <= 500 && text_is_printable_ascii(s) &&
	    slice_find(s, ' ') == -1 && slice_find(s, '=') == -1;
}

static void put_mail(const struct talk *t, struct buf *out)
{
	const struct msg_deliver *m = t->d->m;

	buf_puts(out, "MAIL FROM:<");
	buf_put_slice(out, m->sender);
	buf_putc(out, '>');
	if (t->s->features & FEATURE_SIZE)
		buf_printf(out, " SIZE=%" PRIu64, m->content_size);
	if ((t->s->features & FEATURE_8BITMIME) && (m->flags & ADMIT_8BIT))
		buf_puts(out, " BODY=8BITMIME");
	if ((t->s->features & FEATURE_SMTPUTF8) && (m->flags & ADMIT_SMTPUTF8))
		buf_puts(out, " SMTPUTF8");
	if (t->s->features & FEATURE_DSN) {
		if (m->ret != 0)
			buf_printf(out, " RET=%s", m->ret == 1 ? "FULL" : "HDRS");
		if (is_value(m->envid))
			buf_printf(out, " ENVID=%.*s", (int)m->envid.len, m->envid.data);
	}
	buf_puts(out, "\r\n");
}

static void put_notify(uint64_t notify, struct buf *out)
{
	static const struct {
		uint64_t bit;
		const char *word;
	} words[] = { { NOTIFY_SUCCESS, "SUCCESS" }, { NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" } };
	const char *before = " NOTIFY=";

	if (notify & NOTIFY_NEVER) {
		buf_puts(out, " NOTIFY=NEVER");
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (notify & words[i].bit) {
			buf_printf(out, "%s%s", before, words[i].word);
			before = ",";
		}
}

static void put_rcpt(const struct talk *t, size_t at, struct buf *out)
{
	const struct msg_deliver *m = t->d->m;
	struct slice orcpt = m->orcpt.items[at];

	buf_puts(out, "RCPT TO:<");
	buf_put_slice(out, m->address.items[at]);
	buf_putc(out, '>');
	if (t->s->features & FEATURE_DSN) {
		put_notify(m->notify.items[at], out);
		if (is_value(orcpt))
			buf_printf(out, " ORCPT=%.*s", (int)orcpt.len, orcpt.data);
	}
	buf_puts(out, "\r\n");
}

static void put_step(const struct talk *t, size_t i, struct buf *out)
{
	switch (step_at(t, i)) {
	case STEP_RSET:
		buf_puts(out, "RSET\r\n");
		break;
	case STEP_MAIL:
		put_mail(t, out);
		break;
	case STEP_RCPT:
		put_rcpt(t, t->rcpts[i - steps_before_rcpts(t)], out);
		break;
	case STEP_DATA:
		buf_puts(out, "DATA\r\n");
		break;
	}
}

/* --- what the server said ------------------------------------------------------------------------- */

static struct target *target_at(const struct talk *t, size_t rcpt)
{
	return &t->d->targets[t->rcpts[rcpt]];
}

/* It is final, or the next host may have it. */
static void judge(const struct talk *t, size_t rcpt, const struct verdict *v)
{
	struct target *target = target_at(t, rcpt);

	if (target->is_done)
		return;
	target->last = *v;
	target->judged = true;
	if (v->outcome == OUTCOME_BOUNCED)
		delivery_settle(t->d, t->rcpts[rcpt], v, SUCCESS_DELIVERED);
}

/* Those of whom nothing was said alone. */
static void judge_others(const struct talk *t, const struct verdict *v)
{
	for (size_t i = 0; i < t->count; i++)
		if (!target_at(t, i)->judged)
			judge(t, i, v);
}

static void lost(struct talk *t, enum reply_result how, const struct reply *r, const char *doing)
{
	t->ended = true;
	t->heard |= how != REPLY_LOST;
	session_lost(t->s, how, r, doing, t->d->arena, &t->verdict);
}

static void refused(struct talk *t, const struct reply *r, const char *command, struct verdict *v)
{
	session_refused(t->s, r, command, t->d->arena, v);
	/* The server goes away, whatever it said that to. */
	if (r->code == 421) {
		t->ended = t->s->is_broken = true;
		t->verdict = *v;
	}
}

/* It has the message; of one that is only asked about, it would. */
static void delivered(const struct talk *t, size_t rcpt, const struct reply *r)
{
	struct delivery *d = t->d;
	struct slice said = reply_flat(r, TEXT_MOST, d->arena);
	struct verdict v = { OUTCOME_SENT, r->enhanced, said,
		slice_of(arena_printf(d->arena, "smtp; %.*s", (int)said.len, said.data)),
		arena_copy(d->arena, t->s->host), arena_copy(d->arena, t->s->relay), t->s->uses };
	bool passed = (t->s->features & FEATURE_DSN) && d->m->notify.items[t->rcpts[rcpt]] != 0;

	delivery_settle(d, t->rcpts[rcpt], &v,
	    client_settings.is_lmtp ? SUCCESS_DELIVERED
		: passed	    ? SUCCESS_PASSED
				    : SUCCESS_RELAYED);
}

static void take_rcpt(struct talk *t, size_t rcpt, const struct reply *r)
{
	struct verdict v;

	if (t->mail_failed) {
		t->contradicts |= r->code / 100 == 2;
		return;
	}
	if (r->code / 100 == 2) {
		if (is_verify(t))
			delivered(t, rcpt, r);
		target_at(t, rcpt)->accepted = true;
		t->accepted++;
		return;
	}
	refused(t, r, steps[STEP_RCPT].command, &v);
	judge(t, rcpt, &v);
}

static void take_data(struct talk *t, const struct reply *r)
{
	struct verdict v;

	t->data_taken = r->code / 100 == 3;
	if (t->data_taken)
		return;
	refused(t, r, steps[STEP_DATA].command, &v);
	/* What it takes the content for is anybody's guess. */
	t->s->is_broken |= r->code / 100 == 2;
	if (!t->mail_failed)
		judge_others(t, &v);
}

static void take_reply(struct talk *t, size_t i, const struct reply *r)
{
	enum step step = step_at(t, i);

	switch (step) {
	case STEP_RSET:
	case STEP_MAIL:
		if (r->code / 100 == 2 || t->mail_failed)
			break;
		t->mail_failed = true;
		refused(t, r, steps[step].command, &t->verdict);
		break;
	case STEP_RCPT:
		take_rcpt(t, i - steps_before_rcpts(t), r);
		break;
	case STEP_DATA:
		take_data(t, r);
		break;
	}
}

/* Sends what was gathered and reads the replies to it. */
static void read_replies(struct talk *t)
{
	enum step step = step_at(t, t->answered);

	if (stream_flush(t->s->stream, deadline_after(patience(step))) == -1) {
		lost(t, errno == ETIMEDOUT ? REPLY_TIMEOUT : REPLY_LOST, NULL, steps[step].doing);
		return;
	}
	stream_wait_first(t->s->stream);
	t->group = 0;
	while (t->answered < t->sent && !t->ended) {
		enum reply_result how;
		struct reply r;

		step = step_at(t, t->answered);
		how = session_reply(t->s, t->d->arena, deadline_after(patience(step)), &r);
		if (how != REPLY_OK) {
			lost(t, how, &r, steps[step].doing);
			return;
		}
		t->heard |= r.code != 421;
		take_reply(t, t->answered++, &r);
	}
}

/* --- the envelope --------------------------------------------------------------------------------- */

/* There is no use in what follows. */
static bool is_pointless(const struct talk *t)
{
	return t->ended || t->mail_failed ||
	    (t->answered == t->sent && step_at(t, t->sent) == STEP_DATA && t->accepted == 0);
}

static void send_envelope(struct talk *t)
{
	bool pipelining = t->s->features & FEATURE_PIPELINING;
	struct buf command = { 0 };

	while (t->sent < steps_count(t) && !is_pointless(t)) {
		buf_reset(&command);
		put_step(t, t->sent++, &command);
		transcript_command(&t->s->transcript, true, slice_trim(buf_slice(&command)));
		t->group += command.len;
		/* It flushes by itself only far above GROUP_BYTES. */
		stream_write(t->s->stream, buf_slice(&command), DEADLINE_NEVER);
		if (!pipelining || t->group > GROUP_BYTES || t->sent == steps_count(t))
			read_replies(t);
	}
	buf_clear(&command);
}

/* --- the content ---------------------------------------------------------------------------------- */

/* Right before the final dot: without a queue manager that records it, this would be delivered again. */
static bool is_orphan(struct talk *t)
{
	if (delivery_is_wanted(t->d->run, deadline_after(ORPHAN_SECONDS * CLOCK_SECOND)))
		return false;
	t->s->is_broken = t->ended = true;
	verdict_put(&t->verdict, t->d->arena, "4.3.0", "the queue manager is gone");
	return true;
}

/* What the server says before the dot is no answer to it: a refusal counts, but a 250 takes no message. */
static bool speaks_before_dot(struct talk *t)
{
	enum reply_result how;
	struct reply r;

	if (stream_is_quiet(t->s->stream))
		return false;
	how = session_reply(t->s, t->d->arena, deadline_after(client_settings.data_done_timeout),
	    &r);
	if (how == REPLY_OK && r.code >= 400) {
		t->s->is_broken = t->ended = true;
		session_refused(t->s, &r, dot_command, t->d->arena, &t->verdict);
		return true;
	}
	lost(t, how == REPLY_OK ? REPLY_BAD : how, &r, body_doing);
	return true;
}

/* False: t->verdict says why; the server has no message. */
static bool send_piece(struct talk *t, struct slice piece, bool is_last)
{
	struct slice parts[] = { piece, SLICE(".\r\n") };
	size_t left;

	if ((is_last && is_orphan(t)) || speaks_before_dot(t))
		return false;
	if (stream_send(t->s->stream, parts, is_last ? 2 : 1, client_settings.data_xfer_timeout,
		&left) == 0)
		return true;
	lost(t, errno == ETIMEDOUT ? REPLY_TIMEOUT : REPLY_LOST, NULL, body_doing);
	return false;
}

static bool send_file(struct talk *t)
{
	const struct msg_deliver *m = t->d->m;
	char *piece = mem_alloc(PIECE);
	uint64_t done = 0;
	bool ok = true;

	do {
		uint64_t left = m->content_size - done;
		ssize_t got = pread(t->d->fd, piece, left < PIECE ? (size_t)left : PIECE,
		    (off_t)(m->content_offset + done));

		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0 && left > 0) {
			verdict_put(&t->verdict, t->d->arena, "4.3.0",
			    "the content can't be read from the queue: %s",
			    got == 0 ? "it ends too early" : strerror(errno));
			t->ended = t->s->is_broken = true;
			ok = false;
			break;
		}
		done += (size_t)got;
		ok = send_piece(t, slice_new(piece, (size_t)got), done == m->content_size);
	} while (ok && done < m->content_size);
	free(piece);
	return ok;
}

static bool send_content(struct talk *t)
{
	return t->d->fd == -1 ? send_piece(t, t->d->m->content, true) : send_file(t);
}

/* --- after the final dot -------------------------------------------------------------------------- */

/* One reply for all, or in LMTP for each recipient that was accepted. */
static void take_dot(const struct talk *t, size_t rcpt, const struct reply *r)
{
	struct verdict v;
	bool is_sent = r->code / 100 == 2;

	if (!is_sent)
		session_refused(t->s, r, dot_command, t->d->arena, &v);
	for (size_t i = client_settings.is_lmtp ? rcpt : 0; i < t->count; i++) {
		if (!target_at(t, i)->accepted || target_at(t, i)->is_done)
			continue;
		if (is_sent)
			delivered(t, i, r);
		else
			judge(t, i, &v);
		if (client_settings.is_lmtp)
			return;
	}
}

static enum transaction_result read_dot_replies(struct talk *t)
{
	size_t rcpt = 0;

	stream_wait_first(t->s->stream);
	for (size_t n = client_settings.is_lmtp ? t->accepted : 1; n > 0; n--, rcpt++) {
		enum reply_result how;
		struct reply r;

		how = session_reply(t->s, t->d->arena,
		    deadline_after(client_settings.data_done_timeout), &r);
		/* Neither yes nor no: it may have the message. */
		if (how == REPLY_OK && r.code / 100 == 3)
			how = REPLY_BAD;
		if (how != REPLY_OK) {
			lost(t, how, &r, dot_doing);
			for (; rcpt < t->count; rcpt++)
				if (target_at(t, rcpt)->accepted)
					judge(t, rcpt, &t->verdict);
			return TRANSACTION_UNSURE;
		}
		t->s->is_broken |= r.code == 421;
		while (client_settings.is_lmtp && !target_at(t, rcpt)->accepted)
			rcpt++;
		take_dot(t, rcpt, &r);
	}
	t->s->needs_rset = false;
	return TRANSACTION_DONE;
}

/* The server waits for content that nobody shall have. */
static void send_nothing(struct talk *t)
{
	struct reply r;
	size_t left;

	/* For those that it took all the same, that would be an empty message. */
	if (t->contradicts) {
		t->s->is_broken = true;
		return;
	}
	if (stream_send(t->s->stream, &SLICE(".\r\n"), 1, client_settings.data_xfer_timeout,
		&left) == -1 ||
	    session_reply(t->s, t->d->arena, deadline_after(client_settings.data_done_timeout),
		&r) != REPLY_OK)
		t->s->is_broken = true;
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void collect(struct talk *t)
{
	struct delivery *d = t->d;

	t->rcpts = arena_alloc(d->arena, d->m->index.count * sizeof(size_t));
	for (size_t i = 0; i < d->m->index.count; i++) {
		d->targets[i].accepted = d->targets[i].judged = false;
		if (!d->targets[i].is_done)
			t->rcpts[t->count++] = i;
	}
}

static bool is_too_large(struct talk *t)
{
	struct verdict v;

	if (t->s->size_limit == 0 || t->d->m->content_size <= t->s->size_limit)
		return false;
	verdict_put(&v, t->d->arena, "5.3.4",
	    "message size %" PRIu64 " exceeds size limit %" PRIu64 " of server %.*s",
	    t->d->m->content_size, t->s->size_limit, (int)t->s->peer.len, t->s->peer.data);
	judge_others(t, &v);
	return true;
}

static bool is_ascii(struct slice address)
{
	for (size_t i = 0; i < address.len; i++)
		if (address.data[i] & 0x80)
			return false;
	return true;
}

/* Where the envelope can't be said, the message can't go (RFC 6531, section 3.5). What only the content needs is
 * sent all the same: it is the next server's to tell. */
static bool is_utf8_for_ascii(struct talk *t)
{
	const struct msg_deliver *m = t->d->m;
	bool ascii = is_ascii(m->sender);
	struct verdict v;

	if (!(m->flags & ADMIT_SMTPUTF8) || (t->s->features & FEATURE_SMTPUTF8))
		return false;
	for (size_t i = 0; ascii && i < t->count; i++)
		ascii = is_ascii(m->address.items[t->rcpts[i]]);
	if (ascii)
		return false;
	verdict_put(&v, t->d->arena, "5.6.7",
	    "SMTPUTF8 is required, but was not offered by host %.*s", (int)t->s->peer.len,
	    t->s->peer.data);
	judge_others(t, &v);
	return true;
}

enum transaction_result transaction_run(struct session *s, struct delivery *d)
{
	struct talk t = { .s = s, .d = d };
	size_t head = steps_before_rcpts(&t);

	collect(&t);
	if (is_too_large(&t) || is_utf8_for_ascii(&t))
		return TRANSACTION_DONE;
	t.ended = t.heard = session_speaks_first(s, steps[STEP_MAIL].doing, d->arena, &t.verdict);
	if (!t.ended)
		send_envelope(&t);
	if (t.ended && !t.heard && s->uses > 1)
		return TRANSACTION_STALE;
	/* A refused MAIL leaves nothing behind. */
	s->needs_rset = !t.mail_failed || t.sent > head;
	if (!t.ended && !t.mail_failed && t.data_taken && t.accepted > 0) {
		if (send_content(&t))
			return read_dot_replies(&t);
	} else if (!t.ended && t.data_taken) {
		send_nothing(&t);
	}
	if (t.ended || t.mail_failed)
		judge_others(&t, &t.verdict);
	return TRANSACTION_DONE;
}
