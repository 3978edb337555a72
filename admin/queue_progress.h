/* SPDX-License-Identifier: ISC */
/*
 * queue_progress.h - how far a long piece of work is, for whoever watches it on a terminal; and that he wants
 * it to end.
 */
#ifndef GP_QUEUE_PROGRESS_H
#define GP_QUEUE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

struct queue_progress {
	const char *doing;    /* "read", "deleted" */
	uint64_t done, total; /* total 0: nobody knows */
	deadline start, next;
	bool shown;
};

/* Nothing is ever shown unless standard error is a terminal, nor before 10,000 messages. */
void queue_progress_start(struct queue_progress *, const char *doing, uint64_t total);
void queue_progress_add(struct queue_progress *, uint64_t count);
/* The line goes. */
void queue_progress_end(struct queue_progress *);

/* From now on the first SIGINT or SIGTERM is only remembered; the second one ends the program. */
void queue_interrupts_catch(void);
bool queue_interrupted(void);
/* Ends the program as that signal would have. */
_Noreturn void queue_interrupts_obey(void);

#endif
