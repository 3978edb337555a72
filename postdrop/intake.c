/* SPDX-License-Identifier: ISC */
/*
 * intake.c - nothing that a user wrote is believed: addresses are parsed anew, text becomes wire form, and
 * whose mail it is, the kernel has said.
 */
#include "postdrop/intake.h"

#include <bsd/string.h>
#include <stdio.h>

#include "common/log/log.h"
#include "common/mail/mail_address.h"
#include "postdrop/pickup.h"

enum { PATH_FLAGS = PATH_NO_DOMAIN_OK | PATH_UTF8_OK };

/* The address in its shortest external form. */
static bool parse(struct slice given, unsigned flags, struct arena *arena, struct slice *address)
{
	struct slice path = slice_of(arena_printf(arena, "<%.*s>", (int)given.len, given.data)),
		     rest;
	const char *why;

	return path_parse(path, flags, arena, address, &rest, &why) && slice_trim(rest).len == 0;
}

static void say_whose(const struct intake *in, uint32_t uid, struct slice sender)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", uid);
	log_event(LOG_PICKUP, { "id", slice_of(in->relay.id) }, { "uid", slice_of(number) },
	    { "sender", sender });
}

void intake_begin(struct intake *in, uint32_t uid, const char *id, int64_t arrival_us,
    const struct msg_submit *m)
{
	struct arena *arena = arena_new();
	char received_by[32];
	struct msg_admit admit = {
		.arrival_us = arrival_us,
		.flags = ((m->flags & SUBMIT_8BIT) ? ADMIT_8BIT : 0u) |
		    ((m->flags & SUBMIT_GATEWAY) ? 0u : ADMIT_LOCAL) |
		    ((m->flags & SUBMIT_VERIFY) ? ADMIT_VERIFY : 0u),
		.envid = m->envid,
		.ret = m->ret,
		.full_name = m->full_name,
	};

	if (id != NULL)
		strlcpy(in->relay.id, id, sizeof(in->relay.id));
	else
		relay_make_id(in->relay.id);
	snprintf(received_by, sizeof(received_by), "from userid %u", uid);
	admit.id = slice_of(in->relay.id);
	admit.received_by = slice_of(received_by);
	if (!users_may_submit(uid)) {
		log_warning("user %u is not allowed to submit mail", uid);
		relay_refuse(&in->relay, 554, "5.7.1", "You are not allowed to submit mail");
	} else if (!parse(m->sender, PATH_FLAGS | PATH_NULL_OK, arena, &admit.sender)) {
		relay_refuse(&in->relay, 501, "5.1.7", "Bad sender address syntax");
	} else {
		say_whose(in, uid, admit.sender);
		relay_open(&in->relay, &admit);
	}
	arena_free(arena);
}

void intake_rcpts(struct intake *in, const struct msg_rcpts *m)
{
	size_t count = m->address.count;
	struct slice address[RCPTS_PER_FRAME];
	struct msg_rcpts rcpts = { { address, count }, { address, count }, m->orcpt, m->notify };
	struct arena *arena;

	if (in->relay.reply.code != 0)
		return;
	arena = arena_new();
	if (m->original.count != count || m->orcpt.count != count || m->notify.count != count)
		relay_refuse(&in->relay, 501, "5.5.4", "Recipient lists do not fit together");
	for (size_t i = 0; i < count && in->relay.reply.code == 0; i++)
		if (m->orcpt.items[i].len > ADDRESS_LIMIT ||
		    m->address.items[i].len > ADDRESS_LIMIT ||
		    !parse(m->address.items[i], PATH_FLAGS, arena, &address[i]))
			relay_refuse(&in->relay, 501, "5.1.3", "Bad recipient address syntax");
	relay_rcpts(&in->relay, &rcpts);
	arena_free(arena);
}

void intake_data(struct intake *in, struct slice data)
{
	if (in->relay.reply.code != 0)
		return;
	wire_form_feed(&in->form, data, &in->relay.out);
	relay_content(&in->relay, false);
}

void intake_end(struct intake *in)
{
	if (in->relay.reply.code != 0)
		return;
	wire_form_end(&in->form, &in->relay.out);
	relay_end(&in->relay);
}

void intake_clear(struct intake *in)
{
	relay_clear(&in->relay);
}
