/* SPDX-License-Identifier: ISC */
/*
 * mbox.c - appending to an mbox file, as its owner: locked, flushed, and cut back when it fails.
 *
 * The path may be hostile (another user may own the directory): it is opened without following a
 * link and looked at through the descriptor. A message in doubt is looked for near the end of the file,
 * byte for byte: our Received line in it has the queue id, so no other message is equal.
 */
#include "local/box.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "local/content.h"

enum {
	SEARCH_BEHIND = 64 * 1024 * 1024, /* others may have been appended since */
	SEARCH_PIECE = 256 * 1024,
	PATTERN_SIZE = 4096,
	FROM_LINE_LIMIT = 1536, /* an address and a date */
};

struct mbox {
	const struct agent_user *user;
	int fd, directory;
	char *path, *lock_name;
	bool dotlocked, made;
	bool swallows;	   /* it is /dev/null */
	off_t start, size; /* when it was opened; now */
};

/* --- locks ---------------------------------------------------------------------------------------- */

/* deliver_lock_attempts times deliver_lock_delay, but short pauses first: most locks are short. */
struct patience {
	deadline until;
	int64_t pause;
};

static struct patience patience_new(void)
{
	int64_t all = local_settings.deliver_lock_attempts * local_settings.deliver_lock_delay;

	return (struct patience){ deadline_after(all), 2 * CLOCK_MS };
}

static bool wait_a_little(struct patience *p)
{
	struct timespec pause = { p->pause / CLOCK_SECOND, p->pause % CLOCK_SECOND };

	if (clock_now() >= p->until)
		return false;
	nanosleep(&pause, NULL);
	p->pause *= 2;
	if (p->pause > local_settings.deliver_lock_delay)
		p->pause = local_settings.deliver_lock_delay;
	return true;
}

static bool lock_wanted(const char *style)
{
	return setting_has_word(local_settings.mailbox_delivery_lock, style);
}

/* Where no file can be made, the kernel's locks must do, if they are wanted at all. */
static bool dotlock(struct mbox *m)
{
	struct patience p = patience_new();
	bool others = lock_wanted("fcntl") || lock_wanted("flock");
	int rc;

	while ((rc = dotlock_try(m->user, m->directory, m->lock_name)) == 0)
		if (!wait_a_little(&p)) {
			errno = EAGAIN;
			return false;
		}
	m->dotlocked = rc == 1;
	return m->dotlocked || (others && (errno == EACCES || errno == EPERM || errno == EROFS));
}

static int try_fcntl(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &lock);
}

static int try_flock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB);
}

static bool kernel_lock(int fd, int (*try)(int fd))
{
	struct patience p = patience_new();

	while (try(fd) == -1) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return false;
		if (!wait_a_little(&p)) {
			errno = EAGAIN;
			return false;
		}
	}
	return true;
}

static bool lock_file(struct mbox *m)
{
	return (!lock_wanted("fcntl") || kernel_lock(m->fd, try_fcntl)) &&
	    (!lock_wanted("flock") || kernel_lock(m->fd, try_flock));
}

/* --- opening -------------------------------------------------------------------------------------- */

static void refuse(const struct mbox *m, struct verdict *v, int error, const char *what)
{
	verdict_errno(v, error, "cannot update mailbox %s for user %s. %s", m->path, m->user->name,
	    what);
}

static int open_file(struct mbox *m)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(m->directory, m->path, flags);

	if (fd != -1 || errno != ENOENT)
		return fd;
	fd = openat(m->directory, m->path, flags | O_CREAT | O_EXCL, 0600);
	m->made = fd != -1;
	return fd == -1 && errno == EEXIST ? openat(m->directory, m->path, flags) : fd;
}

/* What an mbox may be: a file, with one name, of its user. */
static bool is_acceptable(struct mbox *m, unsigned flags, struct verdict *v)
{
	struct stat st;

	if (fstat(m->fd, &st) == -1) {
		refuse(m, v, errno, "cannot examine it");
		return false;
	}
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) && !(flags & BOX_OF_USER)) {
		m->swallows = true;
		return true;
	}
	if (!S_ISREG(st.st_mode))
		verdict_set(v, OUTCOME_BOUNCED, "5.2.0",
		    "cannot update mailbox %s for user %s. destination is not a regular file",
		    m->path, m->user->name);
	else if (st.st_nlink != 1)
		verdict_set(v, OUTCOME_BOUNCED, "5.2.0",
		    "cannot update mailbox %s for user %s. file has %ld hard links", m->path,
		    m->user->name, (long)st.st_nlink);
	else if ((flags & BOX_OF_USER) && st.st_uid != m->user->uid &&
	    local_settings.strict_mailbox_ownership)
		verdict_set(v, OUTCOME_DEFERRED, "4.2.0",
		    "destination %s is not owned by recipient", m->path);
	else
		return true;
	return false;
}

