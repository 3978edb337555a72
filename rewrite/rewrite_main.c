/* SPDX-License-Identifier: ISC */
/*
 * rewrite_main.c - tells smtpd, cleanup, qmgr and the agents what an address means.
 */
#include "common/service/service.h"
#include "rewrite/requests.h"
#include "rewrite/rewrite.h"

#define ROW(member) CONF_SETTING(struct rewrite_settings, member, #member)

static const struct conf_setting settings[] = {
	ROW(myhostname),
	ROW(mydomain),
	ROW(myorigin),
	ROW(double_bounce_sender),
	ROW(mydestination),
	ROW(inet_interfaces),
	ROW(proxy_interfaces),
	ROW(virtual_alias_domains),
	ROW(virtual_alias_maps),
	ROW(virtual_mailbox_domains),
	ROW(virtual_mailbox_maps),
	ROW(relay_domains),
	ROW(relay_recipient_maps),
	ROW(local_recipient_maps),
	ROW(parent_domain_matches_subdomains),
	ROW(transport_maps),
	ROW(relayhost),
	ROW(local_transport),
	ROW(virtual_transport),
	ROW(relay_transport),
	ROW(default_transport),
	ROW(error_service_name),
	ROW(recipient_delimiter),
	ROW(empty_address_recipient),
	ROW(remote_header_rewrite_domain),
	ROW(propagate_unmatched_extensions),
	ROW(proxymap_service_name),
	ROW(append_at_myorigin),
	ROW(append_dot_mydomain),
	ROW(swap_bangpath),
	ROW(allow_min_user),
	ROW(allow_percent_hack),
	ROW(resolve_dequoted_address),
	ROW(resolve_null_domain),
	ROW(resolve_numeric_domain),
	ROW(show_user_unknown_table_name),
	ROW(virtual_alias_recursion_limit),
	ROW(virtual_alias_expansion_limit),
	ROW(virtual_alias_address_length_limit),
	ROW(ipc_timeout),
	{ 0 },
};

static const struct service rewrite = {
	.name = "rewrite",
	.role = ROLE_REWRITE,
	.settings = settings,
	.settings_out = &rewrite_settings,
	.handlers = rewrite_handlers,
	.open = tables_open_all,
};

int main(int argc, char **argv)
{
	return service_main(&rewrite, argc, argv);
}
