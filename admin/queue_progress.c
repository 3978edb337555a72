/* SPDX-License-Identifier: ISC */
/*
 * queue_progress.c - a line on the terminal, written over and over.
 */
#include "admin/queue_progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN_FROM = 10000, PAUSE_MS = 250 };

/* --- progress ------------------------------------------------------------------------------------- */

void queue_progress_start(struct queue_progress *p, const char *doing, uint64_t total)
{
	*p = (struct queue_progress){ .doing = doing, .total = total, .start = clock_now() };
	p->next = isatty(STDERR_FILENO) ? 0 : DEADLINE_NEVER;
}

static void show(struct queue_progress *p, deadline now)
{
	double seconds = (double)(now - p->start) / (double)CLOCK_SECOND;
	double rate = seconds > 0 ? (double)p->done / seconds : 0;

	fprintf(stderr, "\r%" PRIu64, p->done);
	if (p->total > 0)
		fprintf(stderr, " of %" PRIu64, p->total);
	fprintf(stderr, " messages %s, %.0f a second", p->doing, rate);
	if (p->total > p->done && rate > 0)
		fprintf(stderr, ", %.0f s left", (double)(p->total - p->done) / rate);
	fputs("   ", stderr);
	fflush(stderr);
	p->shown = true;
}

void queue_progress_add(struct queue_progress *p, uint64_t count)
{
	deadline now;

	p->done += count;
	if (p->done <= SHOWN_FROM || p->next == DEADLINE_NEVER)
		return;
	now = clock_now();
	if (now < p->next)
		return;
	p->next = now + PAUSE_MS * CLOCK_MS;
	show(p, now);
}

void queue_progress_end(struct queue_progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r%79s\r", "");
	p->shown = false;
}

/* --- interrupts ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void catch_it(int signal_number)
{
	caught = signal_number;
}

void queue_interrupts_catch(void)
{
	struct sigaction action = { .sa_handler = catch_it, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool queue_interrupted(void)
{
	return caught != 0;
}

void queue_interrupts_obey(void)
{
	signal(caught, SIG_DFL);
	raise(caught);
	exit(1);
}
