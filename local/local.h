/* SPDX-License-Identifier: ISC */
/*
 * local.h - what the parts of local delivery share: settings, the user that an agent is, outcomes.
 *
 * Three kinds of process: the worker decides (unprivileged, sandboxed, reads aliases); the monitor
 * (root) makes agents; an agent has become one user for good and touches files and commands.
 */
#ifndef GP_LOCAL_H
#define GP_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "local/act.h"

struct local_settings {
	const char *alias_maps, *mail_spool_directory, *home_mailbox, *mailbox_command;
	const char *forward_path, *recipient_delimiter, *default_privs;
	const char *allow_mail_to_commands, *allow_mail_to_files, *mailbox_delivery_lock;
	const char *luser_relay, *local_command_shell, *myhostname;
	const char *command_expansion_filter, *forward_expansion_filter, *export_environment;
	const char *command_execution_directory;
	int64_t mailbox_size_limit, deliver_lock_attempts, deliver_lock_delay, stale_lock_time;
	int64_t command_time_limit;
	bool strict_mailbox_ownership, expand_owner_alias;
};
extern struct local_settings local_settings;

/* "alias, forward" has the word. */
bool setting_has_word(const char *list, const char *word);

/* What happened; text is on the heap. */
struct verdict {
	enum outcome outcome;
	char dsn[16];
	char *text;
	enum success success; /* of SENT */
	bool renew;	      /* the monitor can mend it: by making the mailbox for a new agent */
};
/* Fills it; the text is cut at 1,000 bytes and neutered. */
void verdict_set(struct verdict *, enum outcome, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* For a system error: errno decides between "try again" and "never". */
void verdict_errno(struct verdict *, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Part of a whole whose outcome is that of its worst part; takes the part's text. */
void verdict_add(struct verdict *whole, struct verdict *part);

/* --- monitor.c: runs as root --------------------------------------------------------------------- */
/* Answers act_become with agents until the worker hangs up; the result is its exit status. */
int monitor_main(int worker_socket);

/* --- agent.c: runs as the user ------------------------------------------------------------------- */
struct agent_user {
	const char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
	int spool;	       /* directory descriptor of mail_spool_directory, or -1 */
	gid_t spool_group;     /* may make files there (dotlocks): our saved gid; 0: none */
	bool is_default_privs; /* acts for alias tables, not for a user */
	bool capable;	       /* false for root: files only, no command */
};
/* Serves requests until the worker hangs up; then exits. */
_Noreturn void agent_main(int socket, const struct agent_user *);

/* Runs the command that an administrator or the user wrote; mail data is only in its environment and
 * on its standard input. worker (-1: none): the command is ended when that hangs up. */
void command_deliver(const struct act_request *, int content_fd, const struct agent_user *,
    const char *command, int worker, struct verdict *);
/* Looks for the user's .forward. 1: found, its text appended; 0: none; -1: try later, verdict set. */
int forward_read(const struct act_request *, const struct agent_user *, struct buf *text,
    struct verdict *);

/* Appends text with $home, $user, $shell, $local, $extension, $domain, $recipient and
 * $recipient_delimiter filled in (also ${name?text} and so on). What the sender chose has '_' for
 * '/' and for what the filter does not list. user may be NULL. False: a reason on the heap. */
bool names_expand(struct slice text, const struct act_request *, const struct agent_user *,
    const char *filter, struct buf *out, char **why);

/* --- worker.c ------------------------------------------------------------------------------------ */
extern const struct handler worker_handlers[];

#endif
