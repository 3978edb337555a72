/* SPDX-License-Identifier: ISC */
/*
 * dialer_main.c - connects to UNIX sockets for processes that can reach no path, and passes them the
 * descriptor. It sends no byte itself.
 */
#include <errno.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/service/service.h"
#include "support/dialer.h"

enum { PATIENCE_SECONDS = 10 };

static struct dialer_settings {
	const char *config_directory, *queue_directory;
} settings;

static const struct conf_setting setting_rows[] = {
	CONF_SETTING(struct dialer_settings, config_directory, "config_directory"),
	CONF_SETTING(struct dialer_settings, queue_directory, "queue_directory"),
	{ 0 },
};

static struct dialer_endpoints endpoints;

static void open_endpoints(void)
{
	dialer_endpoints_read(&endpoints, service_conf(), service_config_directory(),
	    settings.config_directory);
}

/* The descriptor, or -1 and the message says why. */
static int find_and_connect(struct slice wanted, struct arena *arena, struct msg_dialed *m)
{
	const char *path = dialer_endpoints_find(&endpoints, wanted, settings.queue_directory);
	int fd;

	if (path == NULL) {
		m->error = EACCES;
		m->why = slice_of(arena_printf(arena,
		    "neither main.cf nor master.cf names this socket: add unix:%.*s to "
		    "dialer_endpoints",
		    (int)wanted.len, wanted.data));
		log_warning("%.*s", (int)m->why.len, m->why.data);
		return -1;
	}
	fd = dialer_connect(path, deadline_after(PATIENCE_SECONDS * CLOCK_SECOND));
	if (fd == -1) {
		m->error = (uint64_t)errno;
		m->why = slice_of(arena_printf(arena, "connect to %s: %s", path,
		    strerror((int)m->error)));
	}
	return fd;
}

static void dial(struct request *r, struct frame *first)
{
	struct msg_dial *question = first->message;
	struct msg_dialed answer = { 0 };
	int fd = find_and_connect(question->path, request_arena(r), &answer);

	request_send(r, &table_dialed, &answer, fd, true,
	    deadline_after(PATIENCE_SECONDS * CLOCK_SECOND));
	if (fd != -1)
		close(fd);
}

static const struct handler handlers[] = {
	{ &table_dial, ROLE_BIT(ROLE_AGENT), dial },
	{ 0 },
};

static const struct service dialer = {
	.name = "dialer",
	.role = ROLE_DIALER,
	.settings = setting_rows,
	.settings_out = &settings,
	.handlers = handlers,
	.open = open_endpoints,
};

int main(int argc, char **argv)
{
	return service_main(&dialer, argc, argv);
}
