/* SPDX-License-Identifier: ISC */
/*
 * act.c - packets between worker, monitor and agents.
 */
#include "local/act.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/messages.h"

/* Each packet has a member that is always there: one of no bytes would look like a hang-up. */
static const struct wire_member become_members[] = {
	WIRE(struct act_become, 1, user, WIRE_REQUIRED | WIRE_CLEAN, 255),
};
static const struct wire_member agent_members[] = {
	WIRE(struct act_agent, 1, dsn, WIRE_REQUIRED | WIRE_CLEAN, 16),
	WIRE(struct act_agent, 2, why, WIRE_CLEAN, TEXT_LIMIT),
};
static const struct wire_member request_members[] = {
	WIRE(struct act_request, 1, action, WIRE_REQUIRED, ACT_TARGET),
	WIRE(struct act_request, 2, target, WIRE_CLEAN, TEXT_LIMIT),
	WIRE(struct act_request, 3, id, WIRE_REQUIRED | WIRE_CLEAN, ID_LIMIT),
	WIRE(struct act_request, 4, sender, WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 5, recipient, WIRE_REQUIRED | WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 6, original, WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 7, local, WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 8, extension, WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 9, domain, WIRE_CLEAN, ADDRESS_LIMIT),
	WIRE(struct act_request, 10, arrival_us, WIRE_OPTIONAL, INT64_MAX),
	WIRE(struct act_request, 11, index, WIRE_OPTIONAL, UINT32_MAX),
	WIRE(struct act_request, 12, in_doubt, WIRE_OPTIONAL, 1),
	WIRE(struct act_request, 13, content, WIRE_OPTIONAL, CHUNK_LIMIT),
	WIRE(struct act_request, 14, content_offset, WIRE_OPTIONAL, INT64_MAX),
	WIRE(struct act_request, 15, content_size, WIRE_OPTIONAL, INT64_MAX),
	WIRE(struct act_request, 16, client_name, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct act_request, 17, client_address, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct act_request, 18, client_helo, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct act_request, 19, protocol, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct act_request, 20, envid, WIRE_CLEAN, NAME_LIMIT),
	WIRE(struct act_request, 21, serial, WIRE_REQUIRED, UINT64_MAX),
};
static const struct wire_member reply_members[] = {
	WIRE(struct act_reply, 1, outcome, WIRE_REQUIRED, OUTCOME_BOUNCED),
	WIRE(struct act_reply, 2, dsn, WIRE_REQUIRED | WIRE_CLEAN, 16),
	WIRE(struct act_reply, 3, text, WIRE_CLEAN, TEXT_LIMIT),
	WIRE(struct act_reply, 4, forward, WIRE_CLEAN, ACT_FORWARD_COUNT),
	WIRE(struct act_reply, 5, serial, WIRE_REQUIRED, UINT64_MAX),
	WIRE(struct act_reply, 6, more, WIRE_OPTIONAL, 1),
	WIRE(struct act_reply, 7, renew, WIRE_OPTIONAL, 1),
	WIRE(struct act_reply, 8, ran_command, WIRE_OPTIONAL, 1),
};

const struct wire_table table_act_become = WIRE_TABLE("act_become", 0x0701, struct act_become,
    become_members, false);
const struct wire_table table_act_agent = WIRE_TABLE("act_agent", 0x0702, struct act_agent,
    agent_members, true);
const struct wire_table table_act_request = WIRE_TABLE("act_request", 0x0703, struct act_request,
    request_members, true);
const struct wire_table table_act_reply = WIRE_TABLE("act_reply", 0x0704, struct act_reply,
    reply_members, false);

int act_send(int socket, const struct wire_table *table, const void *message, int fd)
{
	struct buf bytes = { 0 };
	const char *why;
	ssize_t sent;

	if (!wire_encode(table, message, &bytes, &why)) {
		buf_clear(&bytes);
		errno = EINVAL;
		return -1;
	}
	do
		sent = io_send_fd(socket, bytes.data == NULL ? "" : bytes.data, bytes.len, fd);
	while (sent == -1 && errno == EINTR);
	buf_clear(&bytes);
	return sent == -1 ? -1 : 0;
}

int act_receive(int socket, const struct wire_table *table, void *message, struct arena *arena,
    char *bytes, int *fd)
{
	const char *why;
	ssize_t got;

	do
		got = io_receive_fd(socket, bytes, ACT_PACKET_LIMIT, fd);
	while (got == -1 && errno == EINTR);
	if (got <= 0)
		return (int)got;
	if ((*fd == -1 || table->takes_fd) &&
	    wire_decode(table, slice_new(bytes, (size_t)got), message, arena, &why))
		return 1;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = EBADMSG;
	return -1;
}
