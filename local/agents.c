/* SPDX-License-Identifier: ISC */
/*
 * agents.c - the worker's agents. Each has a task that reads its replies; hanging up is how an agent is
 * told to go.
 */
#include "local/agents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"

enum {
	AGENTS_LIMIT = 100,
	AGENTS_PER_USER = 2,
	FORWARD_TOTAL = 50000, /* addresses of one delivery */
	IDLE_SECONDS = 30,
	STUCK_SECONDS = 2, /* an agent silent for so long may be in a slow command */
	GRACE_SECONDS = 60,
};

/* One delivery under way. On the heap: its asker may go before its reply comes. */
struct ask {
	TAILQ_ENTRY(ask) entry;
	uint64_t serial;
	struct act_reply *reply; /* NULL: the asker has gone */
	struct arena *arena;
	bool done, failed;
	struct task_list waiter;
};

/* What an agent's deliveries are like, as its last reply tells. Messages for boxes are handed over as
 * they come, to be done in batches; those for commands one at a time, so that both agents of the user
 * have some. */
enum habit { UNKNOWN, BOXES, COMMANDS };

struct agent {
	TAILQ_ENTRY(agent) entry;
	enum habit habit;
	char *user, *lane;
	int socket;	    /* -1 until the monitor has answered */
	bool listed;	    /* may be chosen */
	bool gone;	    /* its socket is of no use; freed when nobody uses it */
	struct verdict why; /* of its end */
	size_t uses;	    /* its task, and askers */
	uint64_t serials;
	deadline heard; /* from it, or when it got something to do */
	TAILQ_HEAD(, ask) asks;
	bool sending;
	struct task_list waiters; /* for the socket, or for their turn to send */
	struct task_list room;	  /* who waits until it may get more to do */
};

static TAILQ_HEAD(agent_list,
    agent) agents = TAILQ_HEAD_INITIALIZER(agents); /* longest unused first */
static size_t agents_count;

/* --- the monitor ------------------------------------------------------------------------------------ */

struct wish {
	STAILQ_ENTRY(wish) entry;
	struct agent *agent;
	struct task_list waiter;
	bool done;
};

/* It answers in the order of the questions. */
static STAILQ_HEAD(, wish) wishes = STAILQ_HEAD_INITIALIZER(wishes);

_Noreturn static void end_without_monitor(void)
{
	log_error("the monitor of local delivery is gone");
	log_close();
	_exit(1);
}

static void take_answer(const struct act_agent *answer, int fd)
{
	struct wish *w = STAILQ_FIRST(&wishes);
	struct agent *a;
	char dsn[16];

	if (w == NULL)
		end_without_monitor();
	STAILQ_REMOVE_HEAD(&wishes, entry);
	a = w->agent;
	if (fd != -1) {
		a->socket = fd;
		io_set_nonblocking(fd);
	} else {
		bool never = answer->dsn.len > 0 && answer->dsn.data[0] == '5';

		snprintf(dsn, sizeof(dsn), "%.*s", (int)answer->dsn.len, answer->dsn.data);
		verdict_set(&a->why, never ? OUTCOME_BOUNCED : OUTCOME_DEFERRED,
		    dsn[0] == '\0' ? "4.3.0" : dsn, "%.*s", (int)answer->why.len, answer->why.data);
	}
	w->done = true;
	task_list_wake_all(&w->waiter);
}

static void listen_to_monitor(void *unused)
{
	static char packet[ACT_PACKET_LIMIT];
	struct arena *arena = arena_new();
	int monitor = service_monitor_socket();

	(void)unused;
	for (;;) {
		struct act_agent answer = { 0 };
		int fd = -1, got;

		if (task_wait_fd(monitor, TASK_READ, DEADLINE_NEVER) == -1)
			end_without_monitor();
		got = act_receive(monitor, &table_act_agent, &answer, arena, packet, &fd);
		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			continue;
		if (got != 1)
			end_without_monitor();
		take_answer(&answer, fd);
		arena_reset(arena);
	}
}

