/* SPDX-License-Identifier: ISC */
/*
 * extension.h - user+ext: what lookups of addresses (dict) and delivery (mail) both must know.
 */
#ifndef GP_EXTENSION_H
#define GP_EXTENSION_H

#include <stdbool.h>

#include "common/base/slice.h"

/* user+ext -> user, ext (of a local part without quoting): the first of the delimiter characters
 * splits; postmaster, mailer-daemon and double-bounce are left whole, and where "-" is a delimiter
 * also owner-LIST and LIST-request. False: nothing to split. */
bool extension_split(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension);

#endif
