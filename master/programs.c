/* SPDX-License-Identifier: ISC */
/*
 * programs.c - an unchanged master.cf of Postfix names programs that we have under the same name, under
 * another, do not need, or do not have yet.
 */
#include "master/programs.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/conf/parameters.h"

#define LATER "is not part of this version; mail for it waits in the queue"

static const struct program programs[] = {
	{ "smtpd", "smtpd", PROGRAM_SERVER, ROLE_SMTPD, NULL },
	{ "cleanup", "cleanup", PROGRAM_WORKER, ROLE_CLEANUP, NULL },
	{ "qmgr", "qmgr", PROGRAM_SINGLE, ROLE_QMGR, NULL },
	{ "oqmgr", "qmgr", PROGRAM_SINGLE, ROLE_QMGR, NULL },
	{ "rewrite", "rewrite", PROGRAM_WORKER, ROLE_REWRITE, NULL },
	{ "trivial-rewrite", "rewrite", PROGRAM_WORKER, ROLE_REWRITE, NULL },
	{ "proxymap", "proxymap", PROGRAM_WORKER, ROLE_PROXYMAP, NULL },
	{ "local", "local", PROGRAM_WORKER, ROLE_AGENT, NULL },
	{ "smtp", "smtp", PROGRAM_WORKER, ROLE_AGENT, NULL },
	{ "lmtp", "lmtp", PROGRAM_WORKER, ROLE_AGENT, NULL },
	{ "error", "error", PROGRAM_WORKER, ROLE_AGENT, NULL },
	{ "discard", "discard", PROGRAM_WORKER, ROLE_AGENT, NULL },
	{ "showq", "showq", PROGRAM_SERVER, ROLE_SHOWQ, NULL },
	{ "flush", "flush", PROGRAM_SERVER, ROLE_FLUSH, NULL },
	{ "pickup", "pickup", PROGRAM_SERVER, ROLE_PICKUP, NULL },
	{ "postlogd", "postlogd", PROGRAM_SINGLE, ROLE_POSTLOGD, NULL },
	{ "resolver", "resolver", PROGRAM_WORKER, ROLE_RESOLVER, NULL },
	{ "dialer", "dialer", PROGRAM_WORKER, ROLE_DIALER, NULL },
	{ "virtual", NULL, PROGRAM_LATER, ROLE_AGENT, LATER },
	{ "pipe", NULL, PROGRAM_LATER, ROLE_AGENT, LATER },
	{ "spawn", NULL, PROGRAM_LATER, ROLE_NONE, "is not part of this version" },
	{ "bounce", "bounce", PROGRAM_WORKER, ROLE_BOUNCE, NULL },
	{ "verify", NULL, PROGRAM_LATER, ROLE_VERIFY, "is not part of this version" },
	{ "anvil", NULL, PROGRAM_LATER, ROLE_ANVIL, "is not part of this version" },
	{ "tlsmgr", NULL, PROGRAM_LATER, ROLE_TLSMGR, "is not part of this version: no TLS" },
	{ "scache", NULL, PROGRAM_NEEDLESS, ROLE_NONE,
	    "is not needed: smtp keeps its own connections" },
	{ "tlsproxy", NULL, PROGRAM_NEEDLESS, ROLE_NONE, "is not needed: smtpd does TLS itself" },
	{ "postscreen", "smtpd", PROGRAM_SERVER, ROLE_SMTPD,
	    "becomes an smtpd, which holds many idle clients in one process; its own tests are not "
	    "made" },
	{ "dnsblog", NULL, PROGRAM_NEEDLESS, ROLE_NONE,
	    "is not needed: smtpd asks DNS lists itself" },
};

const struct builtin builtins[] = {
	{ "postlog", ENTRY_UNIX_DGRAM, false, "postlogd" },
	{ "qmgr", ENTRY_UNIX, false, "qmgr" },
	{ "cleanup", ENTRY_UNIX, false, "cleanup" },
	{ "rewrite", ENTRY_UNIX, true, "rewrite" },
	{ "proxymap", ENTRY_UNIX, true, "proxymap" },
	{ "bounce", ENTRY_UNIX, true, "bounce" },
	{ "resolver", ENTRY_UNIX, true, "resolver" },
	{ "dialer", ENTRY_UNIX, true, "dialer" },
	{ "local", ENTRY_UNIX, true, "local" },
	{ "error", ENTRY_UNIX, true, "error" },
	{ "retry", ENTRY_UNIX, true, "error" },
	{ "discard", ENTRY_UNIX, true, "discard" },
	{ "showq", ENTRY_UNIX, false, "showq" },
	{ "flush", ENTRY_UNIX, false, "flush" },
	{ "pickup", ENTRY_UNIX, false, "pickup" },
};
const size_t builtins_count = ARRAY_LENGTH(builtins);

const char *program_nearest(const char *command)
{
	unsigned best = 3;
	const char *nearest = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++) {
		const char *known = programs[i].command;
		unsigned distance = edit_distance(slice_of(command), slice_of(known), 2);

		if (distance < best && distance < strlen(known)) {
			best = distance;
			nearest = known;
		}
	}
	return nearest;
}

const struct program *program_find(const char *command)
{
	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
		if (strcmp(programs[i].command, command) == 0)
			return &programs[i];
	return NULL;
}
