/* SPDX-License-Identifier: ISC */
/*
 * command.h - what every administrator's command begins with: --help, exit codes, main.cf.
 */
#ifndef GP_COMMAND_H
#define GP_COMMAND_H

#include "common/base/slice.h"
#include "common/conf/conf.h"

/* Of sysexits: scripts look at them. */
enum {
	COMMAND_USAGE = 64,
	COMMAND_UNAVAILABLE = 69,
	COMMAND_SOFTWARE = 70,
	COMMAND_TEMPORARY = 75,
	COMMAND_NOPERM = 77
};

/* First thing in main: messages go to standard error under this name; --help prints the usage text
 * and exits 0; a program that was made setuid or setgid refuses to run. */
void command_start(const char *name, const char *usage, int argc, char **argv);
/* Says why (unless NULL) and how the command is used, on standard error; exits with 64. */
_Noreturn void command_usage(const char *why);
/* Says it and exits with the status. */
_Noreturn void command_fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The directory of main.cf: of -c; else of $MAIL_CONFIG; else the one that was built in. */
const char *command_config_path(const char *option);
/* Opens it and reads main.cf; ends the process with a message when that fails. loud: warnings of
 * main.cf are shown too. */
struct conf *command_conf(const char *path, bool loud);
/* The first part of that alone. */
void command_open_directory(const char *path);
/* Letters and digits, as many as an id may have. */
bool command_is_queue_id(struct slice);
/* root, or the user that the queue belongs to. */
bool command_is_owner(struct conf *);
/* Ends the program with 77 unless the caller is root, queue_owner, or has his name in the parameter's list.
 * to_do: "view the mail queue". */
void command_authorized(struct conf *, const char *parameter, const char *to_do);
int command_config_directory(void); /* descriptor of the directory that they opened */
/* A conf_report that writes to standard error through the log. arg: NULL: errors only. */
void command_report(void *arg, enum conf_severity, const char *file, unsigned line,
    const char *text);

#endif
