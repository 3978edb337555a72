/* SPDX-License-Identifier: ISC */
/*
 * resolver_servers.c - which of the name servers do DNSSEC, and so which of them are asked.
 *
 * Validating through a server that strips signatures would make every name bogus. So each is asked for the
 * root's keys. Those that have them with their signatures are asked alone, and validated; when none has,
 * all are asked, and nothing is validated. A server that once did DNSSEC counts as one that does until it
 * answers otherwise: silence or a failure must not be a way to switch validation off.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/task/task.h"
#include "support/resolver.h"

enum { PROBE_SECONDS = 5, AGAIN_SECONDS = 600, AGAIN_UNKNOWN_SECONDS = 60, TYPE_DNSKEY = 48 };

enum dnssec {
	DNSSEC_UNKNOWN, /* it did not answer, or failed: perhaps at this question alone */
	DNSSEC_NO,
	DNSSEC_YES
};

struct server {
	char *address;
	enum dnssec dnssec;
};

static const struct resolver_files *files;
static struct server *servers;
static struct resolver_context *current;
static bool validates;
static size_t unseen; /* servers that were not probed yet */
static struct task_list known;

static void use(char *const *addresses, unsigned count, bool secure)
{
	struct resolver_context *fresh = resolver_context_new(addresses, count, files->anchors,
	    secure ? files->anchors_count : 0);

	struct resolver_context *old;

	if (fresh == NULL)
		return;
	old = current;
	current = fresh;
	validates = secure;
	task_list_wake_all(&known);
	if (!secure && files->anchors_count > 0)
		log_warning("no name server is known to do DNSSEC: answers are not validated");
	else if (secure && old != NULL)
		log_info("answers are validated now, by %u name servers", count);
	resolver_context_retire(old);
}

/* The choice among what is known now. changed: another set may be due. Waits. */
static void choose(bool changed)
{
	char **secure = mem_alloc(files->servers_count * sizeof(*secure));
	unsigned count = 0;

	for (size_t i = 0; i < files->servers_count; i++)
		if (servers[i].dnssec == DNSSEC_YES)
			secure[count++] = servers[i].address;
	if (count > 0 && (changed || !validates))
		use(secure, count, true);
	else if (count == 0 && (current == NULL || validates))
		use(files->servers, (unsigned)files->servers_count, false);
	free(secure);
}

static void keys_came(void *arg, const struct resolver_raw *raw)
{
	enum dnssec *found = arg;

	if (raw->message.len > 0)
		*found = resolver_has_signed_keys(raw->message) ? DNSSEC_YES : DNSSEC_NO;
}

/* True when the server is now known to be something else than before. */
static bool probe(struct server *s)
{
	struct resolver_context *c = resolver_context_new(&s->address, 1, NULL, 0);
	enum dnssec found = DNSSEC_UNKNOWN;
	bool changed;

	if (c == NULL)
		return false;
	resolver_context_ask(c, ".", TYPE_DNSKEY, keys_came, &found,
	    deadline_after(PROBE_SECONDS * CLOCK_SECOND));
	resolver_context_retire(c);
	changed = found != DNSSEC_UNKNOWN && found != s->dnssec;
	if (changed && found == DNSSEC_NO)
		log_warning("name server %s does no DNSSEC: what comes from it can't be validated",
		    s->address);
	else if (changed && s->dnssec == DNSSEC_NO)
		log_info("name server %s does DNSSEC now", s->address);
	if (changed)
		s->dnssec = found;
	return changed;
}

/* One of these tasks for each server: a silent one holds nobody up but the first choice. */
static void watch_server(void *arg)
{
	struct server *s = arg;
	bool changed = probe(s);

	unseen--;
	for (;;) {
		/* The first that does DNSSEC is enough to begin with. */
		if (unseen == 0 || s->dnssec == DNSSEC_YES)
			choose(changed);
		if (task_sleep_until(deadline_after(CLOCK_SECOND *
			(s->dnssec == DNSSEC_UNKNOWN ? AGAIN_UNKNOWN_SECONDS : AGAIN_SECONDS))) ==
		    -1)
			return;
		changed = probe(s);
	}
}

void resolver_servers_start(const struct resolver_files *f)
{
	files = f;
	servers = mem_alloc(f->servers_count * sizeof(*servers));
	if (f->anchors_count == 0)
		choose(false);
	else
		unseen = f->servers_count;
	for (size_t i = 0; i < f->servers_count; i++) {
		servers[i] = (struct server){ .address = f->servers[i] };
		if (f->anchors_count > 0 &&
		    task_start("name server", watch_server, &servers[i]) == NULL)
			log_fatal("no task to look at a name server");
	}
}

struct resolver_context *resolver_servers_context(deadline when)
{
	while (current == NULL)
		if (task_list_wait(&known, when) == -1)
			return NULL;
	return current;
}