/* While we waited for the lock, a mail reader may have put another file in its place. */
static bool is_still_there(const struct mbox *m)
{
	struct stat opened, named;

	if (fstat(m->fd, &opened) == 0 &&
	    fstatat(m->directory, m->path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    opened.st_ino == named.st_ino && opened.st_dev == named.st_dev)
		return true;
	errno = EAGAIN;
	return false;
}

static bool go_to_end(struct mbox *m)
{
	off_t size = lseek(m->fd, 0, SEEK_END);

	if (size == -1)
		return false;
	m->start = m->size = size;
	return true;
}

struct mbox *mbox_open(const struct agent_user *user, int directory, const char *path,
    unsigned flags, struct verdict *v)
{
	struct mbox *m = mem_alloc(sizeof(*m));

	m->user = user;
	m->fd = -1;
	m->directory = directory == AT_FDCWD ? AT_FDCWD : fcntl(directory, F_DUPFD_CLOEXEC, 0);
	m->path = mem_strdup(path);
	m->lock_name = mem_printf("%s.lock", path);
	if ((m->fd = open_file(m)) == -1) {
		refuse(m, v, errno, "cannot open file");
		v->renew = errno == EACCES;
	} else if (!is_acceptable(m, flags, v)) {
		;
	} else if (m->swallows) {
		return m;
	} else if (lock_wanted("dotlock") && !dotlock(m)) {
		refuse(m, v, errno, "unable to create lock file");
	} else if (!lock_file(m)) {
		refuse(m, v, errno, "unable to lock for exclusive access");
	} else if (!is_still_there(m)) {
		refuse(m, v, errno, "file was replaced");
	} else if (!go_to_end(m)) {
		refuse(m, v, errno, "seek error");
	} else {
		return m;
	}
	mbox_close(m);
	return NULL;
}

/* --- is it there already? ------------------------------------------------------------------------- */

static int keep_start(void *arg, const char *data, size_t len)
{
	struct buf *pattern = arg;

	buf_append(pattern, data,
	    len < PATTERN_SIZE - pattern->len ? len : PATTERN_SIZE - pattern->len);
	errno = ECANCELED;
	return pattern->len < PATTERN_SIZE ? 0 : -1;
}

struct comparison {
	int fd;
	off_t at;
	bool equal, file_ended;
};

static int compare(void *arg, const char *data, size_t len)
{
	struct comparison *c = arg;
	char piece[1024];

	while (len > 0) {
		ssize_t got = pread(c->fd, piece, len < sizeof(piece) ? len : sizeof(piece), c->at);

		c->equal = got >= 0 && memcmp(piece, data, (size_t)got) == 0;
		c->file_ended = got == 0;
		if (!c->equal || got == 0) {
			errno = ECANCELED;
			return -1;
		}
		c->at += got;
		data += got;
		len -= (size_t)got;
	}
	return 0;
}

/* Start of the From_ line that ends at this place; the place itself when there is none. */
static off_t from_line_before(int fd, off_t at)
{
	char line[FROM_LINE_LIMIT];
	off_t from = at > FROM_LINE_LIMIT ? at - FROM_LINE_LIMIT : 0;
	ssize_t got = pread(fd, line, (size_t)(at - from), from);

	for (ssize_t i = got - 2; got == (ssize_t)(at - from) && i >= 0; i--)
		if ((i == 0 ? from == 0 : line[i - 1] == '\n'))
			return got - i > 5 && memcmp(line + i, "From ", 5) == 0 ? from + i : at;
	return at;
}

/* First place of the pattern at or behind `at`; -1: none, or unreadable. */
static off_t find(int fd, off_t at, struct slice pattern)
{
	char *piece = mem_alloc(SEARCH_PIECE);
	off_t place = -1;
	ssize_t got;

	while (place == -1 && (got = pread(fd, piece, SEARCH_PIECE, at)) >= (ssize_t)pattern.len) {
		char *hit = memmem(piece, (size_t)got, pattern.data, pattern.len);

		if (hit != NULL)
			place = at + (hit - piece);
		at += got - (ssize_t)pattern.len + 1;
	}
	free(piece);
	return place;
}

/* A copy that is whole counts; one that a crash cut short at the very end is removed. */
static bool is_there(struct mbox *m, const struct act_request *r, int content_fd)
{
	off_t reach = (off_t)r->content_size + SEARCH_BEHIND;
	off_t at = m->size > reach ? m->size - reach : 0;
	struct buf pattern = { 0 };
	bool there = false;

	if (content_copy(r, content_fd, false, true, keep_start, &pattern) == -1 &&
	    errno != ECANCELED)
		goto out;
	if (pattern.len == 0 || memmem(pattern.data, pattern.len, r->id.data, r->id.len) == NULL)
		goto out;
	while (!there && (at = find(m->fd, at, buf_slice(&pattern))) != -1) {
		struct comparison c = { .fd = m->fd, .at = at, .equal = true };

		there = content_copy(r, content_fd, false, true, compare, &c) == 0;
		at++;
	}
out:
	buf_clear(&pattern);
	return there;
}

/* The last message of the file is the beginning of this one: a crash cut it short. */
static bool cut_torn_copy(struct mbox *m, const struct act_request *r, int content_fd)
{
	off_t reach = (off_t)r->content_size + FROM_LINE_LIMIT;
	off_t at = m->size > reach ? m->size - reach : 0;
	struct buf head = { 0 };
	bool ok = true;

	content_head(r, false, &head);
	while ((at = find(m->fd, at, buf_slice(&head))) != -1) {
		struct comparison c = { .fd = m->fd, .at = at, .equal = true };

		(void)content_copy(r, content_fd, false, true, compare, &c);
		if (c.file_ended && c.equal) {
			ok = ftruncate(m->fd, from_line_before(m->fd, at)) == 0;
			break;
		}
		at++;
	}
	buf_clear(&head);
	return go_to_end(m) && ok;
}

/* --- appending ------------------------------------------------------------------------------------ */

static int cut_back(struct mbox *m, off_t size)
{
	return ftruncate(m->fd, size) == 0 && lseek(m->fd, size, SEEK_SET) == size ? 0 : -1;
}

/* A message that was cut short by a crash, or by another program, is closed by an empty line, so that
 * the next one starts with its From_ line. Not before there is a next one: what is cut short at the
 * very end can still be told from a message that is whole. */
static int close_last_message(const struct mbox *m, struct content_file *out)
{
	char tail[2] = { '\n', '\n' };
	off_t known = m->size < 2 ? m->size : 2;

	if (pread(m->fd, tail + 2 - known, (size_t)known, m->size - known) != known)
		return -1;
	if (m->size == 0 || (tail[1] == '\n' && tail[0] == '\n' && m->size > 1))
		return 0;
	return content_put_file(out, "\n\n", tail[1] == '\n' && m->size > 1 ? 1 : 2);
}

bool mbox_put(struct mbox *m, const struct act_request *r, int content_fd, struct verdict *v)
{
	struct content_file out = { m->fd, m->size, (off_t)local_settings.mailbox_size_limit };

	if (m->swallows)
		return true;
	if (r->in_doubt && is_there(m, r, content_fd))
		return true;
	/* Only the first of a batch can follow what a crash left. */
	if (r->in_doubt && m->size == m->start && m->size > 0) {
		if (!cut_torn_copy(m, r, content_fd)) {
			refuse(m, v, errno, "cannot remove an incomplete copy");
			return false;
		}
		out.size = m->size;
	}
	if (close_last_message(m, &out) == 0 &&
	    content_copy(r, content_fd, true, true, content_put_file, &out) == 0 &&
	    content_put_file(&out, "\n", 1) == 0) {
		m->size = out.size;
		return true;
	}
	refuse(m, v, errno, "error writing message");
	if (cut_back(m, m->size) == -1)
		refuse(m, v, errno, "error removing an incomplete message");
	return false;
}

static int flush_directory(const struct mbox *m)
{
	char *copy = mem_strdup(m->path);
	int fd = openat(m->directory, dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	free(copy);
	if (fd == -1) /* a directory that its user may not read */
		return errno == EACCES ? 0 : -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

int mbox_flush(struct mbox *m)
{
	if (m->swallows)
		return 0;
	if (fdatasync(m->fd) == 0 && (!m->made || flush_directory(m) == 0))
		return 0;
	int error = errno;
	if (cut_back(m, m->start) == 0)
		m->size = m->start;
	errno = error;
	return -1;
}

void mbox_close(struct mbox *m)
{
	if (m == NULL)
		return;
	if (m->fd != -1)
		close(m->fd);
	if (m->dotlocked)
		dotlock_remove(m->user, m->directory, m->lock_name);
	if (m->directory != AT_FDCWD && m->directory != -1)
		close(m->directory);
	free(m->lock_name);
	free(m->path);
	free(m);
}
