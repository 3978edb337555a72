/* SPDX-License-Identifier: ISC */
/*
 * process.c - processes of an entry: start, choose, relieve, bury.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum {
	SAFE_FD = 512,	   /* above all that a service is handed */
	EARLY_MS = 1000,   /* a process that dies sooner was not well */
	FAILED_STARTS = 5, /* in a row, by whatever cause: then it must rest for long */
	LOST_SECONDS = 10, /* to end, for a process that closed its channel to us */
	WORKER_SHARE = 16, /* requests in one process before another is worth its start */
	SERVER_SHARE = 32, /* sessions likewise, while there are fewer than processors */
	ARGUMENTS = 256
};

static uint32_t last_number;

/* --- start ---------------------------------------------------------------------------------------- */

/* Sessions of a server. Not of pickup: Postfix's 1 means one process there, and one client at a time could
 * keep all others waiting. */
static bool counts_sessions(const struct entry *e)
{
	return e->program->kind == PROGRAM_SERVER && e->program->role != ROLE_PICKUP &&
	    e->maxproc > 0;
}

static uint64_t session_limit(const struct entry *e)
{
	uint64_t limit = (uint64_t)conf_number(master.conf, "service_session_limit");

	for (size_t i = 0; i < e->overrides_count; i++)
		if (strncmp(e->overrides[i], "service_session_limit=", 22) == 0)
			limit = strtoull(e->overrides[i] + 22, NULL, 10);
	if (limit == 0)
		limit = 1;
	/* As many processes as needed, and equal parts for them. */
	if (counts_sessions(e))
		limit = (uint64_t)e->maxproc / (((uint64_t)e->maxproc + limit - 1) / limit);
	return limit;
}

static unsigned processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count < 1 ? 1 : (unsigned)count;
}

/* The most processes of the entry. An agent is alone, so that a new queue manager meets the one that
 * still has deliveries of the last; a resolver too, so that there is one cache. maxproc counts
 * sessions (DESIGN: an explicit number is the most at once over all processes). */
static unsigned process_limit(const struct entry *e)
{
	uint64_t limit = session_limit(e);

	if (e->program->kind == PROGRAM_SINGLE || e->program->role == ROLE_PICKUP)
		return 1;
	if (counts_sessions(e))
		return (unsigned)((uint64_t)e->maxproc / limit);
	if (e->program->kind == PROGRAM_WORKER)
		switch (e->program->role) {
		case ROLE_PROXYMAP:
			return 8;
		case ROLE_AGENT:
		case ROLE_RESOLVER:
			return 1;
		default:
			return processors();
		}
	return (unsigned)conf_number(master.conf, "default_process_limit");
}

static void add_argument(const char **argv, size_t *count, const char *text)
{
	if (*count == ARGUMENTS - 1)
		log_fatal("too many arguments for one service");
	argv[(*count)++] = text;
}

static void add_number(const char **argv, size_t *count, const char *option, uint64_t value)
{
	add_argument(argv, count, option);
	add_argument(argv, count, mem_printf("%llu", (unsigned long long)value));
}

/* On the heap. */
static char *program_path(const struct entry *e)
{
	char *directory = conf_program_directory(master.conf);
	char *path = mem_printf("%s/%s", directory,
	    e->program->file == NULL ? "" : e->program->file);

	free(directory);
	return path;
}

