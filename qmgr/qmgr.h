/* SPDX-License-Identifier: ISC */
/*
 * qmgr.h - what the parts of the queue manager share: messages that are being worked on, the
 * transports and destinations that they wait for.
 *
 * A message is in memory only while it is active. What must survive is in the store; what is here can be
 * made again from it.
 */
#ifndef GP_QMGR_H
#define GP_QMGR_H

#include <bsd/sys/queue.h>

#include "common/base/arena.h"
#include "common/ipc/messages.h"
#include "common/ipc/channel.h"
#include "common/mail/queue_envelope.h"
#include "common/queue/store.h"
#include "common/task/task.h"

struct qmgr_settings {
	const char *queue_service_name, *rewrite_service_name, *bounce_service_name,
	    *defer_transports, *double_bounce_sender;
	int64_t minimal_backoff_time, maximal_backoff_time, maximal_queue_lifetime,
	    bounce_queue_lifetime, delay_warning_time, transport_retry_time, service_drain_time,
	    daemon_timeout;
	int64_t qmgr_message_active_limit, queue_minfree, queue_segment_size;
	int64_t default_process_limit;
	bool queue_allow_network_filesystem, destination_concurrency_feedback_debug,
	    confirm_delay_cleared;
};
extern struct qmgr_settings settings;
extern struct store *store;
/* Wall clock. What arrived before may have been tried by another process, whatever the store says. */
extern int64_t queue_opened_us;

/* What is known of a waiting message beside the store, as long as this process lives. */
struct memory {
	int64_t arrival_boot_us; /* its arrival on the clock that nobody sets */
	bool cleared;		 /* tried alone, and the agent lived */
	bool flushed;		 /* this round: defer_transports does not count */
	bool requeue;		 /* an administrator wants it to come in anew */
	uint32_t sites;		 /* sites_of() its recipients; 0: not known yet */
};

enum progress { WAITING, SENT, DEFERRED, BOUNCED };
struct recipient {
	struct slice address, original, orcpt; /* address: what the agent is told, after routing */
	uint64_t notify;
	enum progress progress;
	bool is_told; /* of one that was sent or bounced: no notice about it is owed */
	struct slice dsn, reason;
	struct slice remote,
	    diagnostic;	  /* for a notice, as the agent said it; known in this round */
	uint64_t success; /* enum success */
};

struct message {
	LIST_ENTRY(message) link; /* in its bucket of active messages */
	struct arena *arena;
	struct slice id, sender;
	struct envelope envelope;
	int64_t arrival_us, active_us;
	uint64_t flags, size;
	bool is_large;
	char *content; /* small content that is still at hand, or NULL */
	struct recipient *rcpts;
	size_t rcpt_count;
	unsigned open_jobs;
	struct memory memory;
	bool in_doubt, suspect; /* suspect: an agent died with it in hand */
	bool held;		/* put on hold while it was active */
	bool is_deleted;	/* by an administrator while it was active */
	bool is_parked;		/* recipients of it must wait outside: see schedule_add */
	bool is_warned;		/* its delay notice was sent */
	bool is_expired;	/* an administrator wants it returned */
};
/* It only asks what would become of its recipients, and ends with its first round. */
static inline bool message_is_verify(const struct message *m)
{
	return m->flags & ADMIT_VERIFY;
}

/* Its sender was told of a delay, and is to hear that it is over. */
static inline bool message_is_cleared(const struct message *m)
{
	return m->is_warned && settings.confirm_delay_cleared;
}

/* Recipients of one message that go to one destination in one delivery. */
struct job {
	TAILQ_ENTRY(job) link;
	struct message *message;
	struct destination *destination;
	bool of_list; /* its share is so large that letters may overtake it */
	bool alone;   /* of a suspect: nothing else of its transport is started for a while */
	struct request
	    *request; /* the agent waits to hear that its outcomes are recorded; or NULL */
	size_t count;
	size_t index[]; /* of message->rcpts */
};
TAILQ_HEAD(job_queue, job);

/* The deliveries of one message that wait for one destination. */
struct share {
	TAILQ_ENTRY(share) link;
	struct message *message;
	struct job_queue jobs;
	size_t left, jobs_in_all, started;
	int64_t slots_used; /* by smaller ones that overtook it */
};
TAILQ_HEAD(share_queue, share);

struct destination {
	LIST_ENTRY(destination) link;	  /* in its bucket */
	TAILQ_ENTRY(destination) turn;	  /* in its transport's turns or pauses */
	TAILQ_ENTRY(destination) failing; /* while is_failing: by forget_at */
	struct transport *transport;
	char *nexthop; /* what the agent is told */
	char *key;     /* what tells destinations apart */
	struct share_queue shares;
	size_t waiting; /* jobs in them */
	enum { NOWHERE, AMONG_TURNS, AMONG_PAUSED } place;
	bool is_failing; /* something failed and nothing succeeded since */
	unsigned busy, busy_lists;
	double window;	       /* deliveries at once */
	double failed_cohorts; /* windows full of failures since the last success */
	deadline paused_until, dead_until, forget_at;
	char *dead_why;
	char dead_dsn[16];
	char (*parked)[ID_LIMIT +
	    1]; /* messages that wait outside, as many as are known; or NULL */
	size_t parked_count;
};

