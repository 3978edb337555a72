/* SPDX-License-Identifier: ISC */
/*
 * queue_access.c - orders, reading and log lines over public/flush; what takes its place while the mail
 * system is stopped is queue_direct.c.
 */
#include "admin/queue_access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_direct.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/channel.h"
#include "common/service/layout.h"
#include "common/task/task.h"

enum { ORDER_SECONDS = 3600, PATIENCE_SECONDS = 100 };

struct queue_access {
	struct channel *channel;     /* NULL: */
	struct queue_direct *direct; /* the store */
};

struct work {
	void (*run)(void *arg);
	void *arg;
};

static void run_work(void *arg)
{
	struct work *w = arg;

	w->run(w->arg);
	task_stop();
}

void queue_access_run(void (*run)(void *arg), void *arg)
{
	struct work w = { run, arg };

	task_init();
	if (task_start("command", run_work, &w) == NULL)
		command_fail(COMMAND_SOFTWARE, "no memory for a task");
	task_run();
}

static deadline patience(void)
{
	return deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
}

/* --- the way there -------------------------------------------------------------------------------- */

struct queue_access *queue_access_connect(struct conf *conf)
{
	int queue = layout_open_queue(conf);
	int fd = queue == -1 ? -1 : io_unix_connect(queue, "public/flush");
	int saved = errno;
	struct queue_access *a;

	if (queue != -1)
		close(queue);
	errno = saved;
	if (fd == -1)
		return NULL;
	io_set_nonblocking(fd);
	a = mem_alloc(sizeof(*a));
	a->channel = channel_new(fd, ROLE_NONE, NULL, NULL, NULL);
	return a;
}

struct queue_access *queue_access_direct(struct conf *conf)
{
	struct queue_access *a = mem_alloc(sizeof(*a));

	a->direct = queue_direct_open(conf);
	return a;
}

/* Whether nobody has the queue: a socket that nobody listens to is not enough, as master may be about to. */
static bool is_stopped(struct conf *conf)
{
	int queue = layout_open_queue(conf);
	int pid = queue == -1 ? -1 : layout_master_pid(queue);

	if (queue != -1)
		close(queue);
	return pid == 0 || (pid == -1 && errno == ENOENT);
}

struct queue_access *queue_access_open(struct conf *conf)
{
	struct queue_access *a = queue_access_connect(conf);
	int saved = errno;

	if (a != NULL)
		return a;
	if (!is_stopped(conf))
		command_fail(saved == EACCES || saved == EPERM ? COMMAND_NOPERM
							       : COMMAND_UNAVAILABLE,
		    "Connect to the flush service in %s: %s", conf_text(conf, "queue_directory"),
		    strerror(saved));
	log_warning("Mail system is down -- accessing queue directly");
	return queue_access_direct(conf);
}

void queue_access_close(struct queue_access *a)
{
	if (a == NULL)
		return;
	channel_close(a->channel);
	queue_direct_close(a->direct);
	free(a);
}

bool queue_access_is_direct(const struct queue_access *a)
{
	return a->direct != NULL;
}

/* --- orders --------------------------------------------------------------------------------------- */

static _Noreturn void lost(void)
{
	command_fail(COMMAND_UNAVAILABLE,
	    "the flush service does not answer: %s; the mail log says more", strerror(errno));
}

static _Noreturn void refused(const struct msg_queue_ordered *answer)
{
	int status = answer->forbidden ? COMMAND_NOPERM
	    : answer->not_served       ? COMMAND_UNAVAILABLE
				       : COMMAND_TEMPORARY;

	command_fail(status, "%.*s", (int)answer->why.len, answer->why.data);
}

struct request *queue_access_order_start(struct queue_access *a,
    const struct msg_queue_order *order)
{
	struct request *r = request_open(a->channel, &table_queue_order, order, -1, true,
	    patience());

	if (r == NULL)
		lost();
	return r;
}

/* The answer is valid until the request is closed. */
static const struct msg_queue_ordered *receive_ordered(struct request *r)
{
	struct frame *f = request_receive(r, deadline_after(ORDER_SECONDS * CLOCK_SECOND));
	const struct msg_queue_ordered *answer;

	if (f == NULL || f->table != &table_queue_ordered)
		lost();
	answer = f->message;
	if (answer->why.len > 0)
		refused(answer);
	return answer;
}

uint64_t queue_access_ordered(struct queue_access *a, struct request *r, uint64_t *error)
{
	const struct msg_queue_ordered *answer = receive_ordered(r);
	uint64_t count = answer->count;

	(void)a;
	for (size_t i = 0; error != NULL && i < answer->error.count; i++)
		error[i] = answer->error.items[i];
	request_close(r);
	return count;
}

