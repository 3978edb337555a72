/* SPDX-License-Identifier: ISC */
/*
 * sendmail_main.c - the command by which programs and people send mail. It has no rights of its own.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/mail/mail_address.h"
#include "postdrop/sendmail.h"

static const char usage[] =
    "sendmail [options] [recipient ...]\n"
    "  -t               also the recipients of the header: To, Cc, Bcc\n"
    "  -i               a line that is a dot does not end the message\n"
    "  -f sender        envelope sender; -r is the same\n"
    "  -F name          the sender's full name, for a From that is missing\n"
    "  -N when          notices: never, or any of success,failure,delay\n"
    "  -R what          what a notice returns: full or hdrs\n"
    "  -V id            envelope id, told in notices\n"
    "  -B body          7BIT or 8BITMIME\n"
    "  -G               mail from elsewhere: its header is not completed\n"
    "  -b mode          m send (default), s SMTP on standard input, p list the queue,\n"
    "                   i build the aliases, d or l start the mail system,\n"
    "                   v deliver nothing: have a report on the recipients mailed\n"
    "  -I               build the aliases\n"
    "  -q               try all waiting mail now; -qI id: one message; -qR site\n"
    "  -C config        main.cf, or its directory\n"
    "  -o option        i as -i; A file: an alias database; others are ignored\n"
    "  ignored: -A -L -O -U -X -c -e -h -m -n -p -v -x\n";

/* --- other commands ------------------------------------------------------------------------------- */

/* Installed, newaliases might be a link to this program. */
static bool is_this_program(const char *path)
{
	struct stat own, other;

	return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
	    own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

_Noreturn static void become(const struct sendmail *s, const char *command, const char *option,
    const char *value)
{
	char *directory = io_own_directory();
	char *path = mem_printf("%s/%s", directory == NULL ? "/usr/sbin" : directory, command);

	if (is_this_program(path))
		fail_now(EXIT_SOFTWARE, "%s is a link to this program", path);
	execl(path, command, "-c", s->config_path, option, value, (char *)NULL);
	fail_now(EXIT_SYSTEM, "cannot run %s: %s", path, strerror(errno));
}

/* --- configuration -------------------------------------------------------------------------------- */

static char *config_path(const char *option)
{
	const char *named = option != NULL ? option : getenv("MAIL_CONFIG");
	char *path = mem_strdup(named == NULL || *named == '\0' ? "/etc/gatepost" : named);
	size_t len = strlen(path);

	if (len > 8 && strcmp(path + len - 8, "/main.cf") == 0)
		path[len - 8] = '\0';
	return path;
}

static void report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	if (severity == CONF_ERROR)
		fail_warn("%s, line %u: %s", file, line, text);
}

static struct conf *load(const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct conf *conf;

	if (directory == -1)
		fail_now(EXIT_TEMPORARY, "open %s: %s", path, strerror(errno));
	conf = conf_load(directory, path, report, NULL);
	close(directory);
	if (conf == NULL)
		fail_now(EXIT_TEMPORARY, "%s/main.cf can't be used", path);
	return conf;
}

/* --- the sender ----------------------------------------------------------------------------------- */

/* The name that an & stands for begins with a capital. */
static char *name_of_gecos(const struct passwd *pw)
{
	struct buf name = { 0 };

	for (const char *c = pw->pw_gecos; *c != '\0' && *c != ','; c++) {
		if (*c != '&') {
			buf_putc(&name, *c);
			continue;
		}
		buf_putc(&name, (char)toupper((unsigned char)pw->pw_name[0]));
		buf_puts(&name, pw->pw_name + 1);
	}
	return buf_take(&name);
}

static struct slice full_name(struct submission *m, const char *option)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *named = option != NULL ? option : getenv("NAME");
	char *name = named != NULL || pw == NULL ? mem_strdup(named == NULL ? "" : named)
						 : name_of_gecos(pw);
	struct slice result = arena_copy(m->arena, slice_of(name));

	if (result.len > NAME_LIMIT)
		result.len = NAME_LIMIT;
	for (size_t i = 0; i < result.len; i++)
		if (name[i] == '\r' || name[i] == '\n')
			fail_now(EXIT_USAGE, "a full name is one line");
	free(name);
	return slice_trim(result);
}

static struct slice login_address(struct submission *m)
{
	struct buf quoted = { 0 };
	struct slice address;

	local_part_quote(slice_of(fail_user()), &quoted);
	address = arena_copy(m->arena, buf_slice(&quoted));
	buf_clear(&quoted);
	return address;
}

/* One address in any form that a header may have it in; the null sender. */
static struct slice sender(const char *option, struct submission *m)
{
	struct submission list = { .arena = m->arena };
	struct slice text = slice_trim(slice_of(option)), found = SLICE("");
	const char *why;

	if (option == NULL)
		return login_address(m);
	if (text.len == 0 || slice_equal(text, SLICE("<>")))
		return found;
	if (!submission_add(&list, text, &why))
		fail_now(EXIT_USAGE, "sender %s: %s", option, why);
	if (list.rcpt_count != 1)
		fail_now(EXIT_USAGE, "sender %s: must be one address", option);
	found = list.rcpts[0];
	free(list.rcpts);
	return found;
}

