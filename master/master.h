/* SPDX-License-Identifier: ISC */
/*
 * master.h - what the parts of the supervisor share: entries of master.cf and the processes that run
 * for them.
 */
#ifndef GP_MASTER_H
#define GP_MASTER_H

#include <bsd/sys/queue.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/conf/master_cf.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "common/task/task.h"
#include "master/programs.h"

enum { LISTENERS_LIMIT = 64 };

struct process {
	LIST_ENTRY(process) link;
	struct entry *entry;
	struct channel *channel;
	pid_t pid;	   /* our child */
	pid_t serving_pid; /* itself, or the child of a monitor */
	uid_t uid;
	uint32_t number;
	bool ready;
	bool draining; /* it was told to finish */
	bool resting;  /* it was told to ask for a successor when it is at rest */
	bool closed;   /* it takes no more work: it said so, or its channel is gone */
	struct task_timer lost_timer;
	uint64_t sandbox, sessions, limit, served;
	deadline started;
};

struct entry {
	LIST_ENTRY(entry) link;
	char *name;
	enum entry_type type;
	bool is_private, gone; /* gone: no longer in master.cf */
	char *command;
	char **overrides;
	size_t overrides_count;
	int64_t wakeup;
	bool wakeup_if_used;
	int64_t maxproc; /* -1: `-` */
	const struct program *program;
	int listeners[LISTENERS_LIMIT];
	unsigned lent[LISTENERS_LIMIT]; /* in which reading a new entry took it over */
	size_t listeners_count;
	LIST_HEAD(, process) processes;
	struct task *watcher; /* waits for a first client while no process is there */
	struct task_timer wakeup_timer, restart_timer;
	bool throttled;		  /* it fails at its start */
	bool resting;		  /* a moment between a crash and the next start */
	unsigned failed_starts;	  /* in a row */
	struct task_list changed; /* those who wait for a process */
	unsigned seen;		  /* by which reading of master.cf */
};
LIST_HEAD(entries, entry);

/* master_main.c */
struct master {
	struct conf *conf;
	const char *config_path;
	int config_directory, queue_directory;
	int log_reader, log_writer, stderr_writer;
	struct entries entries;
	bool stopping;
};
extern struct master master;
/* Both files, checked. False: what is wrong was reported; nothing is left open. */
bool master_load(struct conf **, struct master_cf **, conf_report *report, void *arg);

/* reload.c */
/* Reads the configuration anew; what is wrong goes to report, and then nothing changes. When it returns
 * true, no process of before accepts a client any more (each had five seconds to say so). Waits. */
bool master_reload(conf_report *report, void *arg);

/* entries.c: from master.cf to entries. Reports each error; false: nothing was changed. */
bool entries_read(struct conf *, struct master_cf *, conf_report *report, void *arg);
/* Whether entries_read would find programs for all rows; notes and errors are reported. */
bool entries_check(struct master_cf *, conf_report *report, void *arg);
struct entry *entry_find(const char *name);
/* Watches its listeners while no process serves it; starts what must always be there. */
void entry_attend(struct entry *);
bool entry_is_runnable(const struct entry *);
unsigned entry_process_count(const struct entry *);

/* process.c: one process of an entry. NULL when it can't be started (said). */
struct process *process_start(struct entry *);
void process_drain(struct process *, enum drain_reason);
/* The same, as a request that ends (request_receive) when the process has heard it: then it accepts no
 * further client. NULL: it hears nothing any more. */
struct request *process_ask_drain(struct process *, enum drain_reason);
/* A reload for the process that nobody can stand in for: it asks to be replaced when it is at rest. */
void process_let_rest(struct process *);
/* Its pid has ended. */
void process_ended(pid_t, int status);
/* The process for a new channel to the entry: the least busy one, started when there is none. */
struct process *process_choose(struct entry *);
/* Another one, when those that there are have much to do. */
void process_relieve(struct entry *);
void process_forget(struct process *);

/* requests.c: what services ask. */
extern const struct handler service_handlers[];

/* admin.c: the socket of gatepost(1). false with a message when it can't be opened. */
bool admin_listen(void);
/* Ends everything in order; from a task. */
void master_stop(void);
_Noreturn void master_abort(void);

#endif
