/* SPDX-License-Identifier: ISC */
/*
 * db_file.h - what reading and writing Berkeley DB files share, inside common/dict only.
 */
#ifndef GP_DICT_DB_FILE_H
#define GP_DICT_DB_FILE_H

#include <db.h>

/* A handle without an environment. An error number of libdb, or 0; *db may be set in either case. */
int db_file_create(DB **, unsigned cache);
/* A page that was not written whole makes libdb loop or crash. An error
 * number of libdb, DB_VERIFY_BAD for such a file, or 0. Files above 32 MiB are taken as they are:
 * reading them through would hold up every start. */
int db_file_verify(const char *path);
/* What libdb said last, as ": text", or nothing. */
const char *db_file_message(void);

#endif
