/* SPDX-License-Identifier: ISC */
/*
 * messages.h - every message that our processes exchange: the struct, and the name of its table
 * (messages.c). Tags and types are never used again for something else.
 *
 * Addresses are in external form (RFC 5321, quoted where needed), without angle brackets; the null
 * sender is the empty text. Content is in SMTP wire form: lines end with CRLF, no other CR or LF, no
 * NUL unless the client sent one, a leading dot doubled; without the final dot line.
 */
#ifndef GP_MESSAGES_H
#define GP_MESSAGES_H

#include "common/ipc/wire.h"

enum {
	ID_LIMIT = 64,
	ADDRESS_LIMIT = 1024,
	NAME_LIMIT = 1024,
	TEXT_LIMIT = 8192,
	CHUNK_LIMIT = 65536, /* content bytes in one frame */
	RCPTS_PER_FRAME = 100,
	IDS_PER_ORDER = 1000,	/* messages that one order names */
	EXPANSION_LIMIT = 1000, /* addresses that one frame of recipients may become */
	DNS_ANSWER_LIMIT = 100, /* records of one answer */
	RECLAIM_LIMIT = 2000	/* deliveries that an agent tells of at once */
};

/* --- admission: smtpd, pickup, bounce, local -> cleanup ------------------------------------------
 * admit, admit_rcpts..., admit_data..., admit_end (last); answered by one reply_text (last). The
 * opener closing the request before admit_end discards the message. */
enum admit_flag {
	ADMIT_8BIT = 1,	    /* BODY=8BITMIME was given */
	ADMIT_LOCAL = 2,    /* local rewriting context: complete addresses and headers */
	ADMIT_INTERNAL = 4, /* our own mail (notice, forward): never waits behind others */
	ADMIT_VERIFY = 8,   /* nothing is delivered: its sender is told what would become of it */
	ADMIT_SMTPUTF8 =
	    16 /* addresses or the header are UTF-8: servers are asked for SMTPUTF8 (RFC 6531) */
};
struct msg_admit {
	struct slice id;
	int64_t arrival_us; /* wall clock */
	struct slice sender;
	struct slice client_name, client_address, client_port, client_helo;
	struct slice protocol;	  /* "SMTP", "ESMTP"; empty: no client */
	struct slice received_by; /* text of Received for mail without a client: "from userid 0" */
	uint64_t flags;		  /* enum admit_flag */
	uint64_t declared_size;	  /* SIZE=, or 0 */
	struct slice envid;
	uint64_t ret;		   /* 0, 1 FULL, 2 HDRS */
	struct slice delivered_to; /* prepended as a header (forwarded by local), or empty */
	struct slice full_name;	   /* of the sender, for a From that is missing; or empty */
};
/* The four lists have the same length; original is the address before any rewriting. */
enum notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
struct msg_rcpts {
	struct wire_texts address, original, orcpt;
	struct wire_numbers notify; /* 0: not given */
};
struct msg_data {
	struct slice data; /* at most CHUNK_LIMIT */
};
struct msg_end {
	uint64_t size; /* content bytes in all, checked by the receiver */
};
/* What the client is told: "250", "2.0.0", "Ok: queued as <id>". */
struct msg_reply {
	uint64_t code;
	struct slice enhanced, text;
};

/* --- the store: cleanup -> qmgr ------------------------------------------------------------------
 * store, rcpts..., then content of up to CHUNK_LIMIT bytes in one data (last); or large_wanted,
 * answered by large_file with a write-only descriptor, then large_done (last). Answered by one
 * reply: 250 when the message is durable; 452 4.3.1 no room; 451 4.3.0 the write failed. */
struct msg_store {
	struct slice id;
	int64_t arrival_us;
	struct slice sender;
	uint64_t flags; /* enum admit_flag */
	struct slice envid;
	uint64_t ret;
	struct slice client_name, client_address, client_port, client_helo, protocol;
	struct slice message_id; /* for the log */
};
struct msg_large_wanted {
	uint64_t expected_size;
};
struct msg_large_file {
	uint64_t limit;
};
struct msg_large_done {
	uint64_t size;
};

/* --- delivery: qmgr -> agents --------------------------------------------------------------------
 * deliver, answered by outcomes (last), then heard (last). Content is in the frame when it is small; else in
 * the descriptor, from content_offset on, content_size bytes. With ADMIT_VERIFY nothing is delivered: sent
 * means that the recipient would be taken, as far as can be said without doing it. */
