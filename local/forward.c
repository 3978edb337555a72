/* SPDX-License-Identifier: ISC */
/*
 * forward.c - finds and reads the user's .forward, as that user.
 *
 * forward_path is bound here, not when main.cf is read: $home, $user and $extension belong to the
 * recipient. What the sender chose (the extension) can't add a directory.
 */
#include "local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"

enum { FORWARD_LIMIT = 65536 }; /* bytes */

/* A group of the user's own (numbered like him) is as good as he is; a second name of a file of root's
 * may have been made by anybody. */
static bool is_trusted(const struct stat *st, const struct agent_user *user)
{
	bool own_group = st->st_gid == user->gid && (uid_t)user->gid == user->uid;

	return S_ISREG(st->st_mode) && (st->st_uid == user->uid || st->st_uid == 0) &&
	    (st->st_uid == user->uid || st->st_nlink == 1) && (st->st_mode & S_IWOTH) == 0 &&
	    ((st->st_mode & S_IWGRP) == 0 || own_group) && st->st_size <= FORWARD_LIMIT;
}

/* 1 read, 0 not there or not to be trusted, -1 try later. */
static int read_file(const char *path, const struct agent_user *user, struct buf *text,
    struct verdict *v)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t got;

	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd == -1 && errno == ELOOP) {
		log_warning("%s is ignored: it is a symbolic link", path);
		return 0;
	}
	if (fd == -1 || fstat(fd, &st) == -1) {
		verdict_errno(v, errno, "cannot open %s", path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (!is_trusted(&st, user)) {
		log_warning("%s is ignored: it must be a file of %s or root, writable by nobody "
			    "else, of at most %d bytes",
		    path, user->name, FORWARD_LIMIT);
		close(fd);
		return 0;
	}
	while ((got = read(fd, buf_reserve(text, 4096), 4096)) > 0 && text->len < FORWARD_LIMIT)
		text->len += (size_t)got;
	int error = errno;
	close(fd);
	if (got == -1) {
		verdict_errno(v, error, "cannot read %s", path);
		return -1;
	}
	return 1;
}

int forward_read(const struct act_request *r, const struct agent_user *user, struct buf *text,
    struct verdict *v)
{
	struct slice rest = slice_of(local_settings.forward_path), word;
	struct buf path = { 0 };
	char *why = NULL;
	int rc = 0;

	while (rc == 0 && text_next_word(&rest, ", \t\r\n", &word)) {
		buf_reset(&path);
		if (!names_expand(word, r, user, local_settings.forward_expansion_filter, &path,
			&why)) {
			verdict_set(v, OUTCOME_DEFERRED, "4.3.5", "forward_path: %s", why);
			free(why);
			rc = -1;
		} else {
			rc = read_file(buf_text(&path), user, text, v);
		}
	}
	buf_clear(&path);
	return rc;
}
