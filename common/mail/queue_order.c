/* SPDX-License-Identifier: ISC */
/*
 * queue_order.c - which queues of Postfix's an order for messages means. Here a message is in a queue by
 * its state alone.
 */
#include "common/mail/queue_order.h"

#include "common/base/mem.h"

enum { WAITING = QUEUE_INCOMING | QUEUE_ACTIVE | QUEUE_DEFERRED, ANY = WAITING | QUEUE_HOLD };

unsigned queue_order_bit(struct slice name)
{
	static const struct {
		const char *name;
		unsigned bit;
	} queues[] = {
		{ "incoming", QUEUE_INCOMING },
		{ "active", QUEUE_ACTIVE },
		{ "deferred", QUEUE_DEFERRED },
		{ "hold", QUEUE_HOLD },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(queues); i++)
		if (slice_equal(name, slice_of(queues[i].name)))
			return queues[i].bit;
	return 0;
}

unsigned queue_order_queues(const struct msg_queue_order *o)
{
	static const unsigned usual[] = {
		[ORDER_FLUSH] = QUEUE_DEFERRED,
		[ORDER_HOLD] = WAITING,
		[ORDER_RELEASE] = QUEUE_HOLD,
		[ORDER_REQUEUE] = ANY,
		[ORDER_DELETE] = ANY,
		[ORDER_EXPIRE] = ANY,
		[ORDER_EXPIRE_RELEASE] = ANY,
	};
	unsigned named = 0;

	if (o->op < ORDER_FLUSH || o->op > ORDER_EXPIRE_RELEASE)
		return 0;
	for (size_t i = 0; i < o->queues.count; i++)
		named |= queue_order_bit(o->queues.items[i]);
	return o->queues.count > 0 ? named & usual[o->op] : usual[o->op];
}
