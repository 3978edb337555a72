/* SPDX-License-Identifier: ISC */
/*
 * postdrop_main.c - makes a file in maildrop/ of the message on standard input. It is what sendmail runs
 * when pickup can't be reached; installed, it has the group of that directory, and its caller has not.
 *
 * So nothing of the caller is believed: not its environment, its descriptors, its limits, nor its bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/log/log.h"
#include "common/mail/queue_id.h"
#include "postdrop/drop_file.h"
#include "postdrop/fail.h"
#include "postdrop/maildrop.h"

#define DEFAULT_CONFIG "/etc/gatepost"

enum { RCPTS_LIMIT = 1000000, NAME_TRIES = 100, WRITE_AT = 256 * 1024 };

static const char usage[] = "postdrop [-c config_dir]\n"
			    "  -c  the directory of main.cf\n";

static volatile sig_atomic_t stopped;

/* The file that is being made. */
struct making {
	struct conf *conf;
	int queue, directory, file;
	char name[QUEUE_ID_SIZE];
	struct buf out;
};

#ifdef __SANITIZE_ADDRESS__
/* The leak checker looks from another process, and this one is not to be looked at. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

/* --- who calls ------------------------------------------------------------------------------------ */

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void set_up_signals(void)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM };
	struct sigaction action = { .sa_handler = stop };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
		sigaction(ends[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void forget_the_caller(void)
{
	struct rlimit none = { 0, 0 };
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= STDERR_FILENO)
		;
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	clearenv();
	set_up_signals();
	umask(0);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fail_now(EXIT_SYSTEM, "no_new_privs: %s", strerror(errno));
	/* The group is all that it may have. */
	if (getuid() != geteuid())
		fail_now(EXIT_SOFTWARE, "this program must not be setuid");
}

static bool is_of_root_alone(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* With a main.cf of their own, strangers would have the group write what they like: without a limit, and
 * where they say. So a directory that only root can have filled is believed; for an instance of the caller's
 * own, the caller's own rights are enough. */
static void check_config_owner(int directory, const char *path)
{
	struct stat st, file;

	if (getuid() == 0 || getgid() == getegid() || strcmp(path, DEFAULT_CONFIG) == 0)
		return;
	if (fstat(directory, &st) == -1)
		fail_now(EXIT_TEMPORARY, "%s: %s", path, strerror(errno));
	if (is_of_root_alone(&st) && fstatat(directory, "main.cf", &file, 0) == 0 &&
	    is_of_root_alone(&file))
		return;
	if (st.st_uid != getuid())
		fail_now(EXIT_PERMISSION, "only its owner may name %s", path);
	if (setresgid(getgid(), getgid(), getgid()) == -1)
		fail_now(EXIT_SYSTEM, "give up the group: %s", strerror(errno));
}

static void report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	if (severity == CONF_ERROR)
		fail_warn("%s, line %u: %s", file, line, text);
}

static struct conf *load(const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct conf *conf;

	if (directory == -1)
		fail_now(EXIT_TEMPORARY, "open %s: %s", path, strerror(errno));
	check_config_owner(directory, path);
	conf = conf_load(directory, path, report, NULL);
	close(directory);
	if (conf == NULL)
		fail_now(EXIT_TEMPORARY, "%s/main.cf can't be used", path);
	return conf;
}

/* --- the file ------------------------------------------------------------------------------------- */

_Noreturn static void give_up(struct making *m, enum exit_status status, const char *what,
    const char *why)
{
	if (m->file != -1)
		unlinkat(m->directory, m->name, 0);
	fail_now(status, "%s: %s", what, why);
}

/* For what the system refused; also a disk that is full. */
_Noreturn static void give_up_errno(struct making *m, const char *what)
{
	give_up(m, EXIT_TEMPORARY, what, strerror(errno));
}

static void open_directory(struct making *m)
{
	const char *queue = conf_text(m->conf, "queue_directory");

	m->queue = open(queue, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->queue == -1)
		give_up_errno(m, queue);
	m->directory = openat(m->queue, "maildrop", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->directory == -1)
		give_up_errno(m, "maildrop");
}

static void make_file(struct making *m)
{
	uint32_t maker = MAILDROP_MAKER | (uint32_t)getpid();

	for (uint32_t i = 0; m->file == -1 && i < NAME_TRIES; i++) {
		queue_id_make(m->name, clock_wall_us(), maker, i);
		m->file = openat(m->directory, m->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MAILDROP_UNREADY);
		if (m->file == -1 && errno != EEXIST)
			break;
	}
	if (m->file == -1)
		give_up_errno(m, "create a file in maildrop");
}

static void flush_out(struct making *m)
{
	if (stopped)
		give_up(m, EXIT_TEMPORARY, "stopped", "a signal came");
	if (io_write_all(m->file, m->out.data, m->out.len) == -1)
		give_up_errno(m, "write a file in maildrop");
	buf_reset(&m->out);
}

/* Copies what the reader found to be right, message by message. */
static void copy(struct making *m)
{
	struct drop_reader reader = { .fd = STDIN_FILENO };
	int64_t limit = conf_number(m->conf, "message_size_limit");
	const struct wire_table *table;
	enum drop_next next;
	const char *why;
	void *message;

	drop_put_start(&m->out);
	while ((next = drop_read(&reader, &table, &message, &why)) == DROP_MESSAGE) {
		if (limit > 0 && reader.content > (uint64_t)limit)
			give_up(m, EXIT_UNAVAILABLE, "the message", "message file too big");
		if (reader.rcpts > RCPTS_LIMIT)
			give_up(m, EXIT_UNAVAILABLE, "the message", "too many recipients");
		if (!drop_put(&m->out, table, message, &why))
			give_up(m, EXIT_DATA, "the message", why);
		if (m->out.len > WRITE_AT)
			flush_out(m);
	}
	if (next == DROP_MALFORMED)
		give_up(m, stopped ? EXIT_TEMPORARY : EXIT_DATA, "the message", why);
	if (next == DROP_FAILED)
		give_up(m, EXIT_DATA, "read the message", strerror(errno));
	flush_out(m);
	drop_reader_clear(&reader);
}

/* The mode says that it is whole, so the bytes must be down before. Who may not read the directory can't
 * flush it alone: then the file system as a whole. */
static void make_ready(struct making *m)
{
	int directory = openat(m->queue, "maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fsync(m->file) == -1 || fchmod(m->file, MAILDROP_READY) == -1)
		give_up_errno(m, "flush a file in maildrop");
	rc = directory == -1 ? syncfs(m->file) : fsync(directory);
	if (rc == -1 || fsync(m->file) == -1)
		give_up_errno(m, "flush maildrop");
	if (directory != -1)
		close(directory);
	close(m->file);
}

/* Only a hint: pickup looks by itself, too. */
static void wake_pickup(const struct making *m)
{
	int fd = io_unix_connect(m->queue, "public/pickup");

	if (fd != -1)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *config = getenv("MAIL_CONFIG");
	struct making m = { .queue = -1, .directory = -1, .file = -1 };
	char *path;
	int option;

	fail_open("postdrop");
	log_open("postfix", "postdrop");
	path = mem_strdup(config == NULL || *config == '\0' ? DEFAULT_CONFIG : config);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: %s", usage);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	while ((option = getopt(argc, argv, "c:")) != -1) {
		if (option != 'c')
			fail_now(EXIT_USAGE, "usage: postdrop [-c config_dir]");
		free(path);
		path = mem_strdup(optarg);
	}
	forget_the_caller();
	m.conf = load(path);
	open_directory(&m);
	make_file(&m);
	copy(&m);
	make_ready(&m);
	wake_pickup(&m);
	buf_clear(&m.out);
	conf_free(m.conf);
	free(path);
	return 0;
}
