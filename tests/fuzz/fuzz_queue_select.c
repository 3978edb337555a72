/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as conditions of a selection, and as the message that they are held against: no crash, a refusal
 * has a reason, an address fits itself, and what the glob says is what trying everything says.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/queue_pattern.h"
#include "common/mail/queue_select.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SHORT = 12 };

static const char *const options[] = { "from", "to", "domain", "older", "younger", "larger",
	"smaller", "reason", "queue", "client", "all-recipients" };

/* Only stars and letters. */
static bool plain_glob(struct slice p, struct slice t)
{
	if (p.len == 0)
		return t.len == 0;
	if (p.data[0] == '*')
		return plain_glob(slice_part(p, 1, p.len), t) ||
		    (t.len > 0 && plain_glob(p, slice_part(t, 1, t.len)));
	return t.len > 0 &&
	    tolower((unsigned char)p.data[0]) == tolower((unsigned char)t.data[0]) &&
	    plain_glob(slice_part(p, 1, p.len), slice_part(t, 1, t.len));
}

static void check_glob(struct slice pattern, struct slice text)
{
	for (size_t i = 0; i < pattern.len; i++)
		if (strchr("?[\\", pattern.data[i]) != NULL)
			return;
	if (pattern.len <= SHORT && text.len <= SHORT &&
	    queue_pattern_glob(pattern, text) != plain_glob(pattern, text))
		abort();
}

static void check_itself(struct slice address)
{
	struct queue_pattern p;
	const char *why;

	if (queue_pattern_address(address, &p, &why) && p.kind == PATTERN_TEXT &&
	    p.text.len == address.len && !queue_pattern_has_address(&p, address))
		abort();
}

/* Each line is a condition: a byte for the option, the value. */
static struct queue_select *read_conditions(struct slice rest)
{
	struct queue_select *s = queue_select_new(0);
	struct slice line;
	char *why;

	while (text_next_word(&rest, "\n", &line)) {
		const char *option = options[(unsigned char)line.data[0] % ARRAY_LENGTH(options)];

		if (queue_select_add(s, option, slice_part(line, 1, line.len), &why))
			continue;
		if (why[0] == '\0')
			abort();
		free(why);
	}
	if (!queue_select_check(s, &why))
		free(why);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_new(data, size), conditions, text;
	struct queue_select_head m = { .arrival = -100000 };
	struct queue_select *s;

	if (size < 2)
		return 0;
	conditions = slice_part(input, 1, data[0]);
	text = slice_part(input, 1 + conditions.len, size);
	s = read_conditions(conditions);
	m.sender = m.queue = text;
	m.size = size;
	queue_select_has_head(s, &m);
	queue_select_has_rcpt(s, text, conditions, text);
	queue_select_has_client(s, text, text);
	queue_select_free(s);
	check_glob(conditions, text);
	check_itself(text);
	return 0;
}
