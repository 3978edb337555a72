/* SPDX-License-Identifier: ISC */
/*
 * queue_direct.c - the queue's store in a command's own hands, while the mail system is stopped.
 *
 * What lies there was written by strangers: root is given up before a byte of it is read. The store's
 * lock keeps a starting qmgr out, which waits; or it was there first, and the command ends.
 */
#include "admin/queue_direct.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "common/base/mem.h"
#include "common/mail/queue_envelope.h"
#include "common/mail/queue_order.h"
#include "common/queue/store.h"
#include "common/service/layout.h"

enum { PENDING_LIMIT = 1000, PAGE = 32, PAGE_RCPTS = 1000 };

struct queue_direct {
	struct store *store; /* NULL: there never was one */
	size_t pending;
	int error;
	/* What a read brought. */
	struct store_loaded *loaded;
	bool has_read;
};

/* --- opening -------------------------------------------------------------------------------------- */

static void report(void *arg, const char *text)
{
	(void)arg;
	log_warning("queue: %s", text);
}

/* Nothing of the queue was read yet. */
void queue_direct_become_owner(struct conf *conf)
{
	const char *name = conf_text(conf, "queue_owner");
	struct passwd *pw = getpwnam(name);

	if (geteuid() != 0)
		return;
	if (pw == NULL)
		command_fail(COMMAND_SOFTWARE, "queue_owner = %s: no such user", name);
	if (pw->pw_uid == 0 || setgroups(0, NULL) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1 || setuid(0) != -1)
		command_fail(COMMAND_SOFTWARE, "root can't be given up for %s", name);
}

static void open_store(struct queue_direct *d, struct conf *conf, int directory)
{
	struct store_options options = {
		.directory = directory,
		.io = &store_io_posix,
		.segment_size = (uint64_t)conf_number(conf, "queue_segment_size"),
		.allow_network = conf_bool(conf, "queue_allow_network_filesystem"),
		.report = report,
	};
	char *why = NULL;

	d->store = store_open(&options, NULL, NULL, &why);
	if (d->store != NULL)
		return;
	if (strstr(why, "EBUSY") != NULL)
		command_fail(COMMAND_TEMPORARY,
		    "the queue is in use: the mail system starts or ends; try again");
	command_fail(COMMAND_SOFTWARE, "the queue can't be opened: %s", why);
}

struct queue_direct *queue_direct_open(struct conf *conf)
{
	struct queue_direct *d = mem_alloc(sizeof(*d));
	int queue = layout_open_queue(conf);

	if (queue == -1)
		command_fail(COMMAND_UNAVAILABLE, "queue_directory = %s: %s",
		    conf_text(conf, "queue_directory"), strerror(errno));
	if (!command_is_owner(conf))
		command_fail(COMMAND_NOPERM,
		    "the mail system is down; root and the owner of the instance may use its "
		    "queue then");
	if (faccessat(queue, "log", F_OK, 0) == -1 && errno == ENOENT)
		return d;
	queue_direct_become_owner(conf);
	open_store(d, conf, queue);
	return d;
}

void queue_direct_close(struct queue_direct *d)
{
	if (d == NULL)
		return;
	if (d->store != NULL)
		store_close(d->store);
	free(d);
}

/* --- waiting -------------------------------------------------------------------------------------- */

static void poll_store(struct queue_direct *d)
{
	struct pollfd p = { .fd = store_event_fd(d->store), .events = POLLIN };

	poll(&p, 1, 1000);
	store_poll(d->store);
}

static void recorded(void *arg, int error)
{
	struct queue_direct *d = arg;

	d->pending--;
	if (error != 0)
		d->error = error;
}

static void wait_until_recorded(struct queue_direct *d, size_t rest)
{
	while (d->pending > rest)
		poll_store(d);
	if (d->error != 0)
		command_fail(COMMAND_TEMPORARY, "the queue could not be written: %s",
		    strerror(d->error));
}

static void has_read(void *arg, struct store_loaded *l, int error)
{
	struct queue_direct *d = arg;

	d->loaded = l;
	d->error = error;
	d->has_read = true;
}

struct store_loaded *queue_direct_load(struct queue_direct *d, struct slice id, bool content)
{
	struct store_loaded *l;

	d->has_read = false;
	store_read(d->store, id, content, has_read, d);
	while (!d->has_read)
		poll_store(d);
	errno = d->error;
	d->error = 0;
	l = d->loaded;
	d->loaded = NULL;
	return l;
}

/* --- the store itself ----------------------------------------------------------------------------- */

struct store *queue_direct_store(struct queue_direct *d)
{
	return d->store;
}

int queue_direct_put(struct queue_direct *d, const struct store_loaded *l)
{
	int error;

	wait_until_recorded(d, 0);
	d->pending++;
	store_put_loaded(d->store, l, recorded, d);
	while (d->pending > 0)
		poll_store(d);
	error = d->error;
	d->error = 0;
	return error;
}

