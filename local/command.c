/* SPDX-License-Identifier: ISC */
/*
 * command.c - runs "|command" as the user that this process already is. The command's text comes from
 * an administrator or the user; the message only reaches its standard input and its environment.
 */
#include "local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/log/log.h"
#include "local/content.h"

enum { OUTPUT_LIMIT = 4096, WORD_LIMIT = 96, POLL_PAUSE = 200 };

/* sysexits(3) as enhanced status codes; what is not here is 5.3.0. */
static const struct {
	int status;
	enum outcome outcome;
	const char *dsn;
	const char *text;
} sysexits[] = {
	{ 64, OUTCOME_BOUNCED, "5.3.0", "command line usage error" },
	{ 65, OUTCOME_BOUNCED, "5.6.0", "data format error" },
	{ 66, OUTCOME_BOUNCED, "5.3.0", "cannot open input" },
	{ 67, OUTCOME_BOUNCED, "5.1.1", "user unknown" },
	{ 68, OUTCOME_BOUNCED, "5.1.2", "host name unknown" },
	{ 69, OUTCOME_BOUNCED, "5.3.0", "service unavailable" },
	{ 70, OUTCOME_BOUNCED, "5.3.0", "internal software error" },
	{ 71, OUTCOME_DEFERRED, "4.3.0", "system resource problem" },
	{ 72, OUTCOME_BOUNCED, "5.3.0", "critical OS file missing" },
	{ 73, OUTCOME_BOUNCED, "5.2.0", "can't create user output file" },
	{ 74, OUTCOME_BOUNCED, "5.3.0", "input/output error" },
	{ 75, OUTCOME_DEFERRED, "4.3.0", "temporary failure" },
	{ 76, OUTCOME_BOUNCED, "5.5.0", "remote error in protocol" },
	{ 77, OUTCOME_BOUNCED, "5.7.0", "permission denied" },
	{ 78, OUTCOME_BOUNCED, "5.3.5", "local configuration error" },
};

enum { VARS_LIMIT = 60 };

struct environment {
	struct arena *arena;
	char *vars[VARS_LIMIT + 1];
	size_t count;
};

static void set(struct environment *env, const char *name, struct slice value)
{
	if (env->count < VARS_LIMIT)
		env->vars[env->count++] = arena_printf(env->arena, "%s=%.*s", name, (int)value.len,
		    value.data);
}

/* What came with the message: bytes that command_expansion_filter does not list become '_'. */
static void set_filtered(struct environment *env, const char *name, struct slice value)
{
	struct slice copy = arena_copy(env->arena, value);

	for (size_t i = 0; i < copy.len; i++)
		if (copy.data[i] == '\0' ||
		    strchr(local_settings.command_expansion_filter, copy.data[i]) == NULL)
			((char *)copy.data)[i] = '_';
	set(env, name, copy);
}

/* export_environment: names to inherit, and name=value to set. */
static void export(struct environment *env)
{
	struct slice rest = slice_of(local_settings.export_environment), item;

	while (conf_next_item(&rest, &item)) {
		ptrdiff_t equals = slice_find(item, '=');
		const char *name = arena_text(env->arena,
		    slice_part(item, 0, equals < 0 ? item.len : (size_t)equals));

		if (equals >= 0)
			set(env, name, slice_part(item, (size_t)equals + 1, item.len));
		else if (getenv(name) != NULL)
			set(env, name, slice_of(getenv(name)));
	}
}

