/* SPDX-License-Identifier: ISC */
/*
 * resolver_main.c - DNS for the suite: each question is a task that waits for libunbound's answer. There
 * is one process, so that there is one cache.
 */
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "support/resolver.h"

static struct resolver_settings {
	const char *servers, *anchor_file;
	int64_t timeout;
} settings;

static const struct conf_setting setting_rows[] = {
	CONF_SETTING(struct resolver_settings, servers, "resolver_servers"),
	CONF_SETTING(struct resolver_settings, anchor_file, "resolver_trust_anchor_file"),
	CONF_SETTING(struct resolver_settings, timeout, "resolver_timeout"),
	{ 0 },
};

static struct resolver_files files;

struct question {
	struct slice name;
	enum dns_type type;
	struct arena *arena;
	struct msg_dns_answer *answer;
};

static void open_files(void)
{
	resolver_files_open(&files, settings.servers, settings.anchor_file);
	resolver_context_warm_up(files.anchors, files.anchors_count);
}

static void start(void)
{
	resolver_loop_start();
	resolver_servers_start(&files);
}

static const char *changed(void)
{
	return resolver_files_changed(&files);
}

static void fail(struct question *q, enum dns_status status, const char *why)
{
	*q->answer = (struct msg_dns_answer){
		.status = status, .canonical = q->name, .why = slice_of(why)
	};
}

/* libunbound's words hold names of strangers; a message must hold no line end. */
static const char *one_line(struct arena *arena, const char *text)
{
	char *copy = arena_printf(arena, "DNSSEC: %.500s", text);

	text_neuter(copy, strlen(copy));
	return copy;
}

static void read_answer(void *arg, const struct resolver_raw *raw)
{
	struct question *q = arg;
	unsigned odd = 0;

	if (raw->bogus)
		fail(q, DNS_TRY_AGAIN,
		    raw->why_bogus == NULL ? "DNSSEC: the answer is bogus"
					   : one_line(q->arena, raw->why_bogus));
	else if (raw->message.len == 0)
		fail(q, DNS_TRY_AGAIN, "the name servers fail or do not answer");
	else if (!resolver_parse(raw->message, q->name, q->type, q->arena, q->answer, &odd))
		fail(q, DNS_TRY_AGAIN, "the answer is malformed");
	else
		q->answer->secure = raw->secure;
	if (odd > 0)
		log_warning("DNS: %u names that no host has are left out of the answer for %.*s",
		    odd, (int)q->name.len, q->name.data);
}

static bool is_type(uint64_t type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_MX || type == DNS_PTR ||
	    type == DNS_TXT;
}

static void find(struct question *q)
{
	deadline when = deadline_after(settings.timeout);
	struct resolver_context *c;

	if (!is_type((uint64_t)q->type) || !resolver_name_is_good(q->name)) {
		fail(q, DNS_BAD_NAME, "no host can have this name");
		return;
	}
	if (resolver_files_find(&files, q->name, q->type, q->arena, q->answer))
		return;
	c = resolver_servers_context(when);
	if (c == NULL ||
	    !resolver_context_ask(c, arena_text(q->arena, q->name), (int)q->type, read_answer, q,
		when))
		fail(q, DNS_TRY_AGAIN, "the name servers do not answer in time");
}

static void ask(struct request *r, struct frame *first)
{
	struct msg_dns *m = first->message;
	struct msg_dns_answer answer;
	struct question q = { m->name, (enum dns_type)m->type, request_arena(r), &answer };

	service_look_at_tables(changed);
	find(&q);
	request_send(r, &table_dns_answer, &answer, -1, true, deadline_after(10 * CLOCK_SECOND));
}

enum {
	MAY_ASK = ROLE_BIT(ROLE_AGENT) | ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_REWRITE) |
	    ROLE_BIT(ROLE_CLEANUP)
};

static const struct handler handlers[] = {
	{ &table_dns, MAY_ASK, ask },
	{ 0 },
};

static const struct service resolver = {
	.name = "resolver",
	.role = ROLE_RESOLVER,
	.settings = setting_rows,
	.settings_out = &settings,
	.handlers = handlers,
	.open = open_files,
	.start = start,
};

int main(int argc, char **argv)
{
	return service_main(&resolver, argc, argv);
}
