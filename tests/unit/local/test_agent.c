/* SPDX-License-Identifier: ISC */
/*
 * test_agent.c - an agent over its socket: mailboxes, .forward, commands, lists; packets that are none;
 * and the monitor, which makes agents (as root: of another user).
 */
#include "tests/unit/local/scene.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/service/service.h"

static int worker = -1; /* our end */
static pid_t agent;
static struct arena *arena;
static char packet[ACT_PACKET_LIMIT];

/* The spawned process writes its log to standard error, which tests don't want to see. */
static void start_agent(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	agent = fork();
	if (agent == 0) {
		close(pair[0]);
		dup2(open("/dev/null", O_WRONLY), 2);
		agent_main(pair[1], &scene_user);
	}
	close(pair[1]);
	worker = pair[0];
}

static int begin(void **state)
{
	arena = arena_new();
	return scene_begin(state);
}

static int end(void **state)
{
	int status = 0;

	if (worker != -1)
		close(worker);
	worker = -1;
	if (agent > 0)
		assert_int_equal(waitpid(agent, &status, 0), agent);
	agent = 0;
	arena_free(arena);
	return scene_end(state);
}

static void ask(const struct act_request *r)
{
	assert_int_equal(act_send(worker, &table_act_request, r, -1), 0);
}

static struct act_reply hear(void)
{
	static struct act_reply reply;
	int fd;

	memset(&reply, 0, sizeof(reply));
	assert_int_equal(act_receive(worker, &table_act_reply, &reply, arena, packet, &fd), 1);
	assert_int_equal(fd, -1);
	reply.text = arena_copy(arena, reply.text);
	reply.dsn = arena_copy(arena, reply.dsn);
	for (size_t i = 0; i < reply.forward.count; i++)
		reply.forward.items[i] = arena_copy(arena, reply.forward.items[i]);
	return reply;
}

static void assert_text(struct slice got, const char *want)
{
	assert_string_equal(arena_text(arena, got), want);
}

/* --- mailboxes and .forward ------------------------------------------------------------------------- */

static void waiting_deliveries_are_done_together(void **unused)
{
	struct act_request r = scene_message("ID1", "Subject: x\r\n\r\nbody\r\n");
	char *text;

	(void)unused;
	start_agent();
	kill(agent, SIGSTOP);
	for (r.serial = 1; r.serial <= 50; r.serial++)
		ask(&r);
	kill(agent, SIGCONT);
	for (uint64_t i = 1; i <= 50; i++) {
		struct act_reply reply = hear();

		assert_int_equal(reply.serial, i);
		assert_int_equal(reply.outcome, OUTCOME_SENT);
		assert_text(reply.text, "delivered to mailbox");
	}
	text = scene_read("bob");
	assert_int_equal(count_of(text, "\nDelivered-To: bob+lists@here.example\n"), 50);
	free(text);
}

static struct act_reply forward_gives(const char *file, const char *content, mode_t mode)
{
	struct act_request r = scene_message("ID1", "body\r\n");

	r.serial = 1;
	scene_write(file, content, mode);
	if (worker == -1)
		start_agent();
	ask(&r);
	return hear();
}

static void a_forward_file_sends_addresses_back(void **unused)
{
	struct act_reply reply = forward_gives(".forward", "carol@x.example, \"|exit 0\"\n", 0600);

	(void)unused;
	assert_int_equal(reply.outcome, OUTCOME_SENT);
	assert_int_equal(reply.forward.count, 1);
	assert_text(reply.forward.items[0], "carol@x.example");
	assert_text(reply.text, "delivered to command: exit 0");
	assert_null(scene_read("bob"));
}

static void the_extension_has_a_forward_file_of_its_own(void **unused)
{
	struct act_reply reply;

	(void)unused;
	scene_write(".forward", "wrong@x.example\n", 0600);
	reply = forward_gives(".forward+lists", "right@x.example\n", 0600);
	assert_text(reply.forward.items[0], "right@x.example");
}

