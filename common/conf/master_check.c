/* SPDX-License-Identifier: ISC */
/*
 * master_check.c - what only main.cf and master.cf together can show to be wrong.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/internal.h"
#include "common/conf/master_cf.h"

/* A setting of main.cf that is named as if for one transport, and no such entry exists. */
static void check_transport(const struct master_cf *cf, const struct setting *s,
    struct reporter *reporter)
{
	size_t len;

	if (!s->in_main_cf || s->used || parameter_find(s->name) != NULL ||
	    unsupported_find(s->name) != NULL || parameter_of_all_transports(s->name, &len) == NULL)
		return;
	for (size_t i = 0; i < cf->count; i++)
		if (slice_equal(slice_of(cf->entries[i].name), slice_new(s->name, len)))
			return;
	complain(reporter, CONF_WARNING, s->file, s->line,
	    "%s: master.cf has no entry \"%.*s\"; add it, or mend the name", s->name,
	    (int)(len > 60 ? 60 : len), s->name);
}

static void each_override(const struct master_cf *cf,
    void (*visit)(void *arg, const struct master_entry *, const char *name, const char *value),
    void *arg)
{
	char *name, *value, *why;

	for (size_t i = 0; i < cf->count; i++) {
		const struct master_entry *entry = &cf->entries[i];

		for (size_t k = 0; k < entry->overrides_count; k++) {
			if (!conf_split_assignment(slice_of(entry->overrides[k]), &name, &value,
				&why))
				panic("conf: override \"%s\"", entry->overrides[k]);
			visit(arg, entry, name, value);
			free(name);
			free(value);
		}
	}
}

struct check {
	struct conf *conf;
	struct reporter *reporter;
};

static void mark_override(void *arg, const struct master_entry *entry, const char *name,
    const char *value)
{
	(void)entry;
	(void)name;
	mark_used(((struct check *)arg)->conf, value);
}

static void check_override(void *arg, const struct master_entry *entry, const char *name,
    const char *value)
{
	struct check *check = arg;

	check_setting(check->conf, check->reporter, name, value, entry->file, entry->line);
}

unsigned master_cf_check(const struct master_cf *cf, struct conf *conf, conf_report *report,
    void *arg)
{
	struct reporter reporter = { .report = report, .arg = arg };
	struct check check = { conf, &reporter };
	struct setting *s;

	mark_all_used(conf);
	each_override(cf, mark_override, &check);
	each_override(cf, check_override, &check);
	TAILQ_FOREACH(s, &conf->order, in_order)
		check_transport(cf, s, &reporter);
	return reporter.errors;
}