/* Nothing of ours is inherited: a command sees these and no more. */
static void build_environment(struct environment *env, const struct act_request *r,
    const struct agent_user *user)
{
	set(env, "PATH", SLICE("/usr/bin:/bin"));
	export(env);
	set(env, "SHELL", slice_of(user->shell));
	set(env, "HOME", slice_of(user->home));
	set(env, "USER", slice_of(user->name));
	set(env, "LOGNAME", slice_of(user->name));
	set_filtered(env, "LOCAL", r->local);
	set_filtered(env, "EXTENSION", r->extension);
	set_filtered(env, "DOMAIN", r->domain);
	set_filtered(env, "RECIPIENT", r->recipient);
	set_filtered(env, "ORIGINAL_RECIPIENT", r->original.len > 0 ? r->original : r->recipient);
	set_filtered(env, "SENDER", r->sender.len > 0 ? r->sender : SLICE("MAILER-DAEMON"));
	set_filtered(env, "ENVID", r->envid);
	set_filtered(env, "CLIENT_ADDRESS", r->client_address);
	set_filtered(env, "CLIENT_HOSTNAME", r->client_name);
	set_filtered(env, "CLIENT_HELO", r->client_helo);
	set_filtered(env, "CLIENT_PROTOCOL", r->protocol);
	/* Part of the contract; we have no SASL yet. */
	set(env, "SASL_METHOD", SLICE(""));
	set(env, "SASL_SENDER", SLICE(""));
	set(env, "SASL_USERNAME", SLICE(""));
}

/* A command without anything that a shell would see to is run without one. */
static bool needs_shell(const char *command)
{
	static const char builtins[][8] = { "exit", "exec", "cd", "set", "if", "for", "while",
		"." };
	size_t first = strcspn(command, " \t");

	if (strpbrk(command, "!\"#$&'()*;<>?[\\]^`{|}~=\n") != NULL)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(builtins); i++)
		if (strlen(builtins[i]) == first && strncmp(builtins[i], command, first) == 0)
			return true;
	return false;
}

static size_t split_words(char *text, char **words, size_t limit)
{
	size_t count = 0;
	char *word;

	while (count < limit && (word = strsep(&text, " \t")) != NULL)
		if (*word != '\0')
			words[count++] = word;
	return count;
}

_Noreturn static void run(const char *command, const struct environment *env)
{
	char *words[WORD_LIMIT + 1] = { 0 };
	size_t count = split_words(mem_strdup(local_settings.local_command_shell), words, 16);

	environ = (char **)env->vars; /* its PATH counts */
	if (count > 0) {
		words[count] = mem_strdup(command);
	} else if (needs_shell(command)) {
		words[0] = mem_strdup("/bin/sh");
		words[1] = mem_strdup("-c");
		words[2] = mem_strdup(command);
	} else {
		split_words(mem_strdup(command), words, WORD_LIMIT);
	}
	if (words[0] == NULL)
		_exit(64);
	execvp(words[0], words);
	fprintf(stderr, "cannot run %s: %s\n", words[0], strerror(errno));
	_exit(errno == ENOENT || errno == EACCES ? 72 : 71);
}

/* The child, from the fork on. It forgets the group that makes lock files: execve copies our
 * effective group over the saved one. */
_Noreturn static void child(const char *command, const struct environment *env,
    const char *directory, int in, int out)
{
	rlim_t most = (rlim_t)local_settings.mailbox_size_limit;
	struct rlimit file_size = { most, most };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	if (most > 0)
		setrlimit(RLIMIT_FSIZE, &file_size);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	if (dup2(in, 0) == -1 || dup2(out, 1) == -1 || dup2(out, 2) == -1)
		_exit(71);
	closefrom(3);
	if (chdir(directory) == -1 && chdir("/") == -1)
		_exit(71);
	run(command, env);
}

struct dialogue {
	int in, out; /* our ends; -1 when closed */
	int worker;  /* gone: nobody waits for the outcome */
	struct buf output;
	deadline when;
	bool late;
	pid_t pid;
	bool ended; /* and waited for */
	int status;
};

static bool has_ended(struct dialogue *d)
{
	if (!d->ended && waitpid(d->pid, &d->status, WNOHANG) == d->pid)
		d->ended = true;
	return d->ended;
}

/* Waits until the command reads, writes, or (looked at five times a second) has ended. False when its
 * time is over, or the worker is gone. */