static void own_name_and_backslash_mean_the_mailbox(void **unused)
{
	static const char *const rows[] = { "bob", "\\bob", "Bob+Lists@here.example", "",
		"# only\n" };
	size_t expected = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct act_reply reply = forward_gives(".forward", rows[i], 0600);
		char *text = scene_read("bob");

		assert_text(reply.text, "delivered to mailbox");
		assert_int_equal(reply.forward.count, 0);
		assert_int_equal(count_of(text, "\nDelivered-To"), ++expected);
		free(text);
	}
}

static void a_forward_file_that_others_may_write_is_ignored(void **unused)
{
	struct act_reply reply = forward_gives(".forward", "carol@x.example\n", 0602);

	(void)unused;
	assert_int_equal(reply.forward.count, 0);
	assert_text(reply.text, "delivered to mailbox");
	assert_int_equal(unlinkat(scene, ".forward", 0), 0);
	scene_write("target", "carol@x.example\n", 0600);
	assert_int_equal(symlinkat("target", scene, ".forward"), 0);
	struct act_request r = scene_message("ID1", "body\r\n");
	ask(&r);
	assert_int_equal(hear().forward.count, 0);
}

static void a_broken_forward_file_defers(void **unused)
{
	struct act_reply reply = forward_gives(".forward", "\"open\n", 0600);

	(void)unused;
	assert_int_equal(reply.outcome, OUTCOME_DEFERRED);
	assert_text(reply.dsn, "4.3.5");
}

static void what_the_sender_chose_adds_no_directory(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");

	(void)unused;
	assert_int_equal(mkdirat(scene, ".forward+x", 0700), 0);
	scene_write(".forward+x/y", "wrong@x.example\n", 0600);
	scene_write(".forward+x_y", "right@x.example\n", 0600);
	r.local = SLICE("bob+x/y");
	r.extension = SLICE("x/y");
	start_agent();
	ask(&r);
	assert_text(hear().forward.items[0], "right@x.example");
}

static void a_list_that_includes_itself_ends(void **unused)
{
	char *text = mem_printf(":include:%s/list, dave@x.example\n", scene_path);
	struct act_reply reply;

	(void)unused;
	scene_write("list", text, 0600);
	reply = forward_gives(".forward", text, 0600);
	assert_int_equal(reply.outcome, OUTCOME_BOUNCED);
	assert_text(reply.dsn, "5.4.6");
	free(text);
}

static void what_is_no_private_file_is_not_included(void **unused)
{
	static const struct {
		const char *name, *dsn;
	} cases[] = {
		{ "fifo", "5.3.5" },
		{ "directory", "5.3.5" },
		{ "../../dev/zero", "5.3.5" },
		{ "everybodys", "4.3.5" },
		{ "huge", "4.2.2" },
		{ "none", "4.2.0" },
		{ "loop", "5.2.0" },
	};
	char *huge = mem_alloc(2 << 20);

	(void)unused;
	memset(huge, '#', (2 << 20) - 1);
	scene_write("huge", huge, 0600);
	scene_write("everybodys", "dave@x.example\n", 0666);
	assert_int_equal(mkfifoat(scene, "fifo", 0600), 0);
	assert_int_equal(mkdirat(scene, "directory", 0700), 0);
	assert_int_equal(symlinkat("loop", scene, "loop"), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text = mem_printf(":include:%s/%s, dave@x.example\n", scene_path,
		    cases[i].name);
		struct act_reply reply = forward_gives(".forward", text, 0600);

		assert_text(reply.dsn, cases[i].dsn);
		free(text);
	}
	free(huge);
}

static void all_lists_of_a_delivery_together_have_a_limit(void **unused)
{
	struct buf list = { 0 };
	char *text = mem_printf(":include:%s/list, :include:%s/list, :include:%s/list\n",
	    scene_path, scene_path, scene_path);
	struct act_reply reply;

	(void)unused;
	for (int i = 0; i < 9000; i++)
		buf_puts(&list, "bob,");
	scene_write("list", buf_text(&list), 0600);
	reply = forward_gives(".forward", text, 0600);
	assert_int_equal(reply.outcome, OUTCOME_DEFERRED);
	assert_non_null(strstr(arena_text(arena, reply.text), "too many members"));
	free(text);
	buf_clear(&list);
}

