/* SPDX-License-Identifier: ISC */
/*
 * queue_options.h - the options that select messages, for each command that takes them.
 */
#ifndef GP_QUEUE_OPTIONS_H
#define GP_QUEUE_OPTIONS_H

#include <getopt.h>

#include "admin/queue_access.h"
#include "admin/queue_filter.h"

/* What getopt_long returns for one of them; its index says which. */
enum { OPTION_CONDITION = 1000 };

/* Rows for the table of getopt_long. */
#define QUEUE_CONDITIONS                                                                           \
	{ "from", required_argument, NULL, OPTION_CONDITION },                                     \
	    { "to", required_argument, NULL, OPTION_CONDITION },                                   \
	    { "domain", required_argument, NULL, OPTION_CONDITION },                               \
	    { "client", required_argument, NULL, OPTION_CONDITION },                               \
	    { "older", required_argument, NULL, OPTION_CONDITION },                                \
	    { "younger", required_argument, NULL, OPTION_CONDITION },                              \
	    { "larger", required_argument, NULL, OPTION_CONDITION },                               \
	    { "smaller", required_argument, NULL, OPTION_CONDITION },                              \
	    { "reason", required_argument, NULL, OPTION_CONDITION },                               \
	    { "queue", required_argument, NULL, OPTION_CONDITION },                                \
	{                                                                                          \
		"all-recipients", no_argument, NULL, OPTION_CONDITION                              \
	}

#define QUEUE_CONDITIONS_USAGE                                                                     \
	"CONDITIONs, which must all hold; one that is given again holds when either does:\n"       \
	"  --from ADDRESS    of this sender; user@example.com, @example.com, *@example.*, or <>\n" \
	"  --to ADDRESS      for this recipient, also as he was called before rewriting\n"         \
	"  --domain DOMAIN   for a recipient in this domain; .example.com: in one below it\n"      \
	"  --reason TEXT     the reason for the delay has this in it\n"                            \
	"  --all-recipients  what is said of recipients must hold for each that is open\n"         \
	"  --client CLIENT   received from this host name, address or network\n"                   \
	"  --older AGE       arrived this long ago or longer: 90s, 30m, 2h, 5d, 1w\n"              \
	"  --younger AGE     arrived later than that\n"                                            \
	"  --larger SIZE     larger than this: 5000, 100k, 2m, 1g\n"                               \
	"  --smaller SIZE    smaller than this\n"                                                  \
	"  --queue QUEUE     in incoming, active, deferred, hold\n"

/* Ends the program when the value makes no sense. */
void queue_options_add(struct queue_select *, const char *name, const char *value);
void queue_options_check(const struct queue_select *);

/* Hands the messages of the queue that the selection means to the sink. Otherwise as queue_source_list, with
 * progress. queues, only: as in queue_filter.h. Waits. */
struct queue_wanted {
	const struct queue_select *select;
	unsigned queues;
	const struct queue_ids *only;
};
void queue_options_list(struct conf *, struct queue_access **, const struct queue_wanted *,
    const struct queue_sink *to);

#endif
