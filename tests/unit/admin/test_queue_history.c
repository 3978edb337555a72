/* SPDX-License-Identifier: ISC */
/*
 * Records in their order tell what became of a message; a record that contradicts the ones before it is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/queue_history.h"
#include "common/base/mem.h"

enum { RCPTS = 2, NONE = 9 };

/* A record: its type, and for MESSAGE and STATUS the states of both recipients (NONE: not told), for STATUS
 * whether it is the last one. */
struct step {
	enum record_type type;
	uint64_t state[RCPTS];
	uint64_t last;
};

static const char *take(struct history *h, const struct step *s)
{
	struct slice texts[RCPTS] = { SLICE("a@b"), SLICE("c@d") };
	uint64_t index[RCPTS], state[RCPTS];
	size_t count = 0;
	struct record_message message = { .put = {
					      .id = SLICE("4jZ"), .address = { texts, RCPTS } } };
	struct record_status status = { .id = SLICE("4jZ"), .last = s->last };
	struct record_note note = { SLICE("4jZ") };
	struct inspect_record r = { .type = s->type, .segment = 1, .record = &note };

	for (size_t i = 0; i < RCPTS; i++)
		if (s->state[i] != NONE) {
			index[count] = i;
			state[count++] = s->state[i];
		}
	message.state = (struct wire_numbers){ state, count };
	status.index = (struct wire_numbers){ index, count };
	status.state = (struct wire_numbers){ state, count };
	if (s->type == RECORD_MESSAGE)
		r.record = &message;
	if (s->type == RECORD_STATUS)
		r.record = &status;
	return history_take(h, &r);
}

enum { QUEUED = RCPT_QUEUED, DEFERRED = RCPT_DEFERRED, SENT = RCPT_DELIVERED, BACK = RCPT_BOUNCED };

static const struct {
	struct step steps[4];
	const char *why; /* of the last step */
	enum message_fate fate;
	uint64_t count[STATE_COUNT]; /* queued, deferred, delivered, bounced, removed */
} cases[] = {
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 } }, NULL, FATE_QUEUED, { 2 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, DEFERRED }, 0 },
	      { RECORD_STATUS, { NONE, BACK }, 1 } },
	    NULL, FATE_DONE, { 0, 0, 1, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, NONE }, 0 },
	      { RECORD_DONE, { NONE, NONE }, 0 } },
	    NULL, FATE_REMOVED, { 0, 0, 1, 0, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_DONE, { NONE, NONE }, 0 },
	      { RECORD_MESSAGE, { QUEUED, SENT }, 0 } },
	    NULL, FATE_QUEUED, { 1, 0, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, NONE }, 0 },
	      { RECORD_MESSAGE, { SENT, QUEUED }, 0 } },
	    NULL, FATE_QUEUED, { 1, 0, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, NONE }, 0 },
	      { RECORD_MESSAGE, { DEFERRED, QUEUED }, 0 } },
	    "forgot that a recipient is done", FATE_QUEUED, { 1, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, NONE }, 0 },
	      { RECORD_STATUS, { DEFERRED, NONE }, 0 } },
	    "is open again", FATE_QUEUED, { 1, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, NONE }, 1 } },
	    "recipients are open", FATE_DONE, { 1, 0, 1 } },
	{ { { RECORD_MESSAGE, { QUEUED, QUEUED }, 0 }, { RECORD_STATUS, { SENT, BACK }, 0 } },
	    "is not called done", FATE_QUEUED, { 0, 0, 1, 1 } },
};

static void records_in_their_order_tell_each_recipients_state(void **fixture)
{
	(void)fixture;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct history h = { 0 };
		uint64_t count[STATE_COUNT] = { 0 };
		struct history_message *m;
		const char *why = NULL;

		for (size_t k = 0; k < 4 && cases[i].steps[k].type != 0; k++) {
			assert_null(why);
			why = take(&h, &cases[i].steps[k]);
		}
		assert_int_equal(why != NULL, cases[i].why != NULL);
		assert_true(why == NULL || strstr(why, cases[i].why) != NULL);
		m = history_find(&h, SLICE("4jZ"));
		assert_non_null(m);
		assert_int_equal(m->fate, cases[i].fate);
		history_count(m, count);
		assert_memory_equal(count, cases[i].count, sizeof(count));
		history_clear(&h);
	}
}

static void what_lies_in_freed_segments_is_forgotten(void **fixture)
{
	struct history h = { 0 };

	(void)fixture;
	assert_null(take(&h, &cases[0].steps[0]));
	history_settle(&h, 1);
	assert_non_null(history_find(&h, SLICE("4jZ")));
	history_settle(&h, 2);
	assert_null(history_find(&h, SLICE("4jZ")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_in_their_order_tell_each_recipients_state),
		cmocka_unit_test(what_lies_in_freed_segments_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
