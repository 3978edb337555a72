/* SPDX-License-Identifier: ISC */
/*
 * postcat_main.c - shows a message of the queue: envelope, header, body.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_access.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const char usage[] =
    "postcat [-bdefhorv] [-c config_dir] -q QUEUE_ID...\n"
    "  -q  the arguments are queue ids\n"
    "  -b  show the body\n"
    "  -e  show the envelope\n"
    "  -h  show the header; without -b, -e and -h all is shown\n"
    "  -f  begin each line with the message's queue and id\n"
    "  -d  begin each line with the type of record that Postfix has it in, as a decimal number\n"
    "  -o  begin each line of header and body with its offset in the message, others with -\n"
    "  -r  accepted: here records have one order\n"
    "  -v  accepted\n"
    "  -c  the directory of main.cf\n";

enum { SHOW_ENVELOPE = 1, SHOW_HEADER = 2, SHOW_BODY = 4, PIECE = 65536 };

/* Letters of Postfix's. */
enum record_type {
	RECORD_SIZE = 'C',
	RECORD_TIME = 'T',
	RECORD_ATTRIBUTE = 'A',
	RECORD_SENDER = 'S',
	RECORD_ORIGINAL = 'O',
	RECORD_RCPT = 'R',
	RECORD_DONE = 'D',
	RECORD_TEXT = 'N'
};

static struct postcat {
	struct conf *conf;
	char **ids;
	unsigned show;
	bool names, types, offsets; /* in front of each line: of the file, record, content */
	int status;
	/* The message at hand. */
	char name[ID_LIMIT + 32]; /* "deferred/ID" */
	struct buf content;	  /* small, until the recipients were told */
	int fd;			  /* of large content, or -1 */
	/* Where in the content we are. */
	bool in_body, line_starts, cr;
	bool shown; /* of the line at hand something was shown */
	uint64_t offset, line_offset;
} cat;

/* --- the envelope --------------------------------------------------------------------------------- */

static void begin_with_name(void)
{
	if (cat.names)
		printf("%s: ", cat.name);
}

static void line_begins(enum record_type type)
{
	begin_with_name();
	if (cat.offsets && type == RECORD_TEXT)
		printf("%9" PRIu64 " ", cat.line_offset);
	else if (cat.offsets)
		printf("%9s ", "-");
	if (cat.types)
		printf("%3d ", (int)type);
}

static void show(enum record_type type, const char *name, struct slice value)
{
	char *text = slice_dup(value);

	text_neuter(text, value.len);
	line_begins(type);
	printf("%s: %.*s\n", name, (int)value.len, text);
	free(text);
}

static void show_attribute(const char *name, struct slice value)
{
	char *text;

	if (value.len == 0)
		return;
	text = mem_printf("%s=%.*s", name, (int)value.len, value.data);
	show(RECORD_ATTRIBUTE, "named_attribute", slice_of(text));
	free(text);
}

static void show_time(const char *name, int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char text[40] = "";

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	show(RECORD_TIME, name, slice_of(text));
}

static void mark(const char *what)
{
	if ((cat.show & SHOW_ENVELOPE) == 0)
		return;
	begin_with_name();
	printf("*** %s %s ***\n", what, cat.name);
}

static void on_message(void *arg, const struct msg_queue_message *m, int fd)
{
	char number[24];

	(void)arg;
	snprintf(cat.name, sizeof(cat.name), "%.*s/%.*s", (int)m->queue.len, m->queue.data,
	    (int)m->id.len, m->id.data);
	buf_reset(&cat.content);
	buf_put_slice(&cat.content, m->content);
	cat.fd = fd == -1 ? -1 : dup(fd);
	mark("ENVELOPE RECORDS");
	if ((cat.show & SHOW_ENVELOPE) == 0)
		return;
	line_begins(RECORD_SIZE);
	/* Postfix's columns: size, offset of the content, recipients, flags, size, flags. */
	printf("message_size: %15" PRIu64 " %15u %15" PRIu64 " %15u %15" PRIu64 " %15u\n",
	    m->content_size, 0, m->rcpt_count, 0, m->content_size, 0);
	show_time("message_arrival_time", m->arrival_us);
	show_time("create_time", m->arrival_us);
	if (m->due_us > 0)
		show_time("next_attempt_time", m->due_us);
	snprintf(number, sizeof(number), "%" PRIu64, m->attempts);
	show_attribute("attempts", slice_of(number));
	show_attribute("forced_expire", slice_of(m->expired ? "1" : ""));
	show_attribute("envelope_id", m->envid);
	show_attribute("log_client_name", m->client_name);
	show_attribute("log_client_address", m->client_address);
	show_attribute("log_client_port", m->client_port);
	show_attribute("log_helo_name", m->client_helo);
	show_attribute("log_protocol_name", m->protocol);
	show(RECORD_SENDER, "sender", m->sender);
}

