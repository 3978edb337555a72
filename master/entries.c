/* SPDX-License-Identifier: ISC */
/*
 * entries.c - the entries of master.cf: their sockets, and what must be watched or kept running.
 *
 * An entry outlives a reload: its listeners stay open when its address is the same, so that no client is
 * turned away.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/net/address.h"

enum { TAKEN_ADDRESS_MS = 2000, TAKEN_ADDRESS_PAUSE_MS = 50 };
/* Of a pickup that master.cf does not name: it looks into maildrop/ then. */
enum { PICKUP_SECONDS = 60 };

static unsigned reading; /* counts the readings of master.cf */

struct entry *entry_find(const char *name)
{
	struct entry *e;

	/* Channels lead to services; an inet entry of the same name is another thing. */
	LIST_FOREACH(e, &master.entries, link)
		if (!e->gone && e->type != ENTRY_INET && strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

static struct entry *find_exactly(const char *name, enum entry_type type)
{
	struct entry *e;

	LIST_FOREACH(e, &master.entries, link)
		if (e->type == type && strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

bool entry_is_runnable(const struct entry *e)
{
	return !e->gone && !e->throttled && !e->resting && e->program->file != NULL;
}

unsigned entry_process_count(const struct entry *e)
{
	const struct process *p;
	unsigned count = 0;

	LIST_FOREACH(p, &e->processes, link)
		count++;
	return count;
}

/* --- listeners ------------------------------------------------------------------------------------ */

static void close_listeners(struct entry *e)
{
	while (e->listeners_count > 0) {
		int fd = e->listeners[--e->listeners_count];

		task_forget_fd(fd);
		close(fd);
	}
}

static const char *socket_path(const struct entry *e, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", e->is_private ? "private" : "public", e->name);
	return path;
}

/* A row may have got another name for the same address, or another program: the listener goes over to
 * its entry, so that no client is turned away and a failed reload leaves the old entry as it was. */
static int borrow(const struct sockaddr *wanted, socklen_t wanted_len)
{
	struct entry *e;

	LIST_FOREACH(e, &master.entries, link) {
		for (size_t i = 0; e->seen != reading && i < e->listeners_count; i++) {
			struct sockaddr_storage own;
			socklen_t len = sizeof(own);

			if (e->lent[i] == reading ||
			    getsockname(e->listeners[i], (struct sockaddr *)&own, &len) == -1 ||
			    len != wanted_len || memcmp(&own, wanted, len) != 0)
				continue;
			e->lent[i] = reading;
			return fcntl(e->listeners[i], F_DUPFD_CLOEXEC, 0);
		}
	}
	return -1;
}

static int borrow_unix(const struct entry *wanted)
{
	struct entry *e;

	LIST_FOREACH(e, &master.entries, link) {
		if (e->seen == reading || e->listeners_count != 1 || e->lent[0] == reading ||
		    e->type == ENTRY_INET || e->program->kind != PROGRAM_SERVER ||
		    e->is_private != wanted->is_private || strcmp(e->name, wanted->name) != 0)
			continue;
		e->lent[0] = reading;
		return fcntl(e->listeners[0], F_DUPFD_CLOEXEC, 0);
	}
	return -1;
}

/* After a crash the last services of the old master may hold the address for a moment. */
static int listen_patiently(struct entry *e, struct conf *conf, char **why)
{
	deadline when = deadline_after(TAKEN_ADDRESS_MS * CLOCK_MS);

	for (;;) {
		int count = net_listen(e->name, conf_text(conf, "inet_interfaces"),
		    conf_text(conf, "inet_protocols"), e->listeners, LISTENERS_LIMIT, borrow, why);

		if (count != -1 || errno != EADDRINUSE || reading > 1 || clock_now() > when)
			return count;
		free(*why);
		task_sleep_until(deadline_after(TAKEN_ADDRESS_PAUSE_MS * CLOCK_MS));
	}
}

/* The smtpd behind a postscreen gets its clients as the postscreen row's own. */
static bool has_listeners(enum entry_type type, const struct program *program)
{
	return program->kind == PROGRAM_SERVER && type != ENTRY_PASS;
}

static bool open_listeners(struct entry *e, struct conf *conf, char **why)
{
	char path[512];
	int count;

	*why = NULL;
	if (e->program->file == NULL || e->program->kind == PROGRAM_WORKER)
		return true;
	if (e->program->role == ROLE_POSTLOGD) {
		e->listeners[0] = dup(master.log_reader);
		e->listeners_count = e->listeners[0] == -1 ? 0 : 1;
		return true;
	}
	if (!has_listeners(e->type, e->program))
		return true;
	if (e->type == ENTRY_INET) {
		count = listen_patiently(e, conf, why);
		if (count == -1)
			return false;
		e->listeners_count = (size_t)count;
		return true;
	}
	if (strchr(e->name, '/') != NULL) {
		*why = mem_printf("the name of a unix service must not contain a /");
		return false;
	}
	e->listeners[0] = borrow_unix(e);
	if (e->listeners[0] == -1)
		e->listeners[0] = io_unix_listen(master.queue_directory,
		    socket_path(e, path, sizeof(path)), e->is_private ? 0600 : 0666);
	if (e->listeners[0] == -1) {
		*why = mem_printf("cannot listen on %s: %s", path, strerror(errno));
		return false;
	}
	e->listeners_count = 1;
	return true;
}

/* --- reading -------------------------------------------------------------------------------------- */

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static char **copy_texts(char *const *texts, size_t count)
{
	char **copy = mem_alloc_array(count + 1, sizeof(*copy));

	for (size_t i = 0; i < count; i++)
		copy[i] = mem_strdup(texts[i]);
	return copy;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static struct entry *entry_new(const struct master_entry *row, const struct program *program)
{
	struct entry *e = mem_alloc(sizeof(*e));

	e->name = mem_strdup(row->name);
	e->type = row->type;
	e->is_private = row->is_private;
	e->program = program;
	LIST_INIT(&e->processes);
	return e;
}

/* A postscreen row lists the addresses; the smtpd row of type pass behind it says how to serve them. */
static const struct master_entry *serving_row(const struct master_cf *cf,
    const struct master_entry *row)
{
	if (strcmp(last_component(row->command), "postscreen") != 0)
		return row;
	for (size_t i = 0; i < cf->count; i++)
		if (cf->entries[i].type == ENTRY_PASS &&
		    strcmp(last_component(cf->entries[i].command), "smtpd") == 0)
			return &cf->entries[i];
	return row;
}

static void entry_fill(struct entry *e, const struct master_entry *row,
    const struct program *program)
{
	free(e->command);
	free_texts(e->overrides, e->overrides_count);
	e->command = mem_strdup(row->command);
	e->overrides = copy_texts(row->overrides, row->overrides_count);
	e->overrides_count = row->overrides_count;
	if (e->wakeup != row->wakeup)
		task_timer_clear(&e->wakeup_timer); /* entry_attend sets it anew */
	e->wakeup = row->wakeup;
	e->wakeup_if_used = row->wakeup_if_used;
	e->maxproc = row->maxproc;
	e->program = program;
	e->throttled = e->resting = false;
	task_timer_clear(&e->restart_timer);
	e->failed_starts = 0;
	e->gone = false;
	e->seen = reading;
}

/* A row of master.cf that has its sockets: kept apart until all rows have theirs. */
struct prepared {
	const struct master_entry *row;
	const struct program *program;
	struct entry *entry;
	bool is_new;
};

static bool same_sockets(const struct entry *e, const struct master_entry *row,
    const struct program *program)
{
	return e->is_private == row->is_private && e->program == program &&
	    (e->listeners_count > 0 || !has_listeners(row->type, program));
}

/* The other services reach this one by its name, and expect its work: what its program should be. */
static const char *expected_command(const struct master_entry *row, const struct program *program)
{
	for (size_t i = 0; row->type != ENTRY_INET && i < builtins_count; i++)
		if (strcmp(builtins[i].name, row->name) == 0 &&
		    program_find(builtins[i].command)->role != program->role)
			return builtins[i].command;
	return NULL;
}

static const struct program *program_of(const struct master_entry *row, conf_report *report,
    void *arg)
{
	const char *command = last_component(row->command), *nearest, *expected;
	const struct program *program = program_find(command);
	char text[512];

	if (program == NULL) {
		nearest = program_nearest(command);
		snprintf(text, sizeof(text), "service %.60s: there is no program %.60s; %s%s%s",
		    row->name, row->command,
		    nearest != NULL ? "did you mean " : "see master(8) for those that there are",
		    nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
		report(arg, CONF_ERROR, row->file, row->line, text);
		return NULL;
	}
	expected = expected_command(row, program);
	if (expected != NULL) {
		snprintf(text, sizeof(text),
		    "service %.60s: %.60s can't do its work, which others expect under this name; "
		    "write %s, or name the service otherwise",
		    row->name, row->command, expected);
		report(arg, CONF_ERROR, row->file, row->line, text);
		return NULL;
	}
	if (program->note != NULL) {
		snprintf(text, sizeof(text), "service %s: %s %s", row->name, row->command,
		    program->note);
		report(arg, CONF_NOTE, row->file, row->line, text);
	} else if (row->args_count > 0) {
		snprintf(text, sizeof(text),
		    "service %.60s: %.60s takes no argument, so \"%.60s\" has no effect; remove "
		    "it, "
		    "or write -o name=value in front of it",
		    row->name, row->command, row->args[0]);
		report(arg, CONF_WARNING, row->file, row->line, text);
	}
	return program;
}

bool entries_check(struct master_cf *cf, conf_report *report, void *arg)
{
	bool ok = true;
	char text[256];

	for (size_t i = 0; i < cf->count; i++) {
		const struct master_entry *row = &cf->entries[i];

		ok &= program_of(row, report, arg) != NULL;
		if (row->type != ENTRY_INET || net_port_is_known(row->name))
			continue;
		snprintf(text, sizeof(text),
		    "service %.60s: /etc/services has no such port; write its number", row->name);
		report(arg, CONF_ERROR, row->file, row->line, text);
		ok = false;
	}
	return ok;
}

/* The entry that the row had before, if it can stay. With another program or place the old one goes, as
 * if it had been removed. */
static bool find_old(struct prepared *p, const struct master_entry *row, conf_report *report,
    void *arg)
{
	p->row = row;
	p->program = program_of(row, report, arg);
	if (p->program == NULL)
		return false;
	p->entry = find_exactly(row->name, row->type);
	if (p->entry != NULL && !same_sockets(p->entry, row, p->program))
		p->entry = NULL;
	if (p->entry != NULL)
		p->entry->seen = reading;
	return true;
}

static bool open_new(struct prepared *p, struct conf *conf, conf_report *report, void *arg)
{
	const struct master_entry *row = p->row;
	char *why, text[256];

	if (p->entry != NULL)
		return true;
	p->entry = entry_new(row, p->program);
	p->is_new = true;
	if (!open_listeners(p->entry, conf, &why)) {
		snprintf(text, sizeof(text), "service %s: %s", row->name, why);
		report(arg, CONF_ERROR, row->file, row->line, text);
		free(why);
		return false;
	}
	return true;
}

/* Of a reading that failed. */
static void forget_new(struct prepared *p)
{
	if (!p->is_new)
		return;
	close_listeners(p->entry);
	free(p->entry->name);
	free(p->entry);
}

static bool names_builtin(const struct master_cf *cf, const struct builtin *b)
{
	for (size_t i = 0; i < cf->count; i++)
		if (cf->entries[i].type != ENTRY_INET && strcmp(cf->entries[i].name, b->name) == 0)
			return true;
	return false;
}

static size_t add_builtins(const struct master_cf *cf, struct master_entry *rows)
{
	size_t count = 0;

	for (size_t i = 0; i < builtins_count; i++) {
		bool is_pickup = program_find(builtins[i].command)->role == ROLE_PICKUP;

		if (names_builtin(cf, &builtins[i]))
			continue;
		rows[count++] = (struct master_entry){ .name = (char *)builtins[i].name,
			.type = builtins[i].type,
			.is_private = builtins[i].is_private,
			.wakeup = is_pickup ? PICKUP_SECONDS : 0,
			.maxproc = -1,
			.command = (char *)builtins[i].command,
			.file = mem_strdup("built-in") };
	}
	return count;
}

/* Its processes are told to finish with all others (master_reload). */
static void entry_remove(struct entry *e)
{
	e->gone = true;
	if (e->watcher != NULL)
		task_cancel(e->watcher);
	task_timer_clear(&e->wakeup_timer);
	task_timer_clear(&e->restart_timer);
	close_listeners(e);
	task_list_wake_all(&e->changed);
}

bool entries_read(struct conf *conf, struct master_cf *cf, conf_report *report, void *arg)
{
	size_t count = cf->count + builtins_count, used;
	struct master_entry *extra = mem_alloc_array(builtins_count, sizeof(*extra));
	struct prepared *all = mem_alloc_array(count, sizeof(*all));
	bool ok = true;
	struct entry *e, *next;

	reading++;
	used = cf->count + add_builtins(cf, extra);
	for (size_t i = 0; i < used; i++)
		ok &= find_old(&all[i], i < cf->count ? &cf->entries[i] : &extra[i - cf->count],
		    report, arg);
	if (ok)
		for (size_t i = 0; i < used; i++)
			ok &= open_new(&all[i], conf, report, arg);
	for (size_t i = 0; i < used; i++) {
		if (!ok) {
			forget_new(&all[i]);
			continue;
		}
		entry_fill(all[i].entry, serving_row(cf, all[i].row), all[i].program);
		if (all[i].is_new)
			LIST_INSERT_HEAD(&master.entries, all[i].entry, link);
	}
	LIST_FOREACH_SAFE(e, &master.entries, link, next)
		if (ok && e->seen != reading && !e->gone)
			entry_remove(e);
	for (size_t i = cf->count; i < used; i++)
		free(extra[i - cf->count].file);
	free(all);
	free(extra);
	return ok;
}

/* --- attending ------------------------------------------------------------------------------------ */

/* What only finishes its sessions serves no new client; but the only one of its kind must have ended
 * before the next. */
static bool needs_process(const struct entry *e)
{
	const struct process *p;

	LIST_FOREACH(p, &e->processes, link)
		if (e->program->kind == PROGRAM_SINGLE || (!p->draining && !p->closed))
			return false;
	return entry_is_runnable(e);
}

/* One descriptor that can be read when one of the listeners can; -1 with errno. */
static int group_listeners(const struct entry *e)
{
	int group = epoll_create1(EPOLL_CLOEXEC);

	for (size_t i = 0; group != -1 && i < e->listeners_count; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (epoll_ctl(group, EPOLL_CTL_ADD, e->listeners[i], &event) == -1) {
			close(group);
			return -1;
		}
	}
	return group;
}

/* Until a client comes, nobody has to run. */
static void watch_listeners(void *arg)
{
	struct entry *e = arg;
	int group = group_listeners(e);
	bool came;

	if (group == -1)
		log_error("cannot watch the sockets of %s: %m; starting it", e->name);
	came = group == -1 || task_wait_fd(group, TASK_READ, DEADLINE_NEVER) > 0;
	if (group != -1) {
		task_forget_fd(group);
		close(group);
	}
	e->watcher = NULL;
	if (came && needs_process(e))
		process_start(e);
}

static void wakeup_is_due(void *arg)
{
	struct entry *e = arg;
	struct process *p = LIST_FIRST(&e->processes);
	struct msg_wakeup m = { 0 };

	task_timer_set(&e->wakeup_timer, deadline_after(e->wakeup * CLOCK_SECOND), wakeup_is_due,
	    e);
	if (p != NULL && p->ready && !p->draining && !p->closed)
		request_close(request_open(p->channel, &table_wakeup, &m, -1, true,
		    DEADLINE_NEVER));
	else if (!e->wakeup_if_used && !master.stopping && needs_process(e))
		process_start(e);
}

/* What may have come in while the suite was down is not left for a whole period. */
static deadline first_wakeup(const struct entry *e)
{
	bool at_once = e->program->kind == PROGRAM_SERVER && !e->wakeup_if_used;

	return deadline_after(at_once ? 0 : e->wakeup * CLOCK_SECOND);
}

void entry_attend(struct entry *e)
{
	if (master.stopping || !entry_is_runnable(e))
		return;
	if (e->wakeup > 0 && e->wakeup_timer.loop_state == NULL)
		task_timer_set(&e->wakeup_timer, first_wakeup(e), wakeup_is_due, e);
	if (!needs_process(e))
		return;
	if (e->program->kind == PROGRAM_SINGLE) {
		process_start(e);
		return;
	}
	if (e->listeners_count == 0 || e->watcher != NULL)
		return;
	e->watcher = task_start("watcher", watch_listeners, e);
	if (e->watcher == NULL)
		log_error("no task to watch the sockets of %s", e->name);
}
