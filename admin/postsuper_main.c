/* SPDX-License-Identifier: ISC */
/*
 * postsuper_main.c - orders of root or the instance's owner for messages in the queue: those that are named,
 * all, or those that conditions select.
 *
 * A selection is made first, as a list of ids; then they are ordered. What ended meanwhile is not found, and
 * what left the queues that were meant is left alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/command.h"
#include "admin/queue_options.h"
#include "admin/queue_orders.h"
#include "admin/queue_print.h"
#include "common/base/mem.h"
#include "common/mail/queue_order.h"

static const char usage[] =
    "postsuper [-psSv] [-c config_dir] [-d|-e|-f|-h|-H|-r QUEUE_ID|ALL|-]... [QUEUE...]\n"
    "       postsuper [-v] [-c config_dir] [--dry-run] -d|-e|-f|-h|-H|-r ALL CONDITION ... "
    "[QUEUE...]\n"
    "  -d  delete messages\n"
    "  -e  return messages to their senders, those on hold when they are released\n"
    "  -f  return messages to their senders, also those on hold\n"
    "  -h  put messages on hold\n"
    "  -H  release messages from hold\n"
    "  -r  requeue messages: admit them once more\n"
    "  -   queue ids come on standard input, one a line\n"
    "  QUEUE  hold, incoming, active, deferred: only what is there\n"
    "  --dry-run  do nothing; list what would be touched, as postqueue -p does\n"
    "  -p  accepted: the queue has no temporary files\n"
    "  -s, -S  accepted: the queue's structure is checked when it is opened\n"
    "  -v  accepted\n"
    "  -c  the directory of main.cf\n" QUEUE_CONDITIONS_USAGE;

enum { WANTS_MAX = 1000, QUEUES_MAX = 16, OPTION_DRY_RUN = 2000 };

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
	struct queue_select *select;
	bool dry_run;
	uint64_t totals[ORDER_EXPIRE_RELEASE + 1];
	struct queue_orders orders; /* ids that were not sent yet, all of one order; op 0: none */
} super;

/* What it is called: in the total, while it is done, when it is not. */
static const struct {
	const char *total, *doing;
} words[] = {
	[ORDER_REQUEUE] = { "Requeued", "requeued" },
	[ORDER_DELETE] = { "Deleted", "deleted" },
	[ORDER_HOLD] = { "Placed on hold", "placed on hold" },
	[ORDER_RELEASE] = { "Released from hold", "released from hold" },
	[ORDER_EXPIRE] = { "Expired", "expired" },
	[ORDER_EXPIRE_RELEASE] = { "Expired", "expired" },
};

/* --- orders --------------------------------------------------------------------------------------- */

static struct wire_texts queues(void)
{
	return (struct wire_texts){ super.queues, super.queue_count };
}

static void finish_ids(void)
{
	if (super.orders.op == 0)
		return;
	queue_orders_finish(&super.orders);
	super.totals[super.orders.op] += super.orders.done;
	super.orders.op = 0;
}

static void start_ids(uint64_t op, uint64_t total)
{
	if (op == super.orders.op)
		return;
	finish_ids();
	queue_orders_start(&super.orders, super.access, op, queues(), words[op].doing, total);
}

static bool is_id(struct slice id)
{
	if (command_is_queue_id(id))
		return true;
	log_warning("bad queue id: %.*s", (int)(id.len < 80 ? id.len : 80), id.data);
	return false;
}

/* Calls use for each id. */
static void read_input(void (*use)(void *arg, struct slice id), void *arg)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while (!queue_interrupted() && (len = getline(&line, &size, stdin)) != -1) {
		struct slice id = slice_trim(slice_new(line, (size_t)len));

		if (id.len > 0 && is_id(id))
			use(arg, id);
	}
	if (ferror(stdin) && !queue_interrupted())
		command_fail(COMMAND_SOFTWARE, "standard input: %s", strerror(errno));
	free(line);
}

static void order_id(void *arg, struct slice id)
{
	start_ids(*(const uint64_t *)arg, 0);
	queue_orders_add(&super.orders, id);
}

