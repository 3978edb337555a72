/* SPDX-License-Identifier: ISC */
/*
 * service.c - the life of a service, from its arguments to its end. Until sandbox_enter only trusted
 * input is read: arguments from master, the configuration, tables.
 */
#include "common/service/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ipc/delivery.h"
#include "common/log/log.h"
#include "common/service/transcript.h"
#include "common/task/task.h"

enum {
	DRAIN_POLL_MS = 20,
	STOP_MS = 5000, /* for what is under way, when the suite stops */
	LOG_RETRY_MS = 50,
	DESCRIPTORS = 65536
};

struct running running = {
	.config_directory = -1, .monitor_socket = -1, .drain_deadline = DEADLINE_NEVER
};
static struct task_timer log_timer;

#ifdef __SANITIZE_ADDRESS__
/* The leak checker needs ptrace, which the sandbox refuses with good reason. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

/* --- what services ask ---------------------------------------------------------------------------- */

struct conf *service_conf(void)
{
	return running.conf;
}

int service_config_directory(void)
{
	return running.config_directory;
}

int service_queue_directory(void)
{
	return SERVICE_FD_QUEUE;
}

int service_monitor_socket(void)
{
	return running.monitor_socket;
}

const char *service_entry_name(void)
{
	return running.entry;
}

uint32_t service_process_number(void)
{
	return running.number;
}

unsigned service_draining(void)
{
	return running.draining;
}

deadline service_drain_deadline(void)
{
	return running.drain_deadline;
}

/* --- start ---------------------------------------------------------------------------------------- */

static uint64_t number_argument(const char *text, char option)
{
	uint64_t value;

	if (!text_number(slice_of(text), UINT32_MAX, &value))
		log_fatal("option -%c: \"%s\" is no number", option, text);
	return value;
}

_Noreturn static void started_by_hand(void)
{
	fprintf(stderr,
	    "%s: this program is started by Gatepost's master, not by hand; see master(8) and "
	    "%s(8)\n",
	    running.service->name, running.service->name);
	exit(64);
}

/* -o comes later, when there is a configuration to override. */
static void read_arguments(int argc, char **argv)
{
	int option;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		started_by_hand();
	running.session_limit = 1;
	running.entry = running.service->name;
	opterr = 0;
	while ((option = getopt(argc, argv, "+c:n:t:i:s:l:o:vD")) != -1) {
		switch (option) {
		case 'c':
			running.config_path = optarg;
			break;
		case 'n':
			running.entry = optarg;
			break;
		case 't':
			running.type = optarg;
			break;
		case 'i':
			running.number = (uint32_t)number_argument(optarg, 'i');
			break;
		case 's':
			running.listeners = (unsigned)number_argument(optarg, 's');
			break;
		case 'l':
			running.session_limit = number_argument(optarg, 'l');
			break;
		case 'o':
		case 'v':
		case 'D':
			break;
		default:
			log_fatal("entry %s: option -%c is unknown", running.entry, optopt);
		}
	}
	if (running.config_path == NULL || fcntl(SERVICE_FD_CONTROL, F_GETFD) == -1)
		started_by_hand();
}

static void report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_error("%s, line %u: %s", file, line, text);
}

static void override(const char *name, const char *value)
{
	char *assignment = mem_printf("%s=%s", name, value);

	conf_override(running.conf, assignment, "built-in", 0, report, NULL);
	free(assignment);
}