/* --- a message ------------------------------------------------------------------------------------ */

void sendmail_begin(const struct sendmail *s, struct submission *m)
{
	const struct options *o = &s->options;

	m->arena = arena_new();
	m->envelope.sender = sender(o->sender, m);
	m->envelope.full_name = full_name(m, o->full_name);
	m->envelope.envid = slice_of(o->envid);
	m->envelope.ret = o->ret;
	m->envelope.flags = (o->is_8bit ? SUBMIT_8BIT : 0u) | (o->is_gateway ? SUBMIT_GATEWAY : 0u);
	m->notify = o->notify;
}

static void add_recipients(struct submission *m, const struct options *o, char **arguments)
{
	const char *why;

	for (; *arguments != NULL; arguments++)
		if (!submission_add(m, slice_of(*arguments), &why))
			fail_now(EXIT_USAGE, "recipient %s: %s", *arguments, why);
	if (o->extract && !submission_extract(m, &why))
		fail_now(EXIT_DATA, "recipients of the header: %s",
		    why == NULL ? strerror(errno) : why);
	if (m->rcpt_count == 0)
		fail_now(EXIT_USAGE, "%s",
		    o->extract ? "No recipient addresses found in message header"
			       : "Recipient addresses must be specified on the command line or via "
				 "the -t option");
}

static void submit(const struct sendmail *s, const struct submission *m)
{
	char *text;
	enum exit_status status = submission_send(m, s->conf, s->config_path, &text);

	if (status != EXIT_OK)
		fail_now(status, "%s", text);
	free(text);
}

static int send_message(const struct sendmail *s, char **arguments)
{
	struct submission m = { 0 };

	if (*arguments == NULL && !s->options.extract)
		add_recipients(&m, &s->options, arguments);
	sendmail_begin(s, &m);
	read_message(&m.content, s->options.keep_dots,
	    (uint64_t)conf_number(s->conf, "message_size_limit"));
	add_recipients(&m, &s->options, arguments);
	submit(s, &m);
	submission_clear(&m);
	return 0;
}

/* Nothing is read: the message stands for any. */
static int verify(const struct sendmail *s, char **arguments)
{
	struct submission m = { 0 };
	struct slice reader;

	if (s->options.extract)
		fail_now(EXIT_USAGE, "-t can't be used with -bv");
	sendmail_begin(s, &m);
	m.envelope.flags |= SUBMIT_VERIFY;
	add_recipients(&m, &s->options, arguments);
	if (spool_append(&m.content, SLICE("Subject: recipient verification\n\n")) == -1)
		fail_now(EXIT_TEMPORARY, "cannot keep the message: %s", strerror(errno));
	submit(s, &m);
	reader = m.envelope.sender;
	if (reader.len > 0)
		printf("Mail Delivery Status Report will be mailed to <%.*s>.\n", (int)reader.len,
		    reader.data);
	submission_clear(&m);
	return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
}

static int flush(const struct sendmail *s)
{
	switch (s->options.flush) {
	case 'I':
		become(s, "postqueue", "-i", s->options.flush_what);
	case 'R':
		become(s, "postqueue", "-s", s->options.flush_what);
	default:
		become(s, "postqueue", "-f", NULL);
	}
}

static int run(const struct sendmail *s, char **arguments)
{
	switch (s->options.mode) {
	case MODE_SEND:
		return send_message(s, arguments);
	case MODE_SMTP:
		return smtp_dialogue(s);
	case MODE_LIST:
		become(s, "postqueue", "-p", NULL);
	case MODE_ALIASES:
		if (s->options.alias_database != NULL)
			become(s, "postalias", s->options.alias_database, NULL);
		become(s, "newaliases", NULL, NULL);
	case MODE_VERIFY:
		return verify(s, arguments);
	case MODE_START:
		become(s, "postfix", "start", NULL);
	case MODE_FLUSH:
		return flush(s);
	case MODE_NOTHING:
		return 0;
	}
	return 0;
}

/* An open descriptor for each of the three, or a file might get their number. */
static void hold_standard_descriptors(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= STDERR_FILENO)
		;
	close(fd);
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL, *why;
	struct sendmail s = { 0 };
	char option[3];
	int status;

	hold_standard_descriptors();
	name = name != NULL ? name + 1 : argc > 0 ? argv[0] : "sendmail";
	log_open("postfix", "sendmail");
	fail_open("sendmail");
	if (getuid() != geteuid() || getgid() != getegid())
		fail_now(EXIT_SOFTWARE, "this program must not be setuid or setgid");
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: %s", usage);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	s.options.mode = strcmp(name, "mailq") == 0 ? MODE_LIST
	    : strcmp(name, "newaliases") == 0	    ? MODE_ALIASES
						    : MODE_SEND;
	if (!options_parse(argc, argv, &s.options, &why, option))
		fail_now(EXIT_USAGE, "option %s %s", option, why);
	s.config_path = config_path(s.options.config);
	s.conf = load(s.config_path);
	status = run(&s, argv + s.options.first);
	conf_free(s.conf);
	free(s.config_path);
	return status;
}
