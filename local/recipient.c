/* SPDX-License-Identifier: ISC */
/*
 * recipient.c - decides what one recipient means, and has it done.
 *
 * Names are followed to their end first. Then what can only be done here is done, in order, up to the
 * first part that must be tried again; the other places get one new message, in which each succeeds
 * or fails on its own. That is sent last, so a later try repeats no more than commands (README).
 */
#include "local/recipient.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/mail/header.h"
#include "common/mail/mail_address.h"
#include "common/service/service.h"
#include "local/addresses.h"
#include "local/agents.h"
#include "local/resend.h"
#include "local/seen.h"

enum { HEADER_PREFIX = 65536, SEEN_USER = 'u' };

struct recipient {
	const struct msg_deliver *message;
	int content_fd;
	size_t at; /* in the message's lists */
	struct slice address, domain;
	struct slice sender; /* of the message, or the owner of its alias */
	struct arena *arena;
	struct expansion *expansion;
	struct place_list here, rest;
	size_t rest_count;
	struct seen *asked;	 /* users whose agent had a part of this delivery */
	struct verdict *verdict; /* of all parts together */
};

static void add(struct recipient *r, enum outcome outcome, const char *dsn, const char *text)
{
	struct verdict v = { 0 };

	verdict_set(&v, outcome, dsn, "%s", text);
	verdict_add(r->verdict, &v);
}

/* --- forwarding loops: our own Delivered-To is in the message already ----------------------------- */

static bool has_delivered_to(struct slice content, struct slice recipient)
{
	struct header header;
	bool blank;

	while (header_next(&content, true, &header, &blank) == HEADER_FIELD)
		if (header_id(header.name) == HEADER_DELIVERED_TO &&
		    slice_equal_nocase(slice_trim(header.value), recipient))
			return true;
	return false;
}

static bool is_loop(const struct recipient *r)
{
	char *prefix;
	ssize_t got;
	bool loop;

	if (r->content_fd == -1)
		return has_delivered_to(r->message->content, r->address);
	prefix = mem_alloc(HEADER_PREFIX);
	got = pread(r->content_fd, prefix, HEADER_PREFIX, (off_t)r->message->content_offset);
	loop = got > 0 && has_delivered_to(slice_new(prefix, (size_t)got), r->address);
	free(prefix);
	return loop;
}

/* --- what is asked of agents ---------------------------------------------------------------------- */

static struct act_request make_request(const struct recipient *r, const struct local_name *name)
{
	const struct msg_deliver *m = r->message;

	return (struct act_request){
		.id = m->id,
		.sender = r->sender,
		.recipient = r->address,
		.original = m->original.items[r->at],
		.local = name->local,
		.extension = name->extension,
		.domain = r->domain,
		.arrival_us = m->arrival_us,
		.index = m->index.items[r->at],
		.in_doubt = m->in_doubt,
		.content = m->content,
		.content_offset = m->content_offset,
		.content_size = m->content_size,
		.client_name = m->client_name,
		.client_address = m->client_address,
		.client_helo = m->client_helo,
		.protocol = m->protocol,
		.envid = m->envid,
	};
}

/* What an agent is asked to do. */
struct part {
	enum act_action action;
	struct slice user, lane; /* whose agent: see agents_ask */
	struct local_name name;
	struct slice target;
};

static bool ask_agent(struct recipient *r, const struct part *part, struct act_request *request,
    struct act_reply *reply, struct verdict *v)
{
	bool ok = agents_ask(part->user, part->lane, request, r->content_fd, r->arena, reply, v);

	if (!ok || !reply->renew)
		return ok;
	/* Once: the monitor makes the mailbox for a new agent. */
	*reply = (struct act_reply){ 0 };
	return agents_ask(part->user, part->lane, request, r->content_fd, r->arena, reply, v);
}

/* The message only asks about its recipients: nothing is done. */
static bool is_verify(const struct recipient *r)
{
	return r->message->flags & ADMIT_VERIFY;
}

/* What the agent would do, but for a .forward: only its owner may read it. */
static const char *foretell(const struct recipient *r, const struct part *part)
{
	if (part->action != ACT_TARGET)
		return "delivers to mailbox";
	return arena_printf(r->arena, "delivers to %.*s", (int)part->target.len, part->target.data);
}

/* Has it done by the agent. Addresses that come back are followed like members, unless all of it is
 * tried again. */
