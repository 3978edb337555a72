/* SPDX-License-Identifier: ISC */
/*
 * proxymap.c - looks up what its clients could not: they ask by table name, and get only what the
 * administrator listed in proxy_read_maps. A name that they make up opens nothing.
 */
#include "support/proxymap.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/dict/dict.h"
#include "common/log/log.h"

enum { RECORD_FIRST = 4096, RECORD_LIMIT = 1024 * 1024, FIELD_LIMIT = NAME_LIMIT };

struct table {
	char *name;
	struct dict *dict; /* NULL: it could not be opened */
	char *why;
};
static struct table *tables;
static size_t count;

static struct table *find(struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(slice_of(tables[i].name), name))
			return &tables[i];
	return NULL;
}

static void add(int directory, struct slice name)
{
	struct table *t;

	if (find(name) != NULL)
		return;
	tables = mem_resize_array(tables, count + 1, sizeof(*tables));
	t = &tables[count++];
	*t = (struct table){ .name = slice_dup(name) };
	t->dict = dict_open(directory, t->name, DICT_FOLD_KEY | DICT_OR_FAILING, &t->why);
	if (t->dict == NULL)
		log_error("proxy_read_maps: %s", t->why);
}

void proxymap_open(int directory, const char *proxy_read_maps)
{
	struct slice rest = slice_of(proxy_read_maps), item, prefix = SLICE("proxy:");

	add(directory, SLICE("unix:passwd.byname"));
	add(directory, SLICE("unix:group.byname"));
	while (conf_next_item(&rest, &item))
		if (slice_starts_nocase(item, prefix))
			add(directory, slice_part(item, prefix.len, item.len));
}

void proxymap_close(void)
{
	for (size_t i = 0; i < count; i++) {
		dict_close(tables[i].dict);
		free(tables[i].name);
		free(tables[i].why);
	}
	free(tables);
	tables = NULL;
	count = 0;
}

const char *proxymap_changed(void)
{
	for (size_t i = 0; i < count; i++)
		if (tables[i].dict != NULL && dict_changed(tables[i].dict))
			return tables[i].name;
	return NULL;
}

static void answer(struct msg_looked_up *a, enum found found, struct slice value)
{
	a->found = found;
	a->value = value;
}

void proxymap_lookup(const struct msg_lookup *question, struct arena *arena,
    struct msg_looked_up *a)
{
	struct table *t = find(question->table);
	struct buf value = { 0 };
	int rc;

	if (t == NULL) {
		log_warning("table %.*s is refused: proxy_read_maps does not allow it as "
			    "proxy:%.*s",
		    (int)question->table.len, question->table.data, (int)question->table.len,
		    question->table.data);
		answer(a, FOUND_ERROR, SLICE("not in proxy_read_maps"));
		return;
	}
	if (t->dict == NULL) {
		answer(a, FOUND_ERROR, SLICE("the table can't be opened"));
		return;
	}
	rc = dict_lookup(t->dict, question->key, &value);
	if (rc == 1 && value.len > CHUNK_LIMIT) {
		log_warning("table %s: a value of %zu bytes is too long", t->name, value.len);
		answer(a, FOUND_ERROR, SLICE("value too long"));
	} else if (rc == 1) {
		answer(a, FOUND_YES, arena_copy(arena, buf_slice(&value)));
	} else if (rc == 0) {
		answer(a, FOUND_NO, SLICE(""));
	} else {
		log_warning("%s", dict_error(t->dict));
		answer(a, FOUND_ERROR, SLICE("the table does not answer"));
	}
	buf_clear(&value);
}

/* By name, or without one by number. 0 with the record or none, else errno. *room is the caller's to free. */
static int ask_system(const char *name, uid_t uid, struct passwd *entry, struct passwd **found,
    char **room)
{
	size_t size = RECORD_FIRST;
	int rc;

	*room = NULL;
	do {
		free(*room);
		*room = mem_alloc(size);
		rc = name != NULL ? getpwnam_r(name, entry, *room, size, found)
				  : getpwuid_r(uid, entry, *room, size, found);
		size *= 4;
	} while (rc == EINTR || (rc == ERANGE && size <= RECORD_LIMIT));
	return rc;
}

/* The name service may say anything; what a message may not hold makes the user unusable. */
static bool field(struct arena *arena, const char *text, struct slice *out)
{
	struct slice s = slice_of(text == NULL ? "" : text);

	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\r' || s.data[i] == '\n')
			return false;
	*out = arena_copy(arena, s);
	return s.len <= FIELD_LIMIT;
}

static bool describe(const struct passwd *pw, struct arena *arena, struct msg_user_info *a)
{
	*a = (struct msg_user_info){ .found = FOUND_YES, .uid = pw->pw_uid, .gid = pw->pw_gid };
	return field(arena, pw->pw_name, &a->name) && field(arena, pw->pw_dir, &a->home) &&
	    field(arena, pw->pw_shell, &a->shell) && field(arena, pw->pw_gecos, &a->gecos);
}

/* What the system said, as an answer. */
static void take_user(const char *name, int rc, const struct passwd *pw, struct arena *arena,
    struct msg_user_info *a)
{
	*a = (struct msg_user_info){ .found = FOUND_NO };
	if (rc != 0 && rc != ENOENT && rc != ESRCH) {
		log_warning("user %s: %s", name, strerror(rc));
		a->found = FOUND_ERROR;
	} else if (rc == 0 && pw != NULL && !describe(pw, arena, a)) {
		log_warning("user %s: his entry has a field that is too long or has line ends",
		    name);
		*a = (struct msg_user_info){ .found = FOUND_ERROR };
	}
}

void proxymap_user(const struct msg_user *question, struct arena *arena, struct msg_user_info *a)
{
	char *name = arena_text(arena, question->name), *room;
	struct passwd entry, *pw = NULL;
	int rc = ask_system(name, 0, &entry, &pw, &room);

	take_user(name, rc, pw, arena, a);
	free(room);
}

void proxymap_user_id(const struct msg_user_id *question, struct arena *arena,
    struct msg_user_info *a)
{
	struct passwd entry, *pw = NULL;
	char *room, number[24];
	int rc = ask_system(NULL, (uid_t)question->uid, &entry, &pw, &room);

	snprintf(number, sizeof(number), "%u", (unsigned)question->uid);
	take_user(number, rc, pw, arena, a);
	free(room);
}
