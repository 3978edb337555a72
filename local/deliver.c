/* SPDX-License-Identifier: ISC */
/*
 * deliver.c - what one delivery means for the user that this process is: his .forward, his mailbox, a
 * command, a file, a list. Addresses to forward to are only collected: the worker sends them on.
 */
#include "local/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "local/targets.h"

enum { INCLUDE_LIMIT = 10, INCLUDE_SIZE = 1024 * 1024 };

static void add_bounce(struct job *job, const char *dsn, const char *text)
{
	struct verdict v = { 0 };

	verdict_set(&v, OUTCOME_BOUNCED, dsn, "%s", text);
	job_add(job, &v);
}

/* A later try does all of it again, so nothing more is begun. */
static bool is_deferred(const struct job *job)
{
	return job->verdict.text != NULL && job->verdict.outcome == OUTCOME_DEFERRED;
}

/* --- commands and files --------------------------------------------------------------------------- */

static void run_command(struct job *job, const char *command)
{
	struct verdict v = { 0 };

	batch_settle(job->batch); /* it may take long */
	if (is_deferred(job))
		return;
	job->ran_command = true;
	command_deliver(&job->request, job->content_fd, job->batch->user, command,
	    job->batch->socket, &v);
	job_add(job, &v);
}

/* place: "alias", "forward" or "include", where the command or file stands. */
static void run_listed_command(struct job *job, const char *place, struct slice text)
{
	if (!setting_has_word(local_settings.allow_mail_to_commands, place))
		add_bounce(job, "5.7.1", "mail to command is restricted");
	else if (!job->batch->user->capable)
		add_bounce(job, "5.7.1", "root's mail is not given to commands");
	else
		run_command(job, arena_text(job->batch->arena, text));
}

static void deliver_to_file(struct job *job, const char *place, struct slice text)
{
	struct arena *arena = job->batch->arena;
	char *path = arena_text(arena, text);

	if (setting_has_word(local_settings.allow_mail_to_files, place))
		batch_put(job, path, AT_FDCWD, path, 0,
		    path[text.len - 1] == '/' ? "delivered to maildir"
					      : arena_printf(arena, "delivered to file: %s", path));
	else
		add_bounce(job, "5.7.1", "mail to file is restricted");
}

/* --- the mailbox ---------------------------------------------------------------------------------- */

static const char *sent_text(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '/' ? "delivered to maildir" : "delivered to mailbox";
}

static void deliver_to_home(struct job *job)
{
	const struct agent_user *user = job->batch->user;
	const char *path = local_settings.home_mailbox;
	int home = open(user->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct verdict v = { 0 };

	if (home == -1 && errno == EACCES)
		home = open(user->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home == -1) {
		verdict_errno(&v, errno, "cannot open home directory %s", user->home);
		job_add(job, &v);
		return;
	}
	while (*path == '/')
		path++;
	batch_put(job, "~", home, path, BOX_OF_USER, sent_text(path));
	close(home);
}

static void deliver_to_spool(struct job *job)
{
	const struct agent_user *user = job->batch->user;
	const char *spool = local_settings.mail_spool_directory;
	size_t len = strlen(spool);
	const char *path = arena_printf(job->batch->arena, "%s%s", user->name,
	    len > 0 && spool[len - 1] == '/' ? "/" : "");
	struct verdict v = { 0 };

	if (user->spool == -1) {
		verdict_set(&v, OUTCOME_DEFERRED, "4.3.5", "mail_spool_directory %s can't be used",
		    spool);
		job_add(job, &v);
		return;
	}
	batch_put(job, "spool", user->spool, path, BOX_OF_USER, sent_text(path));
}

static void deliver_to_mailbox(struct job *job)
{
	if (local_settings.mailbox_command[0] != '\0' && job->batch->user->capable)
		run_command(job, local_settings.mailbox_command);
	else if (local_settings.home_mailbox[0] != '\0')
		deliver_to_home(job);
	else
		deliver_to_spool(job);
}

/* --- lists ---------------------------------------------------------------------------------------- */

static void add_forward(struct job *job, struct slice address)
{
	if (address.len > ADDRESS_LIMIT) {
		add_bounce(job, "5.1.3", "an address to forward to is too long");
		return;
	}
	if (job->forward_count == job->forward_size) {
		job->forward_size = job->forward_size == 0 ? 16 : job->forward_size * 2;
		job->forward = mem_resize_array(job->forward, job->forward_size,
		    sizeof(*job->forward));
	}
	job->forward[job->forward_count++] = address;
}

/* "name" or "name@domain" of the recipient himself. */
static bool is_self(const struct job *job, struct slice address)
{
	return !job->batch->user->is_default_privs &&
	    (slice_equal_nocase(address, slice_of(job->batch->user->name)) ||
		slice_equal_nocase(address, job->request.recipient));
}

static struct target *parse(struct job *job, struct slice text, const char *where)
{
	struct verdict v = { 0 };
	const char *why;
	struct target *targets = targets_parse(text, FORWARD_LIMIT - job->members,
	    job->batch->arena, &why);

	for (struct target *t = targets; t != NULL; t = t->next)
		job->members++;
	if (why != NULL) {
		verdict_set(&v, OUTCOME_DEFERRED, "4.3.5", "%s: %s", where, why);
		job_add(job, &v);
	}
	return targets;
}

/* The whole file, if it is one that only its owner and his group write to. */
static bool read_include(const char *path, struct buf *text, struct verdict *v)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t got = -1;

	if (fd == -1 || fstat(fd, &st) == -1) {
		verdict_errno(v, errno, "cannot open include file %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		verdict_set(v, OUTCOME_BOUNCED, "5.3.5", "include file %s is not a regular file",
		    path);
		goto out;
	}
	if ((st.st_mode & S_IWOTH) != 0) {
		verdict_set(v, OUTCOME_DEFERRED, "4.3.5", "include file %s is world writable",
		    path);
		goto out;
	}
	while ((got = read(fd, buf_reserve(text, 4096), 4096)) > 0 && text->len < INCLUDE_SIZE)
		text->len += (size_t)got;
	if (got != 0)
		verdict_errno(v, got > 0 ? EFBIG : errno, "cannot read include file %s", path);
out:
	if (fd != -1)
		close(fd);
	return got == 0;
}

