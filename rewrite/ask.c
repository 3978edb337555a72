/* SPDX-License-Identifier: ISC */
/*
 * ask.c - tables of other processes: asks proxymap, and remembers for some seconds what it said, so that
 * a system user is looked up once for many messages. What is not known yet may be created any
 * moment: that is remembered for a shorter time; an error not at all.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "rewrite/rewrite.h"

enum { SLOTS = 4096, VALUE_LIMIT = 2048, FOUND_SECONDS = 10, MISSING_SECONDS = 5 };

/* One place for each hash: whoever comes last has it. */
struct answer {
	char *key; /* table, NUL, key */
	size_t key_len;
	char *value; /* NULL: not found */
	deadline until;
};
static struct answer answers[SLOTS];

static struct answer *slot(struct slice key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
	return &answers[(hash ^ (hash >> 32)) % SLOTS];
}

static void remember(struct slice key, bool found, struct slice value)
{
	struct answer *s = slot(key);

	if (value.len > VALUE_LIMIT)
		return;
	free(s->key);
	free(s->value);
	s->key = slice_dup(key);
	s->key_len = key.len;
	s->value = found ? slice_dup(value) : NULL;
	s->until = deadline_after((found ? FOUND_SECONDS : MISSING_SECONDS) * CLOCK_SECOND);
}

static bool recall(struct slice key, int *rc, struct buf *value)
{
	const struct answer *s = slot(key);

	if (s->key == NULL || !slice_equal(slice_new(s->key, s->key_len), key) ||
	    s->until <= clock_now())
		return false;
	*rc = s->value != NULL;
	if (s->value != NULL)
		buf_puts(value, s->value);
	return true;
}

static int ask(struct slice table, struct slice key, struct buf *value)
{
	struct msg_lookup question = { table, key };
	struct msg_looked_up *answer;
	struct request *r;
	void *reply;
	int rc = -1;

	if (service_ask(rewrite_settings.proxymap_service_name, &table_lookup, &question,
		&table_looked_up, &reply, &r, deadline_after(rewrite_settings.ipc_timeout)) == -1) {
		log_warning("table proxy:%.*s: %s does not answer: %m", (int)table.len, table.data,
		    rewrite_settings.proxymap_service_name);
		return -1;
	}
	answer = reply;
	if (answer->found == FOUND_YES && slice_find(answer->value, '\0') == -1) {
		buf_put_slice(value, answer->value);
		rc = 1;
	} else if (answer->found == FOUND_NO) {
		rc = 0;
	}
	request_close(r);
	return rc;
}

/* A user's name has no @ and no blanks: most of the keys of an address need not be asked for. */
static bool cannot_be_found(struct slice table, struct slice key)
{
	return key.len == 0 || key.len > NAME_LIMIT || table.len > NAME_LIMIT ||
	    (slice_starts_nocase(table, SLICE("unix:")) && slice_find(key, '@') != -1);
}

int proxymap_ask(void *arg, struct slice table, struct slice key, struct buf *value)
{
	struct buf name = { 0 };
	size_t before = value->len;
	struct slice folded;
	int rc;

	(void)arg;
	if (cannot_be_found(table, key))
		return 0;
	buf_put_slice(&name, table);
	buf_putc(&name, '\0');
	buf_put_slice(&name, key);
	text_lower(name.data + table.len + 1, key.len);
	folded = slice_part(buf_slice(&name), table.len + 1, key.len);
	if (!recall(buf_slice(&name), &rc, value)) {
		rc = ask(table, folded, value);
		if (rc != -1)
			remember(buf_slice(&name), rc == 1,
			    slice_part(buf_slice(value), before, value->len));
	}
	buf_clear(&name);
	return rc;
}
