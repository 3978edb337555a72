/* SPDX-License-Identifier: ISC */
/*
 * header.h - the header part of a message, field by field, as it streams by.
 */
#ifndef GP_HEADER_H
#define GP_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct header {
	struct slice name;  /* without the colon; blanks before the colon dropped */
	struct slice value; /* behind the colon, folded lines as they came, without the last CRLF */
	struct slice whole; /* all its lines, each with its CRLF */
};

enum header_next {
	HEADER_FIELD, /* one more field */
	HEADER_END,   /* an empty line, or a line that is no field: the body starts at rest */
	HEADER_MORE   /* not decided without more bytes */
};
/* Takes the next field off `rest` (CRLF lines). at_end: no more bytes will come. On HEADER_END
 * *blank_line says whether the separating empty line was there (it is consumed). After HEADER_MORE
 * the next call reads from the start of the field again: bound the field, feed large pieces. */
enum header_next header_next(struct slice *rest, bool at_end, struct header *, bool *blank_line);

/* Field names that cleanup knows, by name without case; 0 for others. */
enum header_id {
	HEADER_OTHER,
	HEADER_FROM,
	HEADER_TO,
	HEADER_CC,
	HEADER_BCC,
	HEADER_DATE,
	HEADER_MESSAGE_ID,
	HEADER_RECEIVED,
	HEADER_RETURN_PATH,
	HEADER_DELIVERED_TO,
	HEADER_SENDER,
	HEADER_REPLY_TO,
	HEADER_SUBJECT,
	HEADER_CONTENT_LENGTH,
	HEADER_RESENT_FROM,
	HEADER_RESENT_TO,
	HEADER_RESENT_CC,
	HEADER_RESENT_BCC,
	HEADER_RESENT_DATE,
	HEADER_RESENT_MESSAGE_ID,
	HEADER_RESENT_SENDER,
	HEADER_RESENT_REPLY_TO,
	HEADER_MIME_VERSION,
	HEADER_CONTENT_TYPE,
	HEADER_CONTENT_TRANSFER_ENCODING
};
enum header_id header_id(struct slice name);

/* "Mon, 23 Nov 2026 14:53:48 +0000 (UTC)" in local time. Returns out.
 * Who goes into a chroot calls tzset() before it: the zone is read once. */
const char *mail_date(char out[64], int64_t wall_us);

#endif
