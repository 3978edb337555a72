/* SPDX-License-Identifier: ISC */
/*
 * gatepost_main.c - the command by which an administrator starts, stops and looks at the mail system. Its
 * second name is postfix.
 */
#include "admin/gatepost.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/conf/conf.h"
#include "common/ipc/messages.h"
#include "common/ipc/channel.h"
#include "common/service/layout.h"
#include "common/task/task.h"

enum { EX_USAGE = 64, EX_UNAVAILABLE = 69, STOP_WAIT_SECONDS = 20, POLL_MS = 20 };

static const char *config_path;
static const char *name = "gatepost";

static void say(const char *format, va_list args)
{
	fprintf(stderr, "%s: ", name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void say_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(1);
}

char *command_directory(void)
{
	char *directory = io_own_directory();

	if (directory == NULL)
		give_up("/proc/self/exe: %s", strerror(errno));
	return directory;
}

/* Without ../ in it: it is shown, and written into main.cf. */
char *program_directory(void)
{
	char *found = conf_own_programs(), *whole = realpath(found, NULL);

	if (whole == NULL)
		give_up("%s: %s; this is where master and the services should be", found,
		    strerror(errno));
	free(found);
	return whole;
}

static void usage(FILE *out)
{
	fprintf(out,
	    "usage: %s [-c DIR] COMMAND\n"
	    "  start            start the mail system and return when it serves\n"
	    "  start-fg         the same in the foreground (containers, systemd)\n"
	    "  stop             end in order: what is under way is finished\n"
	    "  abort            end at once\n"
	    "  reload           read the configuration anew; sessions go on\n"
	    "  flush            try all deferred mail now\n"
	    "  check            say what is wrong with the configuration\n"
	    "  status           processes, and what protects them\n"
	    "  queue WORD ...   look into a stopped queue, move its mail (see queue --help)\n"
	    "  init DIR [--port N]  make a private instance below DIR\n"
	    "  -c DIR           the directory of main.cf (default $MAIL_CONFIG or %s)\n",
	    name, conf_default_path());
}

/* --- the configuration ---------------------------------------------------------------------------- */

static void report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	if (severity == CONF_ERROR)
		say_error("error: %s, line %u: %s", file, line, text);
}

static struct conf *load(void)
{
	int directory = open(config_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct conf *conf;

	if (directory == -1)
		give_up("%s: %s; name the directory of main.cf with -c", config_path,
		    strerror(errno));
	conf = conf_load(directory, config_path, report, NULL);
	close(directory);
	if (conf == NULL)
		exit(1);
	return conf;
}

static int open_queue(void)
{
	struct conf *conf = load();
	int queue = layout_open_queue(conf);

	if (queue == -1)
		give_up("queue_directory = %s: %s", conf_text(conf, "queue_directory"),
		    strerror(errno));
	conf_free(conf);
	return queue;
}

/* --- talking to master ---------------------------------------------------------------------------- */

struct talk {
	int fd;
	const char *verb;
	int status;
};

static void talk_to_master(void *arg)
{
	struct talk *t = arg;
	struct channel *c = channel_new(t->fd, ROLE_MASTER, NULL, NULL, NULL);
	struct msg_admin wish = { slice_of(t->verb) };
	struct request *r = request_open(c, &table_admin, &wish, -1, true,
	    deadline_after(30 * CLOCK_SECOND));
	struct frame *f;

	t->status = EX_UNAVAILABLE;
	while (r != NULL && (f = request_receive(r, deadline_after(60 * CLOCK_SECOND))) != NULL) {
		if (f->table == &table_admin_line) {
			struct msg_admin_line *line = f->message;

			printf("%.*s\n", (int)line->text.len, line->text.data);
			continue;
		}
		if (f->table == &table_reply) {
			struct msg_reply *reply = f->message;

			t->status = reply->code < 300 ? 0 : 1;
			if (reply->text.len > 0)
				say_error("%.*s", (int)reply->text.len, reply->text.data);
		}
		break;
	}
	if (t->status == EX_UNAVAILABLE)
		say_error("master did not answer: %s", strerror(errno));
	request_close(r);
	channel_close(c);
	task_stop();
}

static int ask_master(const char *verb, int *queue)
{
	struct talk t = { .verb = verb };

	*queue = open_queue();
	t.fd = io_unix_connect(*queue, LAYOUT_MASTER_SOCKET);
	if (t.fd == -1) {
		if (errno == EACCES)
			give_up("you may not control this mail system: %s", strerror(errno));
		if (layout_master_pid(*queue) > 0)
			give_up("master runs, but its socket %s fails: %s", LAYOUT_MASTER_SOCKET,
			    strerror(errno));
		say_error("the mail system is not running");
		return EX_UNAVAILABLE;
	}
	task_init();
	if (task_start("talk", talk_to_master, &t) == NULL)
		give_up("no memory for a task");
	task_run();
	return t.status;
}

/* --- commands ------------------------------------------------------------------------------------- */

static char *const *master_arguments(const char *option, const char *value)
{
	static const char *argv[6];
	char *programs = program_directory();

	argv[0] = mem_printf("%s/master", programs);
	argv[1] = "-c";
	argv[2] = config_path;
	argv[3] = option;
	argv[4] = value;
	free(programs);
	return (char *const *)argv;
}

/* In the background standard output leads nowhere. */
static void check_log_target(void)
{
	struct conf *conf = load();

	if (strcmp(conf_text(conf, "maillog_file"), "/dev/stdout") == 0)
		give_up("maillog_file = /dev/stdout: the log would be lost; use \"%s start-fg\", "
			"or name a file",
		    name);
	conf_free(conf);
}

static int start(int argc, char **argv)
{
	int ready[2], null;
	char fd_text[16], word;
	char *const *master_argv;
	pid_t pid;

	(void)argc;
	(void)argv;
	check_log_target();
	if (pipe(ready) == -1)
		give_up("pipe: %s", strerror(errno));
	snprintf(fd_text, sizeof(fd_text), "%d", ready[1]);
	master_argv = master_arguments("-r", fd_text);
	pid = fork();
	if (pid == -1)
		give_up("fork: %s", strerror(errno));
	if (pid == 0) {
		close(ready[0]);
		setsid();
		null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execv(master_argv[0], master_argv);
		say_error("cannot run %s: %s", master_argv[0], strerror(errno));
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &word, 1) != 1) {
		waitpid(pid, NULL, 0);
		say_error("the mail system was not started");
		return 1;
	}
	printf("%s: the mail system runs, master is process %d\n", name, (int)pid);
	return 0;
}

