/* SPDX-License-Identifier: ISC */
/*
 * qmgr_main.c - the queue manager: the only process that writes the queue, and the one that decides what
 * is delivered when.
 */
#include "qmgr/qmgr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { OPEN_TRIES = 300, OPEN_PAUSE_MS = 100, PAUSE_MS = 1000 };

struct qmgr_settings settings;
int64_t queue_opened_us;
struct store *store;
static bool resting; /* a reload waits for its moment */

#define SETTING(member) CONF_SETTING(struct qmgr_settings, member, #member)
static const struct conf_setting setting_rows[] = {
	SETTING(queue_service_name),
	SETTING(rewrite_service_name),
	SETTING(bounce_service_name),
	SETTING(double_bounce_sender),
	SETTING(confirm_delay_cleared),
	SETTING(delay_warning_time),
	SETTING(minimal_backoff_time),
	SETTING(maximal_backoff_time),
	SETTING(maximal_queue_lifetime),
	SETTING(bounce_queue_lifetime),
	SETTING(transport_retry_time),
	SETTING(qmgr_message_active_limit),
	SETTING(queue_minfree),
	SETTING(queue_segment_size),
	SETTING(destination_concurrency_feedback_debug),
	SETTING(default_process_limit),
	SETTING(service_drain_time),
	SETTING(daemon_timeout),
	SETTING(defer_transports),
	SETTING(queue_allow_network_filesystem),
	{ 0 },
};

static void report(void *arg, const char *text)
{
	(void)arg;
	log_warning("queue: %s", text);
}

static void remember(void *arg, const struct store_summary *s)
{
	bool ordered = (s->marks & (STORE_EXPIRE | STORE_REQUEUE)) != 0;

	(void)arg;
	if (!s->held)
		due_add(slice_of(s->id), ordered ? 0 : s->due_us,
		    (struct memory){
			.arrival_boot_us = age_arrival_boot_us(s->arrival_us, age_now()) });
}

/* Our predecessor may be finishing: the store has one owner. */
static void open_store(void)
{
	struct store_options options = { .directory = service_queue_directory(),
		.io = &store_io_posix,
		.segment_size = (uint64_t)settings.queue_segment_size,
		.minfree = (uint64_t)settings.queue_minfree,
		.allow_network = settings.queue_allow_network_filesystem,
		.report = report };
	char *why = NULL;

	for (int i = 0; store == NULL; i++) {
		free(why);
		store = store_open(&options, remember, NULL, &why);
		if (store != NULL)
			break;
		if (strstr(why, "EBUSY") == NULL || i == OPEN_TRIES)
			log_fatal("the queue can't be opened: %s", why);
		task_sleep_until(deadline_after(OPEN_PAUSE_MS * CLOCK_MS));
	}
	queue_opened_us = clock_wall_us();
}

static void start(void)
{
	struct store_counters c;

	round_start();
	open_store();
	store_counters(store, &c);
	if (c.messages > 0)
		log_info("%llu messages are in the queue", (unsigned long long)c.messages);
	waiting_start();
	reclaim_start();
	due_start();
}

/* Outcomes that were not flushed would be delivered again by the next process. */
static void end(void)
{
	store_close(store);
}

/* At a stop agents end, too; else deliveries outlive us, and our successor hears of them. */
static bool busy(void)
{
	return round_notices > 0 || (service_draining() == DRAIN_STOP && schedule_busy() > 0);
}

/* A successor needs the queue. What ends in a moment is waited for; longer deliveries outlive us. */
static void rest(void)
{
	if (resting)
		return;
	resting = true;
	schedule_pause(true);
	schedule_wait_idle(deadline_after(PAUSE_MS * CLOCK_MS));
	service_retire(NULL);
}

static const struct handler handlers[] = {
	{ &table_store, ROLE_BIT(ROLE_CLEANUP), intake_store },
	{ &table_list, ROLE_BIT(ROLE_SHOWQ), listing_list },
	{ &table_queue_order, ROLE_BIT(ROLE_FLUSH), orders_order },
	{ &table_queue_read, ROLE_BIT(ROLE_FLUSH), reading_read },
	{ &table_queue_clients, ROLE_BIT(ROLE_FLUSH), reading_clients },
	{ 0 },
};

static const struct service qmgr = {
	.name = "qmgr",
	.role = ROLE_QMGR,
	.settings = setting_rows,
	.settings_out = &settings,
	.handlers = handlers,
	.open = schedule_start,
	.start = start,
	.busy = busy,
	.rest = rest,
	.end = end,
};

int main(int argc, char **argv)
{
	return service_main(&qmgr, argc, argv);
}
