/* SPDX-License-Identifier: ISC */
/*
 * dialer.c - which sockets may be connected to, and connecting.
 *
 * The list holds what the configuration spells out; what stands in a table alone must be named in
 * dialer_endpoints, since whoever fills a table need not be trusted with every socket of the system.
 */
#include "support/dialer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/master_cf.h"
#include "common/log/log.h"
#include "common/task/task.h"

#define SEPARATORS " \t\r\n,{}"

enum { PAUSE_MS = 20, SCHEME = 5 /* bytes of "unix:" */ };

static char *absolute(struct slice path, const char *queue_directory)
{
	if (path.data[0] == '/')
		return slice_dup(path);
	return mem_printf("%s/%.*s", queue_directory, (int)path.len, path.data);
}

static bool contains(const struct dialer_endpoints *e, const char *path)
{
	for (size_t i = 0; i < e->count; i++)
		if (strcmp(e->paths[i], path) == 0)
			return true;
	return false;
}

static void add(struct dialer_endpoints *e, struct slice path, const char *queue_directory)
{
	char *whole = absolute(path, queue_directory);

	if (contains(e, whole)) {
		free(whole);
		return;
	}
	e->paths = mem_resize_array(e->paths, e->count + 1, sizeof(*e->paths));
	e->paths[e->count++] = whole;
}

void dialer_endpoints_add(struct dialer_endpoints *e, struct slice value,
    const char *queue_directory)
{
	struct slice word;

	while (text_next_word(&value, SEPARATORS, &word))
		for (size_t i = 0; i + SCHEME < word.len; i++) {
			if ((i > 0 && strchr(":=", word.data[i - 1]) == NULL) ||
			    !slice_starts_nocase(slice_part(word, i, word.len), SLICE("unix:")))
				continue;
			add(e, slice_part(word, i + SCHEME, word.len), queue_directory);
			break;
		}
}

struct reading {
	struct dialer_endpoints *endpoints;
	struct conf *conf;
	const char *queue_directory;
};

static void add_parameter(void *arg, const char *name, const char *value)
{
	struct reading *r = arg;

	(void)value; /* not expanded */
	dialer_endpoints_add(r->endpoints, slice_of(conf_text(r->conf, name)), r->queue_directory);
}

static void add_words(struct reading *r, char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *why = NULL, *text = conf_expand(r->conf, words[i], &why);

		/* $names of pipe(8) are none of main.cf's. */
		dialer_endpoints_add(r->endpoints, slice_of(text == NULL ? words[i] : text),
		    r->queue_directory);
		free(text);
		free(why);
	}
}

/* master has complained already. */
static void no_report(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	(void)severity;
	(void)file;
	(void)line;
	(void)text;
}

void dialer_endpoints_read(struct dialer_endpoints *e, struct conf *conf, int directory,
    const char *path)
{
	struct reading r = { e, conf, conf_text(conf, "queue_directory") };
	struct master_cf *master = master_cf_load(directory, path, no_report, NULL);

	conf_each_explicit(conf, add_parameter, &r);
	dialer_endpoints_add(e, slice_of(conf_text(conf, "dialer_endpoints")), r.queue_directory);
	for (size_t i = 0; master != NULL && i < master->count; i++) {
		add_words(&r, master->entries[i].args, master->entries[i].args_count);
		add_words(&r, master->entries[i].overrides, master->entries[i].overrides_count);
	}
	master_cf_free(master);
}

const char *dialer_endpoints_find(const struct dialer_endpoints *e, struct slice path,
    const char *queue_directory)
{
	const char *found = NULL;
	char *whole;

	if (path.len == 0)
		return NULL;
	whole = absolute(path, queue_directory);
	for (size_t i = 0; i < e->count && found == NULL; i++)
		if (strcmp(e->paths[i], whole) == 0)
			found = e->paths[i];
	free(whole);
	return found;
}

void dialer_endpoints_clear(struct dialer_endpoints *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->paths[i]);
	free(e->paths);
	*e = (struct dialer_endpoints){ 0 };
}

/* A UNIX socket whose queue is full says EAGAIN, and nothing tells when that is over. */
static int connect_patiently(int fd, const struct sockaddr_un *address, deadline when)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		if (clock_now() >= when) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (task_sleep_until(deadline_after(PAUSE_MS * CLOCK_MS)) == -1)
			return -1;
	}
	return 0;
}

int dialer_connect(const char *path, deadline when)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, saved;

	if (len >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect_patiently(fd, &address, when) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