/* What concurrency gains or loses by a delivery. */
struct feedback {
	double value;
	enum { PER_NOTHING, PER_CONCURRENCY, PER_ROOT } per;
};

/* What main.cf says of a transport. */
struct policy {
	unsigned destination_limit, recipient_limit, initial;
	struct feedback positive, negative;
	unsigned cohort_limit; /* 0: destinations never die */
	unsigned slot_cost, slot_loan, slot_discount, slots_least;
	int64_t destination_delay, transport_delay; /* between two deliveries, in nanoseconds */
};

struct transport {
	LIST_ENTRY(transport) link;
	char *name;
	TAILQ_HEAD(, destination) turns;  /* those that may start something */
	TAILQ_HEAD(, destination) paused; /* by paused_until */
	unsigned busy, limit;		  /* deliveries at once */
	struct policy policy;
	bool is_deferred;		  /* defer_transports has it: nothing is tried */
	struct job *alone;		  /* the suspect that is being tried, or NULL */
	struct job_queue suspects;	  /* they wait for the rest to end */
	struct task_timer alone_patience; /* runs while there is one of them */
	struct task_timer pause;	  /* the next one that ends */
	deadline paused_until, dead_until;
	char *dead_why;
};

/* message.c ---------------------------------------------------------------------------------------- */
struct message *message_new(void);
/* An active message by id, or NULL. */
struct message *message_find(struct slice id);
size_t message_count(void);
/* Takes the message: resolves its recipients and gives them to the scheduler. Waits. */
void message_activate(struct message *);
/* Reads a message of the store and activates it. In a task of its own. */
void message_load_and_activate(struct slice id, struct memory);
/* An agent's process died with this delivery: the message is tried alone, or held. Logs. */
void message_agent_died(struct job *);
/* It is not active any more; what is known of it is in the store. */
void message_free(struct message *);

/* round.c: the end of a round. ----------------------------------------------------------------------- */
/* Before the first message: from now on the clocks are watched. */
void round_start(void);
/* A job is over: outcomes are in its recipients. Frees the job. */
void message_job_done(struct job *);
/* No job is left. last: the one whose outcomes are not recorded yet, or NULL. The message goes, now or
 * when its notices are out. */
void round_end(struct message *, const struct job *last);
/* What waits is not tried again: it is deferred with its last reason, and the round's end returns it. */
void round_give_up(struct message *);
/* What a later round knows of a recipient by its state and dsn. */
void round_take_state(const struct message *, struct recipient *, enum rcpt_state);
size_t round_count(const struct message *, enum progress);
/* Older than delay_warning_time, if there is one. */
bool round_is_late(const struct message *);
int64_t round_retry_until_us(const struct message *);
/* Messages of which notices are being sent. */
extern unsigned round_notices;
/* The notice about these recipients is out: records that they are settled. */
void round_record_told(struct message *, const size_t *index, size_t count);

/* notice.c ------------------------------------------------------------------------------------------- */
bool notice_is_due(const struct message *);
/* Sends what is due. False: something is still owed. Waits. */
bool notice_send_all(struct message *);

/* due.c: when what waits in the store is tried again. */
void due_start(void);
/* due_us on the wall clock; how long that is from now on counts, whatever the wall clock does then. */
void due_add(struct slice id, int64_t due_us, struct memory);
/* Due at once; flushed: as in struct memory. False when it does not wait here. */
bool due_now(struct slice id, bool flushed);
/* All that waits when it is called is due at once; how many that is. Waits. */
size_t due_flush(void);
void due_forget(struct slice id);
/* Messages that wait here and may have a recipient at this site, some at a time. All zero before the first
 * call; false at the end. Who comes or goes meanwhile may be left out. */
enum { DUE_PAGE = 32 };
struct due_page {
	struct slice ids[DUE_PAGE];
	size_t count;
	size_t bucket; /* the next one */
	char texts[DUE_PAGE][ID_LIMIT + 1];
	char last[ID_LIMIT + 1]; /* of this bucket, when a page ended in it; "": it starts */
};
bool due_next_page(struct due_page *, uint32_t site);
/* It was read: what is known of it from now on. Nothing, when it waits no more. */
void due_know_sites(struct slice id, uint32_t sites);
/* There may be room in the active queue. */
void due_look(void);

/* sites.c: where messages go, in 32 bits: a message that has not all bits of a site has no recipient there. */
uint32_t sites_bit(struct slice domain);
/* Of all domains; never 0. */
uint32_t sites_of(struct wire_texts addresses);

