/* SPDX-License-Identifier: ISC */
/*
 * send.c - the way of a submission into the queue.
 *
 * When pickup goes away in the middle, or can't say now, postdrop is asked: its file is taken when things
 * work again. A message of which only the answer was lost may so come twice, but never not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/channel.h"
#include "common/task/task.h"
#include "postdrop/drop_file.h"
#include "postdrop/submission.h"

enum { PATIENCE_SECONDS = 300 };

/* Takes each message of a submission. False: no more is wanted. */
typedef bool put_message(void *arg, const struct wire_table *, const void *message, bool last);

static bool put_rcpts(const struct submission *s, put_message *put, void *arg)
{
	static struct slice none[RCPTS_PER_FRAME];
	static uint64_t notify[RCPTS_PER_FRAME];
	bool ok = true;

	for (size_t i = 0; i < RCPTS_PER_FRAME; i++)
		notify[i] = s->notify;
	for (size_t at = 0; ok && at < s->rcpt_count; at += RCPTS_PER_FRAME) {
		size_t left = s->rcpt_count - at;
		size_t count = left < RCPTS_PER_FRAME ? left : RCPTS_PER_FRAME;
		struct msg_rcpts m = { { s->rcpts + at, count }, { none, count }, { none, count },
			{ notify, count } };

		ok = put(arg, &table_rcpts, &m, false);
	}
	return ok;
}

static bool put_content(const struct submission *s, put_message *put, void *arg)
{
	static char piece[CHUNK_LIMIT];
	struct msg_end end = { 0 };
	ssize_t got;

	while ((got = spool_read(&s->content, end.size, piece, sizeof(piece))) > 0) {
		struct msg_data data = { slice_new(piece, (size_t)got) };

		end.size += (uint64_t)got;
		if (!put(arg, &table_data, &data, false))
			return false;
	}
	return got == 0 && put(arg, &table_end, &end, true);
}

static bool put_all(const struct submission *s, put_message *put, void *arg)
{
	return put(arg, &table_submit, &s->envelope, false) && put_rcpts(s, put, arg) &&
	    put_content(s, put, arg);
}

/* --- pickup --------------------------------------------------------------------------------------- */

struct talk {
	const struct submission *submission;
	int socket;
	struct channel *channel;
	struct request *request;
	unsigned code; /* 0: no answer */
	char *text;
};

static deadline patience(void)
{
	return deadline_after(PATIENCE_SECONDS * CLOCK_SECOND);
}

static bool put_in_request(void *arg, const struct wire_table *table, const void *message,
    bool last)
{
	struct talk *t = arg;

	if (t->request == NULL) {
		t->request = request_open(t->channel, table, message, -1, last, patience());
		return t->request != NULL;
	}
	return request_send(t->request, table, message, -1, last, patience()) == 0;
}

/* pickup may have answered before the end. */
static void talk(void *arg)
{
	static const struct handler none[] = { { 0 } };
	struct talk *t = arg;
	struct frame *f;

	t->channel = channel_new(t->socket, ROLE_PICKUP, none, NULL, NULL);
	put_all(t->submission, put_in_request, t);
	f = t->request == NULL ? NULL : request_receive(t->request, patience());
	if (f != NULL && f->table == &table_reply) {
		const struct msg_reply *m = f->message;

		t->code = (unsigned)m->code;
		t->text = mem_printf("%.*s %.*s", (int)m->enhanced.len, m->enhanced.data,
		    (int)m->text.len, m->text.data);
	}
	request_close(t->request);
	channel_close(t->channel);
	task_stop();
}

static int connect_to_pickup(struct conf *conf)
{
	int queue = open(conf_text(conf, "queue_directory"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = queue == -1 ? -1 : io_unix_connect(queue, "public/pickup");

	if (queue != -1)
		close(queue);
	return fd;
}

static void ask_pickup(struct talk *t, struct conf *conf)
{
	static bool has_loop;

	t->socket = connect_to_pickup(conf);
	if (t->socket == -1)
		return;
	if (!has_loop)
		task_init();
	has_loop = true;
	if (task_start("talk", talk, t) != NULL)
		task_run();
}

/* --- postdrop ------------------------------------------------------------------------------------- */

struct drop {
	int fd;
	struct buf out;
};

static bool put_in_pipe(void *arg, const struct wire_table *table, const void *message, bool last)
{
	struct drop *d = arg;
	const char *why;
	bool ok = drop_put(&d->out, table, message, &why) &&
	    io_write_all(d->fd, d->out.data, d->out.len) == 0;

	(void)last;
	buf_reset(&d->out);
	return ok;
}

_Noreturn static void become_postdrop(int input, const char *config_path)
{
	char *directory = io_own_directory(), *program;

	dup2(input, STDIN_FILENO);
	program = mem_printf("%s/postdrop", directory == NULL ? "/usr/sbin" : directory);
	execl(program, "postdrop", "-c", config_path, (char *)NULL);
	fail_warn("cannot run %s: %s", program, strerror(errno));
	_exit(EXIT_TEMPORARY);
}

static enum exit_status run_postdrop(const struct submission *s, const char *config_path)
{
	struct drop drop = { 0 };
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		return EXIT_TEMPORARY;
	if (pid == 0)
		become_postdrop(ends[0], config_path);
	close(ends[0]);
	drop.fd = ends[1];
	drop_put_start(&drop.out);
	put_all(s, put_in_pipe, &drop); /* a part of it is none to postdrop */
	close(ends[1]);
	buf_clear(&drop.out);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return EXIT_TEMPORARY;
	return WIFEXITED(status) ? (enum exit_status)WEXITSTATUS(status) : EXIT_TEMPORARY;
}

/* --- both ----------------------------------------------------------------------------------------- */

enum exit_status submission_send(const struct submission *s, struct conf *conf,
    const char *config_path, char **text)
{
	struct talk t = { .submission = s };
	enum exit_status status;

	signal(SIGPIPE, SIG_IGN);
	ask_pickup(&t, conf);
	*text = t.text;
	if (t.code >= 200 && t.code < 300)
		return EXIT_OK;
	if (t.code >= 500)
		return strncmp(t.text, "5.7.1 ", 6) == 0 ? EXIT_PERMISSION : EXIT_UNAVAILABLE;
	status = run_postdrop(s, config_path);
	if (status == EXIT_OK)
		*text = mem_strdup("2.0.0 Ok: queued in maildrop");
	else if (t.code == 0)
		*text = mem_strdup("mail system is down, and the message can't be kept");
	else
		*text = mem_printf("%s, and the message can't be kept", t.text);
	free(t.text);
	return status;
}
