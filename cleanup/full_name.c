/* SPDX-License-Identifier: ISC */
/*
 * full_name.c - the name that a local user said to have, before an address. It comes from a stranger: what
 * is no plain word is quoted, and what is not ASCII encoded (RFC 2047).
 */
#include "cleanup/header_pass.h"
#include "common/base/text.h"

/* Encoded, each byte may take three; a word of it is at most 75 characters. */
enum { NAME_SHOWN = 200, WORD_BYTES = 20 };

static bool is_plain(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (strchr("()<>[]:;@\\,.\"", name.data[i]) != NULL)
			return false;
	return true;
}

static void put_quoted(struct slice name, struct buf *out)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '"' || name.data[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, name.data[i]);
	}
	buf_putc(out, '"');
}

/* Bytes that belong to the character before them. */
static bool continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static void put_encoded(struct slice name, struct buf *out)
{
	size_t in_word = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (in_word == 0)
			buf_puts(out, i == 0 ? "=?utf-8?Q?" : " =?utf-8?Q?");
		buf_printf(out, "=%02X", (unsigned char)name.data[i]);
		in_word++;
		if (i + 1 == name.len ||
		    (in_word >= WORD_BYTES - 3 && !continues(name.data[i + 1]))) {
			buf_puts(out, "?=");
			in_word = 0;
		}
	}
}

void full_name_put(struct slice name, struct slice address, struct buf *out)
{
	struct buf clean = { 0 };

	name = slice_trim(name);
	if (name.len > NAME_SHOWN)
		for (name.len = NAME_SHOWN; name.len > 0 && continues(name.data[name.len]);)
			name.len--;
	buf_put_slice(&clean, name);
	text_neuter(clean.data, clean.len);
	name = buf_slice(&clean);
	if (name.len == 0) {
		buf_put_slice(out, address);
		return;
	}
	if (!text_is_printable_ascii(name))
		put_encoded(name, out);
	else if (is_plain(name))
		buf_put_slice(out, name);
	else
		put_quoted(name, out);
	buf_puts(out, " <");
	buf_put_slice(out, address);
	buf_putc(out, '>');
	buf_clear(&clean);
}