struct msg_deliver {
	struct slice id;
	struct slice sender;
	struct slice transport; /* the master.cf entry's name */
	struct slice nexthop;
	int64_t arrival_us;
	int64_t active_us; /* wall clock: when it entered the active queue */
	struct slice content;
	uint64_t content_size, content_offset;
	uint64_t flags;	   /* enum admit_flag */
	uint64_t in_doubt; /* 1: an earlier attempt may have succeeded unseen */
	struct slice envid;
	uint64_t ret;
	struct wire_numbers index; /* the recipients' places in the message */
	struct wire_texts address, original, orcpt;
	struct wire_numbers notify;
	struct slice client_name, client_address, client_port, client_helo, protocol;
};
enum outcome { OUTCOME_SENT = 1, OUTCOME_DEFERRED = 2, OUTCOME_BOUNCED = 3 };
/* Who tells a sender that asked for NOTIFY=SUCCESS (RFC 3461, section 5.2). */
enum success {
	SUCCESS_DELIVERED = 0, /* it is in the mailbox: we tell */
	SUCCESS_RELAYED,       /* the next server knows no DSN: we tell that it went there */
	SUCCESS_PASSED,	       /* the next server was asked to tell */
	SUCCESS_EXPANDED       /* it became several recipients, of which we tell nothing */
};
struct msg_outcomes {
	struct wire_numbers index;
	struct wire_numbers outcome; /* enum outcome */
	struct wire_texts dsn;	     /* "2.0.0" */
	struct wire_texts text;	     /* the reason, as in the log line's parentheses */
	uint64_t destination_down;   /* 1: nobody at this nexthop can be reached now */
	/* For notices; each list is empty or as long as the others. */
	struct wire_texts remote;     /* the name of the server that answered, or empty */
	struct wire_texts diagnostic; /* "smtp; 550 5.1.1 ...", "x-unix; ...", or empty */
	struct wire_numbers success;  /* enum success, of sent ones */
};
/* qmgr -> agent, last, in the same request: the outcomes are on stable storage. Until it comes, they
 * are kept for another qmgr. */
struct msg_heard {
	uint64_t count; /* of the outcomes */
};

/* --- what outlived a queue manager ---------------------------------------------------------------
 * qmgr -> master: channels to all agents that live, also to those that take nothing new. Answered by
 * one connected with a descriptor for each, and one without (last). */
struct msg_agents {
	uint64_t reason; /* 0 */
};
/* qmgr -> agent: the ids of messages of which it has a delivery under way, or an outcome that no queue
 * manager recorded. Answered by reclaimed (last); a deliver of the same recipients on the same
 * channel then gets that outcome. */
struct msg_reclaim {
	uint64_t limit; /* of ids */
};
struct msg_reclaimed {
	struct wire_texts id;
};

/* --- names: smtp -> resolver ---------------------------------------------------------------------
 * Answered by dns_answer. For MX, data are host names in the answer's order ("" for the null MX) and
 * preference runs parallel; for A and AAAA, addresses as text. */
enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };
enum dns_status {
	DNS_OK = 1,
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_NO_DATA,   /* the name has none of this type */
	DNS_TRY_AGAIN, /* time-out, SERVFAIL, a bogus answer */
	DNS_BAD_NAME   /* no name that can be asked for */
};
struct msg_dns {
	struct slice name; /* without a final dot; A-labels */
	uint64_t type;	   /* enum dns_type */
};
struct msg_dns_answer {
	uint64_t status;	/* enum dns_status */
	uint64_t secure;	/* 1: validated by DNSSEC */
	uint64_t ttl;		/* seconds; at most a day */
	struct slice canonical; /* where CNAMEs led; the name itself without any */
	struct wire_numbers preference;
	struct wire_texts data;
	struct slice why; /* for status other than OK: words for the log */
};

/* --- sockets by name: smtp (LMTP) -> dialer ------------------------------------------------------
 * Answered by dialed, with the connected descriptor or why there is none. */
struct msg_dial {
	struct slice path; /* of a UNIX socket; relative to the queue directory */
};
struct msg_dialed {
	uint64_t error; /* 0, or errno */
	struct slice why;
};

