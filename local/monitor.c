/* SPDX-License-Identifier: ISC */
/*
 * monitor.c - the one part of local delivery that is root: it makes agents, processes that have become
 * a user for good. It reads no mail, no alias and no .forward; all it is told is a user's name.
 */
#include "local/local.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { AGENTS_LIMIT = 500, AGENTS_OF_USER = 8 };

static int spool = -1;
static gid_t spool_group;

/* Living agents (pid 0: a free place), so that a captured worker can't fill the machine with processes,
 * nor a user, who may stop his own for ever, take the places of others. */
static struct {
	volatile sig_atomic_t pid;
	uid_t uid;
	bool is_default_privs;
} agents[AGENTS_LIMIT];

static void reap(int signal_number)
{
	int error = errno;
	pid_t pid;

	(void)signal_number;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (size_t i = 0; i < AGENTS_LIMIT; i++)
			if (agents[i].pid == pid)
				agents[i].pid = 0;
	errno = error;
}

/* A free place, or AGENTS_LIMIT when this user may have no more: default_privs half of all. */
static size_t find_place(const struct agent_user *user)
{
	size_t count = 0, place = AGENTS_LIMIT;

	for (size_t i = 0; i < AGENTS_LIMIT; i++) {
		if (agents[i].pid == 0)
			place = i;
		else if (agents[i].uid == user->uid &&
		    agents[i].is_default_privs == user->is_default_privs)
			count++;
	}
	return count < (user->is_default_privs ? AGENTS_LIMIT / 2 : AGENTS_OF_USER) ? place
										    : AGENTS_LIMIT;
}

/* Where users may not make files, a group may be able to (/var/mail of Debian): agents keep it as their
 * saved group, for lock files. Never root's. */
static void open_spool(void)
{
	struct stat st;

	spool = open(local_settings.mail_spool_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool == -1 || fstat(spool, &st) == -1) {
		log_warning("mail_spool_directory %s: %m", local_settings.mail_spool_directory);
	} else if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
		log_warning("mail_spool_directory %s is not used: everybody may exchange the files "
			    "in it (chmod o-w, or +t)",
		    local_settings.mail_spool_directory);
		close(spool);
		spool = -1;
	} else if (geteuid() == 0 && (st.st_mode & S_IWGRP) != 0 && (st.st_mode & S_IWOTH) == 0) {
		spool_group = st.st_gid;
	}
}

/* The name becomes part of a path below the spool directory. */
static bool name_is_safe(struct slice name)
{
	if (name.len == 0 || name.len > 255 || name.data[0] == '.' || name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.data[i]) && strchr("._-+@", name.data[i]) == NULL)
			return false;
	return true;
}

/* A user can't create a file in a spool directory of root's: it is made for him, without following a
 * link, and given to him through its descriptor. */
static void prepare_mailbox(const struct agent_user *user)
{
	const char *directory = local_settings.mail_spool_directory;
	size_t len = strlen(directory);
	struct stat st;
	int fd;

	if (spool == -1 || geteuid() != 0 || user->is_default_privs)
		return;
	if (len > 0 && directory[len - 1] == '/') {
		if (mkdirat(spool, user->name, 0700) == -1)
			return;
		fd = openat(spool, user->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		fd = openat(spool, user->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	}
	if (fd == -1)
		return; /* there already, or the agent will say what is wrong */
	/* In a directory that others may write to, it might have been exchanged. */
	if (fstat(fd, &st) == -1 || st.st_uid != 0 || fchown(fd, user->uid, user->gid) == -1 ||
	    fsync(spool) == -1)
		log_warning("cannot prepare the mailbox of %s: %m", user->name);
	close(fd);
}

/* Gives up everything that root has but the name: what root owns can be reached, nothing else. */
static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return syscall(SYS_capset, &header, none) == 0;
}

static bool become(const struct agent_user *user)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return false;
	if (geteuid() != 0)
		return user->uid == geteuid();
	if (initgroups(user->name, user->gid) == -1 ||
	    setresgid(user->gid, user->gid,
		user->spool_group != 0 ? user->spool_group : user->gid) == -1 ||
	    setresuid(user->uid, user->uid, user->uid) == -1)
		return false;
	if (user->uid == 0)
		return drop_capabilities();
	return setuid(0) == -1; /* there must be no way back */
}

/* It keeps its socket, the log and the spool directory, at places that are known, and nothing else. */
static bool arrange_descriptors(int socket, struct agent_user *user)
{
	enum { SPOOL = 5, FIRST_UNUSED };
	int high = fcntl(socket, F_DUPFD_CLOEXEC, 20);
	int high_spool = user->spool == -1 ? -1 : fcntl(user->spool, F_DUPFD_CLOEXEC, 20);

	if (high == -1 || dup3(high, SERVICE_FD_CONTROL, O_CLOEXEC) == -1)
		return false;
	close(SPOOL);
	if (user->spool != -1 && dup3(high_spool, SPOOL, O_CLOEXEC) == -1)
		return false;
	if (user->spool != -1)
		user->spool = SPOOL;
	closefrom(FIRST_UNUSED);
	return chdir("/") == 0;
}

