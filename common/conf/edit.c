/* SPDX-License-Identifier: ISC */
/*
 * edit.c - postconf -e, -X and -#: change values in main.cf and leave comments, order and all else
 * alone; and how any file of the configuration is replaced.
 *
 * The last line that sets a name is the one that counts, so that one is replaced, with its
 * continuation lines; a name that is not there yet is added at the end. A name that is taken away is
 * so in each line that sets it.
 */
#include "common/conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/internal.h"
#include "common/conf/lines.h"

/* The name that a physical line starts to set; empty: a comment or a continuation. */
static struct slice name_in(struct slice line)
{
	ptrdiff_t equal = slice_find(line, '=');

	if (equal <= 0 || strchr(" \t\r#", line.data[0]) != NULL)
		return slice_of("");
	return slice_trim(slice_part(line, 0, (size_t)equal));
}

/* How many bytes the value at the start of text goes on for: its line, and what continues it. The
 * comments and empty lines between those are put into kept. */
static size_t length_of_value(struct slice text, struct buf *kept)
{
	struct slice rest = text, line;
	size_t len = conf_physical_line(&rest).len, kept_len = 0;

	while (rest.len > 0) {
		line = conf_physical_line(&rest);
		struct slice said = slice_trim(line);

		if (said.len == 0 || said.data[0] == '#') {
			buf_put_slice(kept, line);
			continue; /* belongs to the value only if more of it follows */
		}
		if (strchr(" \t\r", line.data[0]) == NULL)
			break;
		len = (size_t)(rest.data - text.data);
		kept_len = kept->len;
	}
	kept->len = kept_len;
	return len;
}

static void put_value(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s =%s%s\n", name, *value == '\0' ? "" : " ", value);
}

static void set_value(struct buf *content, const char *name, const char *value)
{
	struct buf out = { 0 }, comments = { 0 };
	struct slice rest = buf_slice(content);
	ptrdiff_t at = -1;
	size_t len;

	while (rest.len > 0) {
		size_t start = (size_t)(rest.data - content->data);

		if (slice_equal(name_in(conf_physical_line(&rest)), slice_of(name)))
			at = (ptrdiff_t)start;
	}
	rest = buf_slice(content);
	if (at == -1) {
		buf_put_slice(&out, rest);
		if (rest.len > 0 && rest.data[rest.len - 1] != '\n')
			buf_putc(&out, '\n');
		put_value(&out, name, value);
	} else {
		buf_put_slice(&out, slice_part(rest, 0, (size_t)at));
		rest = slice_part(rest, (size_t)at, rest.len);
		len = length_of_value(rest, &comments);
		put_value(&out, name, value);
		buf_put_slice(&out, buf_slice(&comments));
		buf_put_slice(&out, slice_part(rest, len, rest.len));
	}
	buf_clear(&comments);
	buf_clear(content);
	*content = out;
}

/* Takes away each line that sets the name, with what continues it; or makes comments of them. */
static void drop_value(struct buf *content, const char *name, bool comment)
{
	struct buf out = { 0 };
	struct slice rest = buf_slice(content);
	bool inside = false;

	while (rest.len > 0) {
		struct slice line = conf_physical_line(&rest);
		bool says_nothing = conf_says_nothing(line);

		if (!says_nothing && strchr(" \t\r", line.data[0]) == NULL)
			inside = slice_equal(name_in(line), slice_of(name));
		if (inside && !says_nothing && !comment)
			continue;
		if (inside && !says_nothing)
			buf_putc(&out, '#');
		buf_put_slice(&out, line);
	}
	buf_clear(content);
	*content = out;
}

static bool is_writable(const char *name, const char *value)
{
	return *name != '\0' && *name != '#' && name[strcspn(name, " \t\r\n=")] == '\0' &&
	    value[strcspn(value, "\r\n")] == '\0';
}

/* The directory that the file itself is in, when DIR/FILE is a symbolic link to it. */
static int open_directory(int directory, const char *file, char **name)
{
	char *link = mem_printf("/proc/self/fd/%d/%s", directory, file);
	char *path = realpath(link, NULL), *slash;
	int fd;

	free(link);
	if (path == NULL)
		return -1;
	slash = strrchr(path, '/');
	*name = mem_strdup(slash + 1);
	slash[slash == path] = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return fd;
}

