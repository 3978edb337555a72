/* SPDX-License-Identifier: ISC */
/*
 * message_file.c - a message as a file: a line for each attribute, "name LENGTH:bytes", then the content in
 * the same way, then a checksum of all that came before.
 *
 * Lengths come first, so that no byte of an address or of a mail can be taken for the next line. A person
 * can read it; `head -n -1 FILE | sha256sum` checks it.
 */
#include "admin/message_file.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/queue/records.h"

#define FIRST_LINE "gatepost-message 1\n"

enum {
	PIECE = 64 << 10,
	TEXT_LIMIT_OF_FILE = 64 << 10,
	HEAD_LIMIT = 64 << 20, /* of all attributes: what fits into a segment of the queue */
	NAME_MAX_LENGTH = 16,
	DIGITS_MAX = 20,
	HEX_DIGEST = 2 * SHA256_DIGEST_LENGTH
};

/* CLEAN: a text without NUL, CR and LF. */
enum kind { NUMBER, TEXT, CLEAN, STATE };

struct head {
	struct slice id, sender, envelope;
	uint64_t arrival, flags, due, attempts, deaths, marks, held, in_doubt;
};
struct rcpt {
	struct slice address, original, orcpt, dsn, reason;
	uint64_t notify, state;
};

struct attribute {
	const char *name;
	enum kind kind;
	bool required;
	size_t offset;
	uint64_t limit;
};

/* What is empty or 0 is left out. The first one begins a message, or a recipient. */
static const struct attribute head_attributes[] = {
	{ "id", CLEAN, true, offsetof(struct head, id), RECORD_ID_LIMIT },
	{ "arrival", NUMBER, false, offsetof(struct head, arrival), INT64_MAX },
	{ "flags", NUMBER, false, offsetof(struct head, flags), UINT64_MAX },
	{ "sender", CLEAN, false, offsetof(struct head, sender), TEXT_LIMIT_OF_FILE },
	{ "envelope", TEXT, false, offsetof(struct head, envelope), TEXT_LIMIT_OF_FILE },
	{ "due", NUMBER, false, offsetof(struct head, due), INT64_MAX },
	{ "attempts", NUMBER, false, offsetof(struct head, attempts), UINT32_MAX },
	{ "deaths", NUMBER, false, offsetof(struct head, deaths), UINT32_MAX },
	{ "marks", NUMBER, false, offsetof(struct head, marks), RECORD_MARKS_LIMIT },
	{ "held", NUMBER, false, offsetof(struct head, held), 1 },
	{ "in-doubt", NUMBER, false, offsetof(struct head, in_doubt), 1 },
};
static const struct attribute rcpt_attributes[] = {
	{ "recipient", CLEAN, true, offsetof(struct rcpt, address), TEXT_LIMIT_OF_FILE },
	{ "original", CLEAN, false, offsetof(struct rcpt, original), TEXT_LIMIT_OF_FILE },
	{ "orcpt", CLEAN, false, offsetof(struct rcpt, orcpt), TEXT_LIMIT_OF_FILE },
	{ "notify", NUMBER, false, offsetof(struct rcpt, notify), UINT64_MAX },
	{ "state", STATE, true, offsetof(struct rcpt, state), RCPT_BOUNCED },
	{ "dsn", CLEAN, false, offsetof(struct rcpt, dsn), TEXT_LIMIT_OF_FILE },
	{ "reason", CLEAN, false, offsetof(struct rcpt, reason), TEXT_LIMIT_OF_FILE },
};
static const char *const states[] = { "queued", "deferred", "delivered", "bounced" };

static bool is_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || text.data[i] == '\r' || text.data[i] == '\n')
			return false;
	return true;
}

/* --- the content's form --------------------------------------------------------------------------- */

/* Everyone behind the queue trusts it: lines end with CRLF, no other CR or LF, leading dots are doubled. */
struct wire_check {
	enum { LINE_STARTS, ONE_DOT, IN_LINE, AFTER_CR, BROKEN } at;
};

static void wire_check(struct wire_check *w, struct slice piece)
{
	for (size_t i = 0; i < piece.len && w->at != BROKEN; i++) {
		char c = piece.data[i];

		if ((w->at == AFTER_CR) != (c == '\n') || (w->at == ONE_DOT && c != '.'))
			w->at = BROKEN;
		else if (c == '\n')
			w->at = LINE_STARTS;
		else if (c == '\r')
			w->at = AFTER_CR;
		else
			w->at = w->at == LINE_STARTS && c == '.' ? ONE_DOT : IN_LINE;
	}
}