static void act(struct recipient *r, const struct part *part)
{
	struct act_request request = make_request(r, &part->name);
	struct act_reply reply = { 0 };
	struct verdict v = { 0 };

	if (is_verify(r)) {
		add(r, OUTCOME_SENT, "2.0.0", foretell(r, part));
		return;
	}
	request.action = part->action;
	request.target = part->target;
	/* A user's second part may lead to the same mailbox as the first. */
	if (part->user.len > 0 && !seen_first(r->asked, SEEN_USER, part->user))
		request.in_doubt = 1;
	if (ask_agent(r, part, &request, &reply, &v)) {
		if (reply.outcome == OUTCOME_SENT && reply.text.len == 0)
			goto forward;
		verdict_set(&v, (enum outcome)reply.outcome, arena_text(r->arena, reply.dsn),
		    "%.*s", (int)reply.text.len, reply.text.data);
	}
	verdict_add(r->verdict, &v);
	if (r->verdict->outcome == OUTCOME_DEFERRED)
		return;
forward:
	for (size_t i = 0; i < reply.forward.count; i++)
		expand_add(r->expansion, reply.forward.items[i], part->user);
}

/* luser_relay, or the answer that a name is nobody's. What it is, address or command, stands in the
 * setting itself, not in what a sender's name makes of it. A name that a newer table may have is for
 * the process that will read it. */
static void unknown_user(struct recipient *r, const struct local_name *name)
{
	const char *setting = local_settings.luser_relay;
	struct act_request request = make_request(r, name);
	struct buf relay = { 0 };
	struct verdict v = { 0 };
	char *why = NULL;

	if (alias_changed() != NULL) {
		service_retire("an alias table has changed");
		verdict_set(&v, OUTCOME_DEFERRED, "4.3.0", "an alias table has changed");
	} else if (setting[0] == '\0') {
		verdict_set(&v, OUTCOME_BOUNCED, "5.1.1", "unknown user: \"%.*s\"",
		    (int)name->user.len, name->user.data);
	} else if (!names_expand(slice_of(setting), &request, NULL,
		       local_settings.forward_expansion_filter, &relay, &why)) {
		verdict_set(&v, OUTCOME_DEFERRED, "4.3.5", "luser_relay: %s", why);
		free(why);
	} else if (strchr("/|:", setting[0]) != NULL) {
		act(r,
		    &(struct part){ .action = ACT_TARGET,
			.name = *name,
			.target = slice_of(target_quote(r->arena, "", buf_slice(&relay))) });
	} else {
		expand_add(r->expansion, arena_copy(r->arena, buf_slice(&relay)), SLICE(""));
	}
	if (v.text != NULL)
		verdict_add(r->verdict, &v);
	buf_clear(&relay);
}

/* proxymap knows the system's users; this process sees no /etc/passwd. The empty name is no user's: it
 * stands for default_privs. */
static enum found look_up_user(struct slice name)
{
	struct msg_user question = { name };
	struct request *request = NULL;
	void *reply = NULL;
	enum found found = FOUND_ERROR;

	if (name.len == 0 || name.len > 255)
		return FOUND_NO;
	if (agents_have(name))
		return FOUND_YES;
	if (service_ask("proxymap", &table_user, &question, &table_user_info, &reply, &request,
		deadline_after(conf_time(service_conf(), "ipc_timeout"))) == 0)
		found = (enum found)((struct msg_user_info *)reply)->found;
	request_close(request);
	return found;
}

static void deliver_to_user(struct recipient *r, const struct place *place)
{
	switch (look_up_user(place->name.user)) {
	case FOUND_YES:
		act(r,
		    &(struct part){ .name = place->name,
			.user = place->name.user,
			.action = place->kind == PLACE_MAILBOX ? ACT_MAILBOX_ONLY : ACT_MAILBOX });
		break;
	case FOUND_NO:
		unknown_user(r, &place->name);
		break;
	default:
		add(r, OUTCOME_DEFERRED, "4.3.0", "user lookup error");
	}
}

/* Commands, files and lists of an alias are for default_privs. */
static void deliver_to_target(struct recipient *r, const struct target *t)
{
	static const char *const prefix[] = {
		[TARGET_COMMAND] = "|", [TARGET_FILE] = "", [TARGET_INCLUDE] = ":include:"
	};
	struct local_name name = local_name_of(r->arena, r->address);

	act(r,
	    &(struct part){ .action = ACT_TARGET,
		.name = name,
		.lane = name.user,
		.target = slice_of(target_quote(r->arena, prefix[t->kind], t->text)) });
}

/* --- places --------------------------------------------------------------------------------------- */

/* A message to its address would do something else. */
static bool belongs_here(const struct recipient *r, const struct place *p)
{
	return p->kind == PLACE_TARGET || p->kind == PLACE_MAILBOX || p->is_own_member ||
	    (p->kind == PLACE_USER && expand_has_mailbox(r->expansion, p->name.local));
}

