/* SPDX-License-Identifier: ISC */
/*
 * xtext.c - the coding of values in DSN parameters.
 */
#include "common/mail/xtext.h"

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_decode(struct slice text, struct buf *out)
{
	size_t start = out->len;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		int high = -1, low = -1;

		if (c == '+' && i + 2 < text.len) {
			high = hex(text.data[i + 1]);
			low = hex(text.data[i + 2]);
			i += 2;
		}
		if (c < '!' || c > '~' || c == '=' || (c == '+' && (high == -1 || low == -1))) {
			out->len = start;
			return false;
		}
		buf_putc(out, c == '+' ? (char)(high * 16 + low) : c);
	}
	return true;
}