/* Puts the members of an included file behind the target that names it: no recursion. */
static void splice_include(struct job *job, struct target *at)
{
	char *path = arena_text(job->batch->arena, at->text);
	struct buf text = { 0 };
	struct verdict v = { 0 };
	struct target *members;

	if (job->includes++ >= INCLUDE_LIMIT)
		add_bounce(job, "5.4.6", "too many :include: files, or one that includes itself");
	else if (!read_include(path, &text, &v))
		job_add(job, &v);
	else if ((members = parse(job, buf_slice(&text), path)) != NULL) {
		struct target *last = members;

		for (struct target *t = members; t != NULL; last = t, t = t->next)
			t->included = true;
		last->next = at->next;
		at->next = members;
	}
	buf_clear(&text);
}

static void deliver_targets(struct job *job, struct target *list)
{
	const char *top = job->batch->user->is_default_privs ? "alias" : "forward";
	bool mailbox_done = false;

	for (struct target *t = list; t != NULL && !is_deferred(job); t = t->next) {
		const char *place = t->included ? "include" : top;

		switch (t->kind) {
		case TARGET_COMMAND:
			run_listed_command(job, place, t->text);
			break;
		case TARGET_FILE:
			deliver_to_file(job, place, t->text);
			break;
		case TARGET_INCLUDE:
			splice_include(job, t);
			break;
		case TARGET_USER:
		case TARGET_ADDRESS:
			if (!is_self(job, t->text))
				add_forward(job, t->text);
			else if (!mailbox_done)
				deliver_to_mailbox(job);
			mailbox_done = mailbox_done || is_self(job, t->text);
			break;
		}
	}
}

static void follow_forward(struct job *job)
{
	struct buf text = { 0 };
	struct verdict v = { 0 };
	struct target *targets;

	switch (forward_read(&job->request, job->batch->user, &text, &v)) {
	case -1:
		job_add(job, &v);
		break;
	case 0:
		deliver_to_mailbox(job);
		break;
	default:
		targets = parse(job, buf_slice(&text), ".forward");
		if (targets != NULL)
			deliver_targets(job, targets);
		else if (job->verdict.text == NULL)
			deliver_to_mailbox(job); /* an empty file */
	}
	buf_clear(&text);
}

static void deliver_one_target(struct job *job)
{
	struct target *targets = NULL;

	if (job->batch->user->is_default_privs)
		targets = parse(job, job->request.target, "alias");
	if (targets != NULL)
		deliver_targets(job, targets);
	else if (job->verdict.text == NULL)
		add_bounce(job, "5.3.5", "nothing to deliver to");
}

void job_deliver(struct job *job)
{
	const struct act_request *r = &job->request;
	struct verdict v = { 0 };

	if (job->content_fd == -1 && r->content.len != r->content_size)
		verdict_set(&v, OUTCOME_DEFERRED, "4.3.0", "the message's content is missing");
	else if (r->action == ACT_MAILBOX)
		follow_forward(job);
	else if (r->action == ACT_MAILBOX_ONLY)
		deliver_to_mailbox(job);
	else
		deliver_one_target(job);
	if (job->verdict.text == NULL && v.text == NULL) /* only addresses to forward to */
		verdict_set(&v, OUTCOME_SENT, "2.0.0", "%s", "");
	if (v.text != NULL)
		job_add(job, &v);
}