static void order_all(uint64_t op)
{
	finish_ids();
	super.totals[op] += queue_orders_all(super.access, op, queues(), "looked at");
}

static void carry_out(const struct want *w)
{
	uint64_t op = w->op;

	if (strcmp(w->which, "-") == 0)
		read_input(order_id, &op);
	else if (strcmp(w->which, "ALL") == 0)
		order_all(op);
	else
		order_id(&op, slice_of(w->which));
}

/* --- selections ----------------------------------------------------------------------------------- */

/* Where the order makes a difference, of the queues that were named. */
static unsigned queues_of(uint64_t op)
{
	struct msg_queue_order order = { .op = op, .queues = queues() };

	return queue_order_queues(&order);
}

static void select_and_order(uint64_t op)
{
	struct queue_wanted wanted = { .select = super.select, .queues = queues_of(op) };
	struct queue_ids ids = { 0 };
	struct queue_sink collector;
	struct slice id;
	size_t at = 0;

	queue_ids_collect(&ids, &collector);
	if (wanted.queues != 0)
		queue_options_list(super.conf, &super.access, &wanted, &collector);
	if (super.access == NULL)
		super.access = queue_access_open(super.conf);
	start_ids(op, ids.count);
	while (!queue_interrupted() && queue_ids_next(&ids, &at, &id))
		queue_orders_add(&super.orders, id);
	finish_ids();
	if (super.orders.answered > super.orders.done)
		log_warning("%llu of the selected messages had gone or changed",
		    (unsigned long long)(super.orders.answered - super.orders.done));
	if (super.orders.answered < ids.count)
		log_warning("%llu of %zu selected messages were left as they are",
		    (unsigned long long)(ids.count - super.orders.answered), ids.count);
	queue_ids_clear(&ids);
}

static void collect_id(void *arg, struct slice id)
{
	queue_ids_add(arg, id);
}

/* What the one order would touch. */
static void list_only(void *arg)
{
	const struct want *w = &super.wants[0];
	struct queue_wanted wanted = { .select = super.select, .queues = queues_of(w->op) };
	struct queue_print print;
	struct queue_ids ids = { 0 };

	(void)arg;
	if (strcmp(w->which, "ALL") != 0) {
		for (size_t i = 0; i < super.want_count; i++)
			if (strcmp(super.wants[i].which, "-") == 0)
				read_input(collect_id, &ids);
			else
				collect_id(&ids, slice_of(super.wants[i].which));
		queue_ids_sort(&ids);
		wanted.only = &ids;
	}
	queue_print_init(&print, QUEUE_TEXT, stdout);
	print.is_selection = true;
	if (wanted.queues != 0)
		queue_options_list(super.conf, &super.access, &wanted, &print.sink);
	queue_print_finish(&print);
	fflush(stdout);
	log_info("dry run: %llu message%s would be %s", (unsigned long long)print.messages,
	    print.messages == 1 ? "" : "s", words[w->op].doing);
	queue_ids_clear(&ids);
	queue_access_close(super.access);
}

/* --- totals --------------------------------------------------------------------------------------- */

