/* SPDX-License-Identifier: ISC */
/*
 * sessions.c - clients of our listeners, each in a task; and how busy we are, for master.
 */
#include "common/service/internal.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"

enum { LOAD_DELAY_MS = 20, ACCEPTS_PER_TURN = 16, SHORTAGE_PAUSE_MS = 200, USER_PART = 4 };

/* Who has sessions on a UNIX socket, which anybody may open. */
struct user {
	LIST_ENTRY(user) link;
	uint32_t uid;
	uint64_t sessions;
	bool is_named;
};
static LIST_HEAD(, user) users = LIST_HEAD_INITIALIZER(users);

static struct task **acceptors;
static struct task_list room; /* acceptors that wait for a session to end */
static struct task_timer load_timer;
static struct msg_load told;

/* --- load ----------------------------------------------------------------------------------------- */

static void tell_load(void *arg)
{
	struct msg_load now = { running.sessions + links_load(), running.session_limit,
		running.served, running.retiring };

	(void)arg;
	if (running.master == NULL || memcmp(&now, &told, sizeof(now)) == 0)
		return;
	told = now;
	request_close(request_open(running.master, &table_load, &now, -1, true,
	    deadline_after(CLOCK_SECOND)));
}

/* Said even if master has heard the same numbers before: it is the second time that counts. Behind
 * master's end of it no more channels can come. */
void load_tell_closed(void)
{
	struct request *r;
	deadline when = deadline_after(CLOCK_SECOND);

	running.retiring = true;
	told = (struct msg_load){ running.sessions + links_load(), running.session_limit,
		running.served, running.retiring };
	r = request_open(running.master, &table_load, &told, -1, true, when);
	if (r != NULL)
		request_receive(r, when);
	request_close(r);
}

static void load_is_due(void *arg)
{
	(void)arg;
	if (task_start("load", tell_load, NULL) == NULL)
		log_error("no task to tell master the load");
}

void load_changed(void)
{
	if (load_timer.loop_state == NULL)
		task_timer_set(&load_timer, deadline_after(LOAD_DELAY_MS * CLOCK_MS), load_is_due,
		    NULL);
}

void load_look(void)
{
	if (running.sessions + links_load() != told.sessions)
		load_changed();
}

void service_session_begin(void)
{
	running.sessions++;
	running.served++;
	load_changed();
}

void service_session_end(void)
{
	running.sessions--;
	task_list_wake_one(&room);
	load_changed();
}

void service_retire(const char *why)
{
	if (running.retiring || running.draining)
		return;
	running.retiring = true;
	if (why != NULL)
		log_info("%s: a fresh process takes over", why);
	load_changed();
}

void service_look_at_tables(const char *(*changed)(void))
{
	static deadline next;
	deadline now = clock_now();
	const char *name;
	char *why;

	if (now < next)
		return;
	next = now + CLOCK_SECOND;
	name = changed();
	if (name == NULL)
		return;
	why = mem_printf("table %s has changed", name);
	service_retire(why);
	free(why);
}

/* --- clients -------------------------------------------------------------------------------------- */

static struct user *user_of(const struct service_client *c)
{
	struct user *u;

	LIST_FOREACH(u, &users, link)
		if (u->uid == c->uid)
			return u;
	u = mem_alloc(sizeof(*u));
	u->uid = c->uid;
	LIST_INSERT_HEAD(&users, u, link);
	return u;
}

/* Of each user but root a part of the sessions at most; refused ones are named once. */
static bool user_enters(const struct service_client *c)
{
	struct user *u;

	if (!c->is_unix || c->uid == 0)
		return true;
	u = user_of(c);
	if (u->sessions < running.session_limit / USER_PART || u->sessions == 0) {
		u->sessions++;
		return true;
	}
	if (!u->is_named)
		log_warning("user %u has %llu connections: more are refused", (unsigned)u->uid,
		    (unsigned long long)u->sessions);
	u->is_named = true;
	return false;
}

static void user_leaves(const struct service_client *c)
{
	struct user *u;

	if (!c->is_unix || c->uid == 0)
		return;
	u = user_of(c);
	if (--u->sessions > 0)
		return;
	LIST_REMOVE(u, link);
	free(u);
}

static void run_session(void *arg)
{
	struct service_client *client = arg;

	running.service->session(client);
	user_leaves(client);
	free(client);
	service_session_end();
}

/* Who it is, as far as the kernel knows; false when it has gone again. */
static bool describe_client(struct service_client *c)
{
	struct sockaddr_storage peer = { 0 }, own = { 0 };
	socklen_t len = sizeof(peer);
	struct ucred cred;

	if (getpeername(c->fd, (struct sockaddr *)&peer, &len) == -1)
		return false;
	if (peer.ss_family == AF_UNIX) {
		len = sizeof(cred);
		if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
			return false;
		c->is_unix = true;
		c->uid = cred.uid;
		c->gid = cred.gid;
		c->pid = cred.pid;
		return true;
	}
	len = sizeof(own);
	return net_address_of_sockaddr((struct sockaddr *)&peer, &c->address, &c->port) &&
	    getsockname(c->fd, (struct sockaddr *)&own, &len) == 0 &&
	    net_address_of_sockaddr((struct sockaddr *)&own, &c->server_address, &c->server_port);
}

static void begin_session(int fd)
{
	struct service_client *client = mem_alloc(sizeof(*client));

	client->fd = fd;
	if (!describe_client(client) || !user_enters(client)) {
		close(fd);
		free(client);
		return;
	}
	service_session_begin();
	if (task_start("session", run_session, client) == NULL) {
		log_warning("no room for another session: %zu tasks; lower service_session_limit "
			    "or raise vm.max_map_count",
		    task_count());
		user_leaves(client);
		close(fd);
		free(client);
		service_session_end();
	}
}

/* Accepts what is there, within the limit. -1: the listener is gone. */
static int accept_some(int listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN && running.sessions < running.session_limit &&
	     running.draining == 0;
	     i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd != -1) {
			begin_session(fd);
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) {
			log_error("accept: %m");
			return -1;
		}
		log_warning("accept: %m; waiting for sessions to end");
		return task_sleep_until(deadline_after(SHORTAGE_PAUSE_MS * CLOCK_MS));
	}
	task_yield();
	return 0;
}

static void accept_on(void *arg)
{
	size_t index = (size_t)(uintptr_t)arg;
	int listener = SERVICE_FD_LISTEN + (int)index;

	for (;;) {
		while (running.sessions >= running.session_limit)
			if (task_list_wait(&room, DEADLINE_NEVER) == -1)
				goto out;
		if (task_wait_fd(listener, TASK_READ, DEADLINE_NEVER) == -1 ||
		    accept_some(listener) == -1)
			break;
	}
out:
	acceptors[index] = NULL;
	task_forget_fd(listener);
	close(listener);
}

void sessions_start(void)
{
	if (running.service->session == NULL)
		return;
	acceptors = mem_alloc_array(running.listeners + 1, sizeof(*acceptors));
	for (unsigned i = 0; i < running.listeners; i++)
		acceptors[i] = task_start("acceptor", accept_on, (void *)(uintptr_t)i);
}

void sessions_stop_accepting(void)
{
	for (unsigned i = 0; acceptors != NULL && i < running.listeners; i++)
		if (acceptors[i] != NULL)
			task_cancel(acceptors[i]);
}
