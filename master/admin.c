/* SPDX-License-Identifier: ISC */
/*
 * admin.c - the socket by which gatepost(1) asks for status, reload, stop and abort. Its mode lets only root
 * (or the owner of a private instance) connect, from before it listens on, and the kernel tells who does.
 */
#include "master/master.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "common/service/layout.h"
#include "master/in_force.h"

enum { ACCEPT_PAUSE_MS = 100 }; /* when there is no descriptor left */

static int listener = -1;

static void say(struct request *r, const char *text)
{
	struct msg_admin_line line = { slice_of(text) };

	request_send(r, &table_admin_line, &line, -1, false, deadline_after(10 * CLOCK_SECOND));
}

static void conclude(struct request *r, uint64_t code, const char *text)
{
	struct msg_reply reply = { .code = code, .text = slice_of(text) };

	request_send(r, &table_reply, &reply, -1, true, deadline_after(10 * CLOCK_SECOND));
}

static void describe(const struct process *p, char *out, size_t size)
{
	static const struct {
		uint64_t bit;
		const char *word;
	} words[] = { { SANDBOX_UID, "uid" }, { SANDBOX_CHROOT, "chroot" },
		{ SANDBOX_NO_NEW_PRIVS, "no_new_privs" }, { SANDBOX_LANDLOCK, "landlock" },
		{ SANDBOX_SECCOMP, "seccomp" } };
	uid_t uid = p->uid;
	/* Landlock is the one that only the service itself can know. */
	uint64_t sandbox = in_force_of(p->serving_pid, &uid) | (p->sandbox & SANDBOX_LANDLOCK);
	size_t len = (size_t)snprintf(out, size, "%-12s %-6s %7d %6u %8" PRIu64 " %-9s",
	    p->entry->name, entry_type_name(p->entry->type), (int)p->serving_pid, (unsigned)uid,
	    p->sessions,
	    p->draining	   ? "draining"
		: p->ready ? "ready"
			   : "starting");

	for (size_t i = 0; i < ARRAY_LENGTH(words) && len < size; i++)
		if (sandbox & words[i].bit)
			len += (size_t)snprintf(out + len, size - len, " %s", words[i].word);
	if (p->serving_pid != p->pid && len < size)
		snprintf(out + len, size - len, " (monitor %d)", (int)p->pid);
}

static void status(struct request *r)
{
	char text[512];
	struct entry *e;
	struct process *p;

	snprintf(text, sizeof(text), "Gatepost %s, master %d, configuration %s, queue %s",
	    GATEPOST_VERSION, (int)getpid(), master.config_path,
	    conf_text(master.conf, "queue_directory"));
	say(r, text);
	say(r, "SERVICE      TYPE       PID    UID SESSIONS STATE     IN FORCE");
	LIST_FOREACH(e, &master.entries, link) {
		LIST_FOREACH(p, &e->processes, link) {
			describe(p, text, sizeof(text));
			say(r, text);
		}
		if (e->throttled) {
			snprintf(text, sizeof(text), "%-12s fails at its start; see the log",
			    e->name);
			say(r, text);
		}
	}
	conclude(r, 250, "");
}

static void report_line(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	static const char *const words[] = { "note", "warning", "error" };
	char whole[1024];

	if (line > 0)
		snprintf(whole, sizeof(whole), "%s: %s, line %u: %s", words[severity], file, line,
		    text);
	else
		snprintf(whole, sizeof(whole), "%s: %s: %s", words[severity], file, text);
	say(arg, whole);
}

static void reload(struct request *r)
{
	bool ok = master_reload(report_line, r);

	conclude(r, ok ? 250 : 554, ok ? "" : "the configuration has errors; nothing was changed");
}

static void stop(struct request *r)
{
	conclude(r, 250, "");
	task_yield();
	master_stop();
}

static void abort_all(struct request *r)
{
	conclude(r, 250, "");
	task_yield();
	master_abort();
}

static void admin_came(struct request *r, struct frame *first)
{
	static const struct {
		const char *verb;
		void (*run)(struct request *);
	} verbs[] = { { "status", status }, { "reload", reload }, { "stop", stop },
		{ "abort", abort_all } };
	struct msg_admin *m = first->message;

	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
		if (slice_equal(m->verb, slice_of(verbs[i].verb))) {
			verbs[i].run(r);
			return;
		}
	conclude(r, 502, "master does not know this command");
}

static const struct handler handlers[] = {
	{ &table_admin, ROLE_BIT(ROLE_ADMIN), admin_came },
	{ 0 },
};

static void admin_left(struct channel *c, void *arg)
{
	(void)arg;
	channel_close(c);
}

static void accept_on(void *arg)
{
	(void)arg;
	while (task_wait_fd(listener, TASK_READ, DEADLINE_NEVER) != -1) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct ucred cred;
		socklen_t len = sizeof(cred);

		if (fd == -1) {
			task_sleep_until(deadline_after(ACCEPT_PAUSE_MS * CLOCK_MS));
			continue;
		}
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 ||
		    (cred.uid != 0 && cred.uid != geteuid())) {
			log_warning("user %u has no business at master's socket",
			    (unsigned)cred.uid);
			close(fd);
			continue;
		}
		channel_new(fd, ROLE_ADMIN, handlers, admin_left, NULL);
	}
}

bool admin_listen(void)
{
	listener = io_unix_listen(master.queue_directory, LAYOUT_MASTER_SOCKET, 0600);
	return listener != -1 && task_start("admin", accept_on, NULL) != NULL;
}