static bool wait_for_command(struct dialogue *d, struct pollfd fds[3], int pause)
{
	int left = deadline_ms_left(d->when);

	fds[2] = (struct pollfd){ d->worker, 0, 0 };
	if (poll(fds, 3, left < pause ? left : pause) == -1)
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
	if (left == 0 || (fds[2].revents & (POLLHUP | POLLERR)) != 0)
		d->late = true;
	return !d->late;
}

static void read_output(struct dialogue *d)
{
	char bytes[512];
	ssize_t got = read(d->out, bytes, sizeof(bytes));

	if (got > 0 && d->output.len < OUTPUT_LIMIT)
		buf_append(&d->output, bytes, (size_t)got);
	if (got == 0 || (got == -1 && errno != EAGAIN && errno != EINTR)) {
		close(d->out);
		d->out = -1;
	}
}

/* Writes to the command while it may be writing to us. A command that does not read its input is no
 * error: it may not care. */
static int put_command(void *arg, const char *data, size_t len)
{
	struct dialogue *d = arg;

	while (len > 0 && d->in != -1) {
		struct pollfd fds[3] = { { d->in, POLLOUT, 0 }, { d->out, POLLIN, 0 } };
		ssize_t put;

		if (!wait_for_command(d, fds, POLL_PAUSE)) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (fds[1].revents != 0)
			read_output(d);
		if (fds[0].revents == 0)
			continue;
		put = write(d->in, data, len);
		if (put > 0) {
			data += put;
			len -= (size_t)put;
		} else if (put == -1 && errno != EAGAIN && errno != EINTR) {
			close(d->in);
			d->in = -1;
		}
	}
	return 0;
}

/* Reads what it says until it has ended. What it left running in the background may hold its output
 * open for ever. */
static void wait_for_end(struct dialogue *d)
{
	int pause = 1;

	while (!has_ended(d)) {
		struct pollfd fds[3] = { { -1, 0, 0 }, { d->out, POLLIN, 0 } };

		if (!wait_for_command(d, fds, d->out == -1 ? pause : POLL_PAUSE))
			return;
		if (fds[1].revents != 0)
			read_output(d);
		else if (pause < POLL_PAUSE)
			pause *= 2;
	}
	while (d->out != -1) {
		struct pollfd fd = { d->out, POLLIN, 0 };

		if (d->output.len >= OUTPUT_LIMIT || poll(&fd, 1, 0) != 1)
			break;
		read_output(d);
	}
}

/* Output may begin with an enhanced status code of the command's choice: "5.7.1 text". */
static bool own_status(struct slice output, bool bounced, char dsn[16], struct slice *rest)
{
	struct slice word, tail = output, parts, part;
	size_t count = 0;

	if (!text_next_word(&tail, " \t\n", &word) || word.len < 5 || word.len > 9 ||
	    word.data[0] != (bounced ? '5' : '4') || word.data[1] != '.' ||
	    word.data[word.len - 1] == '.')
		return false;
	for (parts = word; text_next_word(&parts, ".", &part); count++) {
		uint64_t number;

		if (!text_number(part, 999, &number))
			return false;
	}
	if (count != 3)
		return false;
	memcpy(dsn, word.data, word.len);
	dsn[word.len] = '\0';
	*rest = slice_trim(tail);
	return true;
}

/* "reason", or "reason. Command output: text". */
static void say(struct verdict *v, enum outcome outcome, const char *dsn, const char *reason,
    struct slice output)
{
	if (output.len > 0)
		verdict_set(v, outcome, dsn, "%s. Command output: %.*s", reason, (int)output.len,
		    output.data);
	else
		verdict_set(v, outcome, dsn, "%s", reason);
}

