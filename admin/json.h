/* SPDX-License-Identifier: ISC */
/*
 * json.h - texts as JSON strings.
 */
#ifndef GP_ADMIN_JSON_H
#define GP_ADMIN_JSON_H

#include <stdio.h>

#include "common/base/slice.h"

/* In quotation marks; what is not UTF-8 becomes '?'. */
void json_text(FILE *out, struct slice text);
/* before, then "name": "value". */
void json_member(FILE *out, const char *before, const char *name, struct slice value);

#endif
