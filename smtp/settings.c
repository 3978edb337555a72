/* SPDX-License-Identifier: ISC */
/*
 * settings.c - one struct, filled from smtp_* or from lmtp_*.
 */
#include "smtp/settings.h"

#include "smtp/smtp.h"

#define MEMBER(member, parameter) CONF_SETTING(struct client_settings, member, parameter)
#define COMMON                                                                                     \
	MEMBER(myhostname, "myhostname"), MEMBER(inet_interfaces, "inet_interfaces"),              \
	    MEMBER(inet_protocols, "inet_protocols")

struct client_settings client_settings;

const struct conf_setting smtp_settings[] = {
	COMMON,
	MEMBER(ignore_mx_lookup_error, "ignore_mx_lookup_error"),
	MEMBER(address_preference, "smtp_address_preference"),
	MEMBER(always_send_ehlo, "smtp_always_send_ehlo"),
	MEMBER(bind_address, "smtp_bind_address"),
	MEMBER(bind_address6, "smtp_bind_address6"),
	MEMBER(connect_timeout, "smtp_connect_timeout"),
	MEMBER(connection_cache_on_demand, "smtp_connection_cache_on_demand"),
	MEMBER(connection_cache_time_limit, "smtp_connection_cache_time_limit"),
	MEMBER(connection_reuse_count_limit, "smtp_connection_reuse_count_limit"),
	MEMBER(connection_reuse_time_limit, "smtp_connection_reuse_time_limit"),
	MEMBER(data_done_timeout, "smtp_data_done_timeout"),
	MEMBER(data_init_timeout, "smtp_data_init_timeout"),
	MEMBER(data_xfer_timeout, "smtp_data_xfer_timeout"),
	MEMBER(defer_if_no_mx_address_found, "smtp_defer_if_no_mx_address_found"),
	MEMBER(discard_ehlo_keywords, "smtp_discard_ehlo_keywords"),
	MEMBER(fallback_relay, "smtp_fallback_relay"),
	MEMBER(helo_name, "smtp_helo_name"),
	MEMBER(helo_timeout, "smtp_helo_timeout"),
	MEMBER(mail_timeout, "smtp_mail_timeout"),
	MEMBER(mx_address_limit, "smtp_mx_address_limit"),
	MEMBER(mx_session_limit, "smtp_mx_session_limit"),
	MEMBER(never_send_ehlo, "smtp_never_send_ehlo"),
	MEMBER(quit_timeout, "smtp_quit_timeout"),
	MEMBER(randomize_addresses, "smtp_randomize_addresses"),
	MEMBER(rcpt_timeout, "smtp_rcpt_timeout"),
	MEMBER(rset_timeout, "smtp_rset_timeout"),
	MEMBER(skip_5xx_greeting, "smtp_skip_5xx_greeting"),
	MEMBER(skip_quit_response, "smtp_skip_quit_response"),
	MEMBER(tcp_port, "smtp_tcp_port"),
	{ 0 },
};

const struct conf_setting lmtp_settings[] = {
	COMMON,
	MEMBER(address_preference, "lmtp_address_preference"),
	MEMBER(bind_address, "lmtp_bind_address"),
	MEMBER(bind_address6, "lmtp_bind_address6"),
	MEMBER(connect_timeout, "lmtp_connect_timeout"),
	MEMBER(connection_cache_on_demand, "lmtp_connection_cache_on_demand"),
	MEMBER(connection_cache_time_limit, "lmtp_connection_cache_time_limit"),
	MEMBER(connection_reuse_count_limit, "lmtp_connection_reuse_count_limit"),
	MEMBER(connection_reuse_time_limit, "lmtp_connection_reuse_time_limit"),
	MEMBER(data_done_timeout, "lmtp_data_done_timeout"),
	MEMBER(data_init_timeout, "lmtp_data_init_timeout"),
	MEMBER(data_xfer_timeout, "lmtp_data_xfer_timeout"),
	MEMBER(discard_ehlo_keywords, "lmtp_discard_lhlo_keywords"),
	MEMBER(fallback_relay, "lmtp_fallback_relay"),
	MEMBER(helo_name, "lmtp_lhlo_name"),
	MEMBER(helo_timeout, "lmtp_lhlo_timeout"),
	MEMBER(mail_timeout, "lmtp_mail_timeout"),
	MEMBER(mx_address_limit, "lmtp_mx_address_limit"),
	MEMBER(mx_session_limit, "lmtp_mx_session_limit"),
	MEMBER(quit_timeout, "lmtp_quit_timeout"),
	MEMBER(randomize_addresses, "lmtp_randomize_addresses"),
	MEMBER(rcpt_timeout, "lmtp_rcpt_timeout"),
	MEMBER(rset_timeout, "lmtp_rset_timeout"),
	MEMBER(skip_5xx_greeting, "lmtp_skip_5xx_greeting"),
	MEMBER(skip_quit_response, "lmtp_skip_quit_response"),
	MEMBER(tcp_port, "lmtp_tcp_port"),
	{ 0 },
};
