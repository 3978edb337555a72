/* SPDX-License-Identifier: ISC */
/*
 * step.c - runs a command, and all that it leaves behind, under a count of system calls.
 *
 *     step ROOT COMMAND ARGUMENT...
 *
 * The command gets a pid namespace of its own, so that one SIGKILL ends everything at once, daemons too, and a
 * seccomp filter that asks here before each call of the table. What enters the namespace later (nsenter) is
 * killed with it but not counted. Orders are lines on standard input:
 *
 *     kill N          SIGKILL to all at the N-th durable call from now on, before the call is made
 *     cut N           the same, and the file system of ROOT loses all that it has not flushed (FS_IOC_SHUTDOWN)
 *     fail NAME E N   the N-th call of this name from now on, by any process, fails with errno E
 *     count           says how many durable calls there were
 *     now             the kill or cut at once
 *
 * A durable call is one of the table's on a file below ROOT/queue or ROOT/mail. Standard output has a line for
 * each event: "ready RC" when the command ended, "failed CALL PATH", "count N", at last "dead N CALL PATH".
 * The end of standard input kills everything. x86-64, as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
enum { NO_LOG_FLUSH = 2, REPORT_FD = 900 };

/* How the file of a durable call is found. */
enum file { NOT_DURABLE, BY_FD, BY_PATH, BY_PATH_AT };

static const struct call {
	int nr;
	const char *name; /* calls of one name fail as one kind */
	enum file file;
} calls[] = {
	{ SYS_write, "write", BY_FD },
	{ SYS_pwrite64, "write", BY_FD },
	{ SYS_writev, "write", BY_FD },
	{ SYS_pwritev, "write", BY_FD },
	{ SYS_pwritev2, "write", BY_FD },
	{ SYS_fdatasync, "fdatasync", BY_FD },
	{ SYS_fsync, "fdatasync", BY_FD },
	{ SYS_sync_file_range, "fdatasync", BY_FD },
	{ SYS_ftruncate, "truncate", BY_FD },
	{ SYS_fallocate, "truncate", BY_FD },
	{ SYS_rename, "rename", BY_PATH },
	{ SYS_renameat, "rename", BY_PATH_AT },
	{ SYS_renameat2, "rename", BY_PATH_AT },
	{ SYS_link, "link", BY_PATH },
	{ SYS_linkat, "link", BY_PATH_AT },
	{ SYS_unlink, "unlink", BY_PATH },
	{ SYS_unlinkat, "unlink", BY_PATH_AT },
	{ SYS_mkdir, "mkdir", BY_PATH },
	{ SYS_mkdirat, "mkdir", BY_PATH_AT },
	{ SYS_fchmod, "chmod", BY_FD },
	{ SYS_syncfs, "fdatasync", BY_FD },
	{ SYS_open, "open", NOT_DURABLE },
	{ SYS_creat, "open", NOT_DURABLE },
	{ SYS_openat, "open", NOT_DURABLE },
	{ SYS_openat2, "open", NOT_DURABLE },
	{ SYS_accept, "accept", NOT_DURABLE },
	{ SYS_accept4, "accept", NOT_DURABLE },
	{ SYS_fork, "fork", NOT_DURABLE },
	{ SYS_vfork, "fork", NOT_DURABLE },
	{ SYS_clone, "fork", NOT_DURABLE },
	{ SYS_clone3, "fork", NOT_DURABLE },
	{ SYS_sendmsg, "sendmsg", NOT_DURABLE },
	{ SYS_sendmmsg, "sendmsg", NOT_DURABLE },
	{ SYS_sendto, "sendmsg", NOT_DURABLE },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static const char *root;
static pid_t init;
static int listener = -1;
static unsigned long durable; /* calls since the last order */
static unsigned long at;      /* the order's N; 0 when there is none */
static enum { KILL, CUT, FAIL } order;
static char fail_name[32];
static int fail_errno;

static void die(const char *what)
{
	fprintf(stderr, "step: %s: %s\n", what, strerror(errno));
	if (init > 0)
		kill(init, SIGKILL);
	exit(1);
}

/* In the child. Returns the listener. */
static int install_filter(void)
{
	struct sock_filter code[3 * CALLS + 16];
	unsigned short n = 0;

#define PUT(...) code[n++] = (struct sock_filter)__VA_ARGS__
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	/* How init reports before anybody listens. */
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
	PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REPORT_FD, 0, 1));
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for (int i = 0; i < CALLS; i++) {
		PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].nr, 0, 1));
		PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
	}
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef PUT
	struct sock_fprog program = { .len = n, .filter = code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

static void report(int number)
{
	if (write(REPORT_FD, &number, sizeof(number)) != sizeof(number))
		_exit(1);
}

static void be_init(char **command)
{
	int status, fd;
	pid_t child, ended;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("proc", "/proc", "proc", 0, NULL) == -1)
		die("proc");
	fd = install_filter();
	if (fd == -1)
		die("seccomp");
	report(fd);
	child = fork();
	if (child == 0) {
		close(fd);
		close(REPORT_FD);
		setsid();
		execv(command[0], command);
		_exit(127);
	}
	close(fd);
	while ((ended = wait(&status)) > 0 || errno == EINTR)
		if (ended == child)
			report(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	for (;;)
		pause();
}

static _Noreturn void end(const char *call, const char *path)
{
	int fd;
	uint32_t how = NO_LOG_FLUSH;

	if (order == CUT) {
		fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || ioctl(fd, FS_IOC_SHUTDOWN, &how) == -1)
			die("shutdown");
		close(fd);
	}
	kill(init, SIGKILL);
	/* Ends when the last process of the namespace did. */
	waitpid(init, NULL, 0);
	printf("dead %lu %s %s\n", durable, call, path);
	exit(0);
}

