/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue.h - what the words of `gatepost queue` share: how each begins.
 */
#ifndef GP_GATEPOST_QUEUE_H
#define GP_GATEPOST_QUEUE_H

#include "admin/queue_direct.h"

enum { QUEUE_FOUND = 1 }; /* exit status: damage was found, or a message could not be moved */

/* The words: argv[0] is the word. Each returns the exit status, or ends the program with a message. */
int queue_verify(int argc, char **argv);
int queue_dump(int argc, char **argv);
int queue_export(int argc, char **argv);
int queue_import(int argc, char **argv);

/* The configuration; ends the program when it can't be read. */
struct conf *queue_conf(void);
/* Ends the program with a message while the mail system runs. */
void queue_needs_stop(struct conf *);
/* The queue's directory, to be read only: this one; or, with NULL, the configuration's, which then is locked
 * until the program ends. Nobody has it open. As root, becomes queue_owner. name: how it is called, on the heap. */
int queue_open_to_read(const char *path, char **name);
/* All arguments are queue ids; ends the program when one is not. */
void queue_check_ids(char **ids);

#endif
