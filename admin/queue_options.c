/* SPDX-License-Identifier: ISC */
/*
 * queue_options.c - a selection from the command line, applied to the queue's list.
 */
#include "admin/queue_options.h"

#include <errno.h>

#include "admin/command.h"
#include "admin/queue_progress.h"
#include "admin/queue_source.h"

void queue_options_add(struct queue_select *s, const char *name, const char *value)
{
	char *why;

	if (!queue_select_add(s, name, slice_of(value), &why))
		command_usage(why);
}

void queue_options_check(const struct queue_select *s)
{
	char *why;

	if (!queue_select_check(s, &why))
		command_usage(why);
}

/* What stands between the list and the filter: it counts. */
struct listing {
	struct queue_filter filter;
	struct queue_progress progress;
	struct conf *conf;
	struct queue_access **access;
};

static void on_message(void *arg, const struct queue_head *m)
{
	struct listing *l = arg;

	l->filter.sink.message(l->filter.sink.arg, m);
	queue_progress_add(&l->progress, 1);
}

static void on_rcpt(void *arg, const struct queue_rcpt *r)
{
	struct listing *l = arg;

	l->filter.sink.rcpt(l->filter.sink.arg, r);
}

static void on_end(void *arg)
{
	struct listing *l = arg;

	l->filter.sink.end(l->filter.sink.arg);
}

static void ask_for_clients(void *arg, const struct slice *ids, size_t count, struct slice *name,
    struct slice *address)
{
	struct listing *l = arg;

	if (*l->access == NULL)
		*l->access = queue_access_connect(l->conf);
	if (*l->access == NULL)
		command_fail(COMMAND_UNAVAILABLE, "Connect to the flush service in %s: %s",
		    conf_text(l->conf, "queue_directory"), strerror(errno));
	queue_access_clients(*l->access, ids, count, name, address, l->filter.arena);
}

void queue_options_list(struct conf *conf, struct queue_access **access,
    const struct queue_wanted *wanted, const struct queue_sink *to)
{
	struct listing l = { .conf = conf, .access = access };
	struct queue_sink sink = { &l, on_message, on_rcpt, on_end };

	queue_filter_init(&l.filter, wanted->select, to);
	l.filter.queues = wanted->queues;
	l.filter.only = wanted->only;
	l.filter.clients = ask_for_clients;
	l.filter.clients_arg = &l;
	queue_progress_start(&l.progress, "read", 0);
	queue_source_list(conf, access, &sink);
	queue_filter_finish(&l.filter);
	queue_progress_end(&l.progress);
}
