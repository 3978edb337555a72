/* SPDX-License-Identifier: ISC */
/*
 * test_queue_order.c - which queues an order means when it names some, or none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/mail/queue_order.h"

static void an_order_means_the_queues_where_it_makes_a_difference(void **state)
{
	enum {
		WAITING = QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED,
		ANY = WAITING | QUEUE_HOLD
	};
	static const struct {
		uint64_t op;
		const char *queues[2];
		unsigned meant;
	} rows[] = {
		{ ORDER_FLUSH, { NULL }, QUEUE_DEFERRED },
		{ ORDER_FLUSH, { "hold" }, 0 },
		{ ORDER_HOLD, { NULL }, WAITING },
		{ ORDER_HOLD, { "hold", "active" }, QUEUE_ACTIVE },
		{ ORDER_RELEASE, { NULL }, QUEUE_HOLD },
		{ ORDER_RELEASE, { "deferred" }, 0 },
		{ ORDER_DELETE, { NULL }, ANY },
		{ ORDER_DELETE, { "hold", "deferred" }, QUEUE_HOLD | QUEUE_DEFERRED },
		{ ORDER_DELETE, { "maildrop" }, 0 },
		{ ORDER_DELETE, { "" }, 0 },
		{ ORDER_REQUEUE, { "incoming" }, QUEUE_INCOMING },
		{ ORDER_EXPIRE, { NULL }, ANY },
		{ ORDER_EXPIRE_RELEASE, { "hold" }, QUEUE_HOLD },
		{ 0, { NULL }, 0 },
		{ ORDER_EXPIRE_RELEASE + 1, { "hold" }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct slice names[2];
		struct msg_queue_order o = { .op = rows[i].op, .queues = { names, 0 } };

		while (o.queues.count < 2 && rows[i].queues[o.queues.count] != NULL) {
			names[o.queues.count] = slice_of(rows[i].queues[o.queues.count]);
			o.queues.count++;
		}
		assert_int_equal(queue_order_queues(&o), rows[i].meant);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_means_the_queues_where_it_makes_a_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
