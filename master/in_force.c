/* SPDX-License-Identifier: ISC */
/*
 * in_force.c - what the kernel says about a process, for status: a service's own word is worth little once
 * somebody else speaks through it.
 */
#include "master/in_force.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/ipc/messages.h"

enum { STATUS_SIZE = 4096 };

/* The number behind "NAME:\t" in the text of /proc/PID/status; 0 when it is not there. */
static uint64_t field(const char *text, const char *name)
{
	const char *found = strstr(text, name);
	uint64_t value;

	if (found == NULL)
		return 0;
	found += strlen(name);
	if (!text_number(slice_new(found, strspn(found, "0123456789")), UINT32_MAX, &value))
		return 0;
	return value;
}

static bool has_own_root(pid_t pid)
{
	char path[64];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	return stat(path, &theirs) == 0 && stat("/", &ours) == 0 &&
	    (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino);
}

uint64_t in_force_of(pid_t pid, uid_t *uid)
{
	static char text[STATUS_SIZE];
	char path[64];
	uint64_t bits = 0;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	*uid = (uid_t)field(text, "\nUid:\t");
	bits |= geteuid() == 0 && *uid != 0 ? SANDBOX_UID : 0;
	bits |= field(text, "\nNoNewPrivs:\t") == 1 ? SANDBOX_NO_NEW_PRIVS : 0;
	bits |= field(text, "\nSeccomp:\t") == 2 ? SANDBOX_SECCOMP : 0;
	bits |= has_own_root(pid) ? SANDBOX_CHROOT : 0;
	return bits;
}
