/* SPDX-License-Identifier: ISC */
/*
 * scene.h - for the tests of notices: settings, and what service.c would do.
 */
#ifndef TEST_BOUNCE_SCENE_H
#define TEST_BOUNCE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "bounce/bounce.h"
#include "common/service/service.h"

static struct conf *scene_conf;

struct conf *service_conf(void)
{
	return scene_conf;
}

int service_config_directory(void)
{
	return AT_FDCWD;
}

static inline void scene_settings(void)
{
	bounce_settings = (struct bounce_settings){
		.myhostname = "mx.example",
		.myorigin = "mx.example",
		.double_bounce_sender = "double-bounce",
		.notify_classes = "resource, software",
		.second_bounce_notice_recipient = "postmaster",
		.bounce_notice_recipient = "postmaster",
		.delay_notice_recipient = "postmaster",
		.bounce_template_file = "",
		.bounce_size_limit = 50000,
		.ipc_timeout = 60 * CLOCK_SECOND,
	};
}

static inline int scene_begin(void **unused)
{
	(void)unused;
	setenv("TZ", "UTC", 1);
	scene_conf = conf_defaults("/etc/gatepost");
	assert_true(conf_override(scene_conf, "myhostname=mx.example", "test", 1, NULL, NULL));
	assert_true(conf_override(scene_conf, "delay_warning_time=4h", "test", 1, NULL, NULL));
	scene_settings();
	words_open();
	return 0;
}

static inline int scene_end(void **unused)
{
	(void)unused;
	conf_free(scene_conf);
	return 0;
}

#endif