static void commands_in_included_files_need_their_own_permission(void **unused)
{
	char *text = mem_printf(":include:%s/list\n", scene_path);
	struct act_reply reply;

	(void)unused;
	scene_write("list", "|/bin/true\n", 0600);
	reply = forward_gives(".forward", text, 0600);
	assert_text(reply.dsn, "5.7.1");
	scene_write("list", "/dev/null\n", 0600);
	reply = forward_gives(".forward", text, 0600);
	assert_text(reply.dsn, "5.7.1");
	free(text);
}

/* What an address may not hold must not end the process that the user's other mail needs. */
static void an_address_with_a_line_end_is_no_reason_to_end(void **unused)
{
	static const char *const texts[] = {
		"\"a\nb\"@x.example\n",
		"\"a\rb\"@x.example\n",
		"\"a\\\nb\"@x.example\n",
		"a(\n)b@x.example\n",
		"<@x\r,@y:\"\\\r\"@z.example>\n",
		"\\a\rb\n",
		"\"\\a\nb\"\n",
		"a\n\r\r@x.example\n",
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct act_reply reply = forward_gives(".forward", texts[i], 0600);

		for (size_t j = 0; j < reply.forward.count; j++)
			assert_int_equal(slice_find(reply.forward.items[j], '\n'), -1);
	}
}

static void an_empty_list_is_no_delivery(void **unused)
{
	char *text = mem_printf(":include:%s/list\n", scene_path);
	struct act_reply reply;

	(void)unused;
	scene_write("list", "# nobody\n", 0600);
	reply = forward_gives(".forward", text, 0600);
	assert_int_equal(reply.forward.count, 0);
	assert_text(reply.text, "");
	free(text);
}

static void what_follows_a_part_that_is_tried_again_is_not_begun(void **unused)
{
	struct act_reply reply;
	char *text;

	(void)unused;
	reply = forward_gives(".forward", "\\bob, |exit 75, |touch ran, carol@x.example", 0600);
	assert_int_equal(reply.outcome, OUTCOME_DEFERRED);
	assert_int_equal(reply.forward.count, 0);
	assert_null(scene_read("ran"));
	text = scene_read("bob");
	assert_int_equal(count_of(text, "\nbody\n"), 1);
	free(text);
}

static void a_list_of_thousands_comes_in_several_packets(void **unused)
{
	enum { MEMBERS = 5000 };
	char *include = mem_printf(":include:%s/list\n", scene_path);
	struct buf list = { 0 };
	size_t got = 0;
	struct act_reply reply;

	(void)unused;
	for (int i = 0; i < MEMBERS; i++)
		buf_printf(&list, "member-%d@some.long.domain.example\n", i);
	scene_write("list", buf_text(&list), 0600);
	for (reply = forward_gives(".forward", include, 0600);; reply = hear()) {
		got += reply.forward.count;
		if (!reply.more)
			break;
	}
	assert_int_equal(reply.outcome, OUTCOME_SENT);
	assert_int_equal(got, MEMBERS);
	buf_clear(&list);
	free(include);
}

static void a_target_of_an_alias_is_for_default_privs_only(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");

	(void)unused;
	r.action = ACT_TARGET;
	r.target = SLICE("\"|exit 0\"");
	start_agent();
	ask(&r);
	assert_int_equal(hear().outcome, OUTCOME_BOUNCED);
}

/* --- commands --------------------------------------------------------------------------------------- */

static struct verdict run(const char *command, const struct act_request *r)
{
	struct verdict v = { 0 };

	command_deliver(r, -1, &scene_user, command, -1, &v);
	return v;
}

