/* SPDX-License-Identifier: ISC */
/*
 * table_db.c - hash: and btree: files of Berkeley DB, as postmap of Debian's Postfix makes them.
 *
 * There a key and a value end with a NUL that counts; other programs write none, so both are tried.
 * No environment is opened: libdb would look for DB_CONFIG and regions in the working directory.
 */
#include <db.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/dict/db_file.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"
#include "common/log/log.h"

enum {
	READ_CACHE = 256 * 1024,
	VERIFY_MOST = 32 << 20,
	SOURCE_AGE = 100 /* seconds: an editor may still be at work */
};

/* What libdb said last; it knows no argument for the one who asked. */
static char message[256];

static void keep_message(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	snprintf(message, sizeof(message), ": %s", text);
}

int db_file_create(DB **db, unsigned cache)
{
	int rc = db_create(db, NULL, 0);

	message[0] = '\0';
	if (rc != 0)
		return rc;
	(*db)->set_errcall(*db, keep_message);
	return (*db)->set_cachesize(*db, 0, cache, 1);
}

const char *db_file_message(void)
{
	return message;
}

int db_file_verify(const char *path)
{
	struct stat about;
	DB *db = NULL;
	int rc;

	if (stat(path, &about) == -1)
		return errno;
	if (about.st_size > VERIFY_MOST)
		return 0;
	rc = db_file_create(&db, READ_CACHE);
	if (rc == 0)
		return db->verify(db, path, NULL, NULL, 0); /* closes it */
	if (db != NULL)
		db->close(db, DB_NOSYNC);
	return rc;
}

static void explain(const char *name, int rc, char **why)
{
	if (rc == DB_VERIFY_BAD)
		dict_refuse(why, "%s.db is damaged; make it anew with postmap or postalias", name);
	else
		dict_refuse(why, "cannot open %s.db: %s%s%s", name, db_strerror(rc), message,
		    rc == ENOENT ? "; make it with postmap or postalias" : "");
}

static void warn_of_newer_source(const struct dict *d, int directory, const char *name)
{
	struct stat source;

	if (fstatat(directory, name, &source, 0) == 0 &&
	    source.st_mtim.tv_sec > d->opened.st_mtim.tv_sec &&
	    source.st_mtim.tv_sec < time(NULL) - SOURCE_AGE)
		log_warning("database %s.db is older than source file %s", name, name);
}

static int open_db(struct dict *d, int directory, const char *name, DBTYPE type, char **why)
{
	char *path = dict_path(directory, name, ".db");
	DB *db = NULL;
	int fd = -1;
	int rc = db_file_verify(path);

	if (rc == 0)
		rc = db_file_create(&db, READ_CACHE);
	if (rc == 0)
		rc = db->open(db, NULL, path, NULL, type, DB_RDONLY, 0);
	free(path);
	if (rc == 0)
		rc = db->fd(db, &fd);
	if (rc == 0 && dict_watch(d, fd, false) == -1)
		rc = errno;
	if (rc != 0) {
		explain(name, rc, why);
		if (db != NULL)
			db->close(db, DB_NOSYNC);
		return -1;
	}
	d->state = db;
	warn_of_newer_source(d, directory, name);
	return 0;
}

static int open_hash(struct dict *d, int directory, const char *name, char **why)
{
	return open_db(d, directory, name, DB_HASH, why);
}

static int open_btree(struct dict *d, int directory, const char *name, char **why)
{
	return open_db(d, directory, name, DB_BTREE, why);
}

/* key has a NUL behind it that with_nul counts in. */
static int get(struct dict *d, struct buf *key, bool with_nul, struct buf *value)
{
	DB *db = d->state;
	DBT k = { .data = key->data, .size = (u_int32_t)key->len + with_nul };
	DBT v = { .flags = DB_DBT_MALLOC | DB_DBT_PARTIAL, .dlen = DICT_VALUE_LIMIT + 1 };
	int rc = db->get(db, NULL, &k, &v, 0);

	if (rc == DB_NOTFOUND)
		return 0;
	if (rc != 0)
		return dict_fail(d, "table %s: %s%s", d->name, db_strerror(rc), message);
	if (v.size > DICT_VALUE_LIMIT)
		rc = dict_fail(d, "table %s: a value of more than %d bytes", d->name,
		    DICT_VALUE_LIMIT);
	else
		buf_append(value, v.data, strnlen(v.data, v.size));
	free(v.data);
	return rc == 0 ? 1 : -1;
}

static int lookup_db(struct dict *d, struct slice key, struct buf *value)
{
	struct buf copy = { 0 };
	size_t before = value->len;
	int rc;

	if (dict_changed_in_place(d))
		return dict_fail(d, "table %s: its file was rewritten; open it again", d->name);
	buf_put_slice(&copy, key);
	buf_text(&copy);
	rc = get(d, &copy, true, value);
	if (rc == 0)
		rc = get(d, &copy, false, value);
	buf_clear(&copy);
	if (rc == 1 && dict_changed_in_place(d)) {
		value->len = before;
		return dict_fail(d, "table %s: its file was rewritten; open it again", d->name);
	}
	return rc;
}

static void close_db(struct dict *d)
{
	DB *db = d->state;

	db->close(db, DB_NOSYNC);
}

const struct dict_type dict_type_hash = { "hash", false, open_hash, lookup_db, close_db };
const struct dict_type dict_type_btree = { "btree", false, open_btree, lookup_db, close_db };
