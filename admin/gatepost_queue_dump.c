/* SPDX-License-Identifier: ISC */
/*
 * gatepost_queue_dump.c - gatepost queue dump: what the log says, as lines of text or of JSON.
 *
 * Records are printed by the tables that encode them, so that no member can be forgotten here. What strangers
 * wrote is escaped; what a message holds is shown only to who asks for it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/command.h"
#include "admin/gatepost_queue.h"
#include "admin/json.h"
#include "admin/queue_history.h"
#include "common/base/text.h"

static struct {
	struct inspect in;
	struct history history;
	bool records, json, content;
	char **ids; /* none: all */
} dump;

static bool is_wanted(struct slice id)
{
	for (char **wanted = dump.ids; *wanted != NULL; wanted++)
		if (slice_equal(id, slice_of(*wanted)))
			return true;
	return dump.ids[0] == NULL;
}

/* --- values --------------------------------------------------------------------------------------- */

/* In quotation marks, on one line, with nothing that a terminal would obey; every byte can be read back. */
static void put_text(struct slice text)
{
	if (dump.json) {
		json_text(stdout, text);
		return;
	}
	putchar('"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	putchar('"');
}

static void put_name(const char *name)
{
	if (dump.json)
		printf(", \"%s\": ", name);
	else
		printf(" %s=", name);
}

static void put_state(uint64_t state)
{
	const char *name = history_state_name(state);

	printf(dump.json ? "\"%s\"" : "%s", name);
}

static void put_time(int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	printf(dump.json ? "\"%s.%06dZ\"" : "%s.%06dZ", text, (int)(wall_us % 1000000));
}

static void put_list(const struct wire_member *m, const void *at, bool is_state)
{
	const struct wire_texts *texts = at;
	const struct wire_numbers *numbers = at;

	putchar('[');
	for (size_t i = 0; i < texts->count; i++) {
		if (i > 0)
			printf(dump.json ? ", " : ",");
		if (m->type == WIRE_TEXTS)
			put_text(texts->items[i]);
		else if (is_state)
			put_state(numbers->items[i]);
		else
			printf("%" PRIu64, numbers->items[i]);
	}
	putchar(']');
}
_Static_assert(offsetof(struct wire_texts, count) == offsetof(struct wire_numbers, count),
    "lists of texts and of numbers are counted alike");

/* The last part of "put.sender". */
static const char *short_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot == NULL ? name : dot + 1;
}

/* --- records -------------------------------------------------------------------------------------- */

static void put_member(const struct wire_member *m, const void *at)
{
	const char *name = short_name(m->name);
	struct slice text = *(const struct slice *)at;

	if (m->type == WIRE_BYTES && strcmp(name, "content") == 0 && !dump.content) {
		put_name("content_size");
		printf("%zu", text.len);
		return;
	}
	put_name(name);
	if (m->type == WIRE_BYTES)
		put_text(text);
	else if (m->type == WIRE_U64)
		printf("%" PRIu64, *(const uint64_t *)at);
	else if (m->type == WIRE_I64 && strstr(name, "_us") != NULL)
		put_time(*(const int64_t *)at);
	else if (m->type == WIRE_I64)
		printf("%" PRId64, *(const int64_t *)at);
	else
		put_list(m, at, strcmp(name, "state") == 0);
}

static bool is_empty(const struct wire_member *m, const void *at)
{
	if (m->type == WIRE_U64 || m->type == WIRE_I64)
		return *(const uint64_t *)at == 0;
	if (m->type == WIRE_BYTES)
		return ((const struct slice *)at)->len == 0;
	return ((const struct wire_texts *)at)->count == 0;
}

static void put_record(const struct inspect_record *r)
{
	printf(dump.json ? "{\"segment\": %" PRIu64 ", \"offset\": %" PRIu64
			   ", \"length\": %" PRIu64 ", \"record\": \"%s\""
			 : "%" PRIu64 ":%" PRIu64 "+%" PRIu64 " %s",
	    r->segment, r->offset, r->len, record_name(r->type));
	for (size_t i = 0; i < r->table->count; i++) {
		const struct wire_member *m = &r->table->members[i];
		const void *at = (const char *)r->record + m->offset;

		if (!is_empty(m, at))
			put_member(m, at);
	}
	puts(dump.json ? "}" : "");
}

static bool has_id(enum record_type type)
{
	return type != RECORD_TAIL && type != RECORD_CUT;
}

static void on_record(void *arg, const struct inspect_record *r)
{
	(void)arg;
	if (has_id(r->type) ? !is_wanted(*(const struct slice *)r->record) : dump.ids[0] != NULL)
		return;
	if (dump.records)
		put_record(r);
	else
		history_take(&dump.history, r);
}

/* --- messages ------------------------------------------------------------------------------------- */

static void put_message(const struct history_message *m)
{
	static const char *const fates[] = { "queued", "done", "removed" };
	uint64_t count[STATE_COUNT] = { 0 };
	char id[sizeof(m->id)];

	snprintf(id, sizeof(id), "%s", m->id);
	text_neuter(id, strlen(id));
	if (dump.json) {
		json_member(stdout, "{", "id", slice_of(id));
		json_member(stdout, ", ", "message", slice_of(fates[m->fate]));
	} else {
		printf("%s %s", id, fates[m->fate]);
	}
	put_name("arrival_us");
	put_time(m->arrival_us);
	put_name("size");
	printf("%" PRIu64, m->size);
	if (m->due_us > 0) {
		put_name("due_us");
		put_time(m->due_us);
	}
	put_name("attempts");
	printf("%" PRIu64, m->attempts);
	put_name("deaths");
	printf("%" PRIu64, m->deaths);
	put_name("held");
	printf("%d", m->held);
	put_name("marks");
	printf("%" PRIu64, m->marks);
	history_count(m, count);
	for (size_t i = 0; i < STATE_COUNT; i++) {
		put_name(history_state_name(i));
		printf("%" PRIu64, count[i]);
	}
	puts(dump.json ? "}" : "");
}

/* --- the whole ------------------------------------------------------------------------------------ */

int queue_dump(int argc, char **argv)
{
	static const struct option options[] = {
		{ "records", no_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "content", no_argument, NULL, 'c' },
		{ "from", required_argument, NULL, 'f' },
		{ 0 },
	};
	const char *from = NULL;
	struct history_message *m;
	char *name;
	int option;

	while ((option = getopt_long(argc, argv, "+j", options, NULL)) != -1) {
		if (option == '?')
			command_usage(NULL);
		if (option == 'f')
			from = optarg;
		dump.records |= option == 'r' || option == 'c';
		dump.json |= option == 'j';
		dump.content |= option == 'c';
	}
	dump.ids = argv + optind;
	queue_check_ids(dump.ids);
	dump.in.directory = queue_open_to_read(from, &name);
	dump.in.record = on_record;
	if (inspect_log(&dump.in) == -1)
		command_fail(COMMAND_UNAVAILABLE, "%s/log: %s", name, strerror(errno));
	free(name);
	history_settle(&dump.history, dump.in.oldest);
	RB_FOREACH(m, history_tree, &dump.history.messages)
		put_message(m);
	if (dump.in.fault_count > 0)
		log_warning("the log is damaged, and some records are not shown; gatepost queue "
			    "verify says more");
	history_clear(&dump.history);
	inspect_clear(&dump.in);
	if (fflush(stdout) != 0)
		command_fail(COMMAND_SOFTWARE, "write error: %s", strerror(errno));
	return 0;
}
