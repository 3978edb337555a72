/* SPDX-License-Identifier: ISC */
/*
 * postconf_templates.c - the words of notices, as they are used (-b) or as they were written (-t).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "admin/postconf.h"
#include "common/conf/template.h"

/* The file that was named, from where we are; or that of main.cf. */
static void read_templates(const struct postconf *c, bool expanded, struct templates *t)
{
	struct conf *conf = postconf_load(c);
	bool loud = !c->quiet;

	if (c->names_count > 1)
		command_usage("name one file of templates at most");
	template_read(conf, c->names_count > 0 ? AT_FDCWD : command_config_directory(),
	    c->names_count > 0 ? c->names[0] : conf_text(conf, "bounce_template_file"), expanded,
	    command_report, &loud, t);
}

/* Each as a here-document, as bounce_template_file has them. */
static void show(const struct postconf *c, bool expanded)
{
	struct templates t;

	read_templates(c, expanded, &t);
	for (enum notice_kind kind = NOTICE_FAILURE; kind <= NOTICE_VERIFY; kind++) {
		const struct template *it = &t.of[kind];
		const char *name = template_name(kind);

		if (kind != NOTICE_FAILURE)
			putchar('\n');
		if (expanded)
			printf("expanded_%.*s_text = <<EOF\n", (int)strcspn(name, "_"), name);
		else
			printf("%s = <<EOF\n"
			       "Charset: %s\nFrom: %s\nSubject: %s\nPostmaster-Subject: %s\n\n",
			    name, it->charset, it->from, it->subject, it->postmaster_subject);
		printf("%sEOF\n", it->text);
	}
	template_clear(&t);
}

void postconf_show_words(const struct postconf *c)
{
	show(c, true);
}

void postconf_show_templates(const struct postconf *c)
{
	show(c, false);
}
