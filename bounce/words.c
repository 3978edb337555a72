/* SPDX-License-Identifier: ISC */
/*
 * words.c - the templates of notices. Their $names are filled in once, at start: no parameter changes before the
 * next one.
 */
#include "bounce/bounce.h"
#include "common/log/log.h"
#include "common/service/service.h"

static struct templates templates;

const struct template *words_of(enum notice_kind kind)
{
	return &templates.of[kind];
}

static void complain(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	(void)severity;
	if (line == 0)
		log_warning("bounce_template_file %s: %s", file, text);
	else
		log_warning("%s, line %u: %s", file, line, text);
}

void words_open(void)
{
	template_clear(&templates);
	template_read(service_conf(), service_config_directory(),
	    bounce_settings.bounce_template_file, true, complain, NULL, &templates);
}
