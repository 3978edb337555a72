/* SPDX-License-Identifier: ISC */
/*
 * dotlock.c - NAME.lock beside a mailbox.
 *
 * Ours says who made it (host, boot, process and when that started), so that the lock of a killed
 * process is known for stale at once. Locks of other programs go by age alone.
 */
#include "local/box.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"

/* When the process started, in ticks since the boot: 22nd word of its stat, the second of which is a
 * name in parentheses that may hold anything. 0: there is no such process. */
static unsigned long long start_of(long pid)
{
	char *path = mem_printf("/proc/%ld/stat", pid);
	struct buf text = { 0 };
	unsigned long long start = 0;
	char *at;

	if (io_read_file(AT_FDCWD, path, 4096, &text) == 0) {
		buf_text(&text);
		at = strrchr(text.data, ')');
		if (at == NULL ||
		    sscanf(at,
			") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			"%*d %*d %*d %llu",
			&start) != 1)
			start = 0;
	}
	buf_clear(&text);
	free(path);
	return start;
}

static void boot_id(char out[64])
{
	struct buf text = { 0 };

	out[0] = '\0';
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &text) == 0)
		snprintf(out, 64, "%.*s", (int)strcspn(buf_text(&text), "\n"), text.data);
	buf_clear(&text);
}

/* The lock's text: the pid alone on its first line, as other programs read it. */
static char *lock_text(void)
{
	char host[256] = "", boot[64];

	gethostname(host, sizeof(host) - 1);
	boot_id(boot);
	return mem_printf("%ld\n%llu %s %s\n", (long)getpid(), start_of(getpid()), boot, host);
}

static bool maker_is_dead(const char *text)
{
	char host[256] = "", boot[64], lock_host[256], lock_boot[64];
	unsigned long long start;
	long pid;

	if (sscanf(text, "%ld %llu %63s %255s", &pid, &start, lock_boot, lock_host) != 4)
		return false;
	gethostname(host, sizeof(host) - 1);
	boot_id(boot);
	if (strcmp(host, lock_host) != 0 || boot[0] == '\0')
		return false;
	if (strcmp(boot, lock_boot) != 0)
		return true;
	if (kill((pid_t)pid, 0) == -1 && errno == ESRCH)
		return true;
	return start_of(pid) != 0 && start_of(pid) != start;
}

static bool is_stale(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char text[600];
	ssize_t got = -1;
	struct stat st;

	if (fd != -1) {
		got = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[got > 0 ? got : 0] = '\0';
	if (got > 0 && maker_is_dead(text))
		return true;
	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    time(NULL) - st.st_mtime > local_settings.stale_lock_time / CLOCK_SECOND;
}

/* Whole or not at all: a lock file without its text would look like somebody else's. */
static int make(int directory, const char *name)
{
	char *temporary = mem_printf("%s.%ld", name, (long)getpid());
	char *text = lock_text();
	int rc = -1, fd;

	unlinkat(directory, temporary, 0);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0644);
	if (fd != -1 && io_write_all(fd, text, strlen(text)) == 0)
		rc = linkat(directory, temporary, directory, name, 0);
	int error = errno;
	if (fd != -1) {
		close(fd);
		unlinkat(directory, temporary, 0);
	}
	free(text);
	free(temporary);
	errno = error;
	return rc;
}

static void take_group(const struct agent_user *user, bool on)
{
	int error = errno;

	if (user->spool_group != 0 && setegid(on ? user->spool_group : user->gid) == -1 && !on)
		panic("a group can't be given back");
	errno = error;
}

int dotlock_try(const struct agent_user *user, int directory, const char *name)
{
	int rc;

	take_group(user, true);
	rc = make(directory, name) == 0 ? 1 : -1;
	if (rc == -1 && errno == EEXIST) {
		rc = 0;
		if (is_stale(directory, name))
			unlinkat(directory, name, 0);
	}
	take_group(user, false);
	return rc;
}

void dotlock_remove(const struct agent_user *user, int directory, const char *name)
{
	take_group(user, true);
	unlinkat(directory, name, 0);
	take_group(user, false);
}
