/* SPDX-License-Identifier: ISC */
/*
 * notify.c - the datagrams for the init system. They are sent without waiting: an init system that does
 * not listen must not hold mail up.
 */
#include "master/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log/log.h"

static int notify_fd = -1;

void notify_open(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path == NULL ? 0 : strlen(path);

	if (len == 0)
		return;
	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(address.sun_path)) {
		log_warning(
		    "NOTIFY_SOCKET=%s is no path of a socket; the init system hears nothing", path);
		return;
	}
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* a name without a file */
		address.sun_path[0] = '\0';
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify_fd != -1 &&
	    connect(notify_fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return;
	log_warning("NOTIFY_SOCKET=%s: %m; the init system hears nothing", path);
	if (notify_fd != -1)
		close(notify_fd);
	notify_fd = -1;
}

static void tell(const char *state)
{
	if (notify_fd != -1 && send(notify_fd, state, strlen(state), MSG_NOSIGNAL) == -1)
		log_warning("the init system was not told: %m");
}

void notify_ready(void)
{
	char state[80];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\nSTATUS=The mail system runs.",
	    (int)getpid());
	tell(state);
}

void notify_reloading(void)
{
	char state[120];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state),
	    "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reading the configuration anew.",
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	tell(state);
}

void notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=What is under way is finished.");
}