/* --- notices: qmgr -> bounce ---------------------------------------------------------------------
 * notice (with a read-only descriptor when content is large), notice_rcpts... (the last one last).
 * Answered by one reply (last): 250 when all notices that are due are on stable storage, or none is;
 * 4xx: to be asked for again. All recipients come, whatever their notify says: bounce chooses. */
enum notice_kind { NOTICE_FAILURE = 1, NOTICE_DELAY, NOTICE_SUCCESS, NOTICE_VERIFY };
struct msg_notice {
	uint64_t kind; /* enum notice_kind */
	struct slice id, sender;
	int64_t arrival_us;
	uint64_t flags; /* enum admit_flag */
	struct slice envid;
	uint64_t ret;
	struct slice content; /* when small; else in the descriptor */
	uint64_t content_size, content_offset;
	int64_t retry_until_us; /* of a delay notice */
	uint64_t
	    cleared; /* 1: of mail that was delayed, of which the sender was told (confirm_delay_cleared) */
};
/* The lists run parallel. */
struct msg_notice_rcpts {
	struct wire_texts address, original, orcpt;
	struct wire_numbers notify;
	struct wire_texts dsn, reason, remote, diagnostic; /* as in outcomes */
	struct wire_numbers success;			   /* enum success, for NOTICE_SUCCESS */
};

/* --- addresses: smtpd, cleanup, qmgr, local -> rewrite -------------------------------------------
 * Batched: the answer's lists run parallel to the question's. */
enum address_class {
	CLASS_LOCAL = 1,
	CLASS_VIRTUAL_ALIAS,
	CLASS_VIRTUAL_MAILBOX,
	CLASS_RELAY,
	CLASS_DEFAULT
};
enum resolve_status { RESOLVE_OK = 1, RESOLVE_TEMPORARY, RESOLVE_PERMANENT };
enum known { KNOWN_NO = 1, KNOWN_YES, KNOWN_TEMPORARY };
struct msg_resolve {
	struct slice sender;
	struct wire_texts address;
	uint64_t validate; /* 1: look up whether each recipient exists */
};
struct msg_resolved {
	struct wire_numbers status; /* enum resolve_status */
	struct wire_numbers class;  /* enum address_class */
	struct wire_texts transport, nexthop, recipient;
	struct wire_texts why;	   /* for status other than OK: "4.3.0 text" or "5.x.x text" */
	struct wire_numbers known; /* enum known; empty without validate */
};
/* Envelope recipients completed, canonical and virtual alias maps applied, duplicates removed. */
struct msg_expand {
	uint64_t local; /* 1: local rewriting context */
	struct wire_texts address;
};
struct msg_expanded {
	uint64_t status; /* enum resolve_status */
	struct slice why;
	struct wire_texts address;
	struct wire_numbers origin; /* which of the question's addresses it came from */
};
/* One address completed for headers and the envelope sender. */
struct msg_rewrite {
	uint64_t local;
	struct wire_texts address;
};
struct msg_rewritten {
	struct wire_texts address;
};

/* --- tables: any -> proxymap --------------------------------------------------------------------- */
enum found { FOUND_NO = 1, FOUND_YES, FOUND_ERROR };
struct msg_lookup {
	struct slice table; /* "type:name"; only what proxy_read_maps allows */
	struct slice key;
};
struct msg_looked_up {
	uint64_t found;	    /* enum found */
	struct slice value; /* or the reason of the error */
};
/* A system user (getpwnam); by name, exact. */
struct msg_user {
	struct slice name;
};
struct msg_user_info {
	uint64_t found; /* enum found */
	uint64_t uid, gid;
	struct slice name, home, shell, gecos;
};

/* --- listing: showq -> qmgr ---------------------------------------------------------------------- */
struct msg_list {
	uint64_t limit;
}; /* 0: all. Answered by list_entry..., list_end (last) */
struct msg_list_entry {
	struct slice queue; /* "active", "deferred", "hold" */
	struct slice id;
	int64_t arrival_us;
	uint64_t size;
	struct slice sender;
	struct wire_texts address, original;
	struct wire_texts reason; /* empty text: none */
	uint64_t continued;	  /* 1: more recipients of the entry before */
	uint64_t expired;	  /* 1: an administrator wants it returned */
};
struct msg_list_end {
	uint64_t count;
};

