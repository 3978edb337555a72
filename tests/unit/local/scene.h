/* SPDX-License-Identifier: ISC */
/*
 * scene.h - for the tests of local delivery: settings as shipped, a directory of its own, a message,
 * and code that runs as an ordinary user.
 */
#ifndef TEST_LOCAL_SCENE_H
#define TEST_LOCAL_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "local/box.h"

static char scene_path[64];
static int scene = -1; /* the directory */
static struct agent_user scene_user;

static inline int scene_begin(void **unused)
{
	(void)unused;
	local_settings = (struct local_settings){
		.mailbox_delivery_lock = "fcntl, dotlock",
		.allow_mail_to_commands = "alias, forward",
		.allow_mail_to_files = "alias, forward",
		.home_mailbox = "",
		.mailbox_command = "",
		.mail_spool_directory = scene_path,
		.forward_path = "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
		.recipient_delimiter = "+",
		.default_privs = "nobody",
		.luser_relay = "",
		.local_command_shell = "",
		.myhostname = "mx.example",
		.alias_maps = "",
		.command_expansion_filter = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyz",
		.forward_expansion_filter = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyz",
		.export_environment = "TZ LANG=C",
		.command_execution_directory = "",
		.mailbox_size_limit = 51200000,
		.deliver_lock_attempts = 2,
		.deliver_lock_delay = 50 * CLOCK_MS,
		.stale_lock_time = 500 * CLOCK_SECOND,
		.command_time_limit = 20 * CLOCK_SECOND,
		.strict_mailbox_ownership = true,
	};
	signal(SIGPIPE, SIG_IGN); /* as in an agent */
	strcpy(scene_path, "/tmp/local-test-XXXXXX");
	assert_non_null(mkdtemp(scene_path));
	assert_int_equal(chmod(scene_path, 0755), 0);
	scene = open(scene_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scene_user = (struct agent_user){ .name = "bob",
		.home = scene_path,
		.shell = "/bin/sh",
		.uid = geteuid(),
		.gid = getegid(),
		.spool = scene,
		.capable = true };
	return 0;
}

static inline int scene_end(void **unused)
{
	char *command = mem_printf("rm -rf '%s'", scene_path);

	(void)unused;
	close(scene);
	assert_int_equal(system(command), 0);
	free(command);
	return 0;
}

static inline void scene_write(const char *name, const char *text, mode_t mode)
{
	int fd = openat(scene, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* The file's text, on the heap; NULL when there is none. */
static inline char *scene_read(const char *name)
{
	struct buf text = { 0 };

	if (io_read_file(scene, name, 1 << 24, &text) == -1) {
		buf_clear(&text);
		return NULL;
	}
	return buf_take(&text);
}

static inline size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (; text != NULL && (text = strstr(text, what)) != NULL; text += strlen(what))
		count++;
	return count;
}

static inline struct act_request scene_message(const char *id, const char *content)
{
	return (struct act_request){
		.action = ACT_MAILBOX,
		.id = slice_of(id),
		.sender = SLICE("alice@far.example"),
		.recipient = SLICE("bob+lists@here.example"),
		.original = SLICE("Bob@here.example"),
		.local = SLICE("bob+lists"),
		.extension = SLICE("lists"),
		.domain = SLICE("here.example"),
		.arrival_us = INT64_C(1700000000000000),
		.content = slice_of(content),
		.content_size = strlen(content),
	};
}

/* Content with our Received line, as everything has that comes out of the queue. */
static inline char *scene_content(const char *id, const char *body)
{
	return mem_printf("Received: by mx.example (Gatepost) id %s\r\nSubject: x\r\n\r\n%s", id,
	    body);
}

#endif
