/* SPDX-License-Identifier: ISC */
/*
 * seccomp.c - the system calls that are left. What no service of ours has a reason for, and an attacker
 * would want first, ends the process; any other call gets EPERM and a line in the kernel's log.
 */
#include "common/service/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

static const char *const allowed[] = {
	/* memory and threads' locks */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"futex",
	"membarrier",
	"rseq",
	"set_robust_list",
	"sched_yield",
	"sched_getaffinity",
	/* sockets that were opened before or were passed to us */
	"read",
	"readv",
	"write",
	"writev",
	"recvfrom",
	"recvmsg",
	"sendto",
	"sendmsg",
	"accept4",
	"accept",
	"shutdown",
	"getsockname",
	"getpeername",
	"getsockopt",
	"setsockopt",
	"close",
	"dup",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"poll",
	"ppoll",
	"pipe2",
	"eventfd2",
	/* files that are open */
	"lseek",
	"pread64",
	"pwrite64",
	"fstat",
	"newfstatat",
	"fsync",
	"fdatasync",
	"ftruncate",
	"flock",
	"fadvise64",
	"getdents64",
	/* time, identity, signals to itself, the end */
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	"timerfd_create",
	"timerfd_settime",
	"getpid",
	"gettid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getrandom",
	"uname",
	"sysinfo",
	"getrusage",
	"getrlimit",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigaltstack",
	"restart_syscall",
	"exit",
	"exit_group",
};

/* Of these descriptor operations none makes the kernel send a signal (F_SETOWN would). */
static const int descriptor_operations[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL,
	F_SETFL, F_GETLK, F_SETLK, F_OFD_GETLK, F_OFD_SETLK };

/* For rows with files; which ones, Landlock and the root directory decide. */
static const char *const path_calls[] = { "openat", "open", "stat", "lstat", "statx", "access",
	"faccessat", "faccessat2", "readlink", "readlinkat", "getcwd" };
static const char *const queue_calls[] = { "rename", "renameat", "renameat2", "unlink", "unlinkat",
	"statfs", "fstatfs", "fallocate", "sync_file_range", "posix_fadvise" };

static const char *const fatal[] = { "execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "kill", "tkill", "pidfd_send_signal", "bpf", "userfaultfd",
	"io_uring_setup", "perf_event_open", "keyctl", "add_key", "request_key", "mount", "umount2",
	"pivot_root", "setns", "unshare", "init_module", "finit_module", "kexec_load",
	"open_by_handle_at", "fork", "vfork" };

static void add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		int rc = number == __NR_SCMP_ERROR ? 0
						   : seccomp_rule_add(filter, action, number, 0);

		if (rc != 0 && rc != -EEXIST)
			log_fatal("seccomp rule for %s: %s", names[i], strerror(-rc));
	}
}

static void check(int rc)
{
	if (rc != 0)
		log_fatal("seccomp: %s", strerror(-rc));
}

static void allow_threads(scmp_filter_ctx filter)
{
	/* clone3 passes its flags in memory, where a filter can't look: glibc then uses clone. */
	check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
	check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)));
}

static void allow_descriptor_operations(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ARRAY_LENGTH(descriptor_operations); i++)
		check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
		    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)descriptor_operations[i])));
}

/* What was written into memory can't be run. The name service loads libraries late. */
static void allow_memory(scmp_filter_ctx filter, bool with_code)
{
	static const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

	for (size_t i = 0; i < ARRAY_LENGTH(calls); i++)
		check(with_code ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0)
				: seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)));
}

static void allow_sockets(scmp_filter_ctx filter, unsigned sockets)
{
	static const struct {
		unsigned sockets;
		int family;
	} families[] = { { SOCKETS_LOCAL, AF_UNIX }, { SOCKETS_INET, AF_INET },
		{ SOCKETS_INET, AF_INET6 } };

	for (size_t i = 0; i < ARRAY_LENGTH(families); i++)
		if (sockets & families[i].sockets)
			check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i].family)));
	check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0));
	/* The address to speak from. */
	if (sockets & SOCKETS_INET)
		check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bind), 0));
}

void seccomp_restrict(const struct sandbox_row *row)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

	if (filter == NULL)
		log_fatal("seccomp: no filter can be made");
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	add(filter, SCMP_ACT_ALLOW, allowed, ARRAY_LENGTH(allowed));
	allow_memory(filter, row->loads_code);
	allow_descriptor_operations(filter);
	/* The limits of this process, not of its neighbours. */
	check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
	    SCMP_A0(SCMP_CMP_EQ, 0)));
	if (row->files != FILES_NONE)
		add(filter, SCMP_ACT_ALLOW, path_calls, ARRAY_LENGTH(path_calls));
	add(filter, SCMP_ACT_KILL_PROCESS, fatal, ARRAY_LENGTH(fatal));
	/* abort() signals the calling thread of this process, nobody else. */
	check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())));
	if (row->files == FILES_QUEUE || row->files == FILES_MAILDROP)
		add(filter, SCMP_ACT_ALLOW, queue_calls, ARRAY_LENGTH(queue_calls));
	if (row->threads)
		allow_threads(filter);
	if (row->sockets != SOCKETS_NONE) {
		allow_sockets(filter, row->sockets);
	} else {
		check(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 0));
		check(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(connect), 0));
	}
	check(seccomp_load(filter));
	seccomp_release(filter);
}