/* age.c: two clocks must agree before mail is too old. */
struct age_times {
	int64_t wall_us, boot_us;
};
struct age_times age_now(void);
/* What the boot clock showed, or would have shown, when the message came. */
int64_t age_arrival_boot_us(int64_t arrival_us, struct age_times now);
/* Older than lifetime_us by both clocks; and `start`, when we began to look at them, is patience_us ago
 * or a lifetime, so that a clock that is wrong at boot can be set first. */
bool age_is_over(struct age_times arrival, struct age_times start, struct age_times now,
    int64_t lifetime_us, int64_t patience_us);

/* policy.c ----------------------------------------------------------------------------------------- */
/* What main.cf says for this transport. Logs what makes no sense. */
void policy_read(struct policy *, const char *transport);
/* False for what is no feedback: out is undefined. */
bool policy_parse_feedback(const char *text, struct feedback *out);
double policy_feedback(const struct feedback *, double concurrency);

/* destination.c ------------------------------------------------------------------------------------ */
struct destination *destination_find(struct transport *, struct slice nexthop, struct slice key);
/* Frees one that nothing is known of any more; else does nothing. */
void destination_forget(struct destination *);
/* Those whose time has come live again; those that nobody wants go. */
void destination_revive(void);
void destination_revive_all(void);
/* Takes the job. */
void destination_add(struct destination *, struct job *);
/* Something changed: it gets a turn when it has something to start, or to put off. */
void destination_ready(struct destination *);
/* The delivery that starts now, taken out; NULL: none may. */
struct job *destination_next(struct destination *);
/* In front of all others, whether it may start or not. NULL: none waits. */
struct job *destination_first(const struct destination *);
struct job *destination_take_first(struct destination *);
/* How many deliveries it may have at once. */
unsigned destination_window(const struct destination *);
/* New mail for it is to wait outside of the active queue. */
bool destination_is_crowded(const struct destination *);
/* This message does. */
void destination_park(struct destination *, struct slice id);
/* When there is room again: those that wait outside are due. */
void destination_call_parked(struct destination *);
void destination_succeeded(struct destination *);
void destination_failed(struct destination *, struct slice dsn, struct slice why);

/* schedule.c --------------------------------------------------------------------------------------- */
void schedule_start(void); /* reads master.cf; before rights are given up */
void schedule_add(struct message *, struct slice transport, struct slice nexthop,
    const size_t *index, size_t count);
void schedule_dispatch(struct transport *);
/* A delivery is over. down: nobody could be reached; why and dsn tell. */
void schedule_delivery_done(struct job *, bool down, struct slice dsn, struct slice why);
void schedule_transport_failed(struct transport *, const char *why);
unsigned schedule_busy(void);
/* No further delivery starts until it is called with false. */
void schedule_pause(bool);
/* Until no delivery runs: 0, or -1 at the deadline. Waits. */
int schedule_wait_idle(deadline);
struct transport *transport_find(struct slice name);
/* Its first job is not to be tried: it is deferred, stopped or dead. */
bool destination_is_off(const struct destination *);
/* Dead destinations and transports live again. */
void schedule_revive_all(void);

/* deliver.c: one delivery, in a task of its own. */
void deliver_start(struct job *);
/* Without an agent: every recipient of the job is deferred. Logs. Ends the job. */
void deliver_defer(struct job *, struct slice dsn, struct slice why);

/* reclaim.c: deliveries that outlived the queue manager before. ------------------------------------------ */
struct holder;
/* Asks every agent what it has. Before the first delivery. Waits. */
void reclaim_start(void);
/* The agent that has a delivery of this message from before, once for each; NULL: none. */
struct holder *reclaim_take(struct slice id, const char *transport);
struct channel *reclaim_channel(struct holder *);
/* The delivery was asked for. NULL is fine. */
void reclaim_release(struct holder *);

/* intake.c, listing.c, orders.c, reading.c: handlers. */
void intake_store(struct request *, struct frame *);
void listing_list(struct request *, struct frame *);
void orders_order(struct request *, struct frame *);
void reading_read(struct request *, struct frame *);
void reading_clients(struct request *, struct frame *);
/* The queue that Postfix would have it in: "active", "deferred", "hold". */
const char *listing_queue(const struct store_summary *);
/* The content at hand is given back. */
void intake_forget_content(struct message *);
/* Messages between their first byte and their reply. */
extern unsigned intake_open;

/* waiting.c: the store's callbacks as waits. Waits. */
int store_put_wait(const struct store_message *);
struct store_loaded *store_read_wait(struct slice id, bool with_content, int *error);
/* Without content; NULL for those that can't be read. */
void store_read_several_wait(const struct slice *ids, struct store_loaded **, size_t count);
void waiting_start(void);

#endif
