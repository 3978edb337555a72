/* SPDX-License-Identifier: ISC */
/*
 * cleanup.h - what the admission of a message needs to know.
 */
#ifndef GP_CLEANUP_H
#define GP_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc/channel.h"

/* Parameters of main.cf by their own names. */
struct cleanup_settings {
	const char *myhostname, *mail_name;
	const char *message_drop_headers, *undisclosed_recipients_header;
	const char *remote_header_rewrite_domain;
	const char *rewrite_service_name, *queue_service_name;
	bool always_add_missing_headers, enable_original_recipient, append_dot_mydomain;
	int64_t hopcount_limit, message_size_limit, header_size_limit;
	int64_t duplicate_filter_limit, ipc_timeout;
};
extern struct cleanup_settings cleanup_settings;

extern const struct handler cleanup_handlers[];

#endif