static int start_fg(int argc, char **argv)
{
	char *const *master_argv = master_arguments(NULL, NULL);

	(void)argc;
	(void)argv;
	execv(master_argv[0], master_argv);
	give_up("cannot run %s: %s", master_argv[0], strerror(errno));
}

static int check(int argc, char **argv)
{
	char *const *master_argv = master_arguments("-t", NULL);

	(void)argc;
	(void)argv;
	execv(master_argv[0], master_argv);
	give_up("cannot run %s: %s", master_argv[0], strerror(errno));
}

static int wait_for_end(int queue, int status)
{
	deadline when = deadline_after(STOP_WAIT_SECONDS * CLOCK_SECOND);

	if (status != 0)
		return status;
	while (layout_master_pid(queue) != 0 && clock_now() < when)
		usleep(POLL_MS * 1000);
	if (layout_master_pid(queue) != 0)
		give_up("master is still there after %d seconds; try \"%s abort\"",
		    STOP_WAIT_SECONDS, name);
	printf("%s: the mail system has stopped\n", name);
	return 0;
}

static int stop(int argc, char **argv)
{
	int queue, status = ask_master("stop", &queue);

	(void)argc;
	(void)argv;
	return wait_for_end(queue, status);
}

static int abort_now(int argc, char **argv)
{
	int queue, status = ask_master("abort", &queue);

	(void)argc;
	(void)argv;
	return wait_for_end(queue, status);
}

static int reload(int argc, char **argv)
{
	int queue, status = ask_master("reload", &queue);

	(void)argc;
	(void)argv;
	if (status == 0)
		printf("%s: the configuration was read anew\n", name);
	return status;
}

static int flush(int argc, char **argv)
{
	char *programs = program_directory(), *program = mem_printf("%s/postqueue", programs);

	(void)argc;
	(void)argv;
	execl(program, "postqueue", "-c", config_path, "-f", (char *)NULL);
	give_up("cannot run %s: %s", program, strerror(errno));
}

static int status(int argc, char **argv)
{
	int queue;

	(void)argc;
	(void)argv;
	return ask_master("status", &queue);
}

static int queue(int argc, char **argv)
{
	return gatepost_queue(config_path, argc, argv);
}

static const struct {
	const char *word;
	int (*run)(int argc, char **argv);
	bool takes_arguments;
} commands[] = {
	{ "start", start, false },
	{ "start-fg", start_fg, false },
	{ "stop", stop, false },
	{ "abort", abort_now, false },
	{ "reload", reload, false },
	{ "flush", flush, false },
	{ "check", check, false },
	{ "status", status, false },
	{ "queue", queue, true },
	{ "init", gatepost_init, true },
};

int main(int argc, char **argv)
{
	int option;

	if (argc > 0 && strcmp(basename(argv[0]), "postfix") == 0)
		name = "postfix";
	config_path = getenv("MAIL_CONFIG");
	if (config_path == NULL || *config_path == '\0')
		config_path = conf_default_path();
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("Gatepost %s\n", GATEPOST_VERSION);
		return 0;
	}
	while ((option = getopt(argc, argv, "+c:")) != -1) {
		if (option != 'c') {
			usage(stderr);
			return EX_USAGE;
		}
		config_path = optarg;
	}
	/* These find out by themselves whether they need it. */
	if (optind < argc && strcmp(argv[optind], "init") != 0 &&
	    strcmp(argv[optind], "queue") != 0) {
		/* Services change their directory; they need the whole name. */
		char *whole = realpath(config_path, NULL);

		if (whole == NULL)
			give_up("%s: %s; name the directory of main.cf with -c", config_path,
			    strerror(errno));
		config_path = whole;
	}
	for (size_t i = 0; optind < argc && i < ARRAY_LENGTH(commands); i++) {
		if (strcmp(argv[optind], commands[i].word) != 0)
			continue;
		if (!commands[i].takes_arguments && optind != argc - 1)
			break;
		return commands[i].run(argc - optind, argv + optind);
	}
	usage(stderr);
	return EX_USAGE;
}