static const struct call *find(int nr)
{
	for (int i = 0; i < CALLS; i++)
		if (calls[i].nr == nr)
			return &calls[i];
	return NULL;
}

/* Reads the link /proc/PID/WHAT; an empty text when that can't be had. */
static void link_of(pid_t pid, const char *what, int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), fd == -1 ? "/proc/%d/%s" : "/proc/%d/%s/%d", (int)pid, what,
	    fd);
	len = readlink(link, path, PATH_MAX - 1);
	path[len > 0 ? len : 0] = '\0';
}

/* A name in the caller's memory. */
static void name_at(pid_t pid, uint64_t address, char name[NAME_MAX])
{
	char file[64];
	ssize_t len = -1;
	int mem;

	snprintf(file, sizeof(file), "/proc/%d/mem", (int)pid);
	mem = open(file, O_RDONLY | O_CLOEXEC);
	if (mem != -1) {
		len = pread(mem, name, NAME_MAX - 1, (off_t)address);
		close(mem);
	}
	name[len > 0 ? len : 0] = '\0';
}

/* The file that the call is about, as seen from here; what the caller's name space makes of it. */
static void path_of(const struct seccomp_notif *n, enum file file, char path[PATH_MAX])
{
	pid_t pid = (pid_t)n->pid;
	char name[NAME_MAX], base[PATH_MAX];
	int fd = (int)n->data.args[0];

	if (file == BY_FD) {
		link_of(pid, "fd", fd, path);
		return;
	}
	name_at(pid, n->data.args[file == BY_PATH_AT ? 1 : 0], name);
	if (name[0] == '/')
		link_of(pid, "root", -1, base);
	else if (file == BY_PATH_AT && fd != AT_FDCWD)
		link_of(pid, "fd", fd, base);
	else
		link_of(pid, "cwd", -1, base);
	if (strcmp(base, "/") == 0)
		base[0] = '\0';
	if (snprintf(path, PATH_MAX, "%s%s%s", base, name[0] == '/' ? "" : "/", name) >= PATH_MAX)
		path[0] = '\0';
}