/* --- writing -------------------------------------------------------------------------------------- */

struct writer {
	FILE *out;
	SHA2_CTX all;
	const char *why;
};

static void fail(struct writer *w, const char *why)
{
	if (w->why == NULL)
		w->why = why;
}

static void put(struct writer *w, struct slice bytes)
{
	SHA256Update(&w->all, (const uint8_t *)bytes.data, bytes.len);
	if (bytes.len > 0 && fwrite(bytes.data, 1, bytes.len, w->out) != bytes.len)
		fail(w, strerror(errno));
}

static void put_name(struct writer *w, const char *name, uint64_t len)
{
	char text[NAME_MAX_LENGTH + DIGITS_MAX + 4];

	snprintf(text, sizeof(text), "%s %" PRIu64 ":", name, len);
	put(w, slice_of(text));
}

static void put_text(struct writer *w, const char *name, struct slice value)
{
	put_name(w, name, value.len);
	put(w, value);
	put(w, SLICE("\n"));
}

static void put_attributes(struct writer *w, const struct attribute *list, size_t count,
    const void *of)
{
	for (size_t i = 0; i < count; i++) {
		const struct attribute *a = &list[i];
		const void *at = (const char *)of + a->offset;
		struct slice value;
		char digits[DIGITS_MAX + 4];

		if (a->kind == TEXT || a->kind == CLEAN) {
			value = *(const struct slice *)at;
		} else if (a->kind == STATE) {
			value = slice_of(states[*(const uint64_t *)at]);
		} else {
			snprintf(digits, sizeof(digits), "%" PRIu64, *(const uint64_t *)at);
			value = *(const uint64_t *)at == 0 ? slice_new(NULL, 0) : slice_of(digits);
		}
		if (value.len > TEXT_LIMIT_OF_FILE || (a->kind == CLEAN && !is_clean(value)))
			fail(w, "an address or a reason holds what it must not");
		else if (value.len > 0 || a->required)
			put_text(w, a->name, value);
	}
}

static struct slice text_at(struct wire_texts list, size_t i)
{
	return i < list.count ? list.items[i] : slice_new(NULL, 0);
}

static void put_rcpts(struct writer *w, const struct store_loaded *l)
{
	const struct store_message *m = &l->message;

	for (size_t i = 0; i < m->address.count; i++) {
		struct rcpt r = {
			.address = m->address.items[i],
			.original = text_at(m->original, i),
			.orcpt = text_at(m->orcpt, i),
			.notify = i < m->notify.count ? m->notify.items[i] : 0,
			.state = l->state[i],
			.dsn = l->dsn[i],
			.reason = l->reason[i],
		};

		put_attributes(w, rcpt_attributes, ARRAY_LENGTH(rcpt_attributes), &r);
	}
}

static void put_large(struct writer *w, const struct store_loaded *l, struct wire_check *form)
{
	static char piece[PIECE];
	uint64_t at = 0;

	while (w->why == NULL && at < l->message.large_size) {
		ssize_t got = pread(l->large_fd, piece, sizeof(piece), (off_t)at);

		if (got <= 0) {
			fail(w, got == 0 ? "its content is cut short" : strerror(errno));
			return;
		}
		if ((uint64_t)got > l->message.large_size - at)
			got = (ssize_t)(l->message.large_size - at);
		wire_check(form, slice_new(piece, (size_t)got));
		put(w, slice_new(piece, (size_t)got));
		at += (uint64_t)got;
	}
}

static void put_content(struct writer *w, const struct store_loaded *l)
{
	const struct store_message *m = &l->message;
	struct wire_check form = { LINE_STARTS };

	put_name(w, "content", m->large_size > 0 ? m->large_size : m->content.len);
	if (m->large_size > 0) {
		put_large(w, l, &form);
	} else {
		wire_check(&form, m->content);
		put(w, m->content);
	}
	if (form.at != LINE_STARTS)
		fail(w, "its content is not in the form of the wire");
	put(w, SLICE("\n"));
}

static void put_digest(struct writer *w)
{
	char hex[SHA256_DIGEST_STRING_LENGTH];
	SHA2_CTX all = w->all;

	SHA256End(&all, hex);
	if (fprintf(w->out, "sha256 %d:%s\n", HEX_DIGEST, hex) < 0)
		fail(w, strerror(errno));
}

