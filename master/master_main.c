/* SPDX-License-Identifier: ISC */
/*
 * master_main.c - the supervisor: from its arguments to its end.
 *
 * It stays root, so it parses no mail and nothing from a network; all it reads is the configuration and
 * the small messages of its own services.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "common/net/stream.h"
#include "common/service/layout.h"
#include "master/notify.h"

enum {
	START_SECONDS = 10,
	STOP_SECONDS = 10, /* for all stages of an orderly stop together */
	LAST_STAGE = 3,
	POLL_MS = 10,
	LAST_WORDS_MS = 100, /* of a postlogd: what it said is still in a pipe */
	LOG_RETRY_MS = 50,
	LOG_BUFFER = 8 * 1024 * 1024,
	DESCRIPTORS = 65536,
	STDERR_LINE = 2000
};

struct master master = { .entries = LIST_HEAD_INITIALIZER(entries) };
static int ready_fd = -1; /* gatepost waits here for our first word */
static bool only_check;
static bool starting = true;	   /* somebody looks at our standard error */
static struct master_cf *first_cf; /* as it was read at start */
static struct task_timer log_timer;

static void report_to_log(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	char place[1024];

	(void)arg;
	if (line > 0)
		snprintf(place, sizeof(place), "%s, line %u", file, line);
	else
		snprintf(place, sizeof(place), "%s", file);
	if (severity == CONF_ERROR)
		log_error("%s: %s", place, text);
	else if (severity == CONF_WARNING)
		log_warning("%s: %s", place, text);
	else
		log_info("%s: %s", place, text);
}

/* --- configuration -------------------------------------------------------------------------------- */

bool master_load(struct conf **conf, struct master_cf **cf, conf_report *report, void *arg)
{
	*conf = conf_load(master.config_directory, master.config_path, report, arg);
	*cf = master_cf_load(master.config_directory, master.config_path, report, arg);
	if (*conf != NULL) {
		/* The -o values first: names that only they use are no mistakes of main.cf. */
		unsigned errors = *cf == NULL ? 0 : master_cf_check(*cf, *conf, report, arg);

		errors += conf_check(*conf, report, arg);
		if (errors == 0 && *cf != NULL)
			return true;
		conf_free(*conf);
	}
	if (*cf != NULL)
		master_cf_free(*cf);
	return false;
}

static void reload_by_signal(void *arg)
{
	(void)arg;
	if (!master_reload(report_to_log, NULL))
		log_error("the configuration has errors; nothing was changed");
}

static void hangup(int number, void *arg)
{
	(void)number;
	(void)arg;
	task_start("reload", reload_by_signal, NULL);
}

/* --- children ------------------------------------------------------------------------------------- */

static void child_ended(int number, void *arg)
{
	int status;
	pid_t pid;

	(void)number;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		process_ended(pid, status);
}

/* What a service says on its standard error (a sanitizer, the C library) belongs into the log. */
static void read_stderr(void *arg)
{
	struct stream *s = arg;
	struct slice line;
	int rc;

	for (;;) {
		rc = stream_line(s, &line, DEADLINE_NEVER);
		if (rc == 0 || (rc == -1 && errno != EMSGSIZE))
			break;
		log_warning("a service says: %.*s", (int)line.len, line.data);
		if (starting)
			fprintf(stderr, "%.*s\n", (int)line.len, line.data);
	}
	stream_free(s);
}

/* --- the end -------------------------------------------------------------------------------------- */

/* Who still gives work to others ends first; the log's writer last. */
static int stage(const struct entry *e)
{
	switch (e->program->role) {
	case ROLE_POSTLOGD:
		return LAST_STAGE;
	case ROLE_QMGR: /* waits for deliveries, which may send copies on through cleanup */
		return 1;
	case ROLE_SMTPD:
	case ROLE_SHOWQ:
	case ROLE_FLUSH:
	case ROLE_PICKUP:
		return 0;
	default:
		return 2;
	}
}

static unsigned count_stage(int wanted)
{
	struct entry *e;
	unsigned count = 0;

	LIST_FOREACH(e, &master.entries, link)
		if (stage(e) == wanted)
			count += entry_process_count(e);
	return count;
}

static void signal_stage(int wanted, int number)
{
	struct entry *e;
	struct process *p;

	LIST_FOREACH(e, &master.entries, link)
		if (stage(e) == wanted)
			LIST_FOREACH(p, &e->processes, link)
				kill(p->pid, number);
}