_Noreturn static void run_agent(int socket, struct agent_user *user)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	/* No death signal: an agent ends when its worker hangs up, never within a write. */
	if (!arrange_descriptors(socket, user) || !become(user)) {
		log_warning("cannot become user %s", user->name);
		log_close();
		_exit(1);
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	agent_main(SERVICE_FD_CONTROL, user);
}

/* Looks the user up; false with status and reason for the worker. */
static bool find_user(struct slice name, struct passwd *pw, char *space, size_t size,
    struct agent_user *user, struct act_agent *reply)
{
	static const struct act_agent no_default_privs = { { "4.3.5", 5 },
		{ "default_privs names no user", 27 } };
	struct passwd *found = NULL;
	char text[256];
	int error;

	user->is_default_privs = name.len == 0;
	if (user->is_default_privs)
		name = slice_of(local_settings.default_privs);
	if (!name_is_safe(name)) {
		*reply = user->is_default_privs
		    ? no_default_privs
		    : (struct act_agent){ SLICE("5.1.1"), SLICE("this can't be a user's name") };
		return false;
	}
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	error = getpwnam_r(text, pw, space, size, &found);
	if (found == NULL) {
		if (error != 0 && error != ENOENT && error != ESRCH)
			*reply = (struct act_agent){ SLICE("4.3.0"), SLICE("user lookup error") };
		else
			*reply = user->is_default_privs
			    ? no_default_privs
			    : (struct act_agent){ SLICE("5.1.1"), SLICE("unknown user") };
		return false;
	}
	*user = (struct agent_user){
		.name = pw->pw_name,
		.home = pw->pw_dir,
		.shell = pw->pw_shell,
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
		.spool = spool,
		.spool_group = user->is_default_privs ? 0 : spool_group,
		.is_default_privs = user->is_default_privs,
		.capable = pw->pw_uid != 0 || geteuid() != 0,
	};
	if (user->is_default_privs && pw->pw_uid == 0 && geteuid() == 0) {
		*reply = (struct act_agent){ SLICE("4.3.5"),
			SLICE("default_privs must not be root") };
		return false;
	}
	if (geteuid() != 0 && !user->is_default_privs && pw->pw_uid != geteuid()) {
		*reply = (struct act_agent){ SLICE("4.2.0"),
			SLICE("this instance does not run as root and delivers only to its own "
			      "user") };
		return false;
	}
	if (geteuid() != 0) { /* all it can be is itself */
		user->uid = geteuid();
		user->gid = getegid();
	}
	return true;
}

/* The signal is held back so that the table is right when the agent dies at once. */
static pid_t start_agent(int socket, struct agent_user *user, size_t place)
{
	sigset_t ending, before;
	pid_t pid;

	sigemptyset(&ending);
	sigaddset(&ending, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ending, &before);
	pid = fork();
	if (pid > 0) {
		agents[place].pid = pid;
		agents[place].uid = user->uid;
		agents[place].is_default_privs = user->is_default_privs;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid == 0)
		run_agent(socket, user);
	return pid;
}

static void answer(int worker, struct slice name)
{
	struct act_agent reply = { 0 };
	struct agent_user user = { 0 };
	static char space[16384];
	struct passwd pw;
	int pair[2] = { -1, -1 };
	size_t place;
	pid_t pid = -1;

	if (!find_user(name, &pw, space, sizeof(space), &user, &reply)) {
		;
	} else if ((place = find_place(&user)) == AGENTS_LIMIT) {
		reply = (struct act_agent){ SLICE("4.3.0"),
			SLICE("too many processes deliver, for this user or in all") };
	} else {
		prepare_mailbox(&user);
		log_flush();
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
			pid = start_agent(pair[1], &user, place);
		if (pid == -1)
			reply = (struct act_agent){ SLICE("4.3.0"),
				SLICE("no process for this user can be made now") };
	}
	if (act_send(worker, &table_act_agent, &reply, pid == -1 ? -1 : pair[0]) == -1)
		log_warning("cannot answer the worker: %m");
	for (int i = 0; i < 2; i++)
		if (pair[i] != -1)
			close(pair[i]);
}

int monitor_main(int worker)
{
	static char packet[ACT_PACKET_LIMIT];
	struct arena *arena = arena_new();
	int fd, got;
	struct sigaction on_child = { .sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

	sigaction(SIGCHLD, &on_child, NULL);
	signal(SIGPIPE, SIG_IGN);
	open_spool();
	for (;;) {
		struct act_become wish = { 0 };

		got = act_receive(worker, &table_act_become, &wish, arena, packet, &fd);
		if (got != 1)
			break;
		if (fd != -1)
			close(fd);
		answer(worker, wish.user);
		log_flush();
		arena_reset(arena);
	}
	if (got == -1)
		log_warning("the worker's request can't be read: %m");
	arena_free(arena);
	return got == 0 ? 0 : 1;
}