void queue_direct_delete(struct queue_direct *d, struct slice id)
{
	d->pending++;
	store_delete(d->store, id, recorded, d);
}

void queue_direct_settle(struct queue_direct *d)
{
	wait_until_recorded(d, 0);
}

/* --- orders --------------------------------------------------------------------------------------- */

/* What was never put off has not been tried. */
static const char *queue_of(const struct store_summary *s)
{
	return s->held ? "hold" : s->due_us == 0 ? "incoming" : "deferred";
}

static void release(struct queue_direct *d, struct slice id)
{
	d->pending++;
	store_release(d->store, id, recorded, d);
}

static void mark(struct queue_direct *d, struct slice id, uint64_t marks)
{
	d->pending++;
	store_mark(d->store, id, marks, recorded, d);
}

static void change(struct queue_direct *d, uint64_t op, struct slice id, bool held)
{
	switch (op) {
	case ORDER_HOLD:
		d->pending++;
		store_hold(d->store, id, recorded, d);
		break;
	case ORDER_RELEASE:
		release(d, id);
		break;
	case ORDER_REQUEUE:
		if (held)
			release(d, id);
		mark(d, id, STORE_REQUEUE);
		break;
	case ORDER_EXPIRE:
		mark(d, id, STORE_EXPIRE);
		break;
	case ORDER_EXPIRE_RELEASE:
		if (held)
			release(d, id);
		mark(d, id, STORE_EXPIRE);
		break;
	case ORDER_DELETE:
		d->pending++;
		store_delete(d->store, id, recorded, d);
		break;
	default:
		break;
	}
}

static int apply(struct queue_direct *d, const struct msg_queue_order *o,
    const struct store_summary *s)
{
	char id[ID_LIMIT + 1];

	if ((queue_order_queues(o) & queue_order_bit(slice_of(queue_of(s)))) == 0)
		return ENOENT;
	snprintf(id, sizeof(id), "%s", s->id);
	change(d, o->op, slice_of(id), s->held);
	return 0;
}

/* Nothing comes meanwhile, so that `until` is not needed. */
static uint64_t order_all(struct queue_direct *d, const struct msg_queue_order *o,
    struct queue_ordered_some *some)
{
	struct store_counters counters;
	struct store_summary s;
	uint64_t count = 0;

	store_counters(d->store, &counters);
	some->total = counters.messages;
	snprintf(some->after, sizeof(some->after), "%.*s", (int)o->after.len, o->after.data);
	while (store_next(d->store, slice_of(some->after), &s)) {
		snprintf(some->after, sizeof(some->after), "%s", s.id);
		count += apply(d, o, &s) == 0;
		wait_until_recorded(d, PENDING_LIMIT);
		if (++some->looked_at == o->most)
			return count;
	}
	some->after[0] = '\0';
	return count;
}

uint64_t queue_direct_order(struct queue_direct *d, const struct msg_queue_order *o,
    uint64_t *error, struct queue_ordered_some *some)
{
	struct queue_ordered_some none = { 0 };
	uint64_t count = 0;

	if (o->all && d->store != NULL)
		count = order_all(d, o, some == NULL ? &none : some);
	for (size_t i = 0; i < o->ids.count; i++) {
		struct store_summary s;
		int rc = ENOENT;

		if (d->store != NULL && store_summary(d->store, o->ids.items[i], &s))
			rc = apply(d, o, &s);
		count += rc == 0;
		if (error != NULL)
			error[i] = (uint64_t)rc;
	}
	wait_until_recorded(d, 0);
	return count;
}

/* --- reading -------------------------------------------------------------------------------------- */

static bool is_done(const struct store_loaded *l, size_t i)
{
	return l->state[i] == RCPT_DELIVERED || l->state[i] == RCPT_BOUNCED;
}

static void tell_rcpts(const struct store_loaded *l, const struct queue_reader *to)
{
	const struct store_message *s = &l->message;
	size_t count = s->address.count;
	struct wire_numbers done = { arena_alloc(l->arena, (count + 1) * sizeof(uint64_t)), count };
	struct msg_queue_rcpts m = { .address = s->address,
		.original = s->original,
		.orcpt = s->orcpt,
		.dsn = { l->dsn, count },
		.reason = { l->reason, count },
		.notify = s->notify,
		.done = done };

	for (size_t i = 0; i < count; i++)
		done.items[i] = is_done(l, i);
	to->rcpts(to->arg, &m);
}

/* Empty when it can't be read. */
static struct envelope envelope_of(const struct store_loaded *l)
{
	struct envelope e = { 0 };
	const char *why;

	if (!wire_decode(&envelope_table, l->message.envelope, &e, l->arena, &why))
		return (struct envelope){ 0 };
	return e;
}

