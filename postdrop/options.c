/* SPDX-License-Identifier: ISC */
/*
 * options.c - a table of letters. Many of Sendmail's have no meaning for us, and programs give them all
 * the same: they are accepted.
 */
#include "postdrop/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ipc/messages.h"

/* -q stands alone or has its value behind it. */
static const char letters[] = "+A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q::tvx";

static const struct {
	char letter;
	enum sendmail_mode mode;
} modes[] = {
	{ 'm', MODE_SEND },
	{ 's', MODE_SMTP },
	{ 'p', MODE_LIST },
	{ 'i', MODE_ALIASES },
	{ 'v', MODE_VERIFY },
	{ 'd', MODE_START },
	{ 'l', MODE_START },
	{ 'h', MODE_NOTHING },
	{ 'H', MODE_NOTHING },
};

static const char *set_mode(struct options *o, const char *value)
{
	for (size_t i = 0; i < ARRAY_LENGTH(modes); i++)
		if (value[0] == modes[i].letter) {
			o->mode = modes[i].mode;
			return NULL;
		}
	return "is no mode of operation";
}

static const char *set_body(struct options *o, const char *value)
{
	if (strcasecmp(value, "8BITMIME") == 0)
		o->is_8bit = true;
	else if (strcasecmp(value, "7BIT") != 0)
		return "must be followed by 7BIT or 8BITMIME";
	return NULL;
}

static const char *set_notify(struct options *o, const char *value)
{
	static const struct {
		const char *word;
		uint64_t bit;
	} words[] = { { "success", NOTIFY_SUCCESS }, { "failure", NOTIFY_FAILURE },
		{ "delay", NOTIFY_DELAY }, { "never", NOTIFY_NEVER } };
	struct slice rest = slice_of(value), word;
	uint64_t notify = 0;

	while (text_next_word(&rest, ", ", &word)) {
		size_t i = 0;

		while (i < ARRAY_LENGTH(words) &&
		    !slice_equal_nocase(word, slice_of(words[i].word)))
			i++;
		if (i == ARRAY_LENGTH(words))
			return "must be followed by never, or by success, failure, delay";
		notify |= words[i].bit;
	}
	if (notify == 0 || ((notify & NOTIFY_NEVER) && notify != NOTIFY_NEVER))
		return "must be followed by never, or by success, failure, delay";
	o->notify = notify;
	return NULL;
}

static const char *set_return(struct options *o, const char *value)
{
	if (strcasecmp(value, "full") == 0)
		o->ret = 1;
	else if (strcasecmp(value, "hdrs") == 0)
		o->ret = 2;
	else
		return "must be followed by full or hdrs";
	return NULL;
}

static const char *set_flush(struct options *o, const char *value)
{
	if (o->mode == MODE_START) /* a daemon with its interval: ours has its own */
		return NULL;
	if (value == NULL || (value[0] >= '0' && value[0] <= '9')) {
		o->mode = MODE_FLUSH;
		return NULL;
	}
	if ((value[0] != 'I' && value[0] != 'R') || value[1] == '\0')
		return "takes I with a queue id or R with a site";
	o->mode = MODE_FLUSH;
	o->flush = value[0];
	o->flush_what = value + 1;
	return NULL;
}

static const char *set_old(struct options *o, const char *value)
{
	if (value[0] == 'A' && value[1] != '\0')
		o->alias_database = value + 1;
	else if (value[0] == 'i')
		o->keep_dots = true;
	return NULL;
}

/* A promise that can't be kept is not taken silently. */
static const char *set_long(const char *value)
{
	if (strcasecmp(value, "requiretls=yes") == 0)
		return "requiretls=yes is not part of this version";
	return NULL;
}

static const char *set(struct options *o, int letter, const char *value)
{
	switch (letter) {
	case 'B':
		return set_body(o, value);
	case 'C':
		o->config = value;
		return NULL;
	case 'F':
		o->full_name = value;
		return NULL;
	case 'G':
		o->is_gateway = true;
		return NULL;
	case 'I':
		o->mode = MODE_ALIASES;
		return NULL;
	case 'N':
		return set_notify(o, value);
	case 'O':
		return set_long(value);
	case 'R':
		return set_return(o, value);
	case 'V':
		o->envid = value;
		return NULL;
	case 'X':
		return value[0] == 'V' ? "V (VERP) is not part of this version" : NULL;
	case 'b':
		return set_mode(o, value);
	case 'f':
	case 'r':
		o->sender = value;
		return NULL;
	case 'i':
		o->keep_dots = true;
		return NULL;
	case 'o':
		return set_old(o, value);
	case 'q':
		return set_flush(o, value);
	case 't':
		o->extract = true;
		return NULL;
	default:
		return NULL;
	}
}

bool options_parse(int argc, char **argv, struct options *o, const char **why, char option[3])
{
	int letter;

	*why = NULL;
	option[0] = '\0';
	optind = 0; /* anew, from the first */
	opterr = 0;
	while (*why == NULL && (letter = getopt(argc, argv, letters)) != -1) {
		bool is_known = letter != '?';

		snprintf(option, 3, "-%c", is_known ? letter : optopt);
		*why = is_known						? set(o, letter, optarg)
		    : strchr(letters, optopt) != NULL && optopt != '\0' ? "needs a value"
									: "is no option";
	}
	o->first = optind;
	return *why == NULL;
}
