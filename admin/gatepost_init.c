/* SPDX-License-Identifier: ISC */
/*
 * gatepost_init.c - a complete private instance below one directory, beside any other mail system.
 */
#include "admin/gatepost.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const users[] = { "gatepost", "gatepostq", "gatepostk" };
static const char *const meanings[] = { "Gatepost mail system", "Gatepost queue", "Gatepost keys" };

/* Runs a command of the system and waits; its exit status, or -1. */
static int run(const char *const *argv)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)argv,
		(char *const *)environment) != 0 ||
	    waitpid(pid, &status, 0) == -1 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void make_group(const char *name)
{
	const char *argv[] = { "/usr/sbin/groupadd", "--system", name, NULL };

	if (getgrnam(name) != NULL)
		return;
	if (run(argv) != 0)
		give_up("cannot create group %s: run \"groupadd --system %s\" yourself", name,
		    name);
	printf("created group %s\n", name);
}

static void make_user(const char *name, const char *meaning)
{
	const char *argv[] = { "/usr/sbin/useradd", "--system", "--user-group", "--no-create-home",
		"--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--comment", meaning,
		name, NULL };
	const char *existing[] = { "/usr/sbin/useradd", "--system", "--gid", name,
		"--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
		"--comment", meaning, name, NULL };

	if (getpwnam(name) != NULL)
		return;
	if (run(getgrnam(name) == NULL ? argv : existing) != 0)
		give_up("cannot create user %s: run \"useradd --system %s\" yourself", name, name);
	printf("created user %s (%s)\n", name, meaning);
}

static void make_directory(int parent, const char *name, mode_t mode)
{
	if (mkdirat(parent, name, mode) == -1 && errno != EEXIST)
		give_up("cannot make directory %s: %s", name, strerror(errno));
}

static void write_file(int etc, const char *name, struct buf *text)
{
	if (io_replace_file(etc, name, buf_slice(text), 0644) == -1)
		give_up("cannot write etc/%s: %s", name, strerror(errno));
	buf_clear(text);
}

static const char *own_name(void)
{
	struct passwd *pw = getpwuid(geteuid());

	if (pw == NULL)
		give_up("user %u has no name in the password file", (unsigned)geteuid());
	return pw->pw_name;
}

static void write_main_cf(int etc, const char *directory)
{
	struct buf text = { 0 };
	char *programs = program_directory(), *commands = command_directory();

	buf_printf(&text,
	    "# A private instance of Gatepost, below %s.\n"
	    "# Every parameter: gatepost's main.cf(5), and \"postconf -c %s/etc\".\n\n"
	    "queue_directory = %s/queue\n"
	    "mail_spool_directory = %s/mail\n"
	    "maillog_file = %s/log/maillog\n"
	    "maillog_file_prefixes = %s/log /dev/stdout\n"
	    "command_directory = %s\n"
	    "daemon_directory = %s\n",
	    directory, directory, directory, directory, directory, directory, commands, programs);
	buf_printf(&text,
	    "alias_maps = hash:%s/etc/aliases\n"
	    "alias_database = $alias_maps\n\n"
	    "inet_interfaces = loopback-only\n"
	    "mynetworks = 127.0.0.0/8 [::1]/128\n"
	    "mydestination = $myhostname, localhost.$mydomain, localhost\n"
	    "mailbox_delivery_lock = fcntl\n",
	    directory);
	if (geteuid() != 0) {
		const char *user = own_name();

		buf_printf(&text,
		    "\n# Not root: one uid for all, and mail for its own user alone.\n"
		    "mail_owner = %s\nqueue_owner = %s\nkey_owner = %s\ndefault_privs = %s\n"
		    "local_recipient_maps = inline:{ { %s = %s } } $alias_maps\n",
		    user, user, user, user, user, user);
	}
	write_file(etc, "main.cf", &text);
	free(commands);
	free(programs);
}