static bool is_named(int fd, int directory, const char *name)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 &&
	    fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* Opens the new file and locks it until it is closed: whoever else edits waits, then starts from what
 * was made here. Others can't open it, so they can't hold the lock. */
static int open_new(int directory, const char *name)
{
	for (;;) {
		int fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd == -1)
			return -1;
		while (flock(fd, LOCK_EX) == -1) {
			if (errno != EINTR) {
				close(fd);
				return -1;
			}
		}
		if (is_named(fd, directory, name))
			return fd;
		close(fd); /* while we waited it has become main.cf, or was given up */
	}
}

/* Only root may give a file away; who else may write to it keeps at least its group. */
static int keep_owner(int fd, const struct stat *old)
{
	if (fchown(fd, old->st_uid, old->st_gid) == -1 && errno != EPERM)
		return -1;
	return fchmod(fd, old->st_mode & 0777);
}

/* How a file is to be changed. */
struct change {
	bool (*apply)(void *arg, struct buf *content);
	void *arg;
};

static int edit(int directory, const char *name, int fd, const struct change *change)
{
	struct buf content = { 0 };
	struct stat old;
	int rc = -1;

	if (fstatat(directory, name, &old, 0) == -1 ||
	    io_read_file(directory, name, CONF_FILE_LIMIT, &content) == -1)
		goto out;
	if (!change->apply(change->arg, &content))
		goto out;
	if (ftruncate(fd, 0) == -1 || io_write_all(fd, content.data, content.len) == -1)
		goto out;
	if (keep_owner(fd, &old) == -1 || fsync(fd) == -1)
		goto out;
	rc = 0;
out:
	buf_clear(&content);
	return rc;
}

/* Puts the edited file in the place of the old one. */
static int replace(int directory, const char *name, const struct change *change)
{
	char *temporary = mem_printf("%s.tmp", name);
	int rc = -1, fd = open_new(directory, temporary), saved;

	if (fd == -1) {
		saved = errno;
		goto out;
	}
	if (edit(directory, name, fd, change) == 0 &&
	    renameat(directory, temporary, directory, name) == 0) {
		rc = fsync(directory);
		saved = errno;
	} else {
		saved = errno;
		unlinkat(directory, temporary, 0);
	}
	close(fd);
out:
	free(temporary);
	errno = saved;
	return rc;
}

int edit_file(int directory, const char *file, bool (*apply)(void *arg, struct buf *content),
    void *arg)
{
	struct change change = { apply, arg };
	char *name = NULL;
	int real = open_directory(directory, file, &name), rc, saved;

	rc = real == -1 ? -1 : replace(real, name, &change);
	saved = errno;
	if (real != -1)
		close(real);
	free(name);
	errno = saved;
	return rc;
}

/* --- main.cf -------------------------------------------------------------------------------------- */

struct assignments {
	const char *const *names;
	const char *const *values; /* NULL: the names are taken away */
	size_t count;
	bool comment;
};

static bool assign(void *arg, struct buf *content)
{
	const struct assignments *a = arg;

	for (size_t i = 0; i < a->count; i++) {
		if (a->values != NULL)
			set_value(content, a->names[i], a->values[i]);
		else
			drop_value(content, a->names[i], a->comment);
	}
	return true;
}

static int edit_main_cf(int directory, struct assignments a)
{
	for (size_t i = 0; i < a.count; i++) {
		if (!is_writable(a.names[i], a.values == NULL ? "" : a.values[i])) {
			errno = EINVAL;
			return -1;
		}
	}
	return edit_file(directory, "main.cf", assign, &a);
}

int conf_edit(int directory, const char *const *names, const char *const *values, size_t count)
{
	return edit_main_cf(directory, (struct assignments){ names, values, count, false });
}

int conf_drop(int directory, const char *const *names, size_t count, bool comment)
{
	return edit_main_cf(directory, (struct assignments){ names, NULL, count, comment });
}
