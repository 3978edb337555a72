/* SPDX-License-Identifier: ISC */
/*
 * text.c - checked numbers, safe bytes, words.
 */
#include "common/base/text.h"

bool text_number(struct slice s, uint64_t max, uint64_t *value)
{
	uint64_t number = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(s.data[i] - '0'), &number) ||
		    number > max)
			return false;
	}
	*value = number;
	return true;
}

/* Length of the UTF-8 character that starts here (RFC 3629: shortest form, no surrogate, at
 * most U+10FFFF), or 0. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	uint32_t code;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (left < len)
		return 0;
	code = p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && code < 0x10000) || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

/* C1 control characters (U+0080-U+009F) drive terminals too. */
static bool is_control(const unsigned char *p, size_t len)
{
	return (len == 1 && (p[0] < 0x20 || p[0] == 0x7f)) ||
	    (len == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

/* Nearly all of any text; nothing more to look at. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

void text_neuter(char *data, size_t len)
{
	unsigned char *p = (unsigned char *)data;

	for (size_t i = 0; i < len;) {
		size_t step;

		if (is_plain(p[i])) {
			i++;
			continue;
		}
		step = utf8_length(p + i, len - i);
		if (step == 0 || is_control(p + i, step)) {
			memset(p + i, '?', step == 0 ? 1 : step);
			step = step == 0 ? 1 : step;
		}
		i += step;
	}
}

void text_lower(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] >= 'A' && data[i] <= 'Z')
			data[i] += 'a' - 'A';
}

bool text_is_printable_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_plain((unsigned char)s.data[i]))
			return false;
	return true;
}

bool text_is_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		size_t step = utf8_length((const unsigned char *)s.data + i, s.len - i);

		if (step == 0)
			return false;
		i += step;
	}
	return true;
}

bool text_next_word(struct slice *rest, const char *separators, struct slice *word)
{
	size_t start = 0, end;

	while (start < rest->len && strchr(separators, rest->data[start]) != NULL)
		start++;
	end = start;
	while (end < rest->len && strchr(separators, rest->data[end]) == NULL)
		end++;
	*word = slice_part(*rest, start, end - start);
	*rest = slice_part(*rest, end, rest->len);
	return word->len > 0;
}

bool text_next_item(struct slice *rest, struct slice *item)
{
	static const char separators[] = ", \t\r\n";
	size_t start = 0, end, depth = 0, closed = 0;

	while (start < rest->len && memchr(separators, rest->data[start], 5) != NULL)
		start++;
	for (end = start; end < rest->len; end++) {
		char c = rest->data[end];

		if (depth == 0 && memchr(separators, c, 5) != NULL)
			break;
		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0 && --depth == 0 && closed == 0)
			closed = end;
	}
	*item = slice_part(*rest, start, end - start);
	*rest = slice_part(*rest, end, rest->len);
	if (item->len > 1 && item->data[0] == '{' && start + item->len - 1 == closed)
		*item = slice_trim(slice_part(*item, 1, item->len - 2));
	return end > start;
}
