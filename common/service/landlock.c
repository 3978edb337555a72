/* SPDX-License-Identifier: ISC */
/*
 * landlock.c - takes the file system away, but for what the program's row names. Descriptors that are
 * open already keep working. A kernel without Landlock is no error: status shows it.
 */
#include "common/service/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log/log.h"

/* Accesses of the later versions of the interface, where the header does not know them. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif

#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif

/* The same for what later versions handle besides files; older kernels take the bytes when all are zero. */
struct ruleset {
	uint64_t files, net, scoped;
};
enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2, SCOPE_ABSTRACT_SOCKETS = 1, SCOPE_SIGNALS = 2 };

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                                    \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                             \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static uint64_t all_accesses(long version)
{
	uint64_t all = (UINT64_C(1) << 13) - 1; /* version 1 */

	if (version >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 5)
		all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return all;
}

static void allow(int ruleset, int directory, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access,
		.parent_fd = directory };

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == -1)
		log_fatal("Landlock rule: %m");
}

bool landlock_restrict(const struct sandbox_row *row, int queue, int log_directory)
{
	struct ruleset attr = { 0 };
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, fd;

	if (version < 1)
		return false;
	attr.files = all_accesses(version);
	if (version >= 4 && !(row->sockets & SOCKETS_INET))
		attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (version >= 6)
		attr.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset == -1)
		log_fatal("Landlock: %m");
	switch (row->files) {
	case FILES_NONE:
		break;
	case FILES_QUEUE:
		allow(ruleset, queue, attr.files & (READING | WRITING));
		break;
	case FILES_MAILDROP:
		fd = openat(queue, "maildrop", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1)
			log_fatal("maildrop/ of the queue directory: %m; run \"gatepost check\"");
		/* A new name for a file is one more that is made there. */
		allow(ruleset, fd,
		    READING | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG);
		close(fd);
		break;
	case FILES_READ:
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		allow(ruleset, fd, READING);
		close(fd);
		break;
	case FILES_LOG:
		if (log_directory != -1)
			allow(ruleset, log_directory, attr.files & (READING | WRITING));
		break;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		log_fatal("Landlock: %m");
	close(ruleset);
	return true;
}
