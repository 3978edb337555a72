/* SPDX-License-Identifier: ISC */
/*
 * queue_id.c - queue ids in the long form.
 *
 * The alphabet has no vowels, so no id spells a word. Its last digit, z, marks the end of the time:
 * the digits behind it are in base 51, so the last z of an id is always that mark.
 */
#include "common/mail/queue_id.h"

#include <string.h>

static const char alphabet[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

enum {
	TIME_BASE = 52,
	MAKER_BASE = 51,
	SECOND_DIGITS = 6,
	MICRO_DIGITS = 4,
	COUNTS = MAKER_BASE * MAKER_BASE, /* ids of one process within a microsecond */
	SHORT_LIMIT = 15,
	SHORT_LEAST = 6,
	LONG_LIMIT = 24,
	LONG_LEAST = 12
};

/* At least `least` digits. Returns behind the last one. */
static char *put_digits(char *at, uint64_t value, unsigned base, int least)
{
	char reversed[16];
	int count = 0;

	while (value > 0 || count < least) {
		reversed[count++] = alphabet[value % base];
		value /= base;
	}
	while (count > 0)
		*at++ = reversed[--count];
	return at;
}

void queue_id_make(char out[QUEUE_ID_SIZE], int64_t wall_us, uint32_t process, uint32_t counter)
{
	uint64_t now = wall_us < 0 ? 0 : (uint64_t)wall_us;
	char *at = put_digits(out, now / 1000000, TIME_BASE, SECOND_DIGITS);

	at = put_digits(at, now % 1000000, TIME_BASE, MICRO_DIGITS);
	*at++ = 'z';
	at = put_digits(at, (uint64_t)process * COUNTS + counter % COUNTS, MAKER_BASE, 3);
	*at = '\0';
}

static bool all_of(struct slice s, const char *allowed)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\0' || strchr(allowed, s.data[i]) == NULL)
			return false;
	return true;
}

bool queue_id_is_valid(struct slice id)
{
	if (id.len >= SHORT_LEAST && id.len <= SHORT_LIMIT && all_of(id, "0123456789ABCDEF"))
		return true;
	return id.len >= LONG_LEAST && id.len <= LONG_LIMIT && all_of(id, alphabet);
}

static uint64_t number_of(struct slice digits)
{
	uint64_t value = 0;

	for (size_t i = 0; i < digits.len; i++)
		value = value * TIME_BASE + (uint64_t)(strchr(alphabet, digits.data[i]) - alphabet);
	return value;
}

int64_t queue_id_time(struct slice id)
{
	ptrdiff_t mark = slice_find_last(id, 'z');
	uint64_t seconds, micros;

	/* Eight digits of seconds are more than 1.6 million years. */
	if (!queue_id_is_valid(id) || mark < SECOND_DIGITS + MICRO_DIGITS ||
	    mark > 8 + MICRO_DIGITS || !all_of(id, alphabet))
		return -1;
	seconds = number_of(slice_part(id, 0, (size_t)mark - MICRO_DIGITS));
	micros = number_of(slice_part(id, (size_t)mark - MICRO_DIGITS, MICRO_DIGITS));
	if (micros >= 1000000 || seconds > INT64_MAX / 1000000 - 1)
		return -1;
	return (int64_t)(seconds * 1000000 + micros);
}