bool message_file_write(FILE *out, const struct store_loaded *l, const char **why)
{
	const struct store_message *m = &l->message;
	struct writer w = { .out = out };
	struct head h = {
		.id = m->id,
		.sender = m->sender,
		.envelope = m->envelope,
		.arrival = m->arrival_us < 0 ? 0 : (uint64_t)m->arrival_us,
		.flags = m->flags,
		.due = l->due_us < 0 ? 0 : (uint64_t)l->due_us,
		.attempts = l->attempts,
		.deaths = l->deaths,
		.marks = l->marks,
		.held = l->held,
		.in_doubt = l->in_doubt,
	};

	SHA256Init(&w.all);
	put(&w, SLICE(FIRST_LINE));
	put_attributes(&w, head_attributes, ARRAY_LENGTH(head_attributes), &h);
	put_rcpts(&w, l);
	put_content(&w, l);
	put_digest(&w);
	*why = w.why;
	return w.why == NULL;
}

/* --- reading: bytes ------------------------------------------------------------------------------- */

struct reader {
	int fd;
	char *data;
	size_t start, end; /* of data, what was read and not taken */
	uint64_t taken;	   /* bytes of the file before `start` */
	bool ended;
	SHA2_CTX all;
	const char *why;
	struct message_file *file;
	struct head head;
	struct rcpt *rcpts;
	size_t rcpt_count, rcpt_size;
};

static bool refuse(struct reader *r, const char *why)
{
	if (r->why == NULL)
		r->why = why;
	return false;
}