void agents_start(void)
{
	io_set_nonblocking(service_monitor_socket());
	if (task_start("monitor", listen_to_monitor, NULL) == NULL)
		panic("no task for the monitor");
}

/* Fills the agent's socket, or its reason. A wish that was sent is waited for, whatever happens: the
 * order of the answers depends on it. */
static void ask_monitor(struct agent *a)
{
	struct wish w = { .agent = a };
	struct act_become become = { slice_of(a->user) };

	while (act_send(service_monitor_socket(), &table_act_become, &become, -1) == -1) {
		if (errno == EINVAL) {
			verdict_set(&a->why, OUTCOME_BOUNCED, "5.1.1",
			    "this can't be a user's name");
			return;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			end_without_monitor();
		task_sleep_until(deadline_after(10 * CLOCK_MS));
	}
	STAILQ_INSERT_TAIL(&wishes, &w, entry);
	while (!w.done)
		task_list_wait(&w.waiter, DEADLINE_NEVER);
}

/* --- one agent -------------------------------------------------------------------------------------- */

static void release(struct agent *a)
{
	if (--a->uses > 0)
		return;
	if (a->socket != -1) {
		task_forget_fd(a->socket);
		close(a->socket);
	}
	free(a->why.text);
	free(a->user);
	free(a->lane);
	free(a);
}

/* Nobody gets it any more; what it has to do, it does. */
static void take_out(struct agent *a)
{
	if (!a->listed)
		return;
	a->listed = false;
	TAILQ_REMOVE(&agents, a, entry);
	agents_count--;
}

static bool is_of(const struct agent *a, struct slice user, struct slice lane)
{
	return slice_equal(slice_of(a->user), user) && slice_equal(slice_of(a->lane), lane);
}

/* Whoever waits for one of the user's agents may now use this one. */
static void tell_room(struct agent *a)
{
	struct agent *other;

	task_list_wake_all(&a->room);
	TAILQ_FOREACH(other, &agents, entry)
		if (is_of(other, slice_of(a->user), slice_of(a->lane)))
			task_list_wake_all(&other->room);
}

/* Hangs up; those who wait for it hear of it. */
static void dismiss(struct agent *a)
{
	struct ask *ask;

	if (a->gone)
		return;
	a->gone = true;
	take_out(a);
	if (a->socket != -1)
		shutdown(a->socket, SHUT_RDWR);
	while ((ask = TAILQ_FIRST(&a->asks)) != NULL) {
		TAILQ_REMOVE(&a->asks, ask, entry);
		ask->done = ask->failed = true;
		task_list_wake_all(&ask->waiter);
		if (ask->reply == NULL)
			free(ask);
	}
	task_list_wake_all(&a->waiters);
	tell_room(a);
}

/* The packet's memory is used again; what it says is kept with the delivery. */
static bool keep_reply(struct ask *ask, const struct act_reply *part)
{
	struct wire_texts *all = &ask->reply->forward, old = *all;

	if (old.count + part->forward.count > FORWARD_TOTAL)
		return false;
	*ask->reply = *part;
	*all = old;
	ask->reply->dsn = arena_copy(ask->arena, part->dsn);
	ask->reply->text = arena_copy(ask->arena, part->text);
	if (part->forward.count == 0)
		return true;
	all->items = arena_alloc(ask->arena,
	    (old.count + part->forward.count) * sizeof(*all->items));
	if (old.count > 0)
		memcpy(all->items, old.items, old.count * sizeof(*all->items));
	all->count = old.count + part->forward.count;
	for (size_t i = 0; i < part->forward.count; i++)
		all->items[old.count + i] = arena_copy(ask->arena, part->forward.items[i]);
	return true;
}

static bool take_reply(struct agent *a, const struct act_reply *part)
{
	struct ask *ask;

	TAILQ_FOREACH(ask, &a->asks, entry)
		if (ask->serial == part->serial)
			break;
	if (ask == NULL || part->outcome < OUTCOME_SENT ||
	    (ask->reply != NULL && !keep_reply(ask, part)))
		return false;
	if (part->more)
		return true;
	TAILQ_REMOVE(&a->asks, ask, entry);
	ask->done = true;
	task_list_wake_all(&ask->waiter);
	if (ask->reply == NULL)
		free(ask);
	a->habit = part->ran_command ? COMMANDS : BOXES;
	tell_room(a);
	return true;
}

/* The longest silence that a delivery may explain. */
static deadline patience(const struct agent *a)
{
	int64_t locks = local_settings.deliver_lock_attempts * local_settings.deliver_lock_delay;
	int64_t busy = local_settings.command_time_limit + 3 * locks + GRACE_SECONDS * CLOCK_SECOND;

	return a->heard + (TAILQ_EMPTY(&a->asks) ? IDLE_SECONDS * CLOCK_SECOND : busy);
}

static const char *read_replies(struct agent *a, struct arena *arena)
{
	static char packet[ACT_PACKET_LIMIT];

	for (;;) {
		struct act_reply part = { 0 };
		int fd = -1, got;

		if (task_wait_fd(a->socket, TASK_READ, patience(a)) == -1) {
			if (errno != ETIMEDOUT)
				return strerror(errno);
			if (clock_now() < patience(a))
				continue;
			return TAILQ_EMPTY(&a->asks) ? "is idle" : "does not answer";
		}
		got = act_receive(a->socket, &table_act_reply, &part, arena, packet, &fd);
		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			continue;
		if (got == 0)
			return "ended";
		a->heard = clock_now();
		if (got == -1 || !take_reply(a, &part))
			return "broke the rules";
		arena_reset(arena);
	}
}

static void run_agent(void *arg)
{
	struct agent *a = arg;
	struct arena *arena = arena_new();

	ask_monitor(a);
	task_list_wake_all(&a->waiters);
	if (a->socket != -1 && !a->gone) {
		const char *end = read_replies(a, arena);

		if (!TAILQ_EMPTY(&a->asks))
			log_warning("the process that delivers for %s %s",
			    a->user[0] == '\0' ? "alias tables" : a->user, end);
		verdict_set(&a->why, OUTCOME_DEFERRED, "4.3.0",
		    "the process that delivers for this user %s", end);
	}
	dismiss(a);
	arena_free(arena);
	release(a);
}

/* --- choosing --------------------------------------------------------------------------------------- */

static void make_room(void)
{
	struct agent *a, *next;

	for (a = TAILQ_FIRST(&agents); a != NULL && agents_count >= AGENTS_LIMIT; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (a->uses == 1 && a->socket != -1 && TAILQ_EMPTY(&a->asks))
			dismiss(a); /* its task sees the hang-up */
	}
}

static struct agent *new_agent(struct slice user, struct slice lane)
{
	struct agent *a;

	make_room();
	a = mem_alloc(sizeof(*a));
	a->user = slice_dup(user);
	a->lane = slice_dup(lane);
	a->socket = -1;
	a->heard = clock_now();
	TAILQ_INIT(&a->asks);
	a->uses = 1;
	if (task_start("agent", run_agent, a) == NULL) {
		free(a->user);
		free(a->lane);
		free(a);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&agents, a, entry);
	a->listed = true;
	agents_count++;
	return a;
}

static deadline stuck_at(const struct agent *a)
{
	return TAILQ_EMPTY(&a->asks) ? DEADLINE_NEVER : a->heard + STUCK_SECONDS * CLOCK_SECOND;
}

static bool is_stuck(const struct agent *a)
{
	return clock_now() >= stuck_at(a);
}

static bool has_room(const struct agent *a)
{
	return a->habit == BOXES || TAILQ_EMPTY(&a->asks);
}

/* The user's agent that will soonest come to more work, and how many he has. */
static struct agent *find_best(struct slice user, struct slice lane, size_t *count)
{
	struct agent *a, *best = NULL;

	*count = 0;
	TAILQ_FOREACH(a, &agents, entry) {
		if (!is_of(a, user, lane))
			continue;
		++*count;
		if (best == NULL || (is_stuck(best) && !is_stuck(a)) ||
		    (!has_room(best) && has_room(a)))
			best = a;
	}
	return best;
}

static bool needs_another(const struct agent *a)
{
	return is_stuck(a) || (a->habit == COMMANDS && !has_room(a));
}

static void use(struct agent *a)
{
	TAILQ_REMOVE(&agents, a, entry);
	TAILQ_INSERT_TAIL(&agents, a, entry);
	a->uses++;
}

/* An agent of the user that has room, for the caller to release; NULL: none can be made. Waits. */
static struct agent *choose(struct slice user, struct slice lane)
{
	for (;;) {
		size_t count;
		struct agent *a = find_best(user, lane, &count);

		if (a == NULL || (count < AGENTS_PER_USER && needs_another(a))) {
			a = new_agent(user, lane);
			if (a == NULL)
				return NULL;
		}
		use(a);
		if (has_room(a))
			return a;
		if (task_list_wait(&a->room, is_stuck(a) ? DEADLINE_NEVER : stuck_at(a)) == -1 &&
		    errno != ETIMEDOUT) {
			release(a);
			return NULL;
		}
		release(a);
	}
}

bool agents_have(struct slice user)
{
	struct agent *a;

	TAILQ_FOREACH(a, &agents, entry)
		if (a->socket != -1 && slice_equal(slice_of(a->user), user))
			return true;
	return false;
}

/* --- asking ----------------------------------------------------------------------------------------- */

static bool send_request(struct agent *a, const struct act_request *request, int content_fd)
{
	deadline when = deadline_after(local_settings.command_time_limit +
	    GRACE_SECONDS * CLOCK_SECOND);
	bool ok = true;

	while (!a->gone && (a->socket == -1 || a->sending))
		if (task_list_wait(&a->waiters, DEADLINE_NEVER) == -1)
			return false;
	if (a->gone)
		return false;
	a->sending = true;
	while (ok && act_send(a->socket, &table_act_request, request, content_fd) == -1)
		ok = (errno == EAGAIN || errno == EWOULDBLOCK) &&
		    task_wait_fd(a->socket, TASK_WRITE, when) != -1 && !a->gone;
	a->sending = false;
	task_list_wake_all(&a->waiters);
	return ok;
}

static bool wait_for_reply(struct ask *ask)
{
	bool ok;

	while (!ask->done)
		if (task_list_wait(&ask->waiter, DEADLINE_NEVER) == -1 && !ask->done) {
			ask->reply = NULL; /* the agent's task frees it */
			return false;
		}
	ok = !ask->failed;
	free(ask);
	return ok;
}

bool agents_ask(struct slice user, struct slice lane, struct act_request *request, int content_fd,
    struct arena *arena, struct act_reply *reply, struct verdict *v)
{
	struct agent *a = choose(user, lane);
	struct ask *ask;
	bool ok;

	if (a == NULL) {
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "too many users get mail at once");
		return false;
	}
	ask = mem_alloc(sizeof(*ask));
	ask->serial = request->serial = ++a->serials;
	ask->reply = reply;
	ask->arena = arena;
	if (TAILQ_EMPTY(&a->asks))
		a->heard = clock_now();
	TAILQ_INSERT_TAIL(&a->asks, ask, entry);
	ok = send_request(a, request, content_fd);
	if (!ok && !ask->done) {
		TAILQ_REMOVE(&a->asks, ask, entry);
		free(ask);
	} else {
		ok = wait_for_reply(ask) && ok;
	}
	if (!ok && a->why.text != NULL)
		verdict_set(v, a->why.outcome, a->why.dsn, "%s", a->why.text);
	else if (!ok)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "the delivery could not be handed over");
	else if (reply->renew)
		take_out(a);
	release(a);
	return ok;
}
