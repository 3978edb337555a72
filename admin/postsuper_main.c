/* SPDX-License-Identifier: ISC */
/*
 * postsuper_main.c - orders of root or the instance's owner for messages in the queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_access.h"
#include "common/base/mem.h"
#include "common/mail/queue_order.h"

static const char usage[] =
    "postsuper [-psSv] [-c config_dir] [-d|-e|-f|-h|-H|-r QUEUE_ID|ALL|-]... [QUEUE...]\n"
    "  -d  delete messages\n"
    "  -e  return messages to their senders, those on hold when they are released\n"
    "  -f  return messages to their senders, also those on hold\n"
    "  -h  put messages on hold\n"
    "  -H  release messages from hold\n"
    "  -r  requeue messages: admit them once more\n"
    "  -   queue ids come on standard input, one a line\n"
    "  QUEUE  hold, incoming, active, deferred: only what is there\n"
    "  -p  accepted: the queue has no temporary files\n"
    "  -s, -S  accepted: the queue's structure is checked when it is opened\n"
    "  -v  accepted\n"
    "  -c  the directory of main.cf\n";

enum { IDS_AT_ONCE = RCPTS_PER_FRAME, WANTS_MAX = 1000, QUEUES_MAX = 16, TOTALS = 5 };

/* What an option asks for. */
struct want {
	uint64_t op;
	const char *which; /* an id, "ALL", "-" */
};

static struct postsuper {
	struct conf *conf;
	struct queue_access *access;
	struct want wants[WANTS_MAX];
	size_t want_count;
	struct slice queues[QUEUES_MAX];
	size_t queue_count;
	uint64_t totals[ORDER_EXPIRE_RELEASE + 1];
	/* Ids that were not sent yet, all of one order. */
	uint64_t op;
	char *ids[IDS_AT_ONCE];
	size_t id_count;
} super;

/* --- orders --------------------------------------------------------------------------------------- */

static void order(const struct msg_queue_order *wanted)
{
	struct msg_queue_order o = *wanted;

	o.queues = (struct wire_texts){ super.queues, super.queue_count };
	super.totals[o.op] += queue_access_order(super.access, &o, NULL);
}

static void send_ids(void)
{
	struct slice ids[IDS_AT_ONCE];
	struct msg_queue_order o = { .op = super.op, .ids = { ids, super.id_count } };

	if (super.id_count == 0)
		return;
	for (size_t i = 0; i < super.id_count; i++)
		ids[i] = slice_of(super.ids[i]);
	order(&o);
	for (size_t i = 0; i < super.id_count; i++)
		free(super.ids[i]);
	super.id_count = 0;
}

static void add_id(uint64_t op, struct slice id)
{
	if (!command_is_queue_id(id)) {
		log_warning("bad queue id: %.*s", (int)(id.len < 80 ? id.len : 80), id.data);
		return;
	}
	if (op != super.op || super.id_count == IDS_AT_ONCE)
		send_ids();
	super.op = op;
	super.ids[super.id_count++] = slice_dup(id);
}

static void add_from_input(uint64_t op)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) != -1) {
		struct slice id = slice_trim(slice_new(line, (size_t)len));

		if (id.len > 0)
			add_id(op, id);
	}
	if (ferror(stdin))
		command_fail(COMMAND_SOFTWARE, "standard input: %s", strerror(errno));
	free(line);
}

/* --- totals --------------------------------------------------------------------------------------- */

static void tell_total(const char *what, uint64_t count)
{
	char *tag, *text;

	if (count == 0)
		return;
	text = mem_printf("%s: %llu message%s", what, (unsigned long long)count,
	    count == 1 ? "" : "s");
	tag = mem_printf("%s/postsuper", conf_text(super.conf, "syslog_name"));
	log_info("%s", text);
	queue_access_log(super.access, LOG_LEVEL_INFO, tag, slice_of(text));
	free(tag);
	free(text);
}

static void work(void *arg)
{
	(void)arg;
	super.access = queue_access_open(super.conf);
	for (size_t i = 0; i < super.want_count; i++) {
		const struct want *w = &super.wants[i];

		if (strcmp(w->which, "-") == 0) {
			add_from_input(w->op);
		} else if (strcmp(w->which, "ALL") == 0) {
			send_ids();
			order(&(struct msg_queue_order){ .op = w->op, .all = 1 });
		} else {
			add_id(w->op, slice_of(w->which));
		}
	}
	send_ids();
	tell_total("Requeued", super.totals[ORDER_REQUEUE]);
	tell_total("Deleted", super.totals[ORDER_DELETE]);
	tell_total("Placed on hold", super.totals[ORDER_HOLD]);
	tell_total("Released from hold", super.totals[ORDER_RELEASE]);
	tell_total("Expired", super.totals[ORDER_EXPIRE] + super.totals[ORDER_EXPIRE_RELEASE]);
	queue_access_close(super.access);
}

/* --- the command line ----------------------------------------------------------------------------- */

static void add_want(uint64_t op, const char *which)
{
	if (super.want_count == WANTS_MAX)
		command_usage("too many options; give queue ids on standard input");
	if (strcmp(which, "-") != 0 && !command_is_queue_id(slice_of(which)))
		command_usage("a queue id consists of letters and digits");
	super.wants[super.want_count++] = (struct want){ op, which };
}

static void add_queues(int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		/* What Postfix has besides: here nothing can be in it. */
		if (queue_order_bit(slice_of(argv[i])) == 0 && strcmp(argv[i], "maildrop") != 0)
			command_usage("a queue is one of hold, incoming, active, deferred");
		if (super.queue_count < QUEUES_MAX)
			super.queues[super.queue_count++] = slice_of(argv[i]);
	}
}

int main(int argc, char **argv)
{
	static const uint64_t orders[] = { ['d'] = ORDER_DELETE,
		['e'] = ORDER_EXPIRE,
		['f'] = ORDER_EXPIRE_RELEASE,
		['h'] = ORDER_HOLD,
		['H'] = ORDER_RELEASE,
		['r'] = ORDER_REQUEUE };
	const char *config = NULL;
	bool structure = argc == 1;
	int option;

	command_start("postsuper", usage, argc, argv);
	while ((option = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1) {
		if (option == 'c')
			config = optarg;
		else if (option == '?')
			command_usage(NULL);
		else if (option == 'p' || option == 's' || option == 'S')
			structure = true;
		else if (option != 'v')
			add_want(orders[option], optarg);
	}
	add_queues(argc, argv);
	if (super.want_count == 0 && !structure)
		command_usage(NULL);
	if (structure)
		log_info("the queue checks its structure whenever it is opened; nothing to do");
	if (super.want_count == 0)
		return 0;
	super.conf = command_conf(command_config_path(config), false);
	queue_access_run(work, NULL);
	conf_free(super.conf);
	return 0;
}
