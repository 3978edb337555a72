/* SPDX-License-Identifier: ISC */
/*
 * smtpd_main.c - the SMTP server.
 */
#include "smtpd/smtpd.h"

struct smtpd_settings settings;

#define ROW(member) CONF_SETTING(struct smtpd_settings, member, #member)

static const struct conf_setting rows[] = {
	ROW(myhostname),
	ROW(smtpd_banner),
	ROW(mynetworks),
	ROW(smtpd_discard_ehlo_keywords),
	ROW(smtpd_forbid_bare_newline),
	ROW(smtpd_forbid_bare_newline_exclusions),
	ROW(smtpd_forbidden_commands),
	ROW(smtpd_noop_commands),
	ROW(smtpd_relay_restrictions),
	ROW(smtpd_recipient_restrictions),
	ROW(cleanup_service_name),
	ROW(rewrite_service_name),
	ROW(smtpd_timeout),
	ROW(smtpd_error_sleep_time),
	ROW(smtpd_soft_error_limit),
	ROW(smtpd_hard_error_limit),
	ROW(smtpd_junk_command_limit),
	ROW(smtpd_recipient_limit),
	ROW(smtpd_recipient_overshoot_limit),
	ROW(message_size_limit),
	ROW(line_length_limit),
	ROW(smtpd_forbid_bare_newline_reject_code),
	ROW(unknown_local_recipient_reject_code),
	ROW(unknown_virtual_alias_reject_code),
	ROW(unknown_virtual_mailbox_reject_code),
	ROW(unknown_relay_recipient_reject_code),
	ROW(smtpd_helo_required),
	ROW(disable_vrfy_command),
	ROW(strict_rfc821_envelopes),
	ROW(smtpd_reject_unlisted_recipient),
	ROW(smtpd_client_port_logging),
	ROW(show_user_unknown_table_name),
	ROW(smtpd_peername_lookup),
	ROW(local_header_rewrite_clients),
	ROW(reject_code),
	ROW(defer_code),
	ROW(relay_domains_reject_code),
	ROW(smtpd_forbid_unauth_pipelining),
	ROW(smtpd_client_connection_count_limit),
	ROW(smtpd_client_event_limit_exceptions),
	ROW(smtpd_per_request_deadline),
	ROW(smtpd_min_data_rate),
	ROW(soft_bounce),
	{ 0 },
};

static void open_tables(void)
{
	policy_open();
	commands_open();
}

static const struct service smtpd = {
	.name = "smtpd",
	.role = ROLE_SMTPD,
	.settings = rows,
	.settings_out = &settings,
	.open = open_tables,
	.session = session_run,
	.drain = session_drain,
};

int main(int argc, char **argv)
{
	return service_main(&smtpd, argc, argv);
}