bool queue_direct_read(struct queue_direct *d, struct slice id, const struct queue_reader *to,
    const char **why)
{
	struct store_loaded *l = NULL;
	struct store_summary s;
	struct msg_queue_message m = { 0 };
	struct envelope e;

	errno = ENOENT;
	if (d->store != NULL && store_summary(d->store, id, &s))
		l = queue_direct_load(d, id, true);
	if (l == NULL) {
		*why = strerror(errno);
		return false;
	}
	m.id = l->message.id;
	m.queue = slice_of(queue_of(&s));
	m.sender = l->message.sender;
	m.arrival_us = l->message.arrival_us;
	m.due_us = l->due_us;
	m.flags = l->message.flags;
	m.attempts = l->attempts;
	m.deaths = l->deaths;
	m.expired = (l->marks & STORE_EXPIRE) != 0;
	m.content_size = s.size;
	m.rcpt_count = s.rcpt_count;
	m.content = l->message.content;
	e = envelope_of(l);
	m.client_name = e.client_name;
	m.client_address = e.client_address;
	m.client_port = e.client_port;
	m.client_helo = e.client_helo;
	m.protocol = e.protocol;
	m.envid = e.envid;
	m.ret = e.ret;
	to->message(to->arg, &m, l->large_fd);
	tell_rcpts(l, to);
	store_loaded_free(l);
	return true;
}

/* --- listing -------------------------------------------------------------------------------------- */

struct page {
	struct page_read {
		char id[ID_LIMIT + 1];
		struct store_loaded *loaded;
		int error;
		bool over;
	} reads[PAGE];
	size_t count;
};

static void page_read_over(void *arg, struct store_loaded *l, int error)
{
	struct page_read *r = arg;

	r->loaded = l;
	r->error = error;
	r->over = true;
}

/* False at the end. A message with many recipients is large: it ends the page. */
static bool start_page(struct queue_direct *d, struct page *p, char after[ID_LIMIT + 1])
{
	struct store_summary s;
	size_t rcpts = 0;

	p->count = 0;
	while (p->count < PAGE && rcpts < PAGE_RCPTS && store_next(d->store, slice_of(after), &s)) {
		struct page_read *r = &p->reads[p->count++];

		*r = (struct page_read){ .over = false };
		snprintf(r->id, sizeof(r->id), "%s", s.id);
		snprintf(after, ID_LIMIT + 1, "%s", s.id);
		rcpts += s.rcpt_count;
		store_read(d->store, slice_of(r->id), false, page_read_over, r);
	}
	return p->count > 0;
}

static void tell_entry(const struct store_loaded *l, const struct store_summary *s,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg)
{
	size_t count = l->message.address.count, n = 0;
	struct slice *lists = arena_alloc(l->arena, (3 * count + 1) * sizeof(*lists));
	struct slice *address = lists, *original = lists + count, *reason = lists + 2 * count;
	struct msg_list_entry m = { .queue = slice_of(queue_of(s)),
		.id = l->message.id,
		.arrival_us = s->arrival_us,
		.size = s->size,
		.sender = l->message.sender,
		.expired = (s->marks & STORE_EXPIRE) != 0 };

	for (size_t i = 0; i < count; i++) {
		if (is_done(l, i))
			continue;
		address[n] = l->message.address.items[i];
		original[n] = i < l->message.original.count ? l->message.original.items[i]
							    : SLICE("");
		reason[n++] = l->reason[i];
	}
	m.address = (struct wire_texts){ address, n };
	m.original = (struct wire_texts){ original, n };
	m.reason = (struct wire_texts){ reason, n };
	entry(arg, &m);
}

/* The store's threads read the next ones while we tell one. */
static void list_page(struct queue_direct *d, struct page *p,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg)
{
	for (size_t i = 0; i < p->count; i++) {
		struct page_read *r = &p->reads[i];
		struct store_summary s;

		while (!r->over)
			poll_store(d);
		if (r->loaded == NULL)
			log_warning("%s: the message can't be read: %s", r->id, strerror(r->error));
		else if (store_summary(d->store, slice_of(r->id), &s))
			tell_entry(r->loaded, &s, entry, arg);
		store_loaded_free(r->loaded);
	}
}

void queue_direct_list(struct queue_direct *d,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg)
{
	char after[ID_LIMIT + 1] = "";
	struct page *p = mem_alloc(sizeof(*p));

	while (d->store != NULL && start_page(d, p, after))
		list_page(d, p, entry, arg);
	free(p);
}

void queue_direct_clients(struct queue_direct *d, const struct slice *ids, size_t count,
    struct slice *name, struct slice *address, struct arena *arena)
{
	for (size_t i = 0; i < count; i++) {
		struct store_loaded *l = queue_direct_load(d, ids[i], false);
		struct envelope e = { 0 };

		if (l != NULL)
			e = envelope_of(l);
		name[i] = arena_copy(arena, e.client_name);
		address[i] = arena_copy(arena, e.client_address);
		store_loaded_free(l);
	}
}