static void end_stage(int wanted, deadline when)
{
	struct entry *e;
	struct process *p;

	LIST_FOREACH(e, &master.entries, link)
		if (stage(e) == wanted)
			LIST_FOREACH(p, &e->processes, link)
				process_drain(p, DRAIN_STOP);
	while (count_stage(wanted) > 0 && clock_now() < when)
		task_sleep_until(deadline_after(POLL_MS * CLOCK_MS));
	if (count_stage(wanted) == 0)
		return;
	signal_stage(wanted, SIGKILL);
	while (count_stage(wanted) > 0)
		task_sleep_until(deadline_after(POLL_MS * CLOCK_MS));
}

void master_stop(void)
{
	deadline when = deadline_after(STOP_SECONDS * CLOCK_SECOND);

	if (master.stopping)
		return;
	master.stopping = true;
	notify_stopping();
	log_info("stopping the Postfix mail system");
	for (int i = 0; i < LAST_STAGE; i++)
		end_stage(i, when);
	log_info("terminating on signal %d", SIGTERM);
	log_flush();
	end_stage(LAST_STAGE, deadline_after(CLOCK_SECOND));
	unlinkat(master.queue_directory, LAYOUT_MASTER_SOCKET, 0);
	exit(0);
}

static void stop_task(void *arg)
{
	(void)arg;
	master_stop();
}

static void terminate(int number, void *arg)
{
	(void)number;
	(void)arg;
	task_start("stop", stop_task, NULL);
}

void master_abort(void)
{
	master.stopping = true;
	for (int i = 0; i <= LAST_STAGE; i++)
		signal_stage(i, SIGKILL);
	unlinkat(master.queue_directory, LAYOUT_MASTER_SOCKET, 0);
	exit(0);
}

/* --- start ---------------------------------------------------------------------------------------- */

static void usage(FILE *out)
{
	fputs("usage: master -c DIR [-r FD | -t]\n"
	      "  -c DIR the directory of main.cf and master.cf\n"
	      "  -r FD  say on this descriptor when all is up\n"
	      "  -t     check the configuration, report all that is to say, and end\n"
	      "The supervisor of Gatepost. It is started by \"gatepost start\"; see master(8).\n",
	    out);
}

static void read_arguments(int argc, char **argv)
{
	int option;
	uint64_t fd;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		exit(0);
	}
	while ((option = getopt(argc, argv, "c:r:t")) != -1) {
		if (option == 'c') {
			master.config_path = optarg;
		} else if (option == 'r' && text_number(slice_of(optarg), 65535, &fd)) {
			ready_fd = (int)fd;
			fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
		} else if (option == 't') {
			only_check = true;
		} else {
			usage(stderr);
			exit(64);
		}
	}
	if (master.config_path == NULL || optind < argc) {
		usage(stderr);
		exit(64);
	}
}

static void report_layout(void *arg, bool is_error, const char *text)
{
	(void)arg;
	if (is_error)
		log_error("%s", text);
	else
		log_info("%s", text);
}

static void open_configuration(void)
{
	master.config_directory = open(master.config_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (master.config_directory == -1)
		log_fatal("open %s: %m", master.config_path);
	if (!master_load(&master.conf, &first_cf, report_to_log, NULL))
		log_fatal("the configuration in %s has errors; nothing was started",
		    master.config_path);
}

/* gatepost check: everything that is wrong, and nothing is touched but missing directories. */
static int check_only(void)
{
	bool ok = entries_check(first_cf, report_to_log, NULL);

	master.queue_directory = layout_open_queue(master.conf);
	if (master.queue_directory == -1) {
		log_error("queue_directory = %s: %m", conf_text(master.conf, "queue_directory"));
		return 1;
	}
	return layout_prepare(master.queue_directory, master.conf, report_layout, NULL) == 0 && ok
	    ? 0
	    : 1;
}

static void open_directories(void)
{
	log_open(conf_text(master.conf, "syslog_name"), "master");
	master.queue_directory = layout_open_queue(master.conf);
	if (master.queue_directory == -1)
		log_fatal("queue_directory = %s: %m", conf_text(master.conf, "queue_directory"));
	if (layout_prepare(master.queue_directory, master.conf, report_layout, NULL) > 0)
		log_fatal("the queue directory is not usable; nothing was started");
	if (layout_lock_master(master.queue_directory) == -1) {
		if (errno == EWOULDBLOCK)
			log_fatal("the mail system is already running");
		log_fatal("pid/master.pid below the queue directory: %m");
	}
}

static void open_log_sockets(void)
{
	int pair[2], errors[2], size = LOG_BUFFER, yes = 1;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1 ||
	    pipe2(errors, O_CLOEXEC | O_NONBLOCK) == -1)
		log_fatal("sockets for the log: %m");
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	master.log_reader = pair[0];
	master.log_writer = pair[1];
	master.stderr_writer = errors[1];
	if (task_start("stderr", read_stderr, stream_new(errors[0], STDERR_LINE)) == NULL)
		panic("no task");
}

