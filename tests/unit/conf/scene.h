/* SPDX-License-Identifier: ISC */
/*
 * scene.h - a configuration directory made of texts, and a list of what was complained about.
 */
#ifndef TEST_CONF_SCENE_H
#define TEST_CONF_SCENE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"

/* Reports as lines "error 3 main.cf: text"; count of each severity. */
struct said {
	struct buf text;
	unsigned count[3];
};

static inline void hear(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	static const char *const names[] = { "note", "warning", "error" };
	struct said *said = arg;
	const char *base = strrchr(file, '/');

	said->count[severity]++;
	buf_printf(&said->text, "%s %u %s: %s\n", names[severity], line,
	    base == NULL ? file : base + 1, text);
}

static inline void said_clear(struct said *said)
{
	buf_clear(&said->text);
	memset(said->count, 0, sizeof(said->count));
}

/* A descriptor of a new directory; scene_close removes it with its files. */
static inline int scene_open(char path[32])
{
	snprintf(path, 32, "/tmp/test-conf.XXXXXX");
	if (mkdtemp(path) == NULL)
		panic("mkdtemp");
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline void scene_write(int directory, const char *name, struct slice content)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	if (fd == -1 || io_write_all(fd, content.data, content.len) == -1)
		panic("write %s", name);
	close(fd);
}

static inline void scene_close(int directory, const char *path)
{
	unlinkat(directory, "main.cf", 0);
	unlinkat(directory, "master.cf", 0);
	unlinkat(directory, "origin", 0);
	close(directory);
	rmdir(path);
}

/* main.cf with this text, loaded. */
static inline struct conf *scene_conf(const char *text, struct said *said)
{
	char path[32];
	int directory = scene_open(path);
	struct conf *conf;

	scene_write(directory, "main.cf", slice_of(text));
	conf = conf_load(directory, path, hear, said);
	scene_close(directory, path);
	return conf;
}

#endif
