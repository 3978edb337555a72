/* SPDX-License-Identifier: ISC */
/*
 * programs.h - the commands that master.cf may name: what runs for them here.
 */
#ifndef GP_PROGRAMS_H
#define GP_PROGRAMS_H

#include "common/conf/master_cf.h"
#include "common/ipc/channel.h"

enum program_kind {
	PROGRAM_SERVER,	  /* serves listeners */
	PROGRAM_WORKER,	  /* serves channels; as many processes as help */
	PROGRAM_SINGLE,	  /* one process, always there */
	PROGRAM_LATER,	  /* not part of this version: mail for it waits */
	PROGRAM_NEEDLESS, /* another part does its work */
};

struct program {
	const char *command; /* as master.cf names it */
	const char *file;    /* in daemon_directory */
	enum program_kind kind;
	enum role role;
	const char *note; /* for LATER and NEEDLESS: what to know */
};

/* NULL: no such command. */
const struct program *program_find(const char *command);
/* The command that a misspelt one probably means, or NULL. */
const char *program_nearest(const char *command);

/* Rows for services that master.cf does not name. */
struct builtin {
	const char *name;
	enum entry_type type;
	bool is_private;
	const char *command;
};
extern const struct builtin builtins[];
extern const size_t builtins_count;

#endif
