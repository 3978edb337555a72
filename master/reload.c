/* SPDX-License-Identifier: ISC */
/*
 * reload.c - a new configuration, and new processes in place of the old ones, which finish what they have.
 */
#include "master/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "master/notify.h"

enum {
	RELOAD_SECONDS = 5,   /* for the old processes to stop accepting */
	SUCCESSOR_SECONDS = 2 /* for a queue manager without work to be replaced */
};

/* All old processes are told to finish, and new ones are started where clients are at once expected.
 * The requests end when the old ones have heard it. */
static size_t replace_processes(struct request ***heard)
{
	struct entry *e;
	struct process *p;
	size_t count = 0;

	*heard = NULL;
	LIST_FOREACH(e, &master.entries, link) {
		bool had_clients = e->program->kind == PROGRAM_SERVER && !LIST_EMPTY(&e->processes);

		LIST_FOREACH(p, &e->processes, link) {
			if (e->program->role == ROLE_QMGR && !p->draining) {
				process_let_rest(p);
				continue;
			}
			*heard = mem_resize_array(*heard, count + 1, sizeof(**heard));
			(*heard)[count++] = process_ask_drain(p,
			    p->draining ? DRAIN_OUTDATED : DRAIN_RELOAD);
		}
		/* Sessions may stay with the old process for long; new clients go to a new one. */
		if (entry_is_runnable(e) && had_clients)
			process_start(e);
		else
			entry_attend(e);
	}
	return count;
}

/* Services of which there is one: their successor can start when nothing is under way. */
static void wait_for_successors(deadline when)
{
	struct entry *e;
	struct process *p;

	LIST_FOREACH(e, &master.entries, link) {
		if (e->program->kind != PROGRAM_SINGLE || !entry_is_runnable(e))
			continue;
		while ((p = LIST_FIRST(&e->processes)) == NULL || !p->ready || p->draining ||
		    p->resting)
			if (!entry_is_runnable(e) || task_list_wait(&e->changed, when) == -1)
				break;
	}
}

/* What was opened at start stays; a changed value must not seem to be in force. */
static void report_unchangeable(struct conf *old, struct conf *new, conf_report *report, void *arg)
{
	static const char *const names[] = { "inet_interfaces", "inet_protocols",
		"queue_directory" };
	char text[256];

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (strcmp(conf_text(old, names[i]), conf_text(new, names[i])) == 0)
			continue;
		snprintf(text, sizeof(text),
		    "%s was changed; for that, stop and start the mail system", names[i]);
		report(arg, CONF_WARNING, "main.cf", 0, text);
	}
}

static bool reload(conf_report *report, void *arg)
{
	struct request **heard;
	size_t count;
	struct conf *conf, *old;
	struct master_cf *cf;
	deadline when;
	bool ok;

	if (!master_load(&conf, &cf, report, arg))
		return false;
	ok = entries_read(conf, cf, report, arg);
	master_cf_free(cf);
	if (!ok) {
		conf_free(conf);
		return false;
	}
	old = master.conf;
	report_unchangeable(old, conf, report, arg);
	master.conf = conf;
	conf_free(old);
	log_open(conf_text(master.conf, "syslog_name"), "master");
	log_info("reload -- version %s, configuration %s", GATEPOST_VERSION, master.config_path);
	count = replace_processes(&heard);
	when = deadline_after(RELOAD_SECONDS * CLOCK_SECOND);
	for (size_t i = 0; i < count; i++) {
		if (heard[i] != NULL)
			request_receive(heard[i], when);
		request_close(heard[i]);
	}
	free(heard);
	wait_for_successors(deadline_after(SUCCESSOR_SECONDS * CLOCK_SECOND));
	return true;
}

/* One at a time: each waits in several places. */
bool master_reload(conf_report *report, void *arg)
{
	static struct task_list others;
	static bool is_under_way;
	bool ok;

	while (is_under_way)
		if (task_list_wait(&others, DEADLINE_NEVER) == -1)
			return false;
	if (master.stopping)
		return false;
	is_under_way = true;
	notify_reloading();
	ok = reload(report, arg);
	if (!master.stopping)
		notify_ready();
	is_under_way = false;
	task_list_wake_one(&others);
	return ok;
}
