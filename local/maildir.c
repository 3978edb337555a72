/* SPDX-License-Identifier: ISC */
/*
 * maildir.c - delivery into a Maildir, exactly once: the name is made from queue id and recipient
 * number, so a repeat after a crash meets the file that is there already.
 */
#include "local/box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "local/content.h"

struct entry {
	char *name;
	int fd; /* of tmp/NAME, written and not flushed; -1: it was in new/ before */
};

struct maildir {
	const struct agent_user *user;
	char *path;
	int base, tmp, new, cur;
	struct entry *entries;
	size_t count;
};

/* Opens a directory below another, making it when it is missing. */
static int open_directory(int parent, const char *name, int follow)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow;
	int fd = openat(parent, name, flags);

	if (fd != -1 || errno != ENOENT)
		return fd;
	if (mkdirat(parent, name, 0700) == -1 && errno != EEXIST)
		return -1;
	fd = openat(parent, name, flags);
	if (fd != -1) {
		int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		/* A directory that its user may not read was made by somebody who flushed it. */
		if (up != -1) {
			fsync(up);
			close(up);
		}
	}
	return fd;
}

/* A user, or root, may link his Maildir elsewhere; nobody else may link it for him. Looked at after the
 * opening, so that what was opened is what is judged. */
static bool is_named_by_user(const struct maildir *m, int directory, const struct stat *opened)
{
	char *name = mem_strdup(m->path);
	size_t len = strlen(name);
	struct stat st;
	bool ok;

	while (len > 1 && name[len - 1] == '/')
		name[--len] = '\0';
	ok = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	free(name);
	if (ok && S_ISLNK(st.st_mode))
		return st.st_uid == m->user->uid || st.st_uid == 0;
	return ok && st.st_ino == opened->st_ino && st.st_dev == opened->st_dev;
}

static bool open_all(struct maildir *m, int directory, unsigned flags)
{
	struct stat st;

	if ((m->base = open_directory(directory, m->path, 0)) == -1 || fstat(m->base, &st) == -1)
		return false;
	if ((flags & BOX_OF_USER) &&
	    ((local_settings.strict_mailbox_ownership && st.st_uid != m->user->uid) ||
		!is_named_by_user(m, directory, &st))) {
		errno = EPERM;
		return false;
	}
	return (m->tmp = open_directory(m->base, "tmp", O_NOFOLLOW)) != -1 &&
	    (m->new = open_directory(m->base, "new", O_NOFOLLOW)) != -1 &&
	    (m->cur = open_directory(m->base, "cur", O_NOFOLLOW)) != -1;
}

struct maildir *maildir_open(const struct agent_user *user, int directory, const char *path,
    unsigned flags, struct verdict *v)
{
	struct maildir *m = mem_alloc(sizeof(*m));

	m->user = user;
	m->path = mem_strdup(path);
	m->base = m->tmp = m->new = m->cur = -1;
	if (open_all(m, directory, flags))
		return m;
	verdict_errno(v, errno, "maildir delivery failed: cannot open or make %s", path);
	v->renew = errno == EACCES && m->base == -1;
	maildir_close(m);
	return NULL;
}

/* SECONDS.QidRindex. - the same for each attempt, whatever the host is called by then. */
static char *name_start(const struct act_request *r)
{
	return mem_printf("%lld.Q%.*sR%llu.", (long long)(r->arrival_us / 1000000), (int)r->id.len,
	    r->id.data, (unsigned long long)r->index);
}

static char *make_name(const char *start)
{
	char *name = mem_printf("%s%s", start, local_settings.myhostname);

	for (char *at = name; *at != '\0'; at++)
		if (*at == '/' || *at == ':')
			*at = '_';
	return name;
}

/* A mail reader moves new/NAME to cur/NAME:2,FLAGS. */
static bool has_name(int directory, const char *start)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy == -1 ? NULL : fdopendir(copy);
	struct dirent *e;
	bool found = false;

	if (list == NULL) {
		if (copy != -1)
			close(copy);
		return false;
	}
	while (!found && (e = readdir(list)) != NULL)
		found = strncmp(e->d_name, start, strlen(start)) == 0;
	closedir(list);
	return found;
}

static bool is_there(const struct maildir *m, const struct act_request *r, const char *start,
    const char *name)
{
	struct stat st;

	for (size_t i = 0; i < m->count; i++)
		if (strcmp(m->entries[i].name, name) == 0)
			return true;
	if (fstatat(m->new, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	/* In this order: it may be moved from new to cur while we look. */
	return r->in_doubt && (has_name(m->new, start) || has_name(m->cur, start));
}

/* Writes tmp/NAME. What a dead process left there is replaced. */
static int write_tmp(const struct maildir *m, const struct act_request *r, int content_fd,
    const char *name)
{
	struct content_file out = { .limit = (off_t)local_settings.mailbox_size_limit };
	int fd;

	if (unlinkat(m->tmp, name, 0) == -1 && errno != ENOENT)
		return -1;
	fd = openat(m->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	out.fd = fd;
	if (content_copy(r, content_fd, false, false, content_put_file, &out) == 0) {
		/* Starts the writing, so that the flushes of a batch share the work. */
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		return fd;
	}
	int error = errno;
	close(fd);
	unlinkat(m->tmp, name, 0);
	errno = error;
	return -1;
}

static void add_entry(struct maildir *m, char *name, int fd)
{
	m->entries = mem_resize_array(m->entries, m->count + 1, sizeof(*m->entries));
	m->entries[m->count++] = (struct entry){ name, fd };
}

bool maildir_put(struct maildir *m, const struct act_request *r, int content_fd, struct verdict *v)
{
	char *start = name_start(r), *name = make_name(start);
	bool ok = true;
	int fd = -1;

	if (!is_there(m, r, start, name)) {
		fd = write_tmp(m, r, content_fd, name);
		ok = fd != -1;
		if (!ok)
			verdict_errno(v, errno,
			    "maildir delivery failed: create maildir file %stmp/%s", m->path, name);
	}
	if (ok)
		add_entry(m, name, fd);
	else
		free(name);
	free(start);
	return ok;
}

/* Moves tmp/NAME to new/NAME unless that is there. */
static bool publish(const struct maildir *m, const char *name)
{
	if (renameat2(m->tmp, name, m->new, name, RENAME_NOREPLACE) == 0)
		return true;
	if (errno == EEXIST)
		return unlinkat(m->tmp, name, 0) == 0;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	/* A file system without RENAME_NOREPLACE. */
	if (linkat(m->tmp, name, m->new, name, 0) == -1 && errno != EEXIST)
		return false;
	return unlinkat(m->tmp, name, 0) == 0;
}

int maildir_flush(struct maildir *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].fd != -1 && fdatasync(m->entries[i].fd) == -1)
			return -1;
	for (size_t i = 0; i < m->count; i++) {
		struct entry *e = &m->entries[i];

		if (e->fd == -1)
			continue;
		if (!publish(m, e->name))
			return -1;
		close(e->fd);
		e->fd = -1;
	}
	return fsync(m->new);
}

void maildir_close(struct maildir *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].fd != -1) {
			close(m->entries[i].fd);
			unlinkat(m->tmp, m->entries[i].name, 0);
		}
		free(m->entries[i].name);
	}
	int all[] = { m->base, m->tmp, m->new, m->cur };
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		if (all[i] != -1)
			close(all[i]);
	free(m->entries);
	free(m->path);
	free(m);
}