static void write_master_cf(int etc, uint64_t port)
{
	struct buf text = { 0 };

	buf_printf(&text,
	    "# service    type  private unpriv chroot wakeup maxproc command + args\n"
	    "127.0.0.1:%-5u inet n  -      n      -      -       smtpd\n"
	    "pickup       unix  n       -      n      60     1       pickup\n"
	    "cleanup      unix  n       -      n      -      0       cleanup\n"
	    "qmgr         unix  n       -      n      300    1       qmgr\n"
	    "rewrite      unix  -       -      n      -      -       rewrite\n"
	    "proxymap     unix  -       -      n      -      -       proxymap\n"
	    "bounce       unix  -       -      n      -      0       bounce\n"
	    "resolver     unix  -       -      n      -      -       resolver\n"
	    "dialer       unix  -       -      n      -      -       dialer\n"
	    "local        unix  -       n      n      -      -       local\n"
	    "smtp         unix  -       -      n      -      -       smtp\n"
	    "relay        unix  -       -      n      -      -       smtp\n"
	    "  -o syslog_name=postfix/$service_name\n"
	    "lmtp         unix  -       -      n      -      -       lmtp\n"
	    "error        unix  -       -      n      -      -       error\n"
	    "retry        unix  -       -      n      -      -       error\n"
	    "discard      unix  -       -      n      -      -       discard\n"
	    "showq        unix  n       -      n      -      -       showq\n"
	    "flush        unix  n       -      n      -      -       flush\n"
	    "postlog      unix-dgram n  -      n      -      1       postlogd\n",
	    (unsigned)port);
	write_file(etc, "master.cf", &text);
}

static void write_aliases(int etc)
{
	struct buf text = { 0 };

	buf_printf(&text,
	    "# name: address, ...   See aliases(5). After a change: newaliases -c DIR/etc\n"
	    "mailer-daemon: postmaster\n"
	    "postmaster: %s\n"
	    "abuse: postmaster\n",
	    own_name());
	write_file(etc, "aliases", &text);
}

static void build_aliases(const char *directory)
{
	char *commands = command_directory();
	char *program = mem_printf("%s/newaliases", commands),
	     *etc = mem_printf("%s/etc", directory);
	const char *argv[] = { program, "-c", etc, NULL };

	if (run(argv) != 0)
		give_up("%s failed; the instance lacks its alias table", program);
	free(program);
	free(etc);
	free(commands);
}

static char *absolute(const char *path)
{
	bool is_new = mkdir(path, 0755) == 0;
	char *whole;

	if (!is_new && errno != EEXIST)
		give_up("cannot make %s: %s", path, strerror(errno));
	whole = realpath(path, NULL);
	if (whole == NULL)
		give_up("%s: %s", path, strerror(errno));
	if (whole[strcspn(whole, " \t\r\n\v\f,$#{}\"")] != '\0') {
		if (is_new)
			rmdir(whole);
		give_up("%s: main.cf cannot express this name; take one without blanks, commas and "
			"$#{}\"",
		    whole);
	}
	return whole;
}

int gatepost_init(int argc, char **argv)
{
	static const struct option options[] = { { "port", required_argument, NULL, 'p' }, { 0 } };
	uint64_t port = 2525;
	int option, top, etc;
	char *directory;

	optind = 0; /* anew, from the first */
	while ((option = getopt_long(argc, argv, "p:", options, NULL)) != -1)
		if (option != 'p' || !text_number(slice_of(optarg), 65535, &port) || port == 0) {
			say_error("usage: gatepost init DIR [--port N]   (N: 1 to 65535)");
			return 64;
		}
	if (optind != argc - 1) {
		say_error("usage: gatepost init DIR [--port N]");
		return 64;
	}
	umask(022);
	if (geteuid() == 0) {
		for (size_t i = 0; i < ARRAY_LENGTH(users); i++)
			make_user(users[i], meanings[i]);
		make_group("gatepostdrop");
	}
	own_name(); /* who has none hears it before anything is made */
	directory = absolute(argv[optind]);
	top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top == -1)
		give_up("%s: %s", directory, strerror(errno));
	if (faccessat(top, "etc/main.cf", F_OK, 0) == 0)
		give_up("%s/etc/main.cf exists: this directory has an instance already", directory);
	make_directory(top, "etc", 0755);
	make_directory(top, "queue", 0755);
	make_directory(top, "mail", geteuid() == 0 ? 0755 : 0700);
	make_directory(top, "log", 0755);
	etc = openat(top, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_aliases(etc);
	write_master_cf(etc, port);
	write_main_cf(etc, directory);
	close(etc);
	close(top);
	build_aliases(directory);
	printf("An instance is in %s.\n"
	       "  start it:       gatepost -c %s/etc start\n"
	       "  send to it:     SMTP on 127.0.0.1:%u, for %s@localhost\n"
	       "  the mailbox:    %s/mail/%s\n"
	       "  the log:        %s/log/maillog\n",
	    directory, directory, (unsigned)port, own_name(), directory, own_name(), directory);
	free(directory);
	return 0;
}
