/* SPDX-License-Identifier: ISC */
/*
 * service.h - the life of a service: main() is a description and one call. The skeleton reads the
 * configuration, opens what the service needs, gives up its rights (chroot, groups, uid, Landlock,
 * seccomp: the service's row in sandbox.c), and only then serves.
 *
 * master starts a service with: -c DIR (configuration), -n NAME (its entry), -t TYPE, -i NUMBER (of
 * this process), -s COUNT (listeners), -o name=value of its entry. Descriptors: 3 control channel to
 * master, 4 log datagrams to postlogd, 5 queue directory, 6... listeners.
 */
#ifndef GP_SERVICE_H
#define GP_SERVICE_H

#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/net/address.h"

enum { SERVICE_FD_CONTROL = 3, SERVICE_FD_LOG = 4, SERVICE_FD_QUEUE = 5, SERVICE_FD_LISTEN = 6 };

/* Who connected to a listener of ours. */
struct service_client {
	int fd; /* the session's task owns it */
	bool is_unix;
	struct net_address address; /* of an inet client */
	uint16_t port;
	struct net_address server_address;
	uint16_t server_port;
	uint32_t uid, gid; /* of a UNIX client */
	int pid;
};

struct service {
	const char *name; /* the program: "smtpd"; its row in the sandbox table */
	enum role role;
	const struct conf_setting *settings; /* may be NULL */
	void *settings_out;
	const struct handler *handlers; /* requests of other processes; may be NULL */
	/* Before the rights are given up: open tables and files. Runs outside of tasks. */
	void (*open)(void);
	/* After: in a task, before the first client or request. May be NULL. */
	void (*start)(void);
	/* One client of a listener, in a task; closes client->fd. NULL: no listeners. */
	void (*session)(struct service_client *);
	/* The wakeup column came due; in a task. May be NULL. */
	void (*wakeup)(void);
	/* Work of its own that must be over before a draining process ends; until then others may still
	 * ask it. May be NULL. */
	bool (*busy)(void);
	/* The last thing before an orderly end: what must still reach the disk. It may block; the suite's
	 * stop kills after its time. May be NULL. */
	void (*end)(void);
	/* The process that keeps root when the service gives it up: called in it with a socket to the
	 * service, its child; the result is the exit status. May be NULL. */
	int (*monitor)(int socket);
	/* Told to finish: no new sessions come; the process ends when sessions and requests are done.
	 * May be NULL. */
	void (*drain)(enum drain_reason);
	/* A reload, for the service that nobody can stand in for: it goes on and calls service_retire
	 * when it is at rest. In a task. NULL: at once. */
	void (*rest)(void);
};

/* Does not return before the process ends; the result is main's. */
int service_main(const struct service *, int argc, char **argv);

/* For the running service: */
struct conf *service_conf(void);
int service_monitor_socket(void);     /* of a service with a monitor: to it */
int service_config_directory(void);   /* descriptor, only until the rights are given up */
int service_queue_directory(void);    /* descriptor 5; closed for services whose row says so */
const char *service_entry_name(void); /* "smtp", "submission" */
uint32_t service_process_number(void);
/* 0, or why the process shall end (enum drain_reason). */
unsigned service_draining(void);
/* When a session that goes on through a reload shall be ended; DEADLINE_NEVER while not draining. */
deadline service_drain_deadline(void);
/* Asks master for a fresh process in place of this one: a table has changed. why goes to the log. */
void service_retire(const char *why);
/* A table that was built anew needs a fresh process: retires this one when changed() names such a table
 * (NULL: none). Asks it once a second at most. */
void service_look_at_tables(const char *(*changed)(void));

/* The channel to an entry of master.cf; made on first use and again when it was lost. NULL with errno
 * (ETIMEDOUT, ECONNREFUSED: master says why in the log). Waits. */
struct channel *service_channel(const char *entry, deadline);
/* A question without side effects: asked again once when the process that had it died. As request_call. */
int service_ask(const char *entry, const struct wire_table *, const void *message,
    const struct wire_table *wanted, void **reply, struct request **, deadline);
/* A further, new channel to the entry, perhaps to another process of it; the caller closes it. Waits. */
struct channel *service_new_channel(const char *entry, deadline);

/* For qmgr: a channel to each agent that lives, also to those that take no new work; the visitor owns
 * it. Waits. */
void service_agents(void (*visit)(const char *entry, struct channel *), deadline);

/* Sessions that are not client sessions (deliveries) count too: for the load that master hears. */
void service_session_begin(void);
void service_session_end(void);

#endif
