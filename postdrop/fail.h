/* SPDX-License-Identifier: ISC */
/*
 * fail.h - how a command that users run says what is wrong: on standard error and, since those who start
 * it often show nobody what it said, to syslog.
 */
#ifndef GP_FAIL_H
#define GP_FAIL_H

/* Of sysexits. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_USAGE = 64,
	EXIT_DATA = 65,
	EXIT_UNAVAILABLE = 69,
	EXIT_SOFTWARE = 70,
	EXIT_SYSTEM = 71,
	EXIT_TEMPORARY = 75,
	EXIT_PERMISSION = 77
};

/* First: the command's name, and who runs it. The name is borrowed. */
void fail_open(const char *command);
/* The login name of the real user, or its number; static. */
const char *fail_user(void);
/* "<command>: fatal: <user>(<uid>): <text>", and the end. */
_Noreturn void fail_now(enum exit_status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Only says it. */
void fail_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