/* In the child: the descriptors at their places, nothing else, and the program. */
_Noreturn static void become_program(const struct entry *e, uint32_t number, int control)
{
	static const char *argv[ARGUMENTS];
	size_t count = 0, wanted = SERVICE_FD_LISTEN + e->listeners_count;
	int fds[SERVICE_FD_LISTEN + LISTENERS_LIMIT], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool keeps_stdout = e->program->role == ROLE_POSTLOGD;
	char *path;
	sigset_t none;

	fds[0] = null;
	fds[1] = keeps_stdout ? STDOUT_FILENO : null;
	fds[2] = master.stderr_writer;
	fds[SERVICE_FD_CONTROL] = control;
	fds[SERVICE_FD_LOG] = master.log_writer;
	fds[SERVICE_FD_QUEUE] = master.queue_directory;
	memcpy(fds + SERVICE_FD_LISTEN, e->listeners, e->listeners_count * sizeof(int));
	for (size_t i = 0; i < wanted; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SAFE_FD);
	for (size_t i = 0; i < wanted; i++)
		if (fds[i] == -1 || dup2(fds[i], (int)i) == -1)
			_exit(71);
	/* A signal to master's group (a terminal's Ctrl-C) is for master: it ends us in order. */
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	path = program_path(e);
	add_argument(argv, &count, path);
	add_argument(argv, &count, "-c");
	add_argument(argv, &count, master.config_path);
	add_argument(argv, &count, "-n");
	add_argument(argv, &count, e->name);
	add_argument(argv, &count, "-t");
	add_argument(argv, &count, entry_type_name(e->type));
	add_number(argv, &count, "-i", number);
	add_number(argv, &count, "-s", e->listeners_count);
	add_number(argv, &count, "-l", session_limit(e));
	for (size_t i = 0; i < e->overrides_count; i++) {
		add_argument(argv, &count, "-o");
		add_argument(argv, &count, e->overrides[i]);
	}
	execv(path, (char *const *)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
	_exit(72);
}

static void kill_lost(void *arg)
{
	struct process *p = arg;

	log_warning("process %d of %s does not end by itself", (int)p->pid, p->entry->name);
	kill(p->pid, SIGKILL);
}

static void process_lost(struct channel *c, void *arg)
{
	/* Its end is noticed by its pid; until then it gets nothing more. A monitor may outlive its
	 * service, for the deliveries under way. */
	struct process *p = arg;

	(void)c;
	p->closed = true;
	if (p->serving_pid == p->pid)
		task_timer_set(&p->lost_timer, deadline_after(LOST_SECONDS * CLOCK_SECOND),
		    kill_lost, p);
}

static void restart(void *arg)
{
	struct entry *e = arg;

	e->resting = false;
	task_list_wake_all(&e->changed);
	entry_attend(e);
}

/* No start before a moment has passed, whoever asks for one. */
static void rest(struct entry *e)
{
	e->resting = true;
	task_timer_set(&e->restart_timer, deadline_after(EARLY_MS * CLOCK_MS), restart, e);
}

static struct process *start_failed(struct entry *e, const char *call)
{
	log_error("cannot start %s: %s: %m; trying again", e->name, call);
	rest(e);
	return NULL;
}

struct process *process_start(struct entry *e)
{
	struct process *p;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return start_failed(e, "socketpair");
	pid = fork();
	if (pid == 0)
		become_program(e, last_number + 1, pair[1]);
	close(pair[1]);
	if (pid == -1) {
		close(pair[0]);
		return start_failed(e, "fork");
	}
	last_number++;
	p = mem_alloc(sizeof(*p));
	p->entry = e;
	p->pid = p->serving_pid = pid;
	p->number = last_number;
	p->limit = session_limit(e);
	p->started = clock_now();
	p->channel = channel_new(pair[0], e->program->role, service_handlers, process_lost, p);
	LIST_INSERT_HEAD(&e->processes, p, link);
	return p;
}

/* --- choice --------------------------------------------------------------------------------------- */

/* The only one of its kind serves until it says that it has nothing under way: its successor can't
 * start before. */
static bool takes_work(const struct process *p)
{
	return !p->closed && (!p->draining || p->entry->program->kind == PROGRAM_SINGLE);
}

static struct process *least_busy(struct entry *e)
{
	struct process *p, *best = NULL;

	LIST_FOREACH(p, &e->processes, link)
		if (takes_work(p) && (best == NULL || p->sessions < best->sessions))
			best = p;
	return best;
}

static bool may_add(struct entry *e)
{
	struct process *p;
	unsigned living = 0;

	if (master.stopping)
		return false;
	LIST_FOREACH(p, &e->processes, link) {
		if (e->program->kind == PROGRAM_SINGLE)
			return false;
		if (!takes_work(p))
			continue;
		living++;
		/* One at a time: a start takes a moment to help. */
		if (!p->ready)
			return false;
	}
	return entry_is_runnable(e) && living < process_limit(e);
}

struct process *process_choose(struct entry *e)
{
	struct process *best = least_busy(e);

	if (best != NULL && (best->sessions < WORKER_SHARE || !may_add(e)))
		return best;
	if (!may_add(e))
		return NULL;
	return process_start(e);
}

void process_relieve(struct entry *e)
{
	struct process *best = least_busy(e);
	uint64_t share;

	if (e->program->kind != PROGRAM_SERVER || best == NULL || !may_add(e))
		return;
	share = entry_process_count(e) < processors() ? SERVER_SHARE : best->limit * 3 / 4;
	if (share > best->limit * 3 / 4)
		share = best->limit * 3 / 4;
	if (best->sessions > share)
		process_start(e);
}

struct request *process_ask_drain(struct process *p, enum drain_reason reason)
{
	struct msg_drain m = { reason };

	p->draining = true;
	if (channel_is_closed(p->channel))
		return NULL;
	return request_open(p->channel, &table_drain, &m, -1, true, deadline_after(CLOCK_SECOND));
}

void process_drain(struct process *p, enum drain_reason reason)
{
	request_close(process_ask_drain(p, reason));
}

void process_let_rest(struct process *p)
{
	struct msg_drain m = { DRAIN_WHEN_IDLE };

	p->resting = true;
	if (!p->draining && !channel_is_closed(p->channel))
		request_close(request_open(p->channel, &table_drain, &m, -1, true,
		    deadline_after(CLOCK_SECOND)));
}

/* --- the end -------------------------------------------------------------------------------------- */

static void unthrottle(void *arg)
{
	struct entry *e = arg;

	e->throttled = false;
	e->failed_starts = 0;
	entry_attend(e);
}

static void throttle(struct entry *e, const char *path)
{
	int64_t pause = conf_time(master.conf, "service_throttle_time");

	log_warning("%s: bad command startup -- throttling", path);
	e->throttled = true;
	task_timer_set(&e->restart_timer, deadline_after(pause), unthrottle, e);
	task_list_wake_all(&e->changed);
}

static struct process *find_pid(pid_t pid)
{
	struct entry *e;
	struct process *p;

	LIST_FOREACH(e, &master.entries, link)
		LIST_FOREACH(p, &e->processes, link)
			if (p->pid == pid)
				return p;
	return NULL;
}

void process_forget(struct process *p)
{
	LIST_REMOVE(p, link);
	task_timer_clear(&p->lost_timer);
	channel_close(p->channel);
	free(p);
}

void process_ended(pid_t pid, int status)
{
	struct process *p = find_pid(pid);
	struct entry *e;
	bool bad, early, failed_start;
	char *path;

	if (p == NULL)
		return;
	e = p->entry;
	failed_start = !p->ready && !p->draining;
	early = clock_now() - p->started < EARLY_MS * CLOCK_MS;
	path = program_path(e);
	process_forget(p);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		log_warning("process %s pid %d exit status %d", path, (int)pid,
		    WEXITSTATUS(status));
	if (WIFSIGNALED(status))
		log_warning("process %s pid %d killed by signal %d", path, (int)pid,
		    WTERMSIG(status));
	if (master.stopping) {
		free(path);
		return;
	}
	bad = (WIFEXITED(status) && WEXITSTATUS(status) != 0) ||
	    (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM);
	e->failed_starts += failed_start;
	if (failed_start && (bad || e->failed_starts >= FAILED_STARTS))
		throttle(e, path);
	else if (bad && early)
		rest(e);
	free(path);
	task_list_wake_all(&e->changed);
	entry_attend(e);
}
