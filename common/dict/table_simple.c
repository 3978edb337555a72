/* SPDX-License-Identifier: ISC */
/*
 * table_simple.c - static: (one answer), fail: (none, ever), unix: (system users and groups).
 *
 * unix: asks the name service, which opens files: it works outside of a chroot only.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/table.h"

enum { RECORD_FIRST = 4096, RECORD_LIMIT = 1024 * 1024, NAME_LIMIT = 256 };

static void close_text(struct dict *d)
{
	free(d->state);
}

static int open_static(struct dict *d, int directory, const char *name, char **why)
{
	struct slice text = slice_of(name), inside;

	(void)directory;
	if (text.len > 0 && text.data[0] == '{') {
		if (!brace_strip(text, &inside))
			return dict_refuse(why, "the { at its start is not closed at its end");
		text = inside;
	}
	d->state = slice_dup(text);
	return 0;
}

static int lookup_static(struct dict *d, struct slice key, struct buf *value)
{
	(void)key;
	buf_puts(value, d->state);
	return 1;
}

static int open_fail(struct dict *d, int directory, const char *name, char **why)
{
	(void)directory;
	(void)why;
	d->state = mem_strdup(name);
	return 0;
}

static int lookup_fail(struct dict *d, struct slice key, struct buf *value)
{
	(void)key;
	(void)value;
	return dict_fail(d, "table %s fails always", d->name);
}

/* How getpwnam_r and getgrnam_r are asked: 0 with the record in the buffer or none, else errno. */
typedef int ask_system(const char *name, char *room, size_t size, struct buf *value, bool *found);

static int ask_passwd(const char *name, char *room, size_t size, struct buf *value, bool *found)
{
	struct passwd entry, *p = NULL;
	int rc = getpwnam_r(name, &entry, room, size, &p);

	*found = rc == 0 && p != NULL;
	if (*found) /* the password is nobody's business */
		buf_printf(value, "%s:x:%lu:%lu:%s:%s:%s", p->pw_name, (unsigned long)p->pw_uid,
		    (unsigned long)p->pw_gid, p->pw_gecos == NULL ? "" : p->pw_gecos, p->pw_dir,
		    p->pw_shell);
	return rc;
}

static int ask_group(const char *name, char *room, size_t size, struct buf *value, bool *found)
{
	struct group entry, *g = NULL;
	int rc = getgrnam_r(name, &entry, room, size, &g);

	*found = rc == 0 && g != NULL;
	if (!*found)
		return rc;
	buf_printf(value, "%s:x:%lu:", g->gr_name, (unsigned long)g->gr_gid);
	for (char **member = g->gr_mem; *member != NULL; member++)
		buf_printf(value, "%s%s", member == g->gr_mem ? "" : ",", *member);
	return 0;
}

static const struct system_table {
	const char *name;
	ask_system *ask;
} system_tables[] = {
	{ "passwd.byname", ask_passwd },
	{ "group.byname", ask_group },
};

static int open_unix(struct dict *d, int directory, const char *name, char **why)
{
	(void)directory;
	for (size_t i = 0; i < ARRAY_LENGTH(system_tables); i++)
		if (strcmp(name, system_tables[i].name) == 0) {
			d->state = (void *)&system_tables[i];
			return 0;
		}
	return dict_refuse(why, "there are unix:passwd.byname and unix:group.byname only");
}

static int lookup_unix(struct dict *d, struct slice key, struct buf *value)
{
	const struct system_table *table = d->state;
	size_t size = RECORD_FIRST;
	bool found = false;
	char *name;
	int rc;

	if (key.len > NAME_LIMIT)
		return 0;
	name = slice_dup(key);
	do {
		char *room = mem_alloc(size);

		rc = table->ask(name, room, size, value, &found);
		free(room);
		size *= 4;
	} while (rc == EINTR || (rc == ERANGE && size <= RECORD_LIMIT));
	free(name);
	if (rc != 0 && rc != ENOENT && rc != ESRCH)
		return dict_fail(d, "table %s: %s", d->name, strerror(rc));
	return found;
}

static void close_unix(struct dict *d)
{
	(void)d;
}

const struct dict_type dict_type_static = { "static", false, open_static, lookup_static,
	close_text };
const struct dict_type dict_type_fail = { "fail", false, open_fail, lookup_fail, close_text };
const struct dict_type dict_type_unix = { "unix", false, open_unix, lookup_unix, close_unix };
