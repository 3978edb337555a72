/* SPDX-License-Identifier: ISC */
/*
 * channel_input.c - frames as they come: their headers are checked, their descriptors found, and each
 * goes to its request.
 *
 * The peer may have been taken over: every function here that returns text says which rule it broke.
 * Frames of a request that is no longer known are dropped: they crossed with its end.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/ipc/internal.h"
#include "common/ipc/messages.h"
#include "common/base/mem.h"

/* A frame without message. */
static const char *control_frame(struct channel *c, struct request *r, unsigned flags,
    struct slice bytes)
{
	uint32_t credit;

	if (flags & FRAME_DRAIN) {
		/* The echo says: what was opened before is all there is. */
		if (c->sent_drain)
			c->drain_heard = true;
		else
			channel_output_drain(c);
		c->is_draining = true;
		return NULL;
	}
	if (flags & FRAME_GIVE_UP) {
		if (r != NULL)
			request_heard_give_up(r);
		return NULL;
	}
	if (!(flags & FRAME_CREDIT) || bytes.len != sizeof(credit))
		return "a frame without type";
	memcpy(&credit, bytes.data, sizeof(credit));
	if (r != NULL)
		request_return_credit(r, le32toh(credit));
	return NULL;
}

static int take_fd(struct channel *c)
{
	int fd;

	if (c->in_fds_count == 0)
		return -1;
	fd = c->in_fds[0];
	c->in_fds_count--;
	memmove(c->in_fds, c->in_fds + 1, c->in_fds_count * sizeof(int));
	return fd;
}

static struct item *item_new(const struct wire_table *table, bool last, struct slice bytes)
{
	struct item *item = malloc(sizeof(*item) + bytes.len + 1);

	if (item == NULL)
		panic("no memory for a frame of %zu bytes", bytes.len);
	item->table = table;
	item->fd = -1;
	item->last = last;
	item->len = bytes.len;
	memcpy(item->bytes, bytes.data, bytes.len);
	item->bytes[bytes.len] = '\0';
	return item;
}

/* Takes the item, unless it says what is wrong. */
static const char *hand_over(struct channel *c, struct request *r, unsigned flags, uint32_t id,
    struct item *item)
{
	const unsigned opens = FRAME_FIRST | FRAME_FROM_OPENER;

	if ((flags & FRAME_HAS_FD) && (item->fd = take_fd(c)) == -1)
		return "a descriptor is missing";
	if ((flags & opens) == opens)
		return request_begin(c, id, item);
	if (r != NULL)
		return request_continue(r, item);
	item_free(item);
	return NULL;
}

static const char *frame_came(struct channel *c, uint16_t type, unsigned flags, uint32_t id,
    struct slice bytes)
{
	struct request *r = request_find(c, id, !(flags & FRAME_FROM_OPENER));
	const struct wire_table *table = message_of_type(type);
	struct item *item;
	const char *why;

	if (type == 0)
		return control_frame(c, r, flags, bytes);
	if (table == NULL)
		return "a message of unknown type";
	if ((flags & FRAME_HAS_FD) && !table->takes_fd)
		return "a descriptor where none belongs";
	item = item_new(table, flags & FRAME_LAST, bytes);
	why = hand_over(c, r, flags, id, item);
	if (why != NULL)
		item_free(item);
	return why;
}

/* Takes whole frames off the input; *taken: how many bytes they were. */
static const char *take_frames(struct channel *c, struct slice in, size_t *taken)
{
	const char *why = NULL;
	size_t at = 0;

	while (why == NULL && in.len - at >= HEADER_SIZE) {
		const char *header = in.data + at;
		uint32_t length, id;
		uint16_t type, flags;

		memcpy(&length, header, 4);
		memcpy(&type, header + 4, 2);
		memcpy(&flags, header + 6, 2);
		memcpy(&id, header + 8, 4);
		length = le32toh(length);
		if (length < HEADER_SIZE || length > CHANNEL_FRAME_LIMIT ||
		    (le16toh(flags) & ~(unsigned)FRAME_FLAGS))
			return "a frame with a bad header";
		if (in.len - at < length)
			break;
		why = frame_came(c, le16toh(type), le16toh(flags), le32toh(id),
		    slice_new(header + HEADER_SIZE, length - HEADER_SIZE));
		at += length;
	}
	*taken = at;
	/* A descriptor comes with the first byte of its frame. */
	if (why == NULL && at == in.len && c->in_fds_count > 0)
		why = "a descriptor without a frame";
	return why;
}

static bool keep_in_fd(struct channel *c, int fd)
{
	if (fd == -1)
		return true;
	if (c->in_fds_count == PENDING_FDS) {
		close(fd);
		return false;
	}
	c->in_fds[c->in_fds_count++] = fd;
	return true;
}

void channel_input_forget(struct channel *c)
{
	while (c->in_fds_count > 0)
		close(c->in_fds[--c->in_fds_count]);
}

int channel_input_read(struct channel *c)
{
	static char shared[READ_SIZE]; /* most reads end with a frame: nothing of them is kept */
	bool begins = c->in.len == 0;
	const char *why = NULL;
	size_t taken = 0;
	int fd = -1;
	ssize_t got = io_receive_fd(c->fd, begins ? shared : buf_reserve(&c->in, READ_SIZE),
	    READ_SIZE, &fd);

	if (got == -1 && errno == EINTR)
		return 1;
	if (got == -1 && errno == EAGAIN)
		return 0;
	if (got <= 0)
		return -1;
	if (!begins)
		c->in.len += (size_t)got;
	if (!keep_in_fd(c, fd))
		why = "too many descriptors";
	else
		why = take_frames(c, begins ? slice_new(shared, (size_t)got) : buf_slice(&c->in),
		    &taken);
	if (why != NULL) {
		channel_broke_a_rule(c, why);
		return -1;
	}
	if (begins)
		buf_append(&c->in, shared + taken, (size_t)got - taken);
	else
		buf_consume(&c->in, taken);
	if (c->in.len == 0 && c->in.size > 0)
		buf_clear(&c->in);
	return c->is_closed ? -1 : 1;
}
