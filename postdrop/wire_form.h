/* SPDX-License-Identifier: ISC */
/*
 * wire_form.h - text as people and programs write it, on its way into SMTP wire form: CRLF lines, no other
 * CR or LF, no NUL, each leading dot doubled. Nothing in it ends a message.
 */
#ifndef GP_WIRE_FORM_H
#define GP_WIRE_FORM_H

#include "common/base/buf.h"

enum wire_form_place { WIRE_FORM_START, WIRE_FORM_MIDDLE, WIRE_FORM_CR };

/* All zero is the state before the first byte. */
struct wire_form {
	enum wire_form_place place;
};

/* Appends what the bytes become. LF and CRLF end a line; any other CR, and NUL, become blanks. */
void wire_form_feed(struct wire_form *, struct slice in, struct buf *out);
/* No more comes: a last line without an end gets it. */
void wire_form_end(struct wire_form *, struct buf *out);

#endif