uint64_t queue_access_order(struct queue_access *a, const struct msg_queue_order *order,
    uint64_t *error)
{
	if (a->direct != NULL)
		return queue_direct_order(a->direct, order, error, NULL);
	return queue_access_ordered(a, queue_access_order_start(a, order), error);
}

uint64_t queue_access_order_some(struct queue_access *a, const struct msg_queue_order *order,
    struct queue_ordered_some *some)
{
	const struct msg_queue_ordered *answer;
	struct request *r;
	uint64_t count;

	*some = (struct queue_ordered_some){ 0 };
	if (a->direct != NULL)
		return queue_direct_order(a->direct, order, NULL, some);
	r = queue_access_order_start(a, order);
	answer = receive_ordered(r);
	count = answer->count;
	some->looked_at = answer->looked_at;
	some->total = answer->total;
	snprintf(some->after, sizeof(some->after), "%.*s", (int)answer->after.len,
	    answer->after.data);
	snprintf(some->until, sizeof(some->until), "%.*s", (int)answer->until.len,
	    answer->until.data);
	request_close(r);
	return count;
}

/* --- reading -------------------------------------------------------------------------------------- */

bool queue_access_read(struct queue_access *a, struct slice id, const struct queue_reader *to,
    const char **why)
{
	struct msg_queue_read question = { id, 1 };
	struct request *r;
	struct frame *f;
	bool last;

	if (a->direct != NULL)
		return queue_direct_read(a->direct, id, to, why);
	r = request_open(a->channel, &table_queue_read, &question, -1, true, patience());
	f = r == NULL ? NULL : request_receive(r, patience());
	if (f == NULL || f->table != &table_queue_message)
		lost();
	if (((struct msg_queue_message *)f->message)->why.len > 0) {
		static char text[200];
		struct slice said = ((struct msg_queue_message *)f->message)->why;

		snprintf(text, sizeof(text), "%.*s", (int)said.len, said.data);
		*why = text;
		request_close(r);
		return false;
	}
	to->message(to->arg, f->message, f->fd);
	do {
		f = request_receive(r, patience());
		if (f == NULL || f->table != &table_queue_rcpts)
			lost();
		last = f->last;
		to->rcpts(to->arg, f->message);
	} while (!last);
	request_close(r);
	return true;
}

void queue_access_clients(struct queue_access *a, const struct slice *ids, size_t count,
    struct slice *name, struct slice *address, struct arena *arena)
{
	struct msg_queue_clients question = { { (struct slice *)ids, count } };
	const struct msg_queue_clients_told *answer;
	struct request *r;
	void *reply;

	if (a->direct != NULL) {
		queue_direct_clients(a->direct, ids, count, name, address, arena);
		return;
	}
	if (request_call(a->channel, &table_queue_clients, &question, &table_queue_clients_told,
		&reply, &r, patience()) == -1)
		lost();
	answer = reply;
	if (answer->name.count != count || answer->address.count != count)
		command_fail(COMMAND_NOPERM,
		    "only root and the owner of the instance may ask where mail came from");
	for (size_t i = 0; i < count; i++) {
		name[i] = arena_copy(arena, answer->name.items[i]);
		address[i] = arena_copy(arena, answer->address.items[i]);
	}
	request_close(r);
}

void queue_access_list(struct queue_access *a,
    void (*entry)(void *arg, const struct msg_list_entry *), void *arg)
{
	queue_direct_list(a->direct, entry, arg);
}

/* --- the log -------------------------------------------------------------------------------------- */

static bool log_by_service(struct queue_access *a, enum log_level level, const char *tag,
    struct slice text)
{
	struct msg_log_line line = { slice_of(tag), text, level };
	struct msg_reply *answer;
	struct request *r;
	bool done;

	if (a == NULL || a->channel == NULL || channel_is_closed(a->channel) ||
	    request_call(a->channel, &table_log_line, &line, &table_reply, (void **)&answer, &r,
		patience()) == -1)
		return false;
	done = answer->code == 250;
	request_close(r);
	return done;
}

void queue_access_log(struct queue_access *a, enum log_level level, const char *tag,
    struct slice text)
{
	static const int priorities[] = {
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_FATAL] = LOG_CRIT,
		[LOG_LEVEL_PANIC] = LOG_CRIT,
	};
	static const char *const words[] = { "", "warning: ", "error: ", "fatal: ", "panic: " };

	if (log_by_service(a, level, tag, text))
		return;
	openlog(tag, LOG_PID, LOG_MAIL);
	syslog(priorities[level], "%s%.*s", words[level], (int)text.len, text.data);
	closelog();
}
