/* SPDX-License-Identifier: ISC */
/*
 * expand.h - $name, ${name}, $(name), $$, ${name?yes}, ${name:no}, ${name?{yes}:{no}},
 * ${{left} == {right}?{yes}:{no}}, in any nesting. Whether a name "is set" is asked of its value
 * before expansion, as Postfix does: a value of "$empty" counts as set.
 */
#ifndef GP_CONF_EXPAND_H
#define GP_CONF_EXPAND_H

#include "common/base/buf.h"

enum { EXPAND_DEPTH = 64, EXPAND_SIZE = 1 << 20, EXPAND_STEPS = 100000 };

struct expand_source {
	/* The value as written, or NULL; valid while the expansion runs. raw: not to be expanded. */
	const char *(*find)(void *arg, const char *name, bool *raw);
	/* Told of a $name that nobody knows, which expands to nothing. May be NULL. */
	void (*unknown)(void *arg, const char *name);
	void *arg;
};

/* Appends text, expanded. name: the parameter that text is the value of, to notice that it needs
 * itself; may be NULL. False with a reason on the heap. */
bool expand(const struct expand_source *, const char *name, struct slice text, struct buf *out,
    char **why);

/* Calls visit for every name that text mentions after a $, however deep. */
void expand_names(struct slice text, void (*visit)(void *arg, const char *name), void *arg);

#endif