static void judge(int status, const char *command, struct slice output, struct verdict *v)
{
	enum outcome outcome = OUTCOME_BOUNCED;
	const char *dsn = "5.3.0", *text = NULL;
	char own[16], *died;
	struct slice rest = output;

	if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0) {
		verdict_set(v, OUTCOME_SENT, "2.0.0", "delivered to command: %s", command);
		return;
	}
	if (WIFSIGNALED(status)) {
		died = mem_printf("Command died with signal %d: \"%s\"", WTERMSIG(status), command);
		say(v, OUTCOME_DEFERRED, "4.3.0", died, output);
		free(died);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(sysexits); i++)
		if (sysexits[i].status == WEXITSTATUS(status)) {
			outcome = sysexits[i].outcome;
			dsn = sysexits[i].dsn;
			text = sysexits[i].text;
		}
	if (own_status(output, outcome == OUTCOME_BOUNCED, own, &rest))
		dsn = own;
	died = mem_printf("Command died with status %d: \"%s\"", WEXITSTATUS(status), command);
	say(v, outcome, dsn, text != NULL ? text : died, rest);
	free(died);
}

static void end_now(struct dialogue *d)
{
	kill(-d->pid, SIGKILL);
	while (waitpid(d->pid, &d->status, 0) == -1 && errno == EINTR)
		;
}

static void finish(struct dialogue *d, const char *command, bool fed, struct verdict *v)
{
	if (d->in != -1)
		close(d->in);
	if (fed)
		wait_for_end(d);
	if (!d->ended)
		end_now(d);
	if (d->late)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0", "Command time limit exceeded: \"%s\"",
		    command);
	else if (!fed)
		verdict_set(v, OUTCOME_DEFERRED, "4.3.0",
		    "cannot read the message for command \"%s\"", command);
	else
		judge(d->status, command, slice_trim(buf_slice(&d->output)), v);
	if (d->out != -1)
		close(d->out);
	buf_clear(&d->output);
}

/* command_execution_directory, else the home directory. False: *v says why. */
static bool find_directory(const struct act_request *r, const struct agent_user *user,
    struct buf *out, struct verdict *v)
{
	char *why = NULL;

	if (local_settings.command_execution_directory[0] == '\0')
		buf_puts(out, user->is_default_privs ? "/" : user->home);
	else if (!names_expand(slice_of(local_settings.command_execution_directory), r, user,
		     local_settings.command_expansion_filter, out, &why)) {
		verdict_set(v, OUTCOME_DEFERRED, "4.3.5", "command_execution_directory: %s", why);
		free(why);
		return false;
	}
	return true;
}

/* Starts it with pipes to both its ends; false with errno. */
static bool start(struct dialogue *d, const char *command, const struct environment *env,
    const char *directory)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	d->pid = -1;
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		log_flush();
		d->pid = fork();
	}
	if (d->pid == 0)
		child(command, env, directory, in[0], out[1]);
	int error = errno;
	if (d->pid != -1)
		setpgid(d->pid, d->pid); /* whoever comes first */
	int ours[] = { in[0], out[1], d->pid == -1 ? in[1] : -1, d->pid == -1 ? out[0] : -1 };
	for (size_t i = 0; i < ARRAY_LENGTH(ours); i++)
		if (ours[i] != -1)
			close(ours[i]);
	d->in = in[1];
	d->out = out[0];
	errno = error;
	return d->pid != -1;
}

void command_deliver(const struct act_request *r, int content_fd, const struct agent_user *user,
    const char *command, int worker, struct verdict *v)
{
	struct environment env = { .arena = arena_new() };
	struct dialogue d = { .worker = worker,
		.when = deadline_after(local_settings.command_time_limit) };
	struct buf directory = { 0 };

	build_environment(&env, r, user);
	if (!find_directory(r, user, &directory, v)) {
		;
	} else if (!start(&d, command, &env, buf_text(&directory))) {
		verdict_errno(v, errno, "cannot run command");
	} else {
		io_set_nonblocking(d.in);
		io_set_nonblocking(d.out);
		finish(&d, command, content_copy(r, content_fd, true, false, put_command, &d) == 0,
		    v);
	}
	buf_clear(&directory);
	arena_free(env.arena);
}
