/* SPDX-License-Identifier: ISC */
/*
 * text.h - ASCII text: numbers that are checked to the last byte, and bytes made safe to show.
 */
#ifndef GP_TEXT_H
#define GP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

/* The whole slice as a decimal number of at most max; false when it is anything else. */
bool text_number(struct slice, uint64_t max, uint64_t *value);
/* Replaces what must not reach a log or a terminal (control bytes, DEL; 8-bit bytes that are not
 * valid UTF-8) by '?', in place. */
void text_neuter(char *data, size_t len);
/* ASCII lower case, in place. */
void text_lower(char *data, size_t len);
/* Only bytes 0x20-0x7e. */
bool text_is_printable_ascii(struct slice);
bool text_is_utf8(struct slice);
/* Next word of `rest`, which ends at any byte of `separators`; rest moves behind it. False at the
 * end. Empty words are skipped. */
bool text_next_word(struct slice *rest, const char *separators, struct slice *word);
/* Next item of a list as Postfix splits it: separated by commas and blanks; "{ }" protects those in
 * it, also inside an item (inline:{a=b, c=d}), and is removed round a whole item. False at the end. */
bool text_next_item(struct slice *rest, struct slice *item);

#endif
