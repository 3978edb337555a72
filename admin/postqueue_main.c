/* SPDX-License-Identifier: ISC */
/*
 * postqueue_main.c - lists the queue, counts it by domain and age, and has deferred mail tried now.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "admin/command.h"
#include "admin/queue_ages.h"
#include "admin/queue_options.h"
#include "admin/queue_orders.h"
#include "admin/queue_print.h"
#include "common/mail/queue_order.h"
#include "common/base/text.h"

enum { OUTPUT_SIZE = 64 * 1024 }; /* a pipe holds as much */

static const char usage[] =
    "postqueue [-v] [-c config_dir] -p | -j | -f [CONDITION ...]\n"
    "       postqueue [-v] [-c config_dir] -i QUEUE_ID | -s SITE\n"
    "       postqueue [-v] [-c config_dir] --ages [-j] [AGES ...] [CONDITION ...]\n"
    "  -p  list the queue as mailq does\n"
    "  -j  list the queue as JSON, one object for each message\n"
    "  -f  try all deferred mail now, or what the conditions select of it\n"
    "  -i  try this deferred message now\n"
    "  -s  try all deferred mail for recipients in this domain now\n"
    "  --ages  count recipients by domain and age; with -j as JSON, one object for each row\n"
    "  -v  accepted\n"
    "  -c  the directory of main.cf\n"
    "AGES, how it is counted:\n"
    "  --senders         messages by the domain of their sender instead\n"
    "  --parents         also sums of what is below a domain, when that is five domains or more\n"
    "  --buckets N       so many columns, 2 to 32 (10)\n"
    "  --bucket-time AGE the first one ends there, in whole minutes (5m)\n"
    "  --linear          all are as long as the first; else each is twice as long as all before\n"
    "  --top N           only so many rows; the others are counted "
    "together\n" QUEUE_CONDITIONS_USAGE;

static struct conf *conf;
static struct queue_access *access_to_queue;

static struct wanted {
	char mode; /* p, j, f, i, s; a: ages */
	const char *which;
	bool json;
	struct queue_select *select;
	struct ages_options ages;
	bool has_ages_option;
} wanted = { .ages = { .buckets = 10, .minutes = 5 } };

/* --- listing --------------------------------------------------------------------------------------- */

static enum queue_form form(void)
{
	return wanted.json ? QUEUE_JSON : QUEUE_TEXT;
}

static void list_to(const struct queue_sink *to)
{
	struct queue_wanted all = { .select = wanted.select };

	queue_options_list(conf, &access_to_queue, &all, to);
}

static void list_queue(void *arg)
{
	static char buffer[OUTPUT_SIZE];
	struct queue_print print;

	(void)arg;
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	queue_print_init(&print, form(), stdout);
	print.is_selection = !queue_select_is_empty(wanted.select);
	list_to(&print.sink);
	queue_print_finish(&print);
	queue_access_close(access_to_queue);
}

static void show_ages(void *arg)
{
	struct queue_ages *ages;

	(void)arg;
	wanted.ages.now = clock_wall_us() / 1000000;
	ages = queue_ages_new(&wanted.ages);
	list_to(queue_ages_sink(ages));
	queue_ages_print(ages, form(), stdout);
	queue_ages_free(ages);
	queue_access_close(access_to_queue);
}

/* --- flushing -------------------------------------------------------------------------------------- */

static struct queue_access *connect_to_flush(void)
{
	struct queue_access *access = queue_access_connect(conf);

	if (access == NULL)
		command_fail(COMMAND_UNAVAILABLE,
		    "Cannot flush mail queue - mail system is down (Connect to the flush service "
		    "in %s: %s)",
		    conf_text(conf, "queue_directory"), strerror(errno));
	return access;
}

static void flush(void *arg)
{
	struct queue_access *access = connect_to_flush();
	struct slice which = slice_of(wanted.which == NULL ? "" : wanted.which);
	struct msg_queue_order order = { .op = ORDER_FLUSH, .all = wanted.mode == 'f' };
	uint64_t count;

	(void)arg;
	if (wanted.mode == 'i')
		order.ids = (struct wire_texts){ &which, 1 };
	if (wanted.mode == 's')
		order.site = which;
	count = queue_access_order(access, &order, NULL);
	if (wanted.mode == 'i' && count == 0)
		log_warning("%s is not in the deferred queue", wanted.which);
	queue_access_close(access);
}

static void flush_selected(void *arg)
{
	static struct queue_orders orders;
	struct slice deferred = SLICE("deferred"), id;
	struct queue_wanted some = { wanted.select, QUEUE_DEFERRED, NULL };
	struct queue_ids ids = { 0 };
	struct queue_sink collector;
	size_t at = 0;

	(void)arg;
	queue_access_close(connect_to_flush()); /* known before the list is read */
	queue_ids_collect(&ids, &collector);
	queue_interrupts_catch();
	queue_options_list(conf, &access_to_queue, &some, &collector);
	if (access_to_queue == NULL)
		access_to_queue = connect_to_flush();
	queue_orders_start(&orders, access_to_queue, ORDER_FLUSH,
	    (struct wire_texts){ &deferred, 1 }, "to be tried", ids.count);
	while (queue_ids_next(&ids, &at, &id) && !queue_interrupted())
		queue_orders_add(&orders, id);
	queue_orders_finish(&orders);
	log_info("%llu message%s will be tried now", (unsigned long long)orders.done,
	    orders.done == 1 ? "" : "s");
	if (queue_interrupted()) {
		log_warning("interrupted: %llu of %zu selected messages were left as they are",
		    (unsigned long long)(ids.count - orders.given), ids.count);
		queue_interrupts_obey();
	}
	queue_ids_clear(&ids);
	queue_access_close(access_to_queue);
}

