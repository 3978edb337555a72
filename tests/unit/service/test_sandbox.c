/* SPDX-License-Identifier: ISC */
/*
 * test_sandbox.c - each row of the sandbox table, entered by a child that then tries what an attacker
 * would: nothing of it works.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/service/sandbox.h"

static char queue_path[] = "/tmp/gatepost-sandbox-XXXXXX";
static int queue, passed, written;
static pid_t parent;

/* --- attempts: 0 when it worked, which is the failure of the test --------------------------------- */

static int read_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) == -1;
}

static int read_a_file_from_here(void)
{
	return openat(passed, "secret", O_RDONLY) == -1;
}

static int write_a_file(void)
{
	return open("/tmp/gatepost-sandbox-written", O_WRONLY | O_CREAT, 0600) == -1;
}

static int write_into_a_file_that_is_open(void)
{
	return write(written, "x", 1) == -1;
}

static int inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) == -1;
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) == -1;
}

static int socket_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == -1;
}

static int run_a_program(void)
{
	return execl("/bin/true", "true", (char *)NULL) == -1;
}

static int fork_a_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1;
}

static int trace_the_parent(void)
{
	return ptrace(PTRACE_ATTACH, parent, NULL, NULL) == -1;
}

static int read_the_parents_memory(void)
{
	return syscall(SYS_process_vm_readv, parent, NULL, 0UL, NULL, 0UL, 0UL) == -1;
}

static int signal_the_parent(void)
{
	return kill(parent, 0) == -1;
}

static int signal_the_parents_thread(void)
{
	return syscall(SYS_tgkill, parent, parent, 0) == -1;
}

/* The kernel would send it for us. */
static int signal_by_ownership(void)
{
	return fcntl(passed, F_SETOWN, parent) == -1;
}

static int starve_the_parent(void)
{
	struct rlimit limit;

	return syscall(SYS_prlimit64, parent, RLIMIT_CORE, NULL, &limit) == -1;
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0) == MAP_FAILED;
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1;
}

static int new_namespace(void)
{
	return unshare(CLONE_NEWUSER) == -1;
}

static int change_mode(void)
{
	return fchmod(passed, 0777) == -1;
}

static int leave_the_root(void)
{
	return chroot("/") == -1;
}

/* --- what must go on working: 0 is right ---------------------------------------------------------- */

static int live(void)
{
	char *memory = malloc(32 * 1024 * 1024), byte;
	struct timespec now;
	struct stat st;
	struct rlimit limit;

	if (memory == NULL)
		return 1;
	memset(memory, 1, 32 * 1024 * 1024);
	free(memory);
	return getrandom(&byte, 1, 0) != 1 || clock_gettime(CLOCK_REALTIME, &now) == -1 ||
	    fcntl(passed, F_GETFL) == -1 || fstat(passed, &st) == -1 ||
	    getrlimit(RLIMIT_NOFILE, &limit) == -1 || write(2, "", 0) == -1;
}

/* --- */

enum { NOBODY = 0, PROXYMAP = 1, QMGR = 2, WRITER = 4 };

static const struct attempt {
	const char *name;
	int (*run)(void);
	bool kills;
	unsigned allowed_to; /* bits */
} attempts[] = {
	{ "read a file", read_a_file, false, PROXYMAP },
	{ "read a file below a directory that is open", read_a_file_from_here, false,
	    PROXYMAP | QMGR },
	{ "write a file", write_a_file, false, NOBODY },
	{ "write into a file that is open", write_into_a_file_that_is_open, false, QMGR | WRITER },
	{ "inet socket", inet_socket, true, NOBODY },
	{ "unix socket", unix_socket, true, PROXYMAP },
	{ "socket pair", socket_pair, false, NOBODY },
	{ "run a program", run_a_program, true, NOBODY },
	{ "fork", fork_a_child, false, NOBODY },
	{ "trace", trace_the_parent, true, NOBODY },
	{ "read memory", read_the_parents_memory, true, NOBODY },
	{ "signal", signal_the_parent, true, NOBODY },
	{ "signal a thread", signal_the_parents_thread, false, NOBODY },
	{ "signal by ownership of a descriptor", signal_by_ownership, false, NOBODY },
	{ "limits of others", starve_the_parent, false, NOBODY },
	{ "map code", map_code, false, PROXYMAP },
	{ "make memory executable", make_code, false, PROXYMAP },
	{ "namespace", new_namespace, true, NOBODY },
	{ "change a mode", change_mode, false, NOBODY },
	{ "another root", leave_the_root, false, NOBODY },
};

static struct sandbox_identity nobody(void)
{
	struct passwd *pw = getpwnam("nobody");

	if (geteuid() != 0 || pw == NULL)
		return (struct sandbox_identity){ geteuid(), getegid() };
	return (struct sandbox_identity){ pw->pw_uid, pw->pw_gid };
}

/* The wait status of a child that entered the sandbox and ran it. */
static int status_of(const char *program, int (*run)(void))
{
	struct sandbox_identity id = nobody();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		sandbox_enter(sandbox_row(program), &id, queue, NULL);
		_exit(run() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void check_program(const char *program, unsigned bit)
{
	int status = status_of(program, live);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s can't live in its sandbox: status %#x", program, (unsigned)status);
	for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++) {
		const struct attempt *a = &attempts[i];
		bool allowed = (a->allowed_to & bit) != 0, killed;

		status = status_of(program, a->run);
		killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
		if (!allowed && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			fail_msg("%s may %s", program, a->name);
		if (allowed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
			fail_msg("%s may not %s: status %#x", program, a->name, (unsigned)status);
		if (a->kills && !allowed && !killed && bit != PROXYMAP)
			fail_msg("%s survives: %s", program, a->name);
	}
}

static void no_service_can_do_what_it_has_no_reason_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++)
		check_program(((const char *[]){
				  "smtpd", "rewrite", "showq", "local", "error" })[i],
		    NOBODY);
	check_program("cleanup", WRITER);
	check_program("qmgr", QMGR);
	check_program("postlogd", WRITER);
	check_program("proxymap", PROXYMAP);
}

static void a_program_without_a_row_has_none(void **state)
{
	(void)state;
	assert_null(sandbox_row("sendmail"));
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	parent = getpid();
	if (mkdtemp(queue_path) == NULL || chmod(queue_path, 0755) == -1)
		return -1;
	queue = open(queue_path, O_RDONLY | O_DIRECTORY);
	passed = open(queue_path, O_RDONLY | O_DIRECTORY);
	fd = openat(queue, "secret", O_WRONLY | O_CREAT, 0644);
	written = fd;
	return mkdirat(queue, "empty", 0555) == -1 || fd == -1 || fchmod(fd, 0644) == -1 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlinkat(queue, "secret", 0);
	unlinkat(queue, "empty", AT_REMOVEDIR);
	return rmdir(queue_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_service_can_do_what_it_has_no_reason_for),
		cmocka_unit_test(a_program_without_a_row_has_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