/* What is there, at least `wanted` bytes (at most PIECE) unless the file ends before. */
static struct slice look(struct reader *r, size_t wanted)
{
	if (r->end - r->start < wanted && r->start > 0) {
		memmove(r->data, r->data + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	while (!r->ended && r->end - r->start < wanted) {
		ssize_t got = pread(r->fd, r->data + r->end, 2 * PIECE - r->end,
		    (off_t)(r->taken + (r->end - r->start)));

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			refuse(r, "it can't be read");
		r->ended = got <= 0;
		r->end += got > 0 ? (size_t)got : 0;
	}
	return slice_new(r->data + r->start, r->end - r->start);
}

static void take(struct reader *r, size_t len)
{
	SHA256Update(&r->all, (const uint8_t *)r->data + r->start, len);
	r->start += len;
	r->taken += len;
}

static bool take_exactly(struct reader *r, struct slice expected)
{
	struct slice there = look(r, expected.len);

	if (!slice_equal(slice_part(there, 0, expected.len), expected))
		return false;
	take(r, expected.len);
	return true;
}

/* "name LENGTH:". A length is written in one way only. */
static bool take_name(struct reader *r, char name[NAME_MAX_LENGTH + 1], uint64_t *len)
{
	struct slice there = look(r, NAME_MAX_LENGTH + DIGITS_MAX + 2), digits;
	ptrdiff_t blank = slice_find(slice_part(there, 0, NAME_MAX_LENGTH + 1), ' '), colon;

	if (blank <= 0)
		return refuse(r, "a line is not of the form \"name length:value\"");
	digits = slice_part(there, (size_t)blank + 1, DIGITS_MAX + 1);
	colon = slice_find(digits, ':');
	digits = slice_part(digits, 0, colon < 0 ? 0 : (size_t)colon);
	if (!text_number(digits, INT64_MAX, len) || (digits.len > 1 && digits.data[0] == '0'))
		return refuse(r, "a line is not of the form \"name length:value\"");
	memcpy(name, there.data, (size_t)blank);
	name[blank] = '\0';
	take(r, (size_t)blank + 1 + (size_t)colon + 1);
	return true;
}

/* The value of an attribute and its line's end; in the arena. */
static bool take_value(struct reader *r, uint64_t len, struct slice *value)
{
	struct slice there;

	if (len > TEXT_LIMIT_OF_FILE)
		return refuse(r, "a value is too long");
	if (arena_used(r->file->loaded.arena) > HEAD_LIMIT)
		return refuse(r, "it has more attributes than a message may have");
	there = look(r, (size_t)len);
	if (there.len < len)
		return refuse(r, "it is cut short");
	*value = arena_copy(r->file->loaded.arena, slice_part(there, 0, (size_t)len));
	take(r, (size_t)len);
	return take_exactly(r, SLICE("\n")) ||
	    refuse(r, "a value has another length than its line says");
}

/* --- reading: attributes -------------------------------------------------------------------------- */

static bool set_state(struct reader *r, struct slice value, uint64_t *state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
		if (slice_equal(value, slice_of(states[i]))) {
			*state = i;
			return true;
		}
	return refuse(r, "a recipient's state is none");
}

static bool set(struct reader *r, const struct attribute *a, void *of, struct slice value)
{
	void *at = (char *)of + a->offset;
	uint64_t number;

	if (a->kind == STATE)
		return set_state(r, value, at);
	if (a->kind == NUMBER) {
		if (!text_number(value, a->limit, &number))
			return refuse(r, "a number is none, or over its limit");
		*(uint64_t *)at = number;
		return true;
	}
	if (value.len > a->limit || (a->kind == CLEAN && !is_clean(value)))
		return refuse(r, "a text holds a line end or NUL, or is over its limit");
	*(struct slice *)at = value;
	return true;
}

/* Lines come in the order of the table, each at most once; `from` is the next that may come. */
static const struct attribute *find_attribute(const struct attribute *list, size_t count,
    size_t *from, const char *name)
{
	for (size_t i = *from; i < count; i++) {
		if (strcmp(list[i].name, name) == 0) {
			*from = i + 1;
			return &list[i];
		}
		if (list[i].required)
			return NULL;
	}
	return NULL;
}

static bool is_rest_optional(const struct attribute *list, size_t count, size_t from)
{
	for (size_t i = from; i < count; i++)
		if (list[i].required)
			return false;
	return true;
}

static struct rcpt *add_rcpt(struct reader *r)
{
	if (r->rcpt_count == r->rcpt_size) {
		r->rcpt_size = r->rcpt_size == 0 ? 16 : 2 * r->rcpt_size;
		r->rcpts = mem_resize_array(r->rcpts, r->rcpt_size, sizeof(*r->rcpts));
	}
	r->rcpts[r->rcpt_count] = (struct rcpt){ 0 };
	return &r->rcpts[r->rcpt_count++];
}

/* All up to the content, of which *len gets the length. */
static bool read_attributes(struct reader *r, uint64_t *len)
{
	const struct attribute *list = head_attributes;
	size_t count = ARRAY_LENGTH(head_attributes), from = 0;
	char name[NAME_MAX_LENGTH + 1];
	void *of = &r->head;

	while (take_name(r, name, len)) {
		const struct attribute *a;
		struct slice value;
		bool next = strcmp(name, rcpt_attributes[0].name) == 0;

		if (next || strcmp(name, "content") == 0) {
			if (!is_rest_optional(list, count, from))
				return refuse(r, "an attribute is missing");
			if (!next)
				return r->rcpt_count > 0 || refuse(r, "it has no recipient");
			if (r->rcpt_count == RECORD_RCPT_LIMIT)
				return refuse(r, "it has too many recipients");
			list = rcpt_attributes;
			count = ARRAY_LENGTH(rcpt_attributes);
			from = 0;
			of = add_rcpt(r);
		}
		a = find_attribute(list, count, &from, name);
		if (a == NULL)
			return refuse(r, "an attribute is unknown, doubled, or not in its place");
		if (!take_value(r, *len, &value) || !set(r, a, of, value))
			return false;
	}
	return false;
}

/* --- reading: content and the whole --------------------------------------------------------------- */

static bool read_content(struct reader *r, uint64_t len)
{
	struct store_message *m = &r->file->loaded.message;
	struct wire_check form = { LINE_STARTS };
	struct buf small = { 0 };
	SHA2_CTX digest;

	r->file->content_at = r->taken;
	SHA256Init(&digest);
	for (uint64_t left = len; left > 0;) {
		struct slice piece = look(r, 1);

		piece = slice_part(piece, 0, left < piece.len ? (size_t)left : piece.len);
		if (piece.len == 0)
			break;
		wire_check(&form, piece);
		SHA256Update(&digest, (const uint8_t *)piece.data, piece.len);
		if (len <= RECORD_CONTENT_LIMIT)
			buf_put_slice(&small, piece);
		take(r, piece.len);
		left -= piece.len;
	}
	SHA256Final(r->file->digest, &digest);
	m->content = arena_copy(r->file->loaded.arena, buf_slice(&small));
	m->large_size = len > RECORD_CONTENT_LIMIT ? len : 0;
	buf_clear(&small);
	if (r->taken - r->file->content_at != len)
		return refuse(r, "it is cut short");
	if (form.at != LINE_STARTS)
		return refuse(r, "its content is not in the form of the wire");
	return take_exactly(r, SLICE("\n")) ||
	    refuse(r, "the content has another length than its line says");
}

static bool read_digest(struct reader *r)
{
	char hex[SHA256_DIGEST_STRING_LENGTH], line[SHA256_DIGEST_STRING_LENGTH + 16];
	SHA2_CTX all = r->all;

	SHA256End(&all, hex);
	snprintf(line, sizeof(line), "sha256 %d:%s\n", HEX_DIGEST, hex);
	if (!take_exactly(r, slice_of(line)))
		return refuse(r, "its checksum is wrong, or it is cut short");
	return look(r, 1).len == 0 || refuse(r, "something comes behind its end");
}

static struct slice *text_list(struct reader *r, size_t member)
{
	struct slice *list = arena_alloc(r->file->loaded.arena, r->rcpt_count * sizeof(*list));

	for (size_t i = 0; i < r->rcpt_count; i++)
		list[i] = *(const struct slice *)((const char *)&r->rcpts[i] + member);
	return list;
}

static void fill_rcpts(struct reader *r)
{
	struct store_loaded *l = &r->file->loaded;
	struct store_message *m = &l->message;
	size_t count = r->rcpt_count;

	m->address = (struct wire_texts){ text_list(r, offsetof(struct rcpt, address)), count };
	m->original = (struct wire_texts){ text_list(r, offsetof(struct rcpt, original)), count };
	m->orcpt = (struct wire_texts){ text_list(r, offsetof(struct rcpt, orcpt)), count };
	l->dsn = text_list(r, offsetof(struct rcpt, dsn));
	l->reason = text_list(r, offsetof(struct rcpt, reason));
	m->notify.items = arena_alloc(l->arena, count * sizeof(*m->notify.items));
	m->notify.count = count;
	l->state = arena_alloc(l->arena, count * sizeof(*l->state));
	for (size_t i = 0; i < count; i++) {
		m->notify.items[i] = r->rcpts[i].notify;
		l->state[i] = (enum rcpt_state)r->rcpts[i].state;
	}
}

static bool fill(struct reader *r)
{
	struct store_loaded *l = &r->file->loaded;
	size_t open = 0;

	for (size_t i = 0; i < r->head.id.len; i++)
		if (!isalnum((unsigned char)r->head.id.data[i]))
			return refuse(r, "its id holds other than letters and digits");
	for (size_t i = 0; i < r->rcpt_count; i++)
		open += r->rcpts[i].state <= RCPT_DEFERRED;
	if (r->head.id.len == 0 || open == 0)
		return refuse(r, "it has no id, or no recipient is left");
	fill_rcpts(r);
	l->message.id = r->head.id;
	l->message.sender = r->head.sender;
	l->message.envelope = r->head.envelope;
	l->message.arrival_us = (int64_t)r->head.arrival;
	l->message.flags = r->head.flags;
	l->due_us = (int64_t)r->head.due;
	l->attempts = (uint32_t)r->head.attempts;
	l->deaths = (uint32_t)r->head.deaths;
	l->marks = r->head.marks;
	l->held = r->head.held != 0;
	l->in_doubt = r->head.in_doubt != 0;
	return true;
}

bool message_file_read(int fd, struct message_file *file, const char **why)
{
	struct reader r = { .fd = fd, .file = file };
	uint64_t len;
	bool ok;

	*file = (struct message_file){ .loaded = { .large_fd = -1, .arena = arena_new() } };
	r.data = mem_alloc(2 * PIECE);
	SHA256Init(&r.all);
	ok = (take_exactly(&r, SLICE(FIRST_LINE)) ||
		 refuse(&r, "it does not begin with \"gatepost-message 1\"")) &&
	    read_attributes(&r, &len) && read_content(&r, len) && read_digest(&r) && fill(&r);
	*why = r.why;
	free(r.data);
	free(r.rcpts);
	return ok;
}

void message_file_clear(struct message_file *file)
{
	arena_free(file->loaded.arena);
	file->loaded.arena = NULL;
}