static void exit_statuses_have_meanings(void **unused)
{
	static const struct {
		const char *command, *dsn, *text;
		enum outcome outcome;
	} rows[] = {
		{ "true", "2.0.0", "delivered to command: true", OUTCOME_SENT },
		{ "exit 67", "5.1.1", "user unknown", OUTCOME_BOUNCED },
		{ "echo no such; exit 67", "5.1.1", "user unknown. Command output: no such",
		    OUTCOME_BOUNCED },
		{ "exit 75", "4.3.0", "temporary failure", OUTCOME_DEFERRED },
		{ "exit 71", "4.3.0", "system resource problem", OUTCOME_DEFERRED },
		{ "exit 77", "5.7.0", "permission denied", OUTCOME_BOUNCED },
		{ "exit 1", "5.3.0", "Command died with status 1: \"exit 1\"", OUTCOME_BOUNCED },
		{ "kill -9 $$", "4.3.0", "Command died with signal 9: \"kill -9 $$\"",
		    OUTCOME_DEFERRED },
		{ "echo 5.7.99 go away; exit 1", "5.7.99",
		    "Command died with status 1: \"echo 5.7.99 go away; exit 1\". Command output: "
		    "go away",
		    OUTCOME_BOUNCED },
		{ "echo 4.7.1 later >&2; exit 75", "4.7.1",
		    "temporary failure. Command output: later", OUTCOME_DEFERRED },
		{ "echo 5.7.1.1 x; exit 77", "5.7.0",
		    "permission denied. Command output: 5.7.1.1 x", OUTCOME_BOUNCED },
	};
	struct act_request r = scene_message("ID1", "body\r\n");

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct verdict v = run(rows[i].command, &r);

		assert_string_equal(v.text, rows[i].text);
		assert_string_equal(v.dsn, rows[i].dsn);
		assert_int_equal(v.outcome, rows[i].outcome);
		free(v.text);
	}
	struct verdict v = run("/no/such/program", &r);
	assert_string_equal(v.dsn, "5.3.0");
	free(v.text);
}

static void a_command_sees_the_message_and_a_clean_environment(void **unused)
{
	struct act_request r = scene_message("ID1", "..x\r\nFrom y\r\n");
	struct verdict v;
	char *text;

	(void)unused;
	r.sender = SLICE("a'$(touch x)`;|&@x");
	r.extension = SLICE("() { :;}; x");
	setenv("SECRET", "1", 1);
	v = run("cat > got; env | sort > env", &r);
	assert_int_equal(v.outcome, OUTCOME_SENT);
	free(v.text);
	text = scene_read("got");
	assert_int_equal(strncmp(text, "From a'$(touch x)`;|&@x  ", 25), 0);
	assert_non_null(strstr(text, "\nDelivered-To: bob+lists@here.example\n.x\nFrom y\n"));
	free(text);
	text = scene_read("env");
	assert_non_null(strstr(text, "SENDER=a__"));
	assert_non_null(strstr(text, "\nEXTENSION=_____:____x\n"));
	assert_non_null(strstr(text, "\nLANG=C\n"));
	assert_non_null(strstr(text, "\nPATH=/usr/bin:/bin\n"));
	assert_non_null(strstr(text, "\nUSER=bob\n"));
	assert_non_null(strstr(text, "\nORIGINAL_RECIPIENT=_ob@here.example\n"));
	assert_null(strstr(text, "SECRET"));
	assert_null(strpbrk(text, "$`();|&'"));
	free(text);
	assert_null(scene_read("x"));
}

static void a_command_inherits_three_descriptors(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	struct verdict v = run("ls /proc/self/fd | tr '\\n' ' ' > fds; pwd > where", &r);
	char *text;

	(void)unused;
	free(v.text);
	text = scene_read("fds");
	assert_string_equal(text, "0 1 2 3 "); /* 3 is what ls reads */
	free(text);
	text = scene_read("where");
	assert_int_equal(strncmp(text, scene_path, strlen(scene_path)), 0);
	free(text);
}

