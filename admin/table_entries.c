/* SPDX-License-Identifier: ISC */
/*
 * table_entries.c - entries in memory, and the walk over those of a file.
 */
#include "admin/table_entries.h"

#include <bsd/sys/tree.h>
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dict/db_file.h"
#include "common/log/log.h"

struct entry {
	RB_ENTRY(entry) by_key;
	struct slice key, value; /* on the heap */
};
RB_HEAD(entry_tree, entry);

struct table_entries {
	struct entry_tree tree;
};

static int compare(struct entry *a, struct entry *b)
{
	size_t least = a->key.len < b->key.len ? a->key.len : b->key.len;
	int order = memcmp(a->key.data, b->key.data, least);

	if (order != 0)
		return order;
	return a->key.len < b->key.len ? -1 : a->key.len > b->key.len;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_INTERNAL(entry_tree, entry, by_key, compare, static)
#pragma GCC diagnostic pop

static struct slice copy(struct slice text)
{
	return slice_new(slice_dup(text), text.len);
}

static void free_entry(struct entry *e)
{
	free((char *)(uintptr_t)e->key.data);
	free((char *)(uintptr_t)e->value.data);
	free(e);
}

struct table_entries *table_entries_new(void)
{
	struct table_entries *t = mem_alloc(sizeof(*t));

	RB_INIT(&t->tree);
	return t;
}

void table_entries_free(struct table_entries *t)
{
	struct entry *e, *next;

	if (t == NULL)
		return;
	RB_FOREACH_SAFE(e, entry_tree, &t->tree, next) {
		RB_REMOVE(entry_tree, &t->tree, e);
		free_entry(e);
	}
	free(t);
}

bool table_entries_put(struct table_entries *t, struct slice key, struct slice value, bool replace)
{
	struct entry wanted = { .key = key }, *e = RB_FIND(entry_tree, &t->tree, &wanted);

	if (e != NULL) {
		if (replace) {
			free((char *)(uintptr_t)e->value.data);
			e->value = copy(value);
		}
		return false;
	}
	e = mem_alloc(sizeof(*e));
	e->key = copy(key);
	e->value = copy(value);
	RB_INSERT(entry_tree, &t->tree, e);
	return true;
}

bool table_entries_remove(struct table_entries *t, struct slice key)
{
	struct entry wanted = { .key = key }, *e = RB_FIND(entry_tree, &t->tree, &wanted);

	if (e == NULL)
		return false;
	RB_REMOVE(entry_tree, &t->tree, e);
	free_entry(e);
	return true;
}

void table_entries_each(struct table_entries *t,
    void (*visit)(void *arg, struct slice key, struct slice value), void *arg)
{
	struct entry *e;

	RB_FOREACH(e, entry_tree, &t->tree)
		visit(arg, e->key, e->value);
}

/* --- files ---------------------------------------------------------------------------------------- */

static char *file_of(const char *type_and_name)
{
	const char *colon = strchr(type_and_name, ':');

	return mem_printf("%s.db", colon == NULL ? type_and_name : colon + 1);
}

/* Some programs store keys and values with a NUL behind them, some without. */
static struct slice without_nul(const DBT *item)
{
	return slice_new(item->data, strnlen(item->data, item->size));
}

static int walk(DB *db, void (*visit)(void *arg, struct slice key, struct slice value), void *arg)
{
	DBT key = { 0 }, value = { 0 };
	DBC *cursor;
	int rc = db->cursor(db, NULL, &cursor, 0);

	if (rc != 0)
		return rc;
	while ((rc = cursor->get(cursor, &key, &value, DB_NEXT)) == 0)
		visit(arg, without_nul(&key), without_nul(&value));
	cursor->close(cursor);
	return rc == DB_NOTFOUND ? 0 : rc;
}

int table_file_each(const char *type_and_name,
    void (*visit)(void *arg, struct slice key, struct slice value), void *arg)
{
	char *path = file_of(type_and_name);
	DB *db = NULL;
	int rc = db_file_verify(path);

	if (rc == 0)
		rc = db_create(&db, NULL, 0);
	if (rc == 0)
		rc = db->open(db, NULL, path, NULL, DB_UNKNOWN, DB_RDONLY, 0);
	if (rc == 0)
		rc = walk(db, visit, arg);
	if (rc != 0 && rc != ENOENT)
		log_error("table %s: %s", path, db_strerror(rc));
	if (db != NULL)
		db->close(db, DB_NOSYNC);
	free(path);
	errno = rc > 0 ? rc : EIO;
	return rc == 0 ? 0 : -1;
}

/* The file may be replaced while we wait for its lock: then the lock is worth nothing. */
static bool is_still(int fd, const char *path)
{
	struct stat locked, now;

	return fstat(fd, &locked) == 0 && stat(path, &now) == 0 && locked.st_ino == now.st_ino &&
	    locked.st_dev == now.st_dev;
}

int table_file_lock(const char *type_and_name)
{
	char *path = file_of(type_and_name);
	int fd;

	while ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		if (flock(fd, LOCK_EX) == 0 && is_still(fd, path))
			break;
		close(fd);
	}
	free(path);
	return fd;
}