static void on_rcpts(void *arg, const struct msg_queue_rcpts *m)
{
	(void)arg;
	for (size_t i = 0; (cat.show & SHOW_ENVELOPE) != 0 && i < m->address.count; i++) {
		bool done = i < m->done.count && m->done.items[i] != 0;

		if (i < m->orcpt.count)
			show_attribute("dsn_orig_rcpt", m->orcpt.items[i]);
		if (i < m->original.count && m->original.items[i].len > 0)
			show(RECORD_ORIGINAL, "original_recipient", m->original.items[i]);
		show(done ? RECORD_DONE : RECORD_RCPT, done ? "done_recipient" : "recipient",
		    m->address.items[i]);
	}
}

/* --- the content ---------------------------------------------------------------------------------- */

static bool is_shown(void)
{
	return (cat.show & (cat.in_body ? SHOW_BODY : SHOW_HEADER)) != 0;
}

static void put(char c)
{
	if (!is_shown())
		return;
	if (!cat.shown)
		line_begins(RECORD_TEXT);
	cat.shown = true;
	putchar(c);
}

/* Out of the form that it has on the wire: CRLF becomes LF, a dot that was put in front goes. */
static void show_content(struct slice piece)
{
	for (size_t i = 0; i < piece.len; i++) {
		char c = piece.data[i];

		if (cat.line_starts)
			cat.line_offset = cat.offset;
		cat.offset++;
		if (cat.line_starts && c == '\r')
			cat.in_body = true; /* an empty line ends the header */
		if (cat.cr && c != '\n')
			put('\r');
		cat.cr = c == '\r';
		if (c == '\n') {
			put('\n');
			cat.shown = false;
		} else if (!cat.cr && !(cat.line_starts && c == '.')) {
			put(c);
		}
		cat.line_starts = c == '\n';
	}
}

static void show_file(void)
{
	static char piece[PIECE];
	off_t at = 0;
	ssize_t got;

	while ((got = pread(cat.fd, piece, sizeof(piece), at)) > 0) {
		show_content(slice_new(piece, (size_t)got));
		at += got;
	}
	if (got == -1)
		command_fail(COMMAND_SOFTWARE, "%s: %s", cat.name, strerror(errno));
	close(cat.fd);
}

static void show_one(struct queue_access *access, const char *id)
{
	static const struct queue_reader reader = { NULL, on_message, on_rcpts };
	const char *why;

	if (!command_is_queue_id(slice_of(id)))
		command_usage("a queue id consists of letters and digits");
	if (!queue_access_read(access, slice_of(id), &reader, &why)) {
		fflush(stdout);
		log_error("open queue file %s: %s", id, why);
		cat.status = 1;
		return;
	}
	mark("MESSAGE CONTENTS");
	cat.in_body = cat.cr = cat.shown = false;
	cat.line_starts = true;
	cat.offset = 0;
	show_content(buf_slice(&cat.content));
	if (cat.fd != -1)
		show_file();
	mark("HEADER EXTRACTED");
	mark("MESSAGE FILE END");
}

static void work(void *arg)
{
	struct queue_access *access = queue_access_open(cat.conf);

	(void)arg;
	for (size_t i = 0; cat.ids[i] != NULL; i++)
		show_one(access, cat.ids[i]);
	queue_access_close(access);
}

int main(int argc, char **argv)
{
	const char *config = NULL;
	bool by_id = false;
	int option;

	command_start("postcat", usage, argc, argv);
	while ((option = getopt(argc, argv, "bc:defhoqrv")) != -1) {
		if (option == '?')
			command_usage(NULL);
		if (option == 'c')
			config = optarg;
		by_id |= option == 'q';
		cat.names |= option == 'f';
		cat.types |= option == 'd';
		cat.offsets |= option == 'o';
		cat.show |= option == 'b' ? SHOW_BODY
		    : option == 'e'	  ? SHOW_ENVELOPE
		    : option == 'h'	  ? SHOW_HEADER
					  : 0;
	}
	if (optind == argc)
		command_usage(NULL);
	if (!by_id)
		command_fail(1, "%s: messages are no files here; name them by queue id, with -q",
		    argv[optind]);
	if (cat.show == 0)
		cat.show = SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY;
	cat.ids = argv + optind;
	tzset();
	cat.conf = command_conf(command_config_path(config), false);
	queue_access_run(work, NULL);
	conf_free(cat.conf);
	buf_clear(&cat.content);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return cat.status;
}
