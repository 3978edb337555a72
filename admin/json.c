/* SPDX-License-Identifier: ISC */
/*
 * json.c - texts as JSON strings.
 */
#include "admin/json.h"

#include <stdlib.h>

#include "common/base/text.h"

void json_text(FILE *out, struct slice text)
{
	char *copy = slice_dup(text);

	text_neuter(copy, text.len);
	putc('"', out);
	for (size_t i = 0; i < text.len; i++) {
		if (copy[i] == '"' || copy[i] == '\\')
			putc('\\', out);
		putc(copy[i], out);
	}
	putc('"', out);
	free(copy);
}

void json_member(FILE *out, const char *before, const char *name, struct slice value)
{
	fprintf(out, "%s\"%s\": ", before, name);
	json_text(out, value);
}
