/* SPDX-License-Identifier: ISC */
/*
 * command.c - the same beginning for every command.
 */
#include "admin/command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dict/dict.h"
#include "common/ipc/messages.h"
#include "common/log/log.h"

static const char *command_name, *usage_text;
static int config_directory = -1;

void command_start(const char *name, const char *usage, int argc, char **argv)
{
	command_name = name;
	usage_text = usage;
	log_open("postfix", name);
	if (getuid() != geteuid() || getgid() != getegid())
		log_fatal("this program must not be setuid or setgid");
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") != 0)
			continue;
		printf("usage: %s", usage);
		exit(fflush(stdout) == 0 ? 0 : 1);
	}
}

void command_usage(const char *why)
{
	if (why != NULL)
		fprintf(stderr, "%s: fatal: %s\n", command_name, why);
	fprintf(stderr, "usage: %s", usage_text);
	exit(COMMAND_USAGE);
}

void command_fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: fatal: ", command_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

const char *command_config_path(const char *option)
{
	const char *named = getenv("MAIL_CONFIG");

	if (option != NULL)
		return option;
	return named != NULL && named[0] != '\0' ? named : conf_default_path();
}

void command_report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	const bool *loud = arg;
	char place[32] = "";

	if (severity == CONF_NOTE || (severity == CONF_WARNING && (loud == NULL || !*loud)))
		return;
	if (line != 0)
		snprintf(place, sizeof(place), ", line %u", line);
	if (severity == CONF_WARNING)
		log_warning("%s%s: %s", file, place, text);
	else
		log_error("%s%s: %s", file, place, text);
}

void command_open_directory(const char *path)
{
	if (config_directory == -1)
		config_directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (config_directory == -1)
		command_fail(1, "open %s: %s; -c DIR names the directory of main.cf", path,
		    strerror(errno));
}

struct conf *command_conf(const char *path, bool loud)
{
	struct conf *conf;

	command_open_directory(path);
	conf = conf_load(config_directory, path, command_report, &loud);
	if (conf == NULL)
		command_fail(1, "%s/main.cf can't be used", path);
	return conf;
}

bool command_is_queue_id(struct slice id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!isalnum((unsigned char)id.data[i]))
			return false;
	return id.len > 0 && id.len <= ID_LIMIT;
}

bool command_is_owner(struct conf *conf)
{
	const struct passwd *owner = getpwnam(conf_text(conf, "queue_owner"));

	return geteuid() == 0 || (owner != NULL && owner->pw_uid == geteuid());
}

void command_authorized(struct conf *conf, const char *parameter, const char *to_do)
{
	const struct passwd *pw;
	struct match_list *list;
	char *why, *name;
	int rc;

	if (command_is_owner(conf))
		return;
	list = match_list_open(config_directory, conf_text(conf, parameter), MATCH_STRING, false,
	    &why);
	if (list == NULL)
		command_fail(COMMAND_SOFTWARE, "%s: %s", parameter, why);
	pw = getpwuid(getuid());
	name = mem_strdup(pw == NULL ? "unknown" : pw->pw_name);
	rc = match_list_has(list, slice_of(name));
	if (rc == -1)
		command_fail(COMMAND_SOFTWARE, "%s: a table in it can't answer", parameter);
	if (rc == 0)
		command_fail(COMMAND_NOPERM, "User %s(%u) is not allowed to %s", name,
		    (unsigned)getuid(), to_do);
	free(name);
	match_list_close(list);
}

int command_config_directory(void)
{
	return config_directory;
}
