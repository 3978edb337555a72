/* SPDX-License-Identifier: ISC */
/*
 * parameters.c - the tables of names, and finding in them. The Makefile says which directories this
 * installation has.
 */
#include "common/conf/parameters.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"

#define ROW(name, kind, fallback, ...)	   { name, kind, fallback, __VA_ARGS__ },
#define BOOL(n, d, meaning)		   ROW(n, KIND_BOOL, d, 0, 0, 0, NULL)
#define NUMBER(n, d, least, most, meaning) ROW(n, KIND_NUMBER, d, least, most, 0, NULL)
#define TIME(n, d, unit, least, meaning)   ROW(n, KIND_TIME, d, least, INT32_MAX, unit, NULL)
#define TEXT(n, d, meaning)		   ROW(n, KIND_TEXT, d, 0, 0, 0, NULL)
#define FILLED(n, d, meaning)		   ROW(n, KIND_FILLED, d, 0, 0, 0, NULL)
#define HOST(n, d, meaning)		   ROW(n, KIND_HOST, d, 0, 0, 0, NULL)
#define RAW(n, d, meaning)		   ROW(n, KIND_RAW, d, 0, 0, 0, NULL)
#define LIST(n, d, meaning)		   ROW(n, KIND_LIST, d, 0, 0, 0, NULL)
#define NETWORKS(n, d, meaning)		   ROW(n, KIND_NETWORKS, d, 0, 0, 0, NULL)
#define MAPS(n, d, meaning)		   ROW(n, KIND_MAPS, d, 0, 0, 0, NULL)
#define TABLES(n, d, meaning)		   ROW(n, KIND_TABLES, d, 0, 0, 0, NULL)
#define CHOICE(n, d, words, meaning)	   ROW(n, KIND_CHOICE, d, 0, 0, 0, words)
#define WORDS(n, d, words, meaning)	   ROW(n, KIND_WORDS, d, 0, 0, 0, words)
#define NOTED(n, d, meaning)		   TEXT(n, d, meaning)

const struct parameter parameters[] = {
#include "common/conf/parameters.def"
};
const size_t parameters_count = ARRAY_LENGTH(parameters);

#undef BOOL
#undef NUMBER
#undef TIME
#undef TEXT
#undef FILLED
#undef HOST
#undef RAW
#undef LIST
#undef NETWORKS
#undef MAPS
#undef TABLES
#undef CHOICE
#undef WORDS
#undef NOTED

/* The same rows, as postconf sees them. */
#define BOOL(n, d, meaning)		   { n, "bool", d, meaning },
#define NUMBER(n, d, least, most, meaning) { n, "number", d, meaning },
#define TIME(n, d, unit, least, meaning)   { n, "time", d, meaning },
#define TEXT(n, d, meaning)		   { n, "text", d, meaning },
#define FILLED(n, d, meaning)		   { n, "text", d, meaning },
#define HOST(n, d, meaning)		   { n, "text", d, meaning },
#define RAW(n, d, meaning)		   { n, "raw", d, meaning },
#define LIST(n, d, meaning)		   { n, "list", d, meaning },
#define NETWORKS(n, d, meaning)		   { n, "list", d, meaning },
#define MAPS(n, d, meaning)		   { n, "maps", d, meaning },
#define TABLES(n, d, meaning)		   { n, "list", d, meaning },
#define CHOICE(n, d, words, meaning)	   { n, "choice", d, meaning },
#define WORDS(n, d, words, meaning)	   { n, "words", d, meaning },
#define NOTED(n, d, meaning)		   TEXT(n, d, "accepted, without effect: " meaning)

static const struct conf_parameter described[] = {
#include "common/conf/parameters.def"
};

const struct conf_parameter *conf_parameters(size_t *count)
{
	*count = ARRAY_LENGTH(described);
	return described;
}

const char *conf_default_path(void)
{
	return CONFIG_DIRECTORY;
}

/* Advice that many rows share. */
#define TLS	   "TLS comes later; connections are not encrypted yet"
#define AUTH	   "AUTH comes later; until then relaying is allowed by mynetworks"
#define MILTER	   "milters come later"
#define VERIFY	   "address verification comes later; unknown recipients are refused by the tables"
#define CHECKS	   "header and body checks come later"
#define CANON	   "canonical, generic and masquerading rewriting come later; see virtual_alias_maps"
#define CLIENT	   "the SMTP and LMTP clients do not do this yet"
#define VIRTUAL	   "virtual mailboxes come later; see virtual_alias_maps"
#define NOTICES	   "failures, delays and successes are all told by the service bounce"
#define VERP	   "VERP comes later"
#define INSTANCES  "use one configuration directory and one systemd unit for each instance"
#define RATES	   "limits for each client over time come later"
#define RESTRICT   "restrictions of this kind come later; see smtpd_recipient_restrictions"
#define ROUTES	   "comes later; see transport_maps"
#define SUBMIT	   "comes later"
#define BCC	   "comes later; see virtual_alias_maps"
#define MIME	   "MIME processing comes later"
#define FEEDBACK   "the concurrency adapts by itself; see *_destination_concurrency_limit"
#define POSTSCREEN "smtpd does postscreen's work; run it in its place"
#define IN_STORE   "the queue is a log in segments, not a directory of files"
#define CHANNELS   "services talk over channels that stay open"
#define PACKAGE	   "no program reads it"
#define DNS	   "the resolver validates and caches by itself"

