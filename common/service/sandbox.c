/* SPDX-License-Identifier: ISC */
/*
 * sandbox.c - the table of rights, and giving up the others. As an ordinary user there is no uid and no
 * root directory to give up; the rest is the same.
 */
#include "common/service/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/ipc/messages.h"
#include "common/log/log.h"

static const struct sandbox_row rows[] = {
	{ "smtpd", OWNER_MAIL, ROOT_EMPTY, .does = "client sockets and channels" },
	{ "cleanup", OWNER_MAIL, ROOT_EMPTY, .writes_files = true,
	    .does = "one message at a time" },
	{ "rewrite", OWNER_MAIL, ROOT_EMPTY, .does = "tables opened before" },
	{ "qmgr", OWNER_QUEUE, ROOT_QUEUE, FILES_QUEUE, .writes_files = true, .threads = true,
	    .does = "the queue's files" },
	{ "showq", OWNER_QUEUE, ROOT_EMPTY, .does = "what qmgr lists" },
	{ "flush", OWNER_QUEUE, ROOT_EMPTY, .does = "orders for qmgr" },
	{ "local", OWNER_MAIL, ROOT_EMPTY, .does = "alias tables; its monitor acts" },
	{ "error", OWNER_MAIL, ROOT_EMPTY, .does = "nothing" },
	{ "discard", OWNER_MAIL, ROOT_EMPTY, .does = "nothing" },
	{ "smtp", OWNER_MAIL, ROOT_EMPTY, .sockets = SOCKETS_INET,
	    .does = "the message at hand; connects to servers" },
	{ "lmtp", OWNER_MAIL, ROOT_EMPTY, .sockets = SOCKETS_INET,
	    .does = "the message at hand; connects to servers" },
	{ "bounce", OWNER_MAIL, ROOT_EMPTY, .does = "the message at hand" },
	{ "pickup", OWNER_MAIL, ROOT_MAILDROP, FILES_MAILDROP, .does = "files of maildrop/" },
	{ "resolver", OWNER_MAIL, ROOT_EMPTY, .sockets = SOCKETS_INET,
	    .does = "names; asks servers" },
	{ "dialer", OWNER_MAIL, ROOT_SYSTEM, .sockets = SOCKETS_LOCAL,
	    .does = "connects to sockets that the configuration names" },
	{ "proxymap", OWNER_MAIL, ROOT_SYSTEM, FILES_READ, .sockets = SOCKETS_LOCAL,
	    .loads_code = true, .does = "system users and tables" },
	{ "postlogd", OWNER_MAIL, ROOT_EMPTY, FILES_LOG, .writes_files = true, .does = "the log" },
};

const struct sandbox_row *sandbox_row(const char *program)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(rows[i].program, program) == 0)
			return &rows[i];
	return NULL;
}

static const char *const root_directories[] = {
	[ROOT_EMPTY] = "empty",
	[ROOT_QUEUE] = ".",
	[ROOT_MAILDROP] = "maildrop",
};

static void change_root(const struct sandbox_row *row, int queue)
{
	if (row->root == ROOT_SYSTEM) {
		if (chdir("/") == -1)
			log_fatal("chdir /: %m");
		return;
	}
	if (fchdir(queue) == -1 || chroot(root_directories[row->root]) == -1 || chdir("/") == -1)
		log_fatal("changing the root directory to the queue directory's %s/: %m; run "
			  "\"gatepost check\"",
		    root_directories[row->root]);
}

static void change_identity(const struct sandbox_identity *id)
{
	if (id->uid == 0 || id->gid == 0)
		log_fatal("mail_owner, queue_owner and key_owner must not be root");
	if (setgroups(0, NULL) == -1 || setresgid(id->gid, id->gid, id->gid) == -1 ||
	    setresuid(id->uid, id->uid, id->uid) == -1)
		log_fatal("giving up root: %m");
	if (setuid(0) != -1 || setgid(0) != -1)
		log_fatal("root could be taken back");
}

static void set_limits(const struct sandbox_row *row)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1 ||
	    (!row->writes_files && setrlimit(RLIMIT_FSIZE, &none) == -1))
		log_fatal("limits: %m");
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

uint64_t sandbox_enter(const struct sandbox_row *row, const struct sandbox_identity *id, int queue,
    const char *log_directory)
{
	uint64_t in_force = SANDBOX_NO_NEW_PRIVS | SANDBOX_SECCOMP;
	int log_fd = -1;

	if (row->files == FILES_LOG && log_directory != NULL)
		log_fd = open(log_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (geteuid() == 0) {
		change_root(row, queue);
		change_identity(id);
		in_force |= SANDBOX_UID | (row->root == ROOT_SYSTEM ? 0 : SANDBOX_CHROOT);
	} else if (row->root == ROOT_QUEUE && fchdir(queue) == -1) {
		log_fatal("queue directory: %m");
	}
	set_limits(row);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		log_fatal("no_new_privs: %m");
	if (landlock_restrict(row, queue, log_fd))
		in_force |= SANDBOX_LANDLOCK;
	if (log_fd != -1)
		close(log_fd);
	seccomp_restrict(row);
	return in_force;
}
