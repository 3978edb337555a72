/* SPDX-License-Identifier: ISC */
/*
 * writer.c - makes hash: and btree: files: a new file beside the old one, flushed, renamed over it.
 *
 * Who has the old file open keeps reading the old file, whole.
 */
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dict/db_file.h"
#include "common/dict/dict.h"
#include "common/dict/table.h"

enum { WRITE_CACHE = 16 * 1024 * 1024 };

struct dict_writer {
	DB *db;
	char *path, *temporary;
	struct buf error;
};

static void free_writer(struct dict_writer *w)
{
	buf_clear(&w->error);
	free(w->path);
	free(w->temporary);
	free(w);
}

static bool find_kind(struct slice type, DBTYPE *kind)
{
	*kind = slice_equal(type, SLICE("btree")) ? DB_BTREE : DB_HASH;
	return *kind == DB_BTREE || slice_equal(type, SLICE("hash"));
}

/* Our own file, so that nothing planted under its name is written through; libdb opens it again
 * and finds it empty. The owner and rights are those of the file that is replaced. */
static int make_temporary(const struct dict_writer *w, mode_t mode)
{
	struct stat old;
	bool replaces = stat(w->path, &old) == 0;
	int fd, rc;

	if (unlink(w->temporary) == -1 && errno != ENOENT)
		return -1;
	fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	rc = 0;
	if (replaces && geteuid() == 0)
		rc = fchown(fd, old.st_uid, old.st_gid);
	if (rc == 0)
		rc = fchmod(fd, replaces ? old.st_mode & 0777 : mode);
	close(fd);
	return rc;
}

static int open_temporary(struct dict_writer *w, DBTYPE kind, mode_t mode, char **why)
{
	int rc = db_file_create(&w->db, WRITE_CACHE);

	if (rc == 0 && make_temporary(w, mode) == -1)
		rc = errno;
	if (rc == 0)
		rc = w->db->open(w->db, NULL, w->temporary, NULL, kind, DB_CREATE | DB_TRUNCATE,
		    0600);
	if (rc == 0)
		return 0;
	dict_refuse(why, "cannot make %s: %s%s", w->temporary, db_strerror(rc), db_file_message());
	if (w->db != NULL)
		w->db->close(w->db, DB_NOSYNC);
	unlink(w->temporary);
	return -1;
}

struct dict_writer *dict_writer_open(int directory, const char *type_and_name, mode_t mode,
    char **why)
{
	struct slice whole = slice_trim(slice_of(type_and_name));
	ptrdiff_t colon = slice_find(whole, ':');
	struct dict_writer *w;
	DBTYPE kind;
	char *name;

	if (colon == -1 || !find_kind(slice_part(whole, 0, (size_t)colon), &kind)) {
		dict_refuse(why, "%s: only hash: and btree: tables are made", type_and_name);
		return NULL;
	}
	w = mem_alloc(sizeof(*w));
	name = slice_dup(slice_part(whole, (size_t)colon + 1, whole.len));
	w->path = dict_path(directory, name, ".db");
	w->temporary = mem_printf("%s.%ld.tmp", w->path, (long)getpid());
	free(name);
	if (open_temporary(w, kind, mode, why) == 0)
		return w;
	free_writer(w);
	return NULL;
}

static DBT with_nul(struct slice s, struct buf *room)
{
	buf_put_slice(room, s);
	buf_putc(room, '\0');
	return (DBT){ .data = room->data, .size = (u_int32_t)room->len };
}

int dict_writer_put(struct dict_writer *w, struct slice key, struct slice value)
{
	struct buf key_room = { 0 }, value_room = { 0 };
	DBT k, v;
	int rc;

	buf_reset(&w->error);
	if (key.len == 0 || key.len > DICT_KEY_LIMIT || value.len > DICT_VALUE_LIMIT ||
	    slice_find(key, '\0') != -1 || slice_find(value, '\0') != -1) {
		buf_printf(&w->error, "a key of 1 to %d bytes, a value of at most %d, no NUL",
		    DICT_KEY_LIMIT, DICT_VALUE_LIMIT);
		return -1;
	}
	k = with_nul(key, &key_room);
	v = with_nul(value, &value_room);
	rc = w->db->put(w->db, NULL, &k, &v, DB_NOOVERWRITE);
	buf_clear(&key_room);
	buf_clear(&value_room);
	if (rc == DB_KEYEXIST)
		return 0;
	if (rc == 0)
		return 1;
	buf_printf(&w->error, "%s: %s%s", w->temporary, db_strerror(rc), db_file_message());
	return -1;
}

const char *dict_writer_error(const struct dict_writer *w)
{
	return buf_text((struct buf *)&w->error);
}

static int flush_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	int rc, saved;

	if (fd == -1)
		return -1;
	rc = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int flush_parent(const char *path)
{
	char *copy = mem_strdup(path);
	int rc = flush_path(dirname(copy), O_DIRECTORY);

	free(copy);
	return rc;
}

int dict_writer_close(struct dict_writer *w, bool commit, char **why)
{
	int rc;

	if (w == NULL)
		return 0;
	rc = w->db->close(w->db, commit ? 0 : DB_NOSYNC);
	if (commit && rc == 0 &&
	    (flush_path(w->temporary, 0) == -1 || rename(w->temporary, w->path) == -1 ||
		flush_parent(w->path) == -1))
		rc = errno;
	if (commit && rc != 0)
		dict_refuse(why, "cannot write %s: %s%s", w->path, db_strerror(rc),
		    db_file_message());
	if (!commit || rc != 0)
		unlink(w->temporary);
	free_writer(w);
	return commit && rc != 0 ? -1 : 0;
}
