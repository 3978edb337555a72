/* SPDX-License-Identifier: ISC */
/*
 * messages.c - the members of each message, with their limits. A tag or type, once released, is never
 * given to anything else.
 */
#include "common/ipc/messages.h"

#include <stddef.h>

#include "common/log/log.h"

enum { O = WIRE_OPTIONAL, R = WIRE_REQUIRED, CLEAN = WIRE_CLEAN, RC = WIRE_REQUIRED | WIRE_CLEAN };
#define ANY UINT64_MAX

static const struct wire_member admit_members[] = {
	WIRE(struct msg_admit, 1, id, RC, ID_LIMIT),
	WIRE(struct msg_admit, 2, arrival_us, R, ANY),
	WIRE(struct msg_admit, 3, sender, RC, ADDRESS_LIMIT),
	WIRE(struct msg_admit, 4, client_name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 5, client_address, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 6, client_port, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 7, client_helo, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 8, protocol, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 9, received_by, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 10, flags, O, ANY),
	WIRE(struct msg_admit, 11, declared_size, O, ANY),
	WIRE(struct msg_admit, 12, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_admit, 13, ret, O, 2),
	WIRE(struct msg_admit, 14, delivered_to, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_admit, 15, full_name, CLEAN, NAME_LIMIT),
};
static const struct wire_member rcpts_members[] = {
	WIRE(struct msg_rcpts, 1, address, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_rcpts, 2, original, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_rcpts, 3, orcpt, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_rcpts, 4, notify, R, RCPTS_PER_FRAME),
};
static const struct wire_member data_members[] = {
	WIRE(struct msg_data, 1, data, R, CHUNK_LIMIT),
};
static const struct wire_member end_members[] = {
	WIRE(struct msg_end, 1, size, R, ANY),
};
static const struct wire_member reply_members[] = {
	WIRE(struct msg_reply, 1, code, R, 599),
	WIRE(struct msg_reply, 2, enhanced, CLEAN, 16),
	WIRE(struct msg_reply, 3, text, CLEAN, TEXT_LIMIT),
};
static const struct wire_member store_members[] = {
	WIRE(struct msg_store, 1, id, RC, ID_LIMIT),
	WIRE(struct msg_store, 2, arrival_us, R, ANY),
	WIRE(struct msg_store, 3, sender, RC, ADDRESS_LIMIT),
	WIRE(struct msg_store, 4, flags, O, ANY),
	WIRE(struct msg_store, 5, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 6, ret, O, 2),
	WIRE(struct msg_store, 7, client_name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 8, client_address, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 9, client_port, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 10, client_helo, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 11, protocol, CLEAN, NAME_LIMIT),
	WIRE(struct msg_store, 12, message_id, CLEAN, NAME_LIMIT),
};
static const struct wire_member large_wanted_members[] = {
	WIRE(struct msg_large_wanted, 1, expected_size, O, ANY),
};
static const struct wire_member large_file_members[] = {
	WIRE(struct msg_large_file, 1, limit, O, ANY),
};
static const struct wire_member large_done_members[] = {
	WIRE(struct msg_large_done, 1, size, R, ANY),
};
static const struct wire_member deliver_members[] = {
	WIRE(struct msg_deliver, 1, id, RC, ID_LIMIT),
	WIRE(struct msg_deliver, 2, sender, RC, ADDRESS_LIMIT),
	WIRE(struct msg_deliver, 3, transport, RC, NAME_LIMIT),
	WIRE(struct msg_deliver, 4, nexthop, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 5, arrival_us, R, ANY),
	WIRE(struct msg_deliver, 6, active_us, R, ANY),
	WIRE(struct msg_deliver, 7, content, O, CHUNK_LIMIT),
	WIRE(struct msg_deliver, 8, content_size, R, ANY),
	WIRE(struct msg_deliver, 9, content_offset, O, ANY),
	WIRE(struct msg_deliver, 10, flags, O, ANY),
	WIRE(struct msg_deliver, 11, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 12, ret, O, 2),
	WIRE(struct msg_deliver, 13, index, R, RCPTS_PER_FRAME),
	WIRE(struct msg_deliver, 14, address, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_deliver, 15, original, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_deliver, 16, orcpt, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_deliver, 17, notify, R, RCPTS_PER_FRAME),
	WIRE(struct msg_deliver, 18, client_name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 19, client_address, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 20, client_port, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 21, client_helo, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 22, protocol, CLEAN, NAME_LIMIT),
	WIRE(struct msg_deliver, 23, in_doubt, O, 1),
};
static const struct wire_member outcomes_members[] = {
	WIRE(struct msg_outcomes, 1, index, R, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 2, outcome, R, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 3, dsn, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 4, text, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 5, destination_down, O, 1),
	WIRE(struct msg_outcomes, 6, remote, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 7, diagnostic, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_outcomes, 8, success, O, RCPTS_PER_FRAME),
};
static const struct wire_member heard_members[] = {
	WIRE(struct msg_heard, 1, count, O, RCPTS_PER_FRAME),
};
static const struct wire_member agents_members[] = {
	WIRE(struct msg_agents, 1, reason, O, ANY),
};
static const struct wire_member reclaim_members[] = {
	WIRE(struct msg_reclaim, 1, limit, R, RECLAIM_LIMIT),
};
static const struct wire_member reclaimed_members[] = {
	WIRE(struct msg_reclaimed, 1, id, CLEAN, RECLAIM_LIMIT),
};
static const struct wire_member dns_members[] = {
	WIRE(struct msg_dns, 1, name, RC, 255),
	WIRE(struct msg_dns, 2, type, R, UINT16_MAX),
};
static const struct wire_member dns_answer_members[] = {
	WIRE(struct msg_dns_answer, 1, status, R, DNS_BAD_NAME),
	WIRE(struct msg_dns_answer, 2, secure, O, 1),
	WIRE(struct msg_dns_answer, 3, ttl, O, 86400),
	WIRE(struct msg_dns_answer, 4, canonical, CLEAN, 255),
	WIRE(struct msg_dns_answer, 5, preference, O, DNS_ANSWER_LIMIT),
	WIRE(struct msg_dns_answer, 6, data, CLEAN, DNS_ANSWER_LIMIT),
	WIRE(struct msg_dns_answer, 7, why, CLEAN, TEXT_LIMIT),
};
static const struct wire_member dial_members[] = {
	WIRE(struct msg_dial, 1, path, RC, NAME_LIMIT),
};
static const struct wire_member dialed_members[] = {
	WIRE(struct msg_dialed, 1, error, O, INT32_MAX),
	WIRE(struct msg_dialed, 2, why, CLEAN, TEXT_LIMIT),
};
static const struct wire_member notice_members[] = {
	WIRE(struct msg_notice, 1, kind, R, NOTICE_VERIFY),
	WIRE(struct msg_notice, 2, id, RC, ID_LIMIT),
	WIRE(struct msg_notice, 3, sender, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_notice, 4, arrival_us, O, ANY),
	WIRE(struct msg_notice, 5, flags, O, ANY),
	WIRE(struct msg_notice, 6, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_notice, 7, ret, O, 2),
	WIRE(struct msg_notice, 8, content, O, CHUNK_LIMIT),
	WIRE(struct msg_notice, 9, content_size, O, ANY),
	WIRE(struct msg_notice, 10, content_offset, O, ANY),
	WIRE(struct msg_notice, 11, retry_until_us, O, ANY),
	WIRE(struct msg_notice, 12, cleared, O, 1),
};
static const struct wire_member notice_rcpts_members[] = {
	WIRE(struct msg_notice_rcpts, 1, address, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 2, original, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 3, orcpt, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 4, notify, R, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 5, dsn, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 6, reason, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 7, remote, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 8, diagnostic, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_notice_rcpts, 9, success, R, RCPTS_PER_FRAME),
};
static const struct wire_member submit_members[] = {
	WIRE(struct msg_submit, 1, sender, RC, ADDRESS_LIMIT),
	WIRE(struct msg_submit, 2, full_name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_submit, 3, flags, O, ANY),
	WIRE(struct msg_submit, 4, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_submit, 5, ret, O, 2),
};
static const struct wire_member resolve_members[] = {
	WIRE(struct msg_resolve, 1, sender, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_resolve, 2, address, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_resolve, 3, validate, O, 1),
};
static const struct wire_member resolved_members[] = {
	WIRE(struct msg_resolved, 1, status, R, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 2, class, R, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 3, transport, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 4, nexthop, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 5, recipient, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 6, why, RC, RCPTS_PER_FRAME),
	WIRE(struct msg_resolved, 7, known, O, RCPTS_PER_FRAME),
};
static const struct wire_member expand_members[] = {
	WIRE(struct msg_expand, 1, local, O, 1),
	WIRE(struct msg_expand, 2, address, RC, RCPTS_PER_FRAME),
};
static const struct wire_member expanded_members[] = {
	WIRE(struct msg_expanded, 1, status, R, RESOLVE_PERMANENT),
	WIRE(struct msg_expanded, 2, why, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_expanded, 3, address, CLEAN, EXPANSION_LIMIT),
	WIRE(struct msg_expanded, 4, origin, O, EXPANSION_LIMIT),
};
static const struct wire_member rewrite_members[] = {
	WIRE(struct msg_rewrite, 1, local, O, 1),
	WIRE(struct msg_rewrite, 2, address, RC, RCPTS_PER_FRAME),
};
static const struct wire_member rewritten_members[] = {
	WIRE(struct msg_rewritten, 1, address, RC, RCPTS_PER_FRAME),
};
static const struct wire_member lookup_members[] = {
	WIRE(struct msg_lookup, 1, table, RC, NAME_LIMIT),
	WIRE(struct msg_lookup, 2, key, CLEAN, TEXT_LIMIT),
};
static const struct wire_member looked_up_members[] = {
	WIRE(struct msg_looked_up, 1, found, R, FOUND_ERROR),
	WIRE(struct msg_looked_up, 2, value, O, CHUNK_LIMIT),
};
static const struct wire_member user_members[] = {
	WIRE(struct msg_user, 1, name, RC, NAME_LIMIT),
};
static const struct wire_member user_info_members[] = {
	WIRE(struct msg_user_info, 1, found, R, FOUND_ERROR),
	WIRE(struct msg_user_info, 2, uid, O, UINT32_MAX),
	WIRE(struct msg_user_info, 3, gid, O, UINT32_MAX),
	WIRE(struct msg_user_info, 4, name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_user_info, 5, home, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_user_info, 6, shell, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_user_info, 7, gecos, CLEAN, TEXT_LIMIT),
};
static const struct wire_member list_members[] = {
	WIRE(struct msg_list, 1, limit, O, ANY),
};
static const struct wire_member list_entry_members[] = {
	WIRE(struct msg_list_entry, 1, queue, RC, NAME_LIMIT),
	WIRE(struct msg_list_entry, 2, id, RC, ID_LIMIT),
	WIRE(struct msg_list_entry, 3, arrival_us, O, ANY),
	WIRE(struct msg_list_entry, 4, size, O, ANY),
	WIRE(struct msg_list_entry, 5, sender, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_list_entry, 6, address, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_list_entry, 7, original, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_list_entry, 8, reason, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_list_entry, 9, continued, O, 1),
	WIRE(struct msg_list_entry, 10, expired, O, 1),
};
static const struct wire_member list_end_members[] = {
	WIRE(struct msg_list_end, 1, count, O, ANY),
};
static const struct wire_member ready_members[] = {
	WIRE(struct msg_ready, 1, sandbox, R, ANY),
	WIRE(struct msg_ready, 2, pid, O, INT32_MAX),
	WIRE(struct msg_ready, 3, uid, O, UINT32_MAX),
};
static const struct wire_member load_members[] = {
	WIRE(struct msg_load, 1, sessions, R, ANY),
	WIRE(struct msg_load, 2, limit, O, ANY),
	WIRE(struct msg_load, 3, served, O, ANY),
	WIRE(struct msg_load, 4, retire, O, 1),
};
static const struct wire_member connect_members[] = {
	WIRE(struct msg_connect, 1, service, RC, NAME_LIMIT),
};
static const struct wire_member connected_members[] = {
	WIRE(struct msg_connected, 1, role, R, 255),
	WIRE(struct msg_connected, 2, why, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_connected, 3, service, CLEAN, NAME_LIMIT),
};
static const struct wire_member accept_members[] = {
	WIRE(struct msg_accept, 1, role, R, 255),
	WIRE(struct msg_accept, 2, service, CLEAN, NAME_LIMIT),
	WIRE(struct msg_accept, 3, reclaims, O, 1),
};
static const struct wire_member drain_members[] = {
	WIRE(struct msg_drain, 1, reason, O, ANY),
};
static const struct wire_member wakeup_members[] = {
	WIRE(struct msg_wakeup, 1, reason, O, ANY),
};
static const struct wire_member admin_members[] = {
	WIRE(struct msg_admin, 1, verb, RC, NAME_LIMIT),
};
static const struct wire_member admin_line_members[] = {
	WIRE(struct msg_admin_line, 1, text, CLEAN, TEXT_LIMIT),
};
static const struct wire_member queue_order_members[] = {
	WIRE(struct msg_queue_order, 1, op, R, ORDER_EXPIRE_RELEASE),
	WIRE(struct msg_queue_order, 2, ids, CLEAN, IDS_PER_ORDER),
	WIRE(struct msg_queue_order, 3, site, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_queue_order, 4, all, O, 1),
	WIRE(struct msg_queue_order, 5, queues, CLEAN, 16),
	WIRE(struct msg_queue_order, 6, most, O, ANY),
	WIRE(struct msg_queue_order, 7, after, CLEAN, ID_LIMIT),
	WIRE(struct msg_queue_order, 8, until, CLEAN, ID_LIMIT),
};
static const struct wire_member queue_ordered_members[] = {
	WIRE(struct msg_queue_ordered, 1, count, R, ANY),
	WIRE(struct msg_queue_ordered, 2, error, O, IDS_PER_ORDER),
	WIRE(struct msg_queue_ordered, 3, why, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_queue_ordered, 4, forbidden, O, 1),
	WIRE(struct msg_queue_ordered, 5, looked_at, O, ANY),
	WIRE(struct msg_queue_ordered, 6, total, O, ANY),
	WIRE(struct msg_queue_ordered, 7, after, CLEAN, ID_LIMIT),
	WIRE(struct msg_queue_ordered, 8, until, CLEAN, ID_LIMIT),
	WIRE(struct msg_queue_ordered, 9, not_served, O, 1),
};
static const struct wire_member queue_read_members[] = {
	WIRE(struct msg_queue_read, 1, id, RC, ID_LIMIT),
	WIRE(struct msg_queue_read, 2, with_content, O, 1),
};
static const struct wire_member queue_message_members[] = {
	WIRE(struct msg_queue_message, 1, why, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_queue_message, 2, id, RC, ID_LIMIT),
	WIRE(struct msg_queue_message, 3, queue, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 4, sender, CLEAN, ADDRESS_LIMIT),
	WIRE(struct msg_queue_message, 5, arrival_us, O, ANY),
	WIRE(struct msg_queue_message, 6, due_us, O, ANY),
	WIRE(struct msg_queue_message, 7, flags, O, ANY),
	WIRE(struct msg_queue_message, 8, attempts, O, ANY),
	WIRE(struct msg_queue_message, 9, deaths, O, ANY),
	WIRE(struct msg_queue_message, 10, expired, O, 1),
	WIRE(struct msg_queue_message, 11, content_size, O, ANY),
	WIRE(struct msg_queue_message, 12, content, O, CHUNK_LIMIT),
	WIRE(struct msg_queue_message, 13, client_name, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 14, client_address, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 15, client_port, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 16, client_helo, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 17, protocol, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 18, envid, CLEAN, NAME_LIMIT),
	WIRE(struct msg_queue_message, 19, ret, O, 2),
	WIRE(struct msg_queue_message, 20, rcpt_count, O, ANY),
};
static const struct wire_member queue_clients_members[] = {
	WIRE(struct msg_queue_clients, 1, ids, CLEAN, RCPTS_PER_FRAME),
};
static const struct wire_member queue_clients_told_members[] = {
	WIRE(struct msg_queue_clients_told, 1, name, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_clients_told, 2, address, CLEAN, RCPTS_PER_FRAME),
};
static const struct wire_member queue_rcpts_members[] = {
	WIRE(struct msg_queue_rcpts, 1, address, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 2, original, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 3, orcpt, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 4, dsn, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 5, reason, CLEAN, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 6, notify, O, RCPTS_PER_FRAME),
	WIRE(struct msg_queue_rcpts, 7, done, O, RCPTS_PER_FRAME),
};
static const struct wire_member log_line_members[] = {
	WIRE(struct msg_log_line, 1, tag, RC, 64),
	WIRE(struct msg_log_line, 2, text, CLEAN, TEXT_LIMIT),
	WIRE(struct msg_log_line, 3, level, O, LOG_LEVEL_PANIC),
};
static const struct wire_member user_id_members[] = {
	WIRE(struct msg_user_id, 1, uid, R, UINT32_MAX),
};

#define DEFINE(name, type, fd)                                                                     \
	const struct wire_table table_##name = WIRE_TABLE(#name, type, struct msg_##name,          \
	    name##_members, fd);
ALL_MESSAGES(DEFINE)

#define POINTER(name, type, fd) &table_##name,
const struct wire_table *const messages[] = { ALL_MESSAGES(POINTER) NULL };

#define BY_TYPE(name, number, fd) [number] = &table_##name,
static const struct wire_table *const by_type[] = { ALL_MESSAGES(BY_TYPE) };

const struct wire_table *message_of_type(uint16_t type)
{
	return type < sizeof(by_type) / sizeof(by_type[0]) ? by_type[type] : NULL;
}
