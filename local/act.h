/* SPDX-License-Identifier: ISC */
/*
 * act.h - what the worker asks of the monitor (become a user) and of the agents that the monitor
 * makes (act as that user). One packet a message, over SOCK_SEQPACKET.
 */
#ifndef GP_ACT_H
#define GP_ACT_H

#include "common/ipc/wire.h"

enum {
	ACT_PACKET_LIMIT = 160 * 1024,
	ACT_FORWARD_COUNT = 1000, /* addresses in one act_reply */
};

/* worker -> monitor: an agent that is this user, by name; empty: default_privs, for what alias tables
 * say. Answered by act_agent, with the socket to the agent or why there is none. */
struct act_become {
	struct slice user;
};
struct act_agent {
	struct slice dsn, why; /* empty: there is a descriptor */
};

enum act_action {
	ACT_MAILBOX = 1,  /* the user's .forward, else his mailbox */
	ACT_MAILBOX_ONLY, /* without .forward: the alias or .forward said \user */
	ACT_TARGET	  /* of an alias table: "|command", "/file", ":include:/file" */
};

/* worker -> agent; many may be under way, each with its own serial. Content is in the packet or in the
 * descriptor, as in msg_deliver. */
struct act_request {
	uint64_t action; /* enum act_action */
	uint64_t serial;
	struct slice target; /* of ACT_TARGET */
	struct slice id, sender, recipient, original;
	struct slice local, extension, domain; /* the recipient's parts, unquoted */
	int64_t arrival_us;
	uint64_t index;	   /* of the recipient in its message */
	uint64_t in_doubt; /* 1: an earlier attempt may have delivered it */
	struct slice content;
	uint64_t content_offset, content_size;
	struct slice client_name, client_address, client_helo, protocol, envid;
};
/* agent -> worker. forward: addresses that the message shall be sent to before the outcome counts;
 * members of an :include: list come in the same way, unparsed, for the worker to judge. An empty text
 * with OUTCOME_SENT: there are only addresses, nothing was delivered. */
struct act_reply {
	uint64_t serial;
	uint64_t outcome;     /* enum outcome of messages.h */
	uint64_t more;	      /* 1: a further reply of this serial has more addresses */
	uint64_t renew;	      /* 1: a new agent may do better: the monitor prepares its mailbox */
	uint64_t ran_command; /* 1: so the next one may take long as well */
	struct slice dsn, text;
	struct wire_texts forward;
};

extern const struct wire_table table_act_become, table_act_agent, table_act_request,
    table_act_reply;

/* Sends one packet with an optional descriptor (-1). Blocks unless the socket does not. -1 with errno;
 * EINVAL for a value that must not travel. */
int act_send(int socket, const struct wire_table *, const void *message, int fd);
/* Receives one packet into *bytes (ACT_PACKET_LIMIT long, kept by the caller) and decodes it into the
 * zeroed message; *fd becomes -1 or a descriptor. 1; 0 at end of input; -1 with errno (EBADMSG for
 * what the table does not allow). */
int act_receive(int socket, const struct wire_table *, void *message, struct arena *, char *bytes,
    int *fd);

#endif