/* Follows what is to follow, and sorts the places that were found. */
static bool find_places(struct recipient *r)
{
	struct verdict v = { 0 };
	struct place *p;

	if (!expand_run(r->expansion, &v)) {
		verdict_add(r->verdict, &v);
		return false;
	}
	while ((p = expand_next(r->expansion)) != NULL) {
		if (belongs_here(r, p)) {
			STAILQ_INSERT_TAIL(&r->here, p, entry);
			continue;
		}
		STAILQ_INSERT_TAIL(&r->rest, p, entry);
		r->rest_count++;
	}
	return true;
}

/* One user in all: it needs no message of its own. */
static void keep_single_user(struct recipient *r)
{
	struct place *p = STAILQ_FIRST(&r->rest);

	if (!STAILQ_EMPTY(&r->here) || r->rest_count != 1 || p->kind != PLACE_USER)
		return;
	STAILQ_REMOVE_HEAD(&r->rest, entry);
	r->rest_count = 0;
	STAILQ_INSERT_TAIL(&r->here, p, entry);
}

static bool set_sender(struct recipient *r)
{
	struct slice owner = expand_owner(r->expansion);
	struct verdict v = { 0 };

	if (r->sender.len == 0 || owner.len == 0)
		return true;
	r->sender = owner;
	if (address_complete(r->arena, &r->sender, &v))
		return true;
	verdict_add(r->verdict, &v);
	return false;
}

/* False: it must be tried again, or can't be followed further. */
static bool deliver_here(struct recipient *r)
{
	struct place *p;

	while ((p = STAILQ_FIRST(&r->here)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->here, entry);
		if (p->kind == PLACE_TARGET)
			deliver_to_target(r, p->target);
		else
			deliver_to_user(r, p);
		if (r->verdict->outcome == OUTCOME_DEFERRED || !find_places(r))
			return false;
	}
	return true;
}

static void foretell_rest(const struct recipient *r, struct verdict *v)
{
	struct buf list = { 0 };
	struct place *p;

	STAILQ_FOREACH(p, &r->rest, entry)
		buf_printf(&list, "%s%.*s", list.len > 0 ? ", " : "aliased to ",
		    (int)p->address.len, p->address.data);
	verdict_set(v, OUTCOME_SENT, "2.0.0", "%s", buf_text(&list));
	buf_clear(&list);
}

static void send_to_rest(struct recipient *r)
{
	struct resending sending = {
		.message = r->message,
		.at = r->at,
		.content_fd = r->content_fd,
		.sender = r->sender,
		.addresses.items = arena_alloc(r->arena, r->rest_count * sizeof(struct slice)),
		.is_expansion = r->rest_count > 1 || r->verdict->text != NULL,
	};
	struct verdict v = { 0 };
	struct place *p;

	STAILQ_FOREACH(p, &r->rest, entry)
		sending.addresses.items[sending.addresses.count++] = p->address;
	if (is_verify(r))
		foretell_rest(r, &v);
	else
		resend(&sending, &v);
	if (r->verdict->outcome == OUTCOME_SENT && v.outcome == OUTCOME_SENT)
		verdict_set(r->verdict, OUTCOME_SENT, "2.0.0", "%s; %s",
		    arena_text(r->arena, slice_of(r->verdict->text)), v.text);
	verdict_add(r->verdict, &v);
}

static bool judge(void *arg, struct judged *const *items, size_t count, struct verdict *v)
{
	struct recipient *r = arg;

	return addresses_judge(r->arena, r->message, items, count, v);
}

static void deliver(struct recipient *r)
{
	struct expand_sources sources = { alias_find, judge, r };

	r->expansion = expand_new(r->arena, &sources, r->address);
	if (!find_places(r) || !set_sender(r))
		return;
	keep_single_user(r);
	if (!deliver_here(r))
		return;
	if (r->rest_count > 0)
		send_to_rest(r);
	else if (r->verdict->text == NULL)
		add(r, OUTCOME_BOUNCED, "5.4.6",
		    "the name leads to nobody: an alias loop, or an empty list");
}

void recipient_deliver(const struct msg_deliver *m, int content_fd, size_t at, struct verdict *v)
{
	struct recipient r = {
		.message = m,
		.content_fd = content_fd,
		.at = at,
		.address = m->address.items[at],
		.domain = mail_address_split(m->address.items[at]).domain,
		.sender = m->sender,
		.arena = arena_new(),
		.verdict = v,
	};

	STAILQ_INIT(&r.here);
	STAILQ_INIT(&r.rest);
	r.asked = seen_new(r.arena);
	if (is_loop(&r))
		add(&r, OUTCOME_BOUNCED, "5.4.6",
		    arena_printf(r.arena, "mail forwarding loop for %.*s", (int)r.address.len,
			r.address.data));
	else
		deliver(&r);
	arena_free(r.arena);
}