static void a_command_that_reads_nothing_or_says_much_is_no_trouble(void **unused)
{
	struct act_request r = scene_message("ID1", "");
	char *content = mem_alloc(60001);
	struct verdict v;

	(void)unused;
	memset(content, 'x', 60000);
	r.content = slice_of(content);
	r.content_size = 60000;
	v = run("true", &r);
	assert_int_equal(v.outcome, OUTCOME_SENT);
	free(v.text);
	v = run("head -c 1000000 /dev/zero; cat >/dev/null", &r);
	assert_int_equal(v.outcome, OUTCOME_SENT);
	free(v.text);
	/* What stays in the background holds nobody up. */
	v = run("sleep 1000 & echo $! > pid", &r);
	assert_int_equal(v.outcome, OUTCOME_SENT);
	free(v.text);
	char *pid = scene_read("pid");
	assert_int_equal(kill(atoi(pid), SIGKILL), 0);
	free(pid);
	free(content);
}

static void a_command_has_limited_time(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	struct verdict v;

	(void)unused;
	local_settings.command_time_limit = 200 * CLOCK_MS;
	v = run("sleep 1000 | sleep 1000", &r);
	assert_int_equal(v.outcome, OUTCOME_DEFERRED);
	assert_string_equal(v.text, "Command time limit exceeded: \"sleep 1000 | sleep 1000\"");
	free(v.text);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void what_a_command_writes_is_no_larger_than_a_mailbox(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	struct verdict v;
	struct stat st;

	(void)unused;
	local_settings.mailbox_size_limit = 20000;
	v = run("exec head -c 100000 /dev/zero > big", &r);
	assert_int_equal(v.outcome, OUTCOME_DEFERRED);
	free(v.text);
	assert_int_equal(fstatat(scene, "big", &st, 0), 0);
	assert_int_equal(st.st_size, 20000);
}

static void a_worker_that_is_gone_ends_the_command(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	deadline start = clock_now();

	(void)unused;
	local_settings.mailbox_command = "echo $$ > pid; exec sleep 1000";
	start_agent();
	ask(&r);
	for (char *pid = NULL; pid == NULL || *pid == '\0'; pid = scene_read("pid"))
		free(pid);
	close(worker);
	worker = -1;
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	agent = 0;
	assert_true(clock_now() - start < 10 * CLOCK_SECOND);
}

static void local_command_shell_is_used_with_its_words(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	struct verdict v;

	(void)unused;
	local_settings.local_command_shell = "/bin/sh -e -c";
	v = run("echo x > ran", &r);
	assert_int_equal(v.outcome, OUTCOME_SENT);
	free(v.text);
	assert_int_equal(faccessat(scene, "ran", F_OK, 0), 0);
}

/* --- hostile packets -------------------------------------------------------------------------------- */

static void a_packet_that_is_none_ends_the_agent(void **unused)
{
	static const char rubbish[] = "\1\0\377\377\377\377";

	(void)unused;
	start_agent();
	assert_int_equal(send(worker, rubbish, sizeof(rubbish), 0), sizeof(rubbish));
	assert_int_equal(recv(worker, packet, sizeof(packet), 0), 0);
}

static void packets_are_checked_to_the_last_byte(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n"), got;
	struct buf bytes = { 0 };
	const char *why;
	int pair[2], fd;

	(void)unused;
	r.serial = 7;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_true(wire_encode(&table_act_request, &r, &bytes, &why));
	for (size_t cut = 1; cut < bytes.len; cut++) {
		memset(&got, 0, sizeof(got));
		assert_int_equal(send(pair[0], bytes.data, cut, 0), (ssize_t)cut);
		int rc = act_receive(pair[1], &table_act_request, &got, arena, packet, &fd);
		/* Cut between members, what is left may be a shorter message; never one without id. */
		assert_true(rc == -1 ? errno == EBADMSG : got.id.len == 3);
	}
	buf_clear(&bytes);
	r.sender = SLICE("a\nb");
	assert_int_equal(act_send(pair[0], &table_act_request, &r, -1), -1);
	assert_int_equal(errno, EINVAL);
	/* A descriptor where none belongs is closed and refused. */
	struct act_become wish = { SLICE("bob") }, heard = { { 0 } };
	assert_true(wire_encode(&table_act_become, &wish, &bytes, &why));
	assert_int_equal(io_send_fd(pair[0], bytes.data, bytes.len, 1), (ssize_t)bytes.len);
	assert_int_equal(act_receive(pair[1], &table_act_become, &heard, arena, packet, &fd), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(fd, -1);
	buf_clear(&bytes);
	close(pair[0]);
	close(pair[1]);
}

/* --- the monitor ------------------------------------------------------------------------------------ */

static int become(int monitor, const char *user, const char **why)
{
	struct act_become wish = { slice_of(user) };
	struct act_agent answer = { 0 };
	int fd;

	assert_int_equal(act_send(monitor, &table_act_become, &wish, -1), 0);
	assert_int_equal(act_receive(monitor, &table_act_agent, &answer, arena, packet, &fd), 1);
	*why = arena_text(arena, answer.why);
	return fd;
}

static pid_t start_monitor(int *socket)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		dup2(open("/dev/null", O_WRONLY), 2);
		_exit(monitor_main(pair[1]));
	}
	close(pair[1]);
	*socket = pair[0];
	return pid;
}

