/* SPDX-License-Identifier: ISC */
/*
 * layout.c - the directories of an instance.
 */
#include "common/service/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* ROOT_FOR_MAIL: mail_owner may pass through, for the sockets of others (dialer). */
enum owner { ROOT, QUEUE_OWNER, MAIL_OWNER, ROOT_FOR_MAIL, OWNERS };

static const struct {
	const char *name;
	enum owner owner;
	mode_t mode;
} directories[] = {
	{ "pid", ROOT, 0755 },
	{ "private", ROOT_FOR_MAIL, 0710 },
	{ "public", ROOT, 0755 },
	{ "empty", ROOT, 0555 },
	{ "log", QUEUE_OWNER, 0700 },
	{ "large", QUEUE_OWNER, 0700 },
	/* Of the group setgid_group: postdrop makes files there, and can't list them. */
	{ "maildrop", MAIL_OWNER, 01730 },
};

struct preparing {
	layout_report *report;
	void *arg;
	unsigned failures;
};

static void tell(struct preparing *p, bool is_error, const char *format, const char *name,
    const char *detail)
{
	char text[512];

	snprintf(text, sizeof(text), format, name, detail);
	p->failures += is_error;
	p->report(p->arg, is_error, text);
}

static void prepare_one(struct preparing *p, int queue, const char *name, uid_t uid, gid_t gid,
    mode_t mode)
{
	struct stat st;
	int fd;

	if (mkdirat(queue, name, mode) == -1 && errno != EEXIST) {
		tell(p, true, "cannot make %s below the queue directory: %s", name,
		    strerror(errno));
		return;
	}
	fd = openat(queue, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		tell(p, true, "%s below the queue directory: %s", name, strerror(errno));
		if (fd != -1)
			close(fd);
		return;
	}
	if (geteuid() == 0 && (st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) == -1)
		tell(p, true, "cannot change the owner of %s: %s", name, strerror(errno));
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
		tell(p, true, "cannot change the mode of %s: %s", name, strerror(errno));
	close(fd);
}

static const struct passwd *find_owner(struct preparing *p, struct conf *conf,
    const char *parameter)
{
	const char *user = conf_text(conf, parameter);
	const struct passwd *pw = getpwnam(user);

	if (pw == NULL)
		tell(p, true,
		    "%s = %s: there is no such user; \"gatepost init\" or the package creates it",
		    parameter, user);
	return pw;
}

/* Without the group nobody but root can submit while the suite is down; the rest works. */
static void find_drop_group(struct preparing *p, struct conf *conf, gid_t *gid)
{
	const char *name = conf_text(conf, "setgid_group");
	const struct group *group = *name == '\0' ? NULL : getgrnam(name);

	if (group != NULL)
		*gid = group->gr_gid;
	else if (*name != '\0')
		tell(p, false, "setgid_group = %s: there is no such group; %s", name,
		    "\"gatepost init\" or the package creates it");
}

static bool find_owners(struct preparing *p, struct conf *conf, uid_t *owners, gid_t *groups)
{
	const struct passwd *pw = find_owner(p, conf, "mail_owner");

	if (pw == NULL)
		return false;
	owners[MAIL_OWNER] = pw->pw_uid;
	groups[MAIL_OWNER] = groups[ROOT_FOR_MAIL] = pw->pw_gid;
	pw = find_owner(p, conf, "queue_owner");
	if (pw == NULL)
		return false;
	owners[QUEUE_OWNER] = pw->pw_uid;
	groups[QUEUE_OWNER] = pw->pw_gid;
	find_drop_group(p, conf, &groups[MAIL_OWNER]);
	return true;
}

unsigned layout_prepare(int queue, struct conf *conf, layout_report *report, void *arg)
{
	struct preparing p = { report, arg, 0 };
	uid_t owners[OWNERS] = { geteuid(), geteuid(), geteuid(), geteuid() };
	gid_t groups[OWNERS] = { getegid(), getegid(), getegid(), getegid() };
	bool is_root = geteuid() == 0;
	mode_t old = umask(022);

	if (is_root && !find_owners(&p, conf, owners, groups)) {
		umask(old);
		return p.failures;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(directories); i++) {
		enum owner owner = directories[i].owner;
		mode_t mode = directories[i].mode;

		/* Without root, mail_owner is the owner. */
		if (owner == ROOT_FOR_MAIL && !is_root)
			mode &= 0700;
		prepare_one(&p, queue, directories[i].name, owners[owner], groups[owner], mode);
	}
	umask(old);
	return p.failures;
}

int layout_open_queue(struct conf *conf)
{
	return open(conf_text(conf, "queue_directory"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Whoever may open the file could hold a lock on it, and keep master from starting: so it is for its
 * owner alone. Looking is done by F_OFD_GETLK, which takes no lock that a starting master could meet. */
int layout_lock_master(int queue)
{
	int fd = openat(queue, "pid/master.pid", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[32];
	int len, saved;

	if (fd == -1)
		return -1;
	len = snprintf(text, sizeof(text), "%10ld\n", (long)getpid());
	if (fchmod(fd, 0600) == -1 || fcntl(fd, F_OFD_SETLK, &lock) == -1 ||
	    ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t)len, 0) != len) {
		saved = errno == EAGAIN || errno == EACCES ? EWOULDBLOCK : errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int layout_master_pid(int queue)
{
	int fd = openat(queue, "pid/master.pid", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[32];
	ssize_t got;
	uint64_t pid;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fcntl(fd, F_OFD_GETLK, &lock) == -1 || lock.l_type == F_UNLCK) {
		close(fd);
		return lock.l_type == F_UNLCK ? 0 : -1;
	}
	got = pread(fd, text, sizeof(text), 0);
	close(fd);
	if (got <= 0 || !text_number(slice_trim(slice_new(text, (size_t)got)), INT32_MAX, &pid)) {
		errno = EAGAIN;
		return -1;
	}
	return (int)pid;
}
