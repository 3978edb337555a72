/* SPDX-License-Identifier: ISC */
/*
 * Any bytes from a client, as a whole session: it ends by itself, and what the client hears are lines
 * of printable ASCII that start with a reply code. rewrite knows every recipient; cleanup is away.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log/log.h"
#include "smtpd/smtpd.h"

enum { INPUT_LIMIT = 60000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct smtpd_settings settings;

/* --- the rest of the suite ------------------------------------------------------------------------- */

int service_ask(const char *entry, const struct wire_table *table, const void *message,
    const struct wire_table *wanted, void **reply, struct request **r, deadline when)
{
	static uint64_t ok = RESOLVE_OK, class = CLASS_LOCAL, known = KNOWN_YES;
	static struct slice nothing = { "", 0 };
	static struct msg_resolved answer = { { &ok, 1 }, { &class, 1 }, { &nothing, 1 },
		{ &nothing, 1 }, { &nothing, 1 }, { &nothing, 1 }, { &known, 1 } };

	(void)entry, (void)table, (void)message, (void)wanted, (void)when;
	*reply = &answer;
	*r = NULL;
	return 0;
}

struct channel *service_channel(const char *entry, deadline when)
{
	(void)entry, (void)when;
	return NULL;
}

unsigned service_draining(void)
{
	return 0;
}

deadline service_drain_deadline(void)
{
	return DEADLINE_NEVER;
}

int service_config_directory(void)
{
	return -1;
}

/* Nothing is told to a postmaster: no transcript goes out. */
struct conf *service_conf(void)
{
	return NULL;
}

void service_session_begin(void)
{
}

void service_session_end(void)
{
}

const char *service_entry_name(void)
{
	return "smtp";
}

uint32_t service_process_number(void)
{
	return 1;
}

/* --- the session ----------------------------------------------------------------------------------- */

static int log_ends[2];

static void set_up(void)
{
	settings = (struct smtpd_settings){ .myhostname = "h.example",
		.smtpd_banner = "h.example ESMTP",
		.mynetworks = "192.0.2.0/24",
		.smtpd_client_event_limit_exceptions = "",
		.smtpd_discard_ehlo_keywords = "",
		.local_header_rewrite_clients = "permit_inet_interfaces",
		.reject_code = 554,
		.defer_code = 450,
		.relay_domains_reject_code = 554,
		.smtpd_forbid_bare_newline = "reject",
		.smtpd_forbid_bare_newline_exclusions = "",
		.smtpd_forbidden_commands = "GET",
		.smtpd_noop_commands = "XNOOP",
		.smtpd_relay_restrictions = "reject_unauth_destination",
		.smtpd_recipient_restrictions = "",
		.cleanup_service_name = "cleanup",
		.rewrite_service_name = "rewrite",
		.smtpd_timeout = CLOCK_SECOND,
		.smtpd_soft_error_limit = 10,
		.smtpd_hard_error_limit = 200,
		.smtpd_junk_command_limit = 100,
		.smtpd_recipient_limit = 50,
		.smtpd_recipient_overshoot_limit = 50,
		.message_size_limit = 10000,
		.line_length_limit = 2048,
		.smtpd_forbid_bare_newline_reject_code = 550,
		.smtpd_min_data_rate = 500,
		.smtpd_per_request_deadline = true,
		.smtpd_peername_lookup = true };
	task_init();
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, log_ends) == -1)
		abort();
	log_to_socket(log_ends[0]);
	policy_open();
	commands_open();
}

static void run_session(void *arg)
{
	session_run(arg);
	task_stop();
}

static void check_replies(int fd)
{
	char text[65536];
	ssize_t len;

	while ((len = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < len; i++)
			if (text[i] != '\r' && text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_set_up;
	static char lines[65536];
	struct service_client client = { .port = 1 };
	int ends[2];

	if (!is_set_up)
		set_up();
	is_set_up = true;
	/* The first byte: who it is, and how strict we are. */
	if (size < 1 || size > INPUT_LIMIT ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return 0;
	net_address_parse(data[0] & 1 ? SLICE("192.0.2.1") : SLICE("2001:db8::1"), &client.address);
	settings.smtpd_helo_required = data[0] & 2;
	settings.strict_rfc821_envelopes = data[0] & 4;
	settings.smtpd_forbid_unauth_pipelining = data[0] & 8;
	client.fd = ends[0];
	if (write(ends[1], data + 1, size - 1) != (ssize_t)size - 1 ||
	    shutdown(ends[1], SHUT_WR) == -1 || task_start("session", run_session, &client) == NULL)
		abort();
	task_run();
	check_replies(ends[1]);
	close(ends[1]);
	while (recv(log_ends[1], lines, sizeof(lines), 0) > 0)
		;
	return 0;
}
