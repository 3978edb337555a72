/* SPDX-License-Identifier: ISC */
/*
 * io_posix.c - the real disk behind struct store_io.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/queue/store.h"

static int posix_open(void *arg, int directory, const char *name, int flags, mode_t mode)
{
	(void)arg;
	return openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

static ssize_t posix_pread(void *arg, int fd, void *data, size_t len, off_t at)
{
	(void)arg;
	return pread(fd, data, len, at);
}

static ssize_t posix_pwrite(void *arg, int fd, const void *data, size_t len, off_t at)
{
	(void)arg;
	return pwrite(fd, data, len, at);
}

static int posix_fdatasync(void *arg, int fd)
{
	(void)arg;
	return fdatasync(fd);
}

static int posix_close(void *arg, int fd)
{
	(void)arg;
	return close(fd);
}

static int posix_rename(void *arg, int directory, const char *from, const char *to)
{
	(void)arg;
	return renameat(directory, from, directory, to);
}

static int posix_unlink(void *arg, int directory, const char *name)
{
	(void)arg;
	return unlinkat(directory, name, 0);
}

static int posix_sync_directory(void *arg, int directory)
{
	(void)arg;
	return fsync(directory);
}

static int posix_list(void *arg, int directory, void (*visit)(void *visit_arg, const char *name),
    void *visit_arg)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *found;
	DIR *dir;
	int saved;

	(void)arg;
	if (fd == -1)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return -1;
	}
	for (errno = 0; (found = readdir(dir)) != NULL; errno = 0)
		if (found->d_name[0] != '.')
			visit(visit_arg, found->d_name);
	saved = errno;
	closedir(dir);
	errno = saved;
	return saved == 0 ? 0 : -1;
}

static off_t posix_size(void *arg, int fd)
{
	struct stat st;

	(void)arg;
	return fstat(fd, &st) == -1 ? -1 : st.st_size;
}

static int posix_truncate(void *arg, int fd, off_t size)
{
	(void)arg;
	return ftruncate(fd, size);
}

static int64_t posix_free_bytes(void *arg, int directory)
{
	struct statvfs st;

	(void)arg;
	if (fstatvfs(directory, &st) == -1)
		return -1;
	return (int64_t)(st.f_bavail * st.f_frsize);
}

static int posix_drop_cache(void *arg, int fd)
{
	int error;

	(void)arg;
	error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int posix_mkdir(void *arg, int directory, const char *name, mode_t mode)
{
	(void)arg;
	return mkdirat(directory, name, mode);
}

static int posix_lock(void *arg, int fd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	(void)arg;
	if (fcntl(fd, F_OFD_SETLK, &all) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		errno = EBUSY;
	return -1;
}

static const char *posix_network(void *arg, int directory)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} networks[] = {
		{ NFS_SUPER_MAGIC, "NFS" },
		{ SMB_SUPER_MAGIC, "SMB" },
		{ CIFS_SUPER_MAGIC, "CIFS" },
		{ SMB2_SUPER_MAGIC, "SMB2" },
		{ CEPH_SUPER_MAGIC, "Ceph" },
		{ AFS_SUPER_MAGIC, "AFS" },
		{ AFS_FS_MAGIC, "AFS" },
		{ CODA_SUPER_MAGIC, "Coda" },
		{ V9FS_MAGIC, "9P" },
	};
	struct statfs st;

	(void)arg;
	if (fstatfs(directory, &st) == -1)
		return NULL;
	for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++)
		if ((uint32_t)st.f_type == networks[i].magic)
			return networks[i].name;
	return NULL;
}

const struct store_io store_io_posix = {
	.open = posix_open,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.fdatasync = posix_fdatasync,
	.close = posix_close,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.sync_directory = posix_sync_directory,
	.list = posix_list,
	.size = posix_size,
	.truncate = posix_truncate,
	.free_bytes = posix_free_bytes,
	.drop_cache = posix_drop_cache,
	.mkdir = posix_mkdir,
	.lock = posix_lock,
	.network = posix_network,
};
