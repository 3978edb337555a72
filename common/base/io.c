/* SPDX-License-Identifier: ISC */
/*
 * io.c - whole files, descriptors over sockets, UNIX sockets below long paths.
 */
#include "common/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"

int io_read_all(int fd, size_t limit, struct buf *b)
{
	size_t total = 0;
	ssize_t got;

	do {
		got = read(fd, buf_reserve(b, 16384), 16384);
		if (got > 0) {
			b->len += (size_t)got;
			total += (size_t)got;
		}
		if (total > limit) {
			errno = EFBIG;
			return -1;
		}
	} while (got > 0 || (got == -1 && errno == EINTR));
	return got == -1 ? -1 : 0;
}

int io_read_file(int directory, const char *path, size_t limit, struct buf *b)
{
	/* Opening a pipe without O_NONBLOCK would wait for a writer. */
	int fd = openat(directory, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), rc = -1;
	struct stat about;

	if (fd == -1)
		return -1;
	if (fstat(fd, &about) == 0) {
		if (S_ISREG(about.st_mode))
			rc = io_read_all(fd, limit, b);
		else
			errno = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

int io_write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t put = write(fd, at, len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return -1;
		at += put;
		len -= (size_t)put;
	}
	return 0;
}

static int sync_parent(int directory, const char *path)
{
	char *parent = mem_strdup(path);
	char *slash = strrchr(parent, '/');
	int fd, rc;

	if (slash != NULL)
		slash[slash == parent] = '\0';
	fd = openat(directory, slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(parent);
	if (fd == -1)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

int io_replace_file(int directory, const char *path, struct slice content, mode_t mode)
{
	char *temporary = mem_printf("%s.%ld.tmp", path, (long)getpid());
	int rc = -1;
	int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    mode);

	if (fd == -1)
		goto out;
	if (fchmod(fd, mode) == -1 || io_write_all(fd, content.data, content.len) == -1 ||
	    fsync(fd) == -1)
		goto out;
	if (renameat(directory, temporary, directory, path) == -1)
		goto out;
	rc = sync_parent(directory, path);
out:
	if (fd != -1) {
		int saved = errno;

		close(fd);
		if (rc == -1)
			unlinkat(directory, temporary, 0);
		errno = saved;
	}
	free(temporary);
	return rc;
}

ssize_t io_send_fd(int socket, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd != -1) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL);
}

ssize_t io_receive_fd(int socket, void *data, size_t len, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (got == -1)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return got;
}

int io_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

char *io_own_directory(void)
{
	/* Not realpath(3): a program that an upgrade has replaced is no file any more. */
	char *path = mem_alloc(PATH_MAX), *slash;
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (len == -1) {
		free(path);
		return NULL;
	}
	path[len] = '\0';
	slash = strrchr(path, '/');
	slash[slash == path] = '\0';
	return path;
}

/* sockaddr_un holds 108 bytes; through /proc/self/fd any directory is short. */
static int unix_address(struct sockaddr_un *address, int directory, const char *path)
{
	int len;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (directory == AT_FDCWD || path[0] == '/')
		len = snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	else
		len = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
		    directory, path);
	if (len < 0 || (size_t)len >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int io_unix_listen(int directory, const char *path, mode_t mode)
{
	struct sockaddr_un address;
	int fd;

	if (unix_address(&address, directory, path) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (unlinkat(directory, path, 0) == -1 && errno != ENOENT)
		goto fail;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 ||
	    fchmodat(directory, path, mode, 0) == -1 || listen(fd, SOMAXCONN) == -1)
		goto fail;
	return fd;
fail:;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int io_unix_connect(int directory, const char *path)
{
	struct sockaddr_un address;
	int fd;

	if (unix_address(&address, directory, path) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}
