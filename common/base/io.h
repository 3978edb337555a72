/* SPDX-License-Identifier: ISC */
/*
 * io.h - whole files and descriptors, for start-up and for tools: these calls block.
 */
#ifndef GP_IO_H
#define GP_IO_H

#include <sys/types.h>

#include "common/base/buf.h"

/* Appends the file (path relative to directory, or AT_FDCWD) to the buffer. -1 with errno; EFBIG
 * when it has more than limit bytes, EINVAL when it is a pipe, a socket or a device. */
int io_read_file(int directory, const char *path, size_t limit, struct buf *);
/* The same for what is open already, of any kind, to its end. */
int io_read_all(int fd, size_t limit, struct buf *);
/* Writes all bytes, going on after EINTR and short writes. -1 with errno. */
int io_write_all(int fd, const void *data, size_t len);
/* Replaces the file as a whole: a temporary file beside it, flushed, renamed, directory flushed. */
int io_replace_file(int directory, const char *path, struct slice content, mode_t mode);
/* Sends or receives bytes with at most one descriptor (-1: none) over a UNIX socket. Returns
 * what sendmsg(2) and recvmsg(2) return; a received descriptor is close-on-exec. */
ssize_t io_send_fd(int socket, const void *data, size_t len, int fd);
ssize_t io_receive_fd(int socket, void *data, size_t len, int *fd);
int io_set_nonblocking(int fd);
/* The directory of the running program, on the heap; NULL with errno. */
char *io_own_directory(void);
/* Binds or connects a UNIX stream socket at a path relative to directory, however long the path
 * of that directory is. -1 with errno. bind replaces a socket that is there already, and
 * the listener does not block: who lost the race for a client must not wait for the next one. */
int io_unix_listen(int directory, const char *path, mode_t mode);
int io_unix_connect(int directory, const char *path);

#endif