/* --- the queue's administration: postqueue, postsuper, postcat -> flush -> qmgr ------------------
 * queue_order is answered by queue_ordered, queue_read by queue_message and queue_rcpts... (the last one
 * last). flush knows who asks. */
enum queue_op {
	ORDER_FLUSH = 1,     /* try deferred mail now */
	ORDER_HOLD,	     /* no attempt until it is released */
	ORDER_RELEASE,	     /* what is on hold is due */
	ORDER_REQUEUE,	     /* admit it once more, as if it came in now */
	ORDER_DELETE,	     /* without a notice */
	ORDER_EXPIRE,	     /* return it to its sender */
	ORDER_EXPIRE_RELEASE /* the same, also when it is on hold */
};
struct msg_queue_order {
	uint64_t op; /* enum queue_op */
	/* Which: these; or those with a recipient in this domain; or all. */
	struct wire_texts ids;
	struct slice site;
	uint64_t all;
	/* Of them only what is in these: "incoming", "active", "deferred", "hold"; none: in any. */
	struct wire_texts queues;
	/* Of all only some: at most so many (0: any number) behind the id `after`, up to `until` (empty:
	 * what is the last one now). */
	uint64_t most;
	struct slice after, until;
};
struct msg_queue_ordered {
	uint64_t count;		   /* messages that it concerned */
	uint64_t looked_at, total; /* of all: these, of so many in the queue */
	struct slice after,
	    until; /* of some: ask for the next ones with these; after is empty at the end */
	uint64_t not_served;	   /* 1: refused since fast_flush_domains does not have the site */
	struct wire_numbers error; /* for each of the ids: 0, or errno (ENOENT: not there) */
	struct slice why;	   /* not empty: refused as a whole */
	uint64_t forbidden;	   /* 1: that is why */
};
struct msg_queue_read {
	struct slice id;
	uint64_t with_content;
};
struct msg_queue_message { /* with a read-only descriptor when content is large */
	struct slice why;  /* not empty: it can't be read; nothing follows */
	struct slice id, queue, sender;
	int64_t arrival_us, due_us;
	uint64_t flags, attempts, deaths, expired;
	uint64_t content_size, rcpt_count;
	struct slice content; /* when small */
	struct slice client_name, client_address, client_port, client_helo, protocol, envid;
	uint64_t ret;
};
/* The lists run parallel. */
struct msg_queue_rcpts {
	struct wire_texts address, original, orcpt, dsn, reason;
	struct wire_numbers notify, done; /* done: 1: no attempt follows */
};
/* From whom these came; at most RCPTS_PER_FRAME. Answered by queue_clients_told: the lists run parallel to
 * the ids; empty texts for what came from no client or has gone. */
struct msg_queue_clients {
	struct wire_texts ids;
};
struct msg_queue_clients_told {
	struct wire_texts name, address;
};
/* A line for the log under the tag of a command; answered by a reply. */
struct msg_log_line {
	struct slice tag, text;
	uint64_t level; /* enum log_level */
};
/* flush, showq -> proxymap: a system user by number. Answered by user_info. */
struct msg_user_id {
	uint64_t uid;
};

/* --- the control channel: master <-> each service ------------------------------------------------ */
enum sandbox_bit {
	SANDBOX_UID = 1,
	SANDBOX_CHROOT = 2,
	SANDBOX_NO_NEW_PRIVS = 4,
	SANDBOX_SECCOMP = 8,
	SANDBOX_LANDLOCK = 16
};
struct msg_ready {	  /* service -> master, one-way, once */
	uint64_t sandbox; /* enum sandbox_bit: what is in force */
	uint64_t pid;	  /* of the process that serves (a monitor's child has its own) */
	uint64_t uid;
};
struct msg_load {	   /* service -> master, one-way, when it changed */
	uint64_t sessions; /* client sessions or deliveries now open */
	uint64_t limit;	   /* service_session_limit */
	uint64_t served;   /* in all, for max_use */
	uint64_t retire;   /* 1: replace me (a table has changed, max_use is reached) */
};
struct msg_connect { /* service -> master: a channel to an entry of master.cf */
	struct slice service;
};
struct msg_connected { /* with the descriptor; or without it and why */
	uint64_t role; /* of the peer */
	struct slice why;
	struct slice service; /* the peer's entry, in an answer to agents */
};
struct msg_accept {	      /* master -> service, one-way, with the descriptor */
	uint64_t role;	      /* of the peer */
	struct slice service; /* the peer's master.cf entry */
	uint64_t reclaims;    /* 1: not for new work */
};
/* master -> service: finish and exit; the request ends when the service accepts no client any more. A
 * reload lets sessions go on; the second one after it lets them finish their transaction, as there
 * shall be two generations at most; a stop ends what is idle and does not wait long.
 * DRAIN_WHEN_IDLE: go on, and ask to be replaced (load.retire) when that disturbs nothing. */