static void tell_total(uint64_t op, uint64_t count)
{
	char *tag, *text;

	if (count == 0)
		return;
	text = mem_printf("%s: %llu message%s", words[op].total, (unsigned long long)count,
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
	queue_interrupts_catch();
	if (!queue_select_is_empty(super.select)) {
		select_and_order(super.wants[0].op);
	} else {
		super.access = queue_access_open(super.conf);
		for (size_t i = 0; i < super.want_count && !queue_interrupted(); i++)
			carry_out(&super.wants[i]);
		finish_ids();
	}
	tell_total(ORDER_REQUEUE, super.totals[ORDER_REQUEUE]);
	tell_total(ORDER_DELETE, super.totals[ORDER_DELETE]);
	tell_total(ORDER_HOLD, super.totals[ORDER_HOLD]);
	tell_total(ORDER_RELEASE, super.totals[ORDER_RELEASE]);
	tell_total(ORDER_EXPIRE, super.totals[ORDER_EXPIRE] + super.totals[ORDER_EXPIRE_RELEASE]);
	queue_access_close(super.access);
	if (!queue_interrupted())
		return;
	log_warning("interrupted: what the totals name is done, the rest is as it was");
	queue_interrupts_obey();
}

/* --- the command line ----------------------------------------------------------------------------- */

static void add_want(uint64_t op, const char *which)
{
	if (super.want_count == WANTS_MAX)
		command_usage("too many options; give queue ids on standard input");
	if (strncmp(which, "--", 2) == 0)
		command_usage("an order needs queue ids, or ALL: -d ALL --from user@example.com");
	if (strcmp(which, "-") != 0 && !command_is_queue_id(slice_of(which)))
		command_usage("a queue id consists of letters and digits");
	super.wants[super.want_count++] = (struct want){ op, which };
}

static void add_queue(const char *name)
{
	/* What Postfix has besides: here nothing can be in it. */
	if (queue_order_bit(slice_of(name)) == 0 && strcmp(name, "maildrop") != 0)
		command_usage("a queue is one of hold, incoming, active, deferred");
	if (super.queue_count < QUEUES_MAX)
		super.queues[super.queue_count++] = slice_of(name);
}

/* Whether it is in these queues is looked at once more when the order is carried out. */
static void add_condition(const char *name, const char *value)
{
	queue_options_add(super.select, name, value);
	if (strcmp(name, "queue") == 0)
		add_queue(value);
}

static void check_selection(void)
{
	bool selects = !queue_select_is_empty(super.select);

	queue_options_check(super.select);
	if (selects && super.want_count == 0)
		command_usage("what is to be done with the selected messages? For one, -h ALL");
	if (selects && (super.want_count > 1 || strcmp(super.wants[0].which, "ALL") != 0))
		command_usage("conditions go with one order for ALL");
	if (super.dry_run && super.want_count == 0)
		command_usage("--dry-run goes with an order");
	for (size_t i = 1; super.dry_run && i < super.want_count; i++)
		if (super.wants[i].op != super.wants[0].op ||
		    strcmp(super.wants[0].which, "ALL") == 0 ||
		    strcmp(super.wants[i].which, "ALL") == 0)
			command_usage("--dry-run goes with one order");
}

static const struct option long_options[] = {
	QUEUE_CONDITIONS,
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ 0 },
};

static const uint64_t orders[] = { ['d'] = ORDER_DELETE,
	['e'] = ORDER_EXPIRE,
	['f'] = ORDER_EXPIRE_RELEASE,
	['h'] = ORDER_HOLD,
	['H'] = ORDER_RELEASE,
	['r'] = ORDER_REQUEUE };

static const char *read_command_line(int argc, char **argv)
{
	const char *config = NULL;
	bool structure = argc == 1;
	int option, index;

	while ((option = getopt_long(argc, argv, "c:d:e:f:h:H:pr:sSv", long_options, &index)) !=
	    -1) {
		if (option == 'c')
			config = optarg;
		else if (option == '?')
			command_usage(NULL);
		else if (option == OPTION_CONDITION)
			add_condition(long_options[index].name, optarg);
		else if (option == OPTION_DRY_RUN)
			super.dry_run = true;
		else if (option == 'p' || option == 's' || option == 'S')
			structure = true;
		else if (option != 'v')
			add_want(orders[option], optarg);
	}
	for (int i = optind; i < argc; i++)
		add_queue(argv[i]);
	check_selection();
	if (super.want_count == 0 && !structure)
		command_usage(NULL);
	if (structure)
		log_info("the queue checks its structure whenever it is opened; nothing to do");
	return config;
}

int main(int argc, char **argv)
{
	const char *config;

	command_start("postsuper", usage, argc, argv);
	super.select = queue_select_new(clock_wall_us());
	config = read_command_line(argc, argv);
	if (super.want_count == 0)
		return 0;
	tzset();
	super.conf = command_conf(command_config_path(config), false);
	if ((super.dry_run || !queue_select_is_empty(super.select)) &&
	    !command_is_owner(super.conf))
		command_fail(COMMAND_NOPERM, "only root and the owner of the instance may do that");
	queue_access_run(super.dry_run ? list_only : work, NULL);
	queue_select_free(super.select);
	conf_free(super.conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return 0;
}
