/* SPDX-License-Identifier: ISC */
/*
 * postlog_main.c - writes lines into the mail log, for scripts.
 *
 * The log service takes them over public/flush from root and the instance's owner. When it does not, they
 * go to syslog, as the log of a system that is down.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/queue_access.h"
#include "common/base/mem.h"

static const char usage[] = "postlog [-iv] [-c config_dir] [-p priority] [-t tag] [text...]\n"
			    "  -p  info (the default), warn, error, fatal or panic\n"
			    "  -t  the tag of the line instead of $syslog_name/postlog\n"
			    "  -i  accepted: the line always has a process id\n"
			    "  -v  accepted\n"
			    "  -c  the directory of main.cf\n"
			    "  Without a text, lines come on standard input.\n";

enum { TAG_MOST = 64 };

static struct postlog {
	struct conf *conf;
	struct queue_access *access;
	char *tag;
	enum log_level level;
	char **words;
} postlog;

static void write_line(struct slice text)
{
	/* As Postfix: who watches sees it too. */
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s: %.*s\n", postlog.tag, (int)text.len, text.data);
	queue_access_log(postlog.access, postlog.level, postlog.tag, text);
}

static void write_words(void)
{
	struct buf text = { 0 };

	for (size_t i = 0; postlog.words[i] != NULL; i++) {
		if (i > 0)
			buf_putc(&text, ' ');
		buf_puts(&text, postlog.words[i]);
	}
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\n' || text.data[i] == '\r')
			text.data[i] = '?';
	write_line(buf_slice(&text));
	buf_clear(&text);
}

static void write_input(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) != -1) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		for (ssize_t i = 0; i < len; i++)
			if (line[i] == '\r' || line[i] == '\0')
				line[i] = '?';
		write_line(slice_new(line, (size_t)len < TEXT_LIMIT ? (size_t)len : TEXT_LIMIT));
	}
	if (ferror(stdin))
		command_fail(COMMAND_SOFTWARE, "standard input: %s", strerror(errno));
	free(line);
}

static void work(void *arg)
{
	(void)arg;
	postlog.access = queue_access_connect(postlog.conf);
	if (postlog.words[0] != NULL)
		write_words();
	else
		write_input();
	queue_access_close(postlog.access);
}

static enum log_level level_of(const char *word)
{
	static const char *const words[] = { "info", "warn", "error", "fatal", "panic" };

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(words[i], word) == 0)
			return (enum log_level)i;
	if (strcmp(word, "warning") == 0)
		return LOG_LEVEL_WARNING;
	command_usage("a priority is info, warn, error, fatal or panic");
}

int main(int argc, char **argv)
{
	const char *config = NULL, *tag = NULL;
	int option;

	command_start("postlog", usage, argc, argv);
	while ((option = getopt(argc, argv, "c:ip:t:v")) != -1) {
		if (option == '?')
			command_usage(NULL);
		else if (option == 'c')
			config = optarg;
		else if (option == 'p')
			postlog.level = level_of(optarg);
		else if (option == 't')
			tag = optarg;
	}
	if (tag != NULL && (strlen(tag) > TAG_MOST || tag[strcspn(tag, "\r\n")] != '\0'))
		command_usage("a tag has at most 64 characters");
	postlog.words = argv + optind;
	postlog.conf = command_conf(command_config_path(config), false);
	postlog.tag = tag != NULL
	    ? mem_strdup(tag)
	    : mem_printf("%s/postlog", conf_text(postlog.conf, "syslog_name"));
	queue_access_run(work, NULL);
	free(postlog.tag);
	conf_free(postlog.conf);
	return 0;
}
