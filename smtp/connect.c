/* SPDX-License-Identifier: ISC */
/*
 * connect.c - sockets: to addresses from here, to paths through dialer, which may reach them.
 */
#include "smtp/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "smtp/smtp.h"

static socklen_t fill(struct sockaddr_storage *to, const struct net_address *a, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	*to = (struct sockaddr_storage){ .ss_family = (sa_family_t)a->family };
	if (a->family == AF_INET) {
		memcpy(&v4->sin_addr, a->bytes, 4);
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	memcpy(&v6->sin6_addr, a->bytes, 16);
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

/* smtp_bind_address. A wrong one is said, and does not keep mail here. */
static void bind_source(int fd, int family)
{
	const char *name = family == AF_INET ? client_settings.bind_address
					     : client_settings.bind_address6;
	struct sockaddr_storage from;
	struct net_address a;
	socklen_t len;

	if (*name == '\0')
		return;
	if (!net_address_parse(slice_of(name), &a) || a.family != family) {
		log_warning("bind address %s is no address of this family", name);
		return;
	}
	len = fill(&from, &a, 0);
	if (bind(fd, (struct sockaddr *)&from, len) == -1)
		log_warning("bind %s: %m", name);
}

/* 0, or -1 with errno. Waits. */
static int finish(int fd, deadline when)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (task_wait_fd(fd, TASK_WRITE, when) == -1)
		return -1;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int connect_address(const struct host *h, deadline when)
{
	struct sockaddr_storage to;
	socklen_t len = fill(&to, &h->address, h->port);
	int fd = socket(h->address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, saved;

	if (fd == -1)
		return -1;
	bind_source(fd, h->address.family);
	if (connect(fd, (struct sockaddr *)&to, len) == 0 ||
	    (errno == EINPROGRESS && finish(fd, when) == 0)) {
		/* A group of commands is one write; nothing shall wait for an acknowledgement. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		return fd;
	}
	saved = errno;
	task_forget_fd(fd);
	close(fd);
	errno = saved;
	return -1;
}

static int connect_path(struct slice path, deadline when)
{
	struct channel *dialer = service_channel("dialer", when);
	struct msg_dial dial = { path };
	struct request *r;
	struct frame *f;
	int fd = -1, error = EAGAIN;

	if (dialer == NULL)
		return -1;
	r = request_open(dialer, &table_dial, &dial, -1, true, when);
	f = r == NULL ? NULL : request_receive(r, when);
	if (f == NULL) {
		error = errno;
	} else if (f->table == &table_dialed) {
		fd = f->fd;
		f->fd = -1;
		error = (int)((struct msg_dialed *)f->message)->error;
	}
	request_close(r);
	errno = error == 0 ? EPROTO : error;
	return fd;
}

int connect_host(const struct host *h)
{
	/* 0: the system's own patience. */
	deadline when = deadline_after(client_settings.connect_timeout > 0
		? client_settings.connect_timeout
		: 300 * CLOCK_SECOND);

	return h->address.family == AF_UNSPEC ? connect_path(h->name, when)
					      : connect_address(h, when);
}
