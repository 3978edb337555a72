/* SPDX-License-Identifier: ISC */
/*
 * gatepost.h - what the parts of the gatepost command share.
 */
#ifndef GP_GATEPOST_H
#define GP_GATEPOST_H

/* "gatepost: text" on standard error; the second ends with status 1. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* gatepost init DIR [--port N]. Returns the exit status. */
int gatepost_init(int argc, char **argv);

/* gatepost [-c config] queue WORD ...: gatepost_queue.c. Returns the exit status. */
int gatepost_queue(const char *config, int argc, char **argv);

/* The directories that commands and that master and the services are in; on the heap. */
char *command_directory(void);
char *program_directory(void);

#endif