/* --- the command line ------------------------------------------------------------------------------ */

static uint64_t number(const char *text, uint64_t least, uint64_t most, const char *why)
{
	uint64_t value;

	if (!text_number(slice_of(text), most, &value) || value < least)
		command_usage(why);
	return value;
}

static uint64_t whole_minutes(const char *text)
{
	int64_t seconds;
	const char *why;

	if (!queue_select_age(slice_of(text), &seconds, &why))
		command_usage(why);
	if (seconds < 60 || seconds % 60 != 0 || seconds > 366 * 86400)
		command_usage("--bucket-time is whole minutes, up to a year");
	return (uint64_t)seconds / 60;
}

enum {
	OPTION_AGES = 2000,
	OPTION_SENDERS,
	OPTION_PARENTS,
	OPTION_LINEAR,
	OPTION_BUCKETS,
	OPTION_BUCKET_TIME,
	OPTION_TOP
};

static const struct option long_options[] = {
	QUEUE_CONDITIONS,
	{ "ages", no_argument, NULL, OPTION_AGES },
	{ "senders", no_argument, NULL, OPTION_SENDERS },
	{ "parents", no_argument, NULL, OPTION_PARENTS },
	{ "linear", no_argument, NULL, OPTION_LINEAR },
	{ "buckets", required_argument, NULL, OPTION_BUCKETS },
	{ "bucket-time", required_argument, NULL, OPTION_BUCKET_TIME },
	{ "top", required_argument, NULL, OPTION_TOP },
	{ 0 },
};

static void take_ages_option(int option)
{
	struct ages_options *o = &wanted.ages;

	wanted.has_ages_option = true;
	o->senders |= option == OPTION_SENDERS;
	o->parents |= option == OPTION_PARENTS;
	o->linear |= option == OPTION_LINEAR;
	if (option == OPTION_BUCKETS)
		o->buckets = (unsigned)number(optarg, 2, AGES_BUCKETS_MOST,
		    "--buckets is a number from 2 to 32");
	if (option == OPTION_BUCKET_TIME)
		o->minutes = whole_minutes(optarg);
	if (option == OPTION_TOP)
		o->top = number(optarg, 1, INT_MAX, "--top is a number of rows");
}

static void check_command_line(int modes)
{
	bool selects = !queue_select_is_empty(wanted.select);

	if (modes != 1)
		command_usage(selects ? "conditions go with -p, -j, -f or --ages" : NULL);
	if (wanted.has_ages_option && wanted.mode != 'a')
		command_usage("how ages are counted is said with --ages");
	if (selects && strchr("is", wanted.mode) != NULL)
		command_usage("conditions go with -p, -j, -f or --ages");
	if (wanted.mode == 'i' && !command_is_queue_id(slice_of(wanted.which)))
		command_usage("a queue id consists of letters and digits");
	if (wanted.mode == 's' &&
	    (*wanted.which == '\0' || strlen(wanted.which) > ADDRESS_LIMIT ||
		wanted.which[strcspn(wanted.which, "@ \t\r\n")] != '\0'))
		command_usage("a site is a domain, or an address in []");
	queue_options_check(wanted.select);
}

static const char *read_command_line(int argc, char **argv)
{
	const char *config = NULL;
	int option, index, modes = 0;
	bool ages = false;

	while ((option = getopt_long(argc, argv, "c:fi:jps:v", long_options, &index)) != -1) {
		if (option == '?')
			command_usage(NULL);
		if (option == OPTION_CONDITION)
			queue_options_add(wanted.select, long_options[index].name, optarg);
		else if (option == OPTION_AGES)
			ages = true;
		else if (option > OPTION_AGES)
			take_ages_option(option);
		else if (option == 'c')
			config = optarg;
		else if (option != 'v') {
			wanted.mode = (char)option;
			wanted.which = optarg;
			wanted.json |= option == 'j';
			modes++;
		}
	}
	if (optind != argc)
		command_usage(NULL);
	if (ages && (modes == 0 || wanted.mode == 'j')) {
		wanted.mode = 'a';
		modes = modes > 1 ? modes : 1;
	} else if (ages) {
		modes++;
	}
	check_command_line(modes);
	return config;
}

int main(int argc, char **argv)
{
	const char *config;

	command_start("postqueue", usage, argc, argv);
	wanted.select = queue_select_new(clock_wall_us());
	config = read_command_line(argc, argv);
	tzset();
	conf = command_conf(command_config_path(config), false);
	if (strchr("pja", wanted.mode) != NULL) {
		command_authorized(conf, "authorized_mailq_users", "view the mail queue");
		queue_access_run(wanted.mode == 'a' ? show_ages : list_queue, NULL);
	} else {
		command_authorized(conf, "authorized_flush_users", "flush the mail queue");
		queue_access_run(queue_select_is_empty(wanted.select) ? flush : flush_selected,
		    NULL);
	}
	queue_select_free(wanted.select);
	conf_free(conf);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return 0;
}
