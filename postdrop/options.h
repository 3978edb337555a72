/* SPDX-License-Identifier: ISC */
/*
 * options.h - the command line of sendmail, as every program that sends mail knows it.
 */
#ifndef GP_OPTIONS_H
#define GP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum sendmail_mode {
	MODE_SEND,    /* -bm, or nothing */
	MODE_SMTP,    /* -bs */
	MODE_LIST,    /* -bp, mailq */
	MODE_ALIASES, /* -bi, -I, newaliases */
	MODE_VERIFY,  /* -bv */
	MODE_START,   /* -bd, -bl */
	MODE_FLUSH,   /* -q; flush says what else than all */
	MODE_NOTHING, /* -bh, -bH: host status, which there is none of */
};

struct options {
	enum sendmail_mode mode;
	const char *config;	    /* -C, or NULL */
	const char *sender;	    /* -f, -r; NULL: the user */
	const char *full_name;	    /* -F, or NULL */
	const char *envid;	    /* -V, or NULL */
	const char *alias_database; /* -oA, or NULL */
	char flush;		    /* 'I' a message, 'R' a site, or 0 */
	const char *flush_what;
	uint64_t notify, ret; /* -N, -R, as in messages */
	bool keep_dots;	      /* -i */
	bool extract;	      /* -t */
	bool is_8bit;	      /* -B8BITMIME */
	bool is_gateway;      /* -G */
	int first;	      /* place of the first argument that is no option */
};

/* Uses getopt(3). False: *why (static) with the option at fault, or an empty one. */
bool options_parse(int argc, char **argv, struct options *, const char **why, char option[3]);

#endif