static void the_monitor_refuses_what_is_no_user(void **unused)
{
	static const char *const names[] = { "no-such-user-here", "../root", ".", "-x", "a b",
		"a/b" };
	const char *why;
	int socket, status;
	pid_t pid = start_monitor(&socket);

	(void)unused;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(become(socket, names[i], &why), -1);
		assert_true(why[0] != '\0');
	}
	close(socket);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* default_privs that don't exist are the administrator's mistake, not the sender's. */
static void default_privs_must_be_a_user(void **unused)
{
	const char *why;
	int monitor;
	pid_t pid;

	(void)unused;
	local_settings.default_privs = "no-such-user-here";
	pid = start_monitor(&monitor);
	assert_int_equal(become(monitor, "", &why), -1);
	assert_non_null(strstr(why, "default_privs"));
	close(monitor);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* He may stop his processes for ever: the places of other users are not his. */
static void one_user_can_t_have_all_agents(void **unused)
{
	int sockets[100], monitor, count = 0;
	const char *why = "";
	pid_t pid;

	(void)unused;
	if (geteuid() != 0)
		skip();
	pid = start_monitor(&monitor);
	while (count < 100 && (sockets[count] = become(monitor, "nobody", &why)) != -1)
		count++;
	assert_true(count >= 4 && count < 20);
	assert_non_null(strstr(why, "this user"));
	worker = become(monitor, "root", &why);
	assert_int_not_equal(worker, -1);
	while (count > 0)
		close(sockets[--count]);
	close(monitor);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Whoever may write to it may put his own file in the place of another's mailbox. */
static void a_spool_directory_that_is_everybody_s_is_not_used(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	const char *why;
	struct stat st;
	int monitor;
	pid_t pid;

	(void)unused;
	if (geteuid() != 0)
		skip();
	for (int sticky = 0; sticky < 2; sticky++) {
		assert_int_equal(fchmod(scene, sticky ? 01777 : 0777), 0);
		pid = start_monitor(&monitor);
		worker = become(monitor, "nobody", &why);
		assert_int_not_equal(worker, -1);
		r.action = ACT_MAILBOX_ONLY;
		ask(&r);
		assert_int_equal(hear().outcome, sticky ? OUTCOME_SENT : OUTCOME_DEFERRED);
		assert_int_equal(fstatat(scene, "nobody", &st, 0), sticky ? 0 : -1);
		close(worker);
		close(monitor);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	worker = -1;
}

static void an_agent_is_its_user_for_good(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	struct passwd *nobody = getpwnam("nobody");
	const char *why;
	struct stat st;
	int monitor;
	pid_t pid;

	(void)unused;
	if (geteuid() != 0 || nobody == NULL)
		skip();
	local_settings.home_mailbox = "";
	pid = start_monitor(&monitor);
	worker = become(monitor, "nobody", &why);
	assert_int_not_equal(worker, -1);
	local_settings.mailbox_command = "";
	ask(&r);
	assert_text(hear().text, "delivered to mailbox");
	assert_int_equal(fstatat(scene, "nobody", &st, 0), 0);
	assert_int_equal(st.st_uid, nobody->pw_uid);
	/* The mailbox is taken away: the user himself can't make it, and says so. */
	assert_int_equal(unlinkat(scene, "nobody", 0), 0);
	ask(&r);
	assert_int_equal(hear().renew, 1);
	close(worker);
	/* default_privs runs commands as nobody. */
	worker = become(monitor, "", &why);
	assert_int_equal(mkdirat(scene, "open", 0777), 0);
	assert_int_equal(fchmodat(scene, "open", 0777, 0), 0);
	r.action = ACT_TARGET;
	r.target = slice_of(arena_printf(arena,
	    "\"|grep -E '^(Uid|Gid|Groups|CapEff|NoNewPrivs)' "
	    "/proc/self/status > %s/open/status\"",
	    scene_path));
	ask(&r);
	assert_int_equal(hear().outcome, OUTCOME_SENT);
	char *text = scene_read("open/status");
	char *uid = mem_printf("Uid:\t%u\t%u\t%u\t%u\n", nobody->pw_uid, nobody->pw_uid,
	    nobody->pw_uid, nobody->pw_uid);
	assert_non_null(strstr(text, uid));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000\n"));
	assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
	free(uid);
	free(text);
	close(monitor);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void root_s_agent_has_no_capability_and_runs_no_command(void **unused)
{
	struct act_request r = scene_message("ID1", "body\r\n");
	const char *why;
	int monitor;
	pid_t pid;

	(void)unused;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(scene, "closed", 0700), 0);
	assert_int_equal(fchownat(scene, "closed", 65534, 65534, 0), 0);
	pid = start_monitor(&monitor);
	worker = become(monitor, "root", &why);
	assert_int_not_equal(worker, -1);
	r.action = ACT_MAILBOX_ONLY;
	ask(&r);
	assert_text(hear().text, "delivered to mailbox");
	close(worker);
	close(monitor);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* With a spool directory that is another's, root without capabilities gets nowhere. */
	char *closed = mem_printf("%s/closed", scene_path);
	local_settings.mail_spool_directory = closed;
	scene_write("closed/root", "", 0600);
	assert_int_equal(fchownat(scene, "closed/root", 65534, 65534, 0), 0);
	pid = start_monitor(&monitor);
	worker = become(monitor, "root", &why);
	ask(&r);
	assert_int_equal(hear().outcome, OUTCOME_DEFERRED);
	close(monitor);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(closed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(waiting_deliveries_are_done_together),
		T(a_forward_file_sends_addresses_back),
		T(the_extension_has_a_forward_file_of_its_own),
		T(own_name_and_backslash_mean_the_mailbox),
		T(a_forward_file_that_others_may_write_is_ignored),
		T(a_broken_forward_file_defers),
		T(what_the_sender_chose_adds_no_directory),
		T(a_list_that_includes_itself_ends),
		T(what_is_no_private_file_is_not_included),
		T(all_lists_of_a_delivery_together_have_a_limit),
		T(commands_in_included_files_need_their_own_permission),
		T(an_address_with_a_line_end_is_no_reason_to_end),
		T(an_empty_list_is_no_delivery),
		T(what_follows_a_part_that_is_tried_again_is_not_begun),
		T(a_list_of_thousands_comes_in_several_packets),
		T(a_target_of_an_alias_is_for_default_privs_only),
		T(exit_statuses_have_meanings),
		T(a_command_sees_the_message_and_a_clean_environment),
		T(a_command_inherits_three_descriptors),
		T(a_command_that_reads_nothing_or_says_much_is_no_trouble),
		T(a_command_has_limited_time),
		T(what_a_command_writes_is_no_larger_than_a_mailbox),
		T(a_worker_that_is_gone_ends_the_command),
		T(local_command_shell_is_used_with_its_words),
		T(a_packet_that_is_none_ends_the_agent),
		T(packets_are_checked_to_the_last_byte),
		T(the_monitor_refuses_what_is_no_user),
		T(default_privs_must_be_a_user),
		T(one_user_can_t_have_all_agents),
		T(a_spool_directory_that_is_everybody_s_is_not_used),
		T(an_agent_is_its_user_for_good),
		T(root_s_agent_has_no_capability_and_runs_no_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