static int is_durable(const char *path)
{
	size_t len = strlen(root);

	return strncmp(path, root, len) == 0 &&
	    (strncmp(path + len, "/queue/", 7) == 0 || strncmp(path + len, "/mail/", 6) == 0);
}

/* Whether the order strikes at this call. */
static int strikes(const struct seccomp_notif *n, const struct call *call, char path[PATH_MAX])
{
	strcpy(path, "-");
	if (order == FAIL) {
		if (at == 0 || strcmp(call->name, fail_name) != 0)
			return 0;
		if (call->file != NOT_DURABLE)
			path_of(n, call->file, path);
		return --at == 0;
	}
	if (call->file == NOT_DURABLE)
		return 0;
	path_of(n, call->file, path);
	return is_durable(path) && ++durable == at;
}

static void answer_call(void)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp r;
	const struct call *call;
	char path[PATH_MAX];

	memset(&n, 0, sizeof(n));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) == -1) {
		if (errno == ENOENT || errno == EINTR)
			return; /* the caller died */
		die("receive");
	}
	r = (struct seccomp_notif_resp){ .id = n.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	call = find(n.data.nr);
	if (call != NULL && (pid_t)n.pid != init && strikes(&n, call, path)) {
		if (order != FAIL)
			end(call->name, path);
		r.flags = 0;
		r.error = -fail_errno;
		printf("failed %s %s\n", call->name, path);
	}
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) == -1 && errno != ENOENT)
		die("send");
}

static void take_order(char *line)
{
	if (sscanf(line, "fail %31s %d %lu", fail_name, &fail_errno, &at) == 3)
		order = FAIL;
	else if (sscanf(line, "kill %lu", &at) == 1)
		order = KILL;
	else if (sscanf(line, "cut %lu", &at) == 1)
		order = CUT;
	else if (strncmp(line, "count", 5) == 0)
		printf("count %lu\n", durable);
	else if (strncmp(line, "now", 3) == 0) {
		order = order == CUT ? CUT : KILL;
		end("now", "-");
	} else {
		errno = EINVAL;
		die(line);
	}
	if (line[0] != 'c' || line[1] != 'o')
		durable = 0;
}

/* What the file has by now, in lines. */
static void take_orders(void)
{
	static char text[4096];
	static size_t used;
	char *end_of_line;
	ssize_t n = read(STDIN_FILENO, text + used, sizeof(text) - used - 1);

	if (n <= 0) {
		order = KILL;
		end("end", "-");
	}
	used += (size_t)n;
	text[used] = '\0';
	while ((end_of_line = strchr(text, '\n')) != NULL) {
		*end_of_line++ = '\0';
		take_order(text);
		used -= (size_t)(end_of_line - text);
		memmove(text, end_of_line, used + 1);
	}
}

int main(int argc, char **argv)
{
	int reports[2], number, pidfd;

	if (argc < 3) {
		fprintf(stderr, "usage: step ROOT COMMAND ARGUMENT...\n");
		return 2;
	}
	root = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pipe(reports) == -1)
		die("pipe");
	init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0);
	if (init == -1)
		die("clone");
	if (init == 0) {
		int null = open("/dev/null", O_RDWR);

		if (null == -1 || dup2(reports[1], REPORT_FD) == -1)
			_exit(1);
		dup2(null, STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		close_range(3, REPORT_FD - 1, 0);
		be_init(argv + 2);
	}
	close(reports[1]);
	if (read(reports[0], &number, sizeof(number)) != sizeof(number))
		die("the filter can't be installed");
	pidfd = (int)syscall(SYS_pidfd_open, init, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (listener == -1)
		die("pidfd_getfd");
	for (;;) {
		struct pollfd p[] = { { listener, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 },
			{ reports[0], POLLIN, 0 } };

		if (poll(p, 3, -1) == -1)
			die("poll");
		if (p[0].revents != 0)
			answer_call();
		if (p[1].revents != 0)
			take_orders();
		if (p[2].revents & POLLIN &&
		    read(reports[0], &number, sizeof(number)) == sizeof(number))
			printf("ready %d\n", number);
	}
}
