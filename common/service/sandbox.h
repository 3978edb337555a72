/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - what each program may do, in one table, and how the rest is given up.
 */
#ifndef GP_SANDBOX_H
#define GP_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_owner { OWNER_MAIL, OWNER_QUEUE, OWNER_KEY };
enum sandbox_root { ROOT_EMPTY, ROOT_QUEUE, ROOT_MAILDROP, ROOT_SYSTEM };
enum sandbox_files {
	FILES_NONE,	/* no path can be opened any more */
	FILES_QUEUE,	/* below the queue directory */
	FILES_MAILDROP, /* below its maildrop/: to read, rename and remove */
	FILES_READ,	/* any, to read */
	FILES_LOG,	/* the log's directory */
};

enum sandbox_sockets { SOCKETS_NONE = 0, SOCKETS_LOCAL = 1, SOCKETS_INET = 2 };

struct sandbox_row {
	const char *program;
	enum sandbox_owner owner;
	enum sandbox_root root;
	enum sandbox_files files;
	bool writes_files; /* by descriptors that it holds or is given */
	bool threads;
	unsigned sockets; /* enum sandbox_sockets: what it may make and connect */
	bool loads_code;  /* libraries that are loaded late (name service) */
	const char *does; /* for status and documentation */
};

/* The row of a program; NULL: none, it must not run. */
const struct sandbox_row *sandbox_row(const char *program);

struct sandbox_identity {
	uid_t uid;
	gid_t gid;
};

/* Root directory, groups, uid, Landlock, seccomp, in this order. queue: descriptor of the queue
 * directory. log_directory: for FILES_LOG. Returns what is in force (enum sandbox_bit of
 * ipc/messages.h); ends the process with a message when anything of it fails. */
uint64_t sandbox_enter(const struct sandbox_row *, const struct sandbox_identity *, int queue,
    const char *log_directory);

/* The parts. */
bool landlock_restrict(const struct sandbox_row *, int queue, int log_directory);
void seccomp_restrict(const struct sandbox_row *);

#endif
