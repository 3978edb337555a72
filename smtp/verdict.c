/* SPDX-License-Identifier: ISC */
/*
 * verdict.c - why a recipient is not delivered.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/text.h"
#include "smtp/smtp.h"

void verdict_put(struct verdict *v, struct arena *arena, const char *dsn, const char *format, ...)
{
	char text[TEXT_MOST + 1];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	if (len > TEXT_MOST)
		len = TEXT_MOST;
	text_neuter(text, (size_t)len);
	*v = (struct verdict){ .outcome = dsn[0] == '5' ? OUTCOME_BOUNCED : OUTCOME_DEFERRED,
		.dsn = slice_of(dsn),
		.text = arena_copy(arena, slice_new(text, (size_t)len)) };
}
