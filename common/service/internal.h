/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of the service skeleton share; nobody else includes it.
 */
#ifndef GP_SERVICE_INTERNAL_H
#define GP_SERVICE_INTERNAL_H

#include "common/service/sandbox.h"
#include "common/service/service.h"

struct running {
	const struct service *service;
	const struct sandbox_row *row;
	struct conf *conf;
	struct channel *master;
	const char *config_path, *entry, *type;
	uint32_t number;
	unsigned listeners;
	uint64_t session_limit;
	int config_directory, monitor_socket;
	uint64_t in_force; /* enum sandbox_bit */
	unsigned draining; /* enum drain_reason */
	deadline drain_deadline;
	uint64_t sessions, served;
	bool retiring; /* the next load that master hears asks for a successor */
};
extern struct running running;

/* links.c: channels to and from other services. */
void links_accept(struct request *, struct frame *); /* handler of msg_accept */
void links_drain(void);
bool links_are_drained(void);
/* Requests that others have open here. */
size_t links_load(void);

/* sessions.c: clients of listeners, and the load that master hears of. */
void sessions_start(void);
void sessions_stop_accepting(void);
void load_changed(void);
/* Master gives us no more channels from now on. Waits. */
void load_tell_closed(void);
/* Requests of others come and go without a word: the loop looks before it sleeps. */
void load_look(void);

#endif
