/* SPDX-License-Identifier: ISC */
/*
 * queue_print.h - the queue as postqueue prints it: for people, or an object on a line for programs.
 */
#ifndef GP_QUEUE_PRINT_H
#define GP_QUEUE_PRINT_H

#include <stdio.h>

#include "admin/queue_list.h"

enum queue_form { QUEUE_TEXT, QUEUE_JSON };

struct queue_print {
	struct queue_sink sink; /* feed this */
	enum queue_form form;
	FILE *out;
	bool is_selection; /* nothing to print does not mean that the queue is empty */
	uint64_t messages, bytes;
	bool has_rcpt;
	struct buf id, last_reason;
};

/* It must not move afterwards. */
void queue_print_init(struct queue_print *, enum queue_form, FILE *out);
/* The footer, or that the queue is empty; releases what it holds. */
void queue_print_finish(struct queue_print *);

#endif