static void set_up_process(void)
{
	struct rlimit files;

	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") == -1)
		log_fatal("chdir /: %m");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) == -1)
			exit(71);
	for (int fd = 3; fd < ready_fd; fd++)
		close(fd);
	closefrom(ready_fd < 3 ? 3 : ready_fd + 1);
}

/* Of who started us, services and their commands take nothing but these and export_environment. */
static void clean_environment(void)
{
	static const char *const kept[] = { "TZ", "LANG" };
	struct slice rest = slice_of(conf_text(master.conf, "export_environment")), item;
	char **old = environ;

	environ = NULL;
	for (char **variable = old; *variable != NULL; variable++) {
		size_t len = strcspn(*variable, "=");
		bool wanted = false;

		for (size_t i = 0; i < ARRAY_LENGTH(kept); i++)
			wanted |= slice_equal(slice_new(*variable, len), slice_of(kept[i]));
		for (struct slice list = rest; !wanted && conf_next_item(&list, &item);)
			wanted = slice_equal(slice_new(*variable, len), item);
		if (wanted)
			putenv(*variable);
	}
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	setenv("MAIL_CONFIG", master.config_path, 1);
}

static void flush_log(void *arg)
{
	(void)arg;
	if (!log_flush() && log_timer.loop_state == NULL)
		task_timer_set(&log_timer, deadline_after(LOG_RETRY_MS * CLOCK_MS), flush_log,
		    NULL);
}

/* What must always run is waited for, so that a failure is seen where the start was asked for. */
static void start_and_wait(struct entry *e)
{
	deadline when = deadline_after(START_SECONDS * CLOCK_SECOND);
	struct process *p;

	entry_attend(e);
	while ((p = LIST_FIRST(&e->processes)) != NULL && !p->ready)
		if (task_list_wait(&e->changed, when) == -1)
			return; /* a long queue takes its time */
	if (p != NULL)
		return;
	fprintf(stderr, "master: service %s fails at its start\n", e->name);
	if (e->program->role == ROLE_POSTLOGD) {
		task_sleep_until(deadline_after(LAST_WORDS_MS * CLOCK_MS));
		master_abort();
	}
	fprintf(stderr, "master: the log says why\n");
	master_stop();
}

static void start_services(void *arg)
{
	struct entry *e;

	(void)arg;
	if (!entries_read(master.conf, first_cf, report_to_log, NULL))
		log_fatal("nothing was started");
	master_cf_free(first_cf);
	if (!admin_listen())
		log_fatal("socket %s below the queue directory: %m", LAYOUT_MASTER_SOCKET);
	/* From here on standard error belongs to nobody: the log takes what there is to say. */
	log_to_socket(master.log_writer);
	log_info("daemon started -- version %s, configuration %s", GATEPOST_VERSION,
	    master.config_path);
	LIST_FOREACH(e, &master.entries, link)
		if (e->program->role == ROLE_POSTLOGD)
			start_and_wait(e);
	LIST_FOREACH(e, &master.entries, link)
		if (e->program->kind == PROGRAM_SINGLE)
			start_and_wait(e);
		else
			entry_attend(e);
	starting = false;
	notify_ready();
	if (ready_fd != -1 && write(ready_fd, "1", 1) != 1)
		log_warning("gatepost did not wait for the start");
	if (ready_fd != -1) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		close(ready_fd);
		dup2(null, STDERR_FILENO);
	}
}

int main(int argc, char **argv)
{
	log_open("postfix", "master");
	read_arguments(argc, argv);
	set_up_process();
	open_configuration();
	if (only_check)
		return check_only();
	notify_open();
	clean_environment();
	open_directories();
	task_init();
	open_log_sockets();
	task_before_sleep(flush_log, NULL);
	task_on_signal(SIGCHLD, child_ended, NULL);
	task_on_signal(SIGHUP, hangup, NULL);
	task_on_signal(SIGTERM, terminate, NULL);
	task_on_signal(SIGINT, terminate, NULL);
	if (task_start("start", start_services, NULL) == NULL)
		panic("no task");
	task_run();
	return 0;
}