static void read_configuration(int argc, char **argv)
{
	int option;

	running.config_directory = open(running.config_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (running.config_directory == -1)
		log_fatal("open %s: %m", running.config_path);
	running.conf = conf_load(running.config_directory, running.config_path, report, NULL);
	if (running.conf == NULL)
		log_fatal("%s/main.cf can't be used: run \"gatepost check\"", running.config_path);
	override("service_name", running.entry);
	override("process_name", running.service->name);
	optind = 1;
	while ((option = getopt(argc, argv, "+c:n:t:i:s:l:o:vD")) != -1)
		if (option == 'o' &&
		    !conf_override(running.conf, optarg, "master.cf", 0, report, NULL))
			log_fatal("entry %s: -o %s: expected name=value", running.entry, optarg);
	transcript_wanted = transcript_classes(conf_text(running.conf, "notify_classes"));
	delivery_soft_bounce = conf_bool(running.conf, "soft_bounce");
	if (running.service->settings != NULL)
		conf_fill(running.conf, running.service->settings, running.service->settings_out);
}

static void open_log(void)
{
	char tag[128];
	bool has_log = fcntl(SERVICE_FD_LOG, F_GETFD) != -1;

	snprintf(tag, sizeof(tag), "%s", running.service->name);
	log_open(running.conf == NULL ? "postfix" : conf_text(running.conf, "syslog_name"), tag);
	if (has_log)
		log_to_socket(SERVICE_FD_LOG);
}

static void close_what_is_not_ours(void)
{
	unsigned first = SERVICE_FD_LISTEN + running.listeners;

	syscall(SYS_close_range, first, ~0U, 0);
	for (unsigned fd = SERVICE_FD_CONTROL; fd < first; fd++)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

static void set_up_process(void)
{
	struct rlimit files;

	umask(077);
	tzset(); /* reads the zone's file while it can be reached */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static struct sandbox_identity identity(const struct sandbox_row *row)
{
	static const char *const owners[] = { [OWNER_MAIL] = "mail_owner",
		[OWNER_QUEUE] = "queue_owner",
		[OWNER_KEY] = "key_owner" };
	const char *name = conf_text(running.conf, owners[row->owner]);
	struct passwd *pw;

	if (geteuid() != 0)
		return (struct sandbox_identity){ geteuid(), getegid() };
	pw = getpwnam(name);
	if (pw == NULL)
		log_fatal("%s = %s: there is no such user; \"gatepost init\" or the package "
			  "creates it",
		    owners[row->owner], name);
	return (struct sandbox_identity){ pw->pw_uid, pw->pw_gid };
}

/* The parent keeps its rights and becomes the monitor; the child goes on as the service. */
static void split_off_monitor(void)
{
	int pair[2];
	pid_t parent = getpid(), child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		log_fatal("socketpair: %m");
	child = fork();
	if (child == -1)
		log_fatal("fork: %m");
	if (child > 0) {
		close(pair[0]);
		close(SERVICE_FD_CONTROL);
		exit(running.service->monitor(pair[1]));
	}
	close(pair[1]);
	running.monitor_socket = pair[0];
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
}

static char *log_directory(void)
{
	const char *file = conf_text(running.conf, "maillog_file");
	char *copy, *directory;

	if (running.row->files != FILES_LOG || file == NULL || *file == '\0' ||
	    strncmp(file, "/dev/", 5) == 0)
		return NULL;
	copy = mem_strdup(file);
	directory = mem_strdup(dirname(copy));
	free(copy);
	return directory;
}

/* --- running -------------------------------------------------------------------------------------- */

static void before_sleep(void *arg)
{
	(void)arg;
	load_look();
	if (!log_flush() && log_timer.loop_state == NULL)
		task_timer_set(&log_timer, deadline_after(LOG_RETRY_MS * CLOCK_MS), before_sleep,
		    NULL);
}

static bool is_busy(void)
{
	return running.service->busy != NULL && running.service->busy();
}

static bool is_finished(void)
{
	return running.sessions == 0 && links_are_drained() && !is_busy();
}

static void finish(int status)
{
	if (running.service->end != NULL)
		running.service->end();
	log_close();
	exit(status);
}

static void end_when_finished(void *arg)
{
	(void)arg;
	/* Others may still ask while our own work ends: a successor could not serve them before, and
	 * at a stop a delivery may have a copy to send on. */
	while (is_busy() && clock_now() < running.drain_deadline)
		task_sleep_until(deadline_after(DRAIN_POLL_MS * CLOCK_MS));
	load_tell_closed();
	links_drain();
	/* After a reload sessions go on as long as they last; a stop has its time. */
	while (!is_finished() &&
	    (clock_now() < running.drain_deadline ||
		(running.draining != DRAIN_STOP && running.sessions > 0)))
		task_sleep_until(deadline_after(DRAIN_POLL_MS * CLOCK_MS));
	/* What was answered last must still leave. */
	task_sleep_until(deadline_after(CLOCK_MS));
	finish(0);
}

static void drain_came(struct request *r, struct frame *first)
{
	struct msg_drain *m = first->message;
	bool was_draining = running.draining != 0;
	int64_t grace = m->reason == DRAIN_STOP ? STOP_MS * CLOCK_MS
						: conf_time(running.conf, "service_drain_time");

	(void)r;
	if (m->reason == DRAIN_WHEN_IDLE) {
		if (running.service->rest != NULL)
			running.service->rest();
		else
			service_retire(NULL);
		return;
	}
	if (running.draining == DRAIN_STOP || m->reason < DRAIN_RELOAD ||
	    m->reason > DRAIN_OUTDATED)
		return;
	running.draining = (unsigned)m->reason;
	if (m->reason == DRAIN_STOP || !was_draining)
		running.drain_deadline = deadline_after(grace);
	sessions_stop_accepting();
	if (running.service->drain != NULL)
		running.service->drain((enum drain_reason)running.draining);
	if (!was_draining && task_start("drain", end_when_finished, NULL) == NULL)
		finish(0);
}

static void wakeup_came(struct request *r, struct frame *first)
{
	(void)r;
	(void)first;
	if (running.service->wakeup != NULL)
		running.service->wakeup();
}

static const struct handler master_handlers[] = {
	{ &table_accept, ROLE_BIT(ROLE_MASTER), links_accept },
	{ &table_drain, ROLE_BIT(ROLE_MASTER), drain_came },
	{ &table_wakeup, ROLE_BIT(ROLE_MASTER), wakeup_came },
	{ 0 },
};

static void master_is_gone(struct channel *c, void *arg)
{
	(void)c;
	(void)arg;
	/* Nothing was answered that is not durable: there is nothing to wait for. */
	finish(0);
}

static void first_task(void *arg)
{
	struct msg_ready ready = { running.in_force, (uint64_t)getpid(), geteuid() };

	(void)arg;
	if (running.service->start != NULL)
		running.service->start();
	request_close(request_open(running.master, &table_ready, &ready, -1, true, DEADLINE_NEVER));
	sessions_start();
}

int service_main(const struct service *service, int argc, char **argv)
{
	struct sandbox_identity id;
	char *log_path;

	running.service = service;
	running.row = sandbox_row(service->name);
	if (running.row == NULL)
		panic("program %s has no row in the sandbox table", service->name);
	log_open("postfix", service->name);
	read_arguments(argc, argv);
	close_what_is_not_ours();
	open_log();
	set_up_process();
	read_configuration(argc, argv);
	open_log();
	id = identity(running.row);
	log_path = log_directory();
	if (service->open != NULL)
		service->open();
	if (service->monitor != NULL)
		split_off_monitor();
	close(running.config_directory);
	running.config_directory = -1;
	task_init();
	running.in_force = sandbox_enter(running.row, &id, SERVICE_FD_QUEUE, log_path);
	if (running.row->files != FILES_QUEUE)
		close(SERVICE_FD_QUEUE);
	free(log_path);

	task_before_sleep(before_sleep, NULL);
	running.master = channel_new(SERVICE_FD_CONTROL, ROLE_MASTER, master_handlers,
	    master_is_gone, NULL);
	if (task_start("start", first_task, NULL) == NULL)
		panic("no first task");
	task_run();
	finish(0);
	return 0;
}
