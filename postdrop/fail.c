/* SPDX-License-Identifier: ISC */
/*
 * fail.c - messages of commands. What is in them may come from strangers: it is neutered.
 */
#include "postdrop/fail.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/text.h"

enum { TEXT_SIZE = 1000 };

static const char *name = "sendmail";
static char user[256];

void fail_open(const char *command)
{
	const struct passwd *pw = getpwuid(getuid());

	name = command;
	if (pw != NULL && strlen(pw->pw_name) < sizeof(user))
		snprintf(user, sizeof(user), "%s", pw->pw_name);
	else
		snprintf(user, sizeof(user), "%ld", (long)getuid());
}

const char *fail_user(void)
{
	return user;
}

static void say(int priority, const char *word, const char *format, va_list args)
{
	char text[TEXT_SIZE], tag[64];

	vsnprintf(text, sizeof(text), format, args);
	text_neuter(text, strlen(text));
	fprintf(stderr, "%s: %s: %s(%ld): %s\n", name, word, user, (long)getuid(), text);
	snprintf(tag, sizeof(tag), "postfix/%s", name);
	openlog(tag, LOG_PID, LOG_MAIL);
	syslog(priority, "%s: %s(%ld): %s", word, user, (long)getuid(), text);
	closelog();
}

void fail_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(LOG_WARNING, "warning", format, args);
	va_end(args);
}

void fail_now(enum exit_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(LOG_CRIT, "fatal", format, args);
	va_end(args);
	exit((int)status);
}