enum drain_reason { DRAIN_RELOAD = 1, DRAIN_STOP = 2, DRAIN_OUTDATED = 3, DRAIN_WHEN_IDLE = 4 };
struct msg_drain {
	uint64_t reason;
};
struct msg_wakeup {
	uint64_t reason;
}; /* master -> service, one-way: the wakeup column */

/* --- the socket private/master: gatepost -> master ------------------------------------------------ */
struct msg_admin {
	struct slice verb;
}; /* "status", "reload"...; answered by admin_line..., */
struct msg_admin_line {
	struct slice text;
}; /* and a reply (last): 250, or 5xx and why */

/* --- local submission: sendmail -> pickup --------------------------------------------------------
 * Over the socket public/pickup, which any local user may open, and in the files of maildrop/: submit,
 * rcpts..., data..., end (last). Here data are lines as they were written: LF or CRLF, any bytes.
 * Answered (by pickup) by one reply. */
enum submit_flag {
	SUBMIT_8BIT = 1,    /* the body was said to be 8-bit */
	SUBMIT_GATEWAY = 2, /* from elsewhere: headers are not completed */
	SUBMIT_VERIFY = 4   /* as ADMIT_VERIFY */
};
struct msg_submit {
	struct slice sender;
	struct slice full_name;
	uint64_t flags; /* enum submit_flag */
	struct slice envid;
	uint64_t ret; /* as in admit */
};

/* --- tables of the above, one per struct ---------------------------------------------------------- */
/* name of the struct without msg_, frame type, a descriptor may travel with it */
/* clang-format off */
#define ALL_MESSAGES(row) \
	row(admit, 1, false) \
	row(rcpts, 2, false) \
	row(data, 3, false) \
	row(end, 4, false) \
	row(reply, 5, false) \
	row(store, 6, false) \
	row(large_wanted, 7, false) \
	row(large_file, 8, true) \
	row(large_done, 9, false) \
	row(deliver, 10, true) \
	row(outcomes, 11, false) \
	row(resolve, 12, false) \
	row(resolved, 13, false) \
	row(expand, 14, false) \
	row(expanded, 15, false) \
	row(rewrite, 16, false) \
	row(rewritten, 17, false) \
	row(lookup, 18, false) \
	row(looked_up, 19, false) \
	row(user, 20, false) \
	row(user_info, 21, false) \
	row(list, 22, false) \
	row(list_entry, 23, false) \
	row(list_end, 24, false) \
	row(ready, 25, false) \
	row(load, 26, false) \
	row(connect, 27, false) \
	row(connected, 28, true) \
	row(accept, 29, true) \
	row(drain, 30, false) \
	row(wakeup, 31, false) \
	row(admin, 32, false) \
	row(admin_line, 33, false) \
	row(heard, 34, false) \
	row(dns, 35, false) \
	row(dns_answer, 36, false) \
	row(dial, 37, false) \
	row(dialed, 38, true) \
	row(notice, 39, true) \
	row(notice_rcpts, 40, false) \
	row(queue_order, 41, false) \
	row(queue_ordered, 42, false) \
	row(queue_read, 43, false) \
	row(queue_message, 44, true) \
	row(queue_rcpts, 45, false) \
	row(log_line, 46, false) \
	row(user_id, 47, false) \
	row(submit, 50, false) \
	row(agents, 60, false) \
	row(reclaim, 61, false) \
	row(reclaimed, 62, false) \
	row(queue_clients, 85, false) \
	row(queue_clients_told, 86, false)
/* clang-format on */
#define DECLARE_MESSAGE(name, type, takes_fd) extern const struct wire_table table_##name;
ALL_MESSAGES(DECLARE_MESSAGE)
#undef DECLARE_MESSAGE

/* All of them, ended by NULL; and the one with this frame type, or NULL. */
extern const struct wire_table *const messages[];
const struct wire_table *message_of_type(uint16_t type);

#endif
