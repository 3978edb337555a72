/* SPDX-License-Identifier: ISC */
/*
 * resolver.h - names and addresses for the suite: what the files of the resolver share.
 *
 * libunbound does the work: it asks the name servers that the configuration names, validates, caches. It runs
 * on our loop (resolver_loop.c), without threads, and always on the loop's own stack, never on a task's:
 * nobody promises that 64 KiB are enough for it.
 */
#ifndef GP_RESOLVER_H
#define GP_RESOLVER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/ipc/messages.h"

/* --- resolver_answer.c: a DNS message as an answer ------------------------------------------------ */

/* Whether libunbound may be asked for the name: letters, digits, "-", "_", "/" in labels of 1 to 63 bytes,
 * without a final dot. */
bool resolver_name_is_good(struct slice name);
/* Fills the answer from the message that answers `name type`. Texts are made in the arena. False: the
 * message is malformed, and nothing of it was used. Records with names that no host has are left out;
 * *odd says how many. MX come sorted; more than DNS_ANSWER_LIMIT are cut. */
bool resolver_parse(struct slice message, struct slice name, enum dns_type, struct arena *,
    struct msg_dns_answer *, unsigned *odd);
/* The message has the root's keys, and signatures of them: its sender does DNSSEC. */
bool resolver_has_signed_keys(struct slice message);

/* --- resolver_files.c: what is read before the sandbox -------------------------------------------- */

struct resolver_host {
	char *name; /* lower case */
	char *address;
	int family; /* AF_INET, AF_INET6 */
};
/* A file that was read; watched through its descriptor. */
struct resolver_watch {
	const char *path;
	int fd; /* -1: it could not be opened */
	struct stat then;
};
struct resolver_files {
	char **servers; /* "192.0.2.1" or "192.0.2.1@5353" */
	size_t servers_count;
	char **anchors; /* records of a trust anchor: DS or DNSKEY; none: nothing is validated */
	size_t anchors_count;
	struct resolver_host *hosts; /* sorted by name; of one name in the file's order */
	size_t hosts_count;
	struct resolver_watch resolv_conf, hosts_file;
};
/* The parts; pure. Those of resolv.conf and of a hosts file skip what they don't understand. */
void resolver_read_nameservers(struct slice content, struct resolver_files *);
void resolver_read_hosts(struct slice content, struct resolver_files *);
void resolver_read_anchors(struct slice content, struct resolver_files *);
/* "ADDRESS" and "ADDRESS@PORT" as libunbound takes them. */
bool resolver_server_is_good(struct slice);
/* servers: the value of resolver_servers; empty: those of resolv.conf. anchor_file: empty: Debian's,
 * when it is there. Ends the process when the configuration makes no sense. */
void resolver_files_open(struct resolver_files *, const char *servers, const char *anchor_file);
void resolver_files_clear(struct resolver_files *);
/* The path of a file that is no longer what was read; NULL: none. */
const char *resolver_files_changed(struct resolver_files *);
/* A and AAAA from the hosts file. False: it does not have the name. */
bool resolver_files_find(const struct resolver_files *, struct slice name, enum dns_type,
    struct arena *, struct msg_dns_answer *);

/* --- resolver_loop.c: libunbound's events on our loop --------------------------------------------- */

struct ub_event_base;
/* Call it once, in a task, before the first context. */
void resolver_loop_start(void);
struct ub_event_base *resolver_loop_base(void);
/* Calls run(arg) on the loop's stack, where it must not wait, and returns when it has returned. Outside
 * of tasks, at once. In a task it waits, for no longer than the loop takes to come round: not even when the
 * task is cancelled may it leave before, since arg may be on its stack. Waits. */
void resolver_loop_run(void (*run)(void *arg), void *arg);

/* --- resolver_context.c: contexts of libunbound --------------------------------------------------- */

struct resolver_context;
/* Asks these servers; validates when there are anchors. NULL and a line in the log when libunbound
 * wants none of it. Waits. */
struct resolver_context *resolver_context_new(char *const *servers, size_t servers_count,
    char *const *anchors, size_t anchors_count);
/* Deletes it when its last question has ended. NULL is fine. Waits. */
void resolver_context_retire(struct resolver_context *);
/* What libunbound wants to load or open is loaded and open when this returns: call it before the
 * sandbox. Ends the process when it does not accept the anchors. */
void resolver_context_warm_up(char *const *anchors, size_t anchors_count);

/* An answer as it came from libunbound; message is valid during the call of `came` only. */
struct resolver_raw {
	int rcode;
	struct slice message; /* empty: there is none */
	bool secure, bogus;
	const char *why_bogus; /* or NULL */
};
/* Asks, and calls came(arg, raw) on the loop's stack when there is an answer. False when there was none
 * before the deadline (came was not called then and will not be). Waits. */
bool resolver_context_ask(struct resolver_context *, const char *name, int type,
    void (*came)(void *arg, const struct resolver_raw *), void *arg, deadline);

/* --- resolver_servers.c: which of the servers do DNSSEC ------------------------------------------- */

/* Finds out, now and from time to time. In a task; files must last. */
void resolver_servers_start(const struct resolver_files *);
/* The context to ask; NULL: it was not known before the deadline which. Waits. */
struct resolver_context *resolver_servers_context(deadline);

#endif