#define NOT_YET(name, advice)		     { name, UNSUPPORTED_NOT_YET, advice, NULL },
#define NOT_YET_BUT(name, values, advice)    { name, UNSUPPORTED_NOT_YET, advice, values },
#define NOT_NEEDED(name, advice)	     { name, UNSUPPORTED_NOT_NEEDED, advice, NULL },
#define NOT_NEEDED_BUT(name, values, advice) { name, UNSUPPORTED_NOT_NEEDED, advice, values },
#define OBSOLETE(name, advice)		     { name, UNSUPPORTED_OBSOLETE, advice, NULL },

const struct unsupported unsupported[] = {
#include "common/conf/unsupported.def"
};
const size_t unsupported_count = ARRAY_LENGTH(unsupported);

/* What may stand behind a transport's name, and what counts without it. */
static const struct {
	const char *suffix;
	const char *all;
} transport_forms[] = {
	{ "_delivery_slot_cost", "default_delivery_slot_cost" },
	{ "_delivery_slot_discount", "default_delivery_slot_discount" },
	{ "_delivery_slot_loan", "default_delivery_slot_loan" },
	{ "_destination_concurrency_failed_cohort_limit",
	    "default_destination_concurrency_failed_cohort_limit" },
	{ "_destination_concurrency_limit", "default_destination_concurrency_limit" },
	{ "_destination_concurrency_negative_feedback",
	    "default_destination_concurrency_negative_feedback" },
	{ "_destination_concurrency_positive_feedback",
	    "default_destination_concurrency_positive_feedback" },
	{ "_destination_rate_delay", "default_destination_rate_delay" },
	{ "_destination_recipient_limit", "default_destination_recipient_limit" },
	{ "_extra_recipient_limit", "default_extra_recipient_limit" },
	{ "_initial_destination_concurrency", "initial_destination_concurrency" },
	{ "_minimum_delivery_slots", "default_minimum_delivery_slots" },
	/* Behind those that end in it. */
	{ "_recipient_limit", "default_recipient_limit" },
	{ "_recipient_refill_delay", "default_recipient_refill_delay" },
	{ "_recipient_refill_limit", "default_recipient_refill_limit" },
	{ "_time_limit", "command_time_limit" },
	{ "_transport_rate_delay", "default_transport_rate_delay" },
};

static int by_name(const void *key, const void *row)
{
	return strcmp(key, *(const char *const *)row);
}

/* Both kinds of row start with their name. */
_Static_assert(offsetof(struct parameter, name) == 0, "by_name reads it");
_Static_assert(offsetof(struct unsupported, name) == 0, "by_name reads it");

const struct parameter *parameter_find(const char *name)
{
	return bsearch(name, parameters, parameters_count, sizeof(parameters[0]), by_name);
}

const struct unsupported *unsupported_find(const char *name)
{
	return bsearch(name, unsupported, unsupported_count, sizeof(unsupported[0]), by_name);
}

const char *parameter_of_all_transports(const char *name, size_t *transport)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LENGTH(transport_forms); i++) {
		size_t suffix = strlen(transport_forms[i].suffix);

		if (len > suffix && strcmp(name + len - suffix, transport_forms[i].suffix) == 0) {
			*transport = len - suffix;
			return transport_forms[i].all;
		}
	}
	return NULL;
}

enum { LONGEST_NAME = 80 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(struct slice a, struct slice b, unsigned limit)
{
	unsigned rows[3][LONGEST_NAME + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	if (a.len > LONGEST_NAME || b.len > LONGEST_NAME || a.len > b.len + limit ||
	    b.len > a.len + limit)
		return limit + 1;
	for (unsigned j = 0; j <= b.len; j++)
		above[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *spare = before;

		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = a.data[i - 1] == b.data[j - 1];

			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
			    a.data[i - 2] == b.data[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return least(above[b.len], limit + 1);
}

const char *parameter_nearest(const char *name)
{
	struct slice wanted = slice_of(name);
	unsigned limit = wanted.len < 6 ? 1 : wanted.len < 16 ? 2 : 3, best = limit + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < parameters_count + unsupported_count; i++) {
		const char *known = i < parameters_count ? parameters[i].name
							 : unsupported[i - parameters_count].name;
		unsigned distance = edit_distance(wanted, slice_of(known), limit);

		if (distance < best) {
			best = distance;
			nearest = known;
		}
	}
	return nearest;
}
