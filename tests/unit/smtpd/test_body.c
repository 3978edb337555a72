/* SPDX-License-Identifier: ISC */
/*
 * The DATA reader: one sequence ends a message, however it is cut into pieces, and what comes out
 * can be read in one way only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "smtpd/body.h"

struct body_case {
	struct slice in;
	const char *out; /* up to the end; of what never ends: all of it */
	size_t taken;	 /* 0: the message has not ended */
	bool bare_lf, bare_cr;
};

#define IN(text)                                                                                   \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct body_case cases[] = {
	{ IN(".\r\nQUIT\r\n"), "", 3, false, false },
	{ IN("a\r\n.\r\nQUIT\r\n"), "a\r\n", 6, false, false },
	{ IN("..\r\n...\r\n.a\r\n.\r\n"), "..\r\n...\r\n.a\r\n", 16, false, false },
	{ IN("a\r\n..b\r\n.\r\n"), "a\r\n..b\r\n", 11, false, false },
	{ IN("\xe4\xff\x01\r\n.\r\n"), "\xe4\xff\x01\r\n", 8, false, false },
	/* Whatever others take for an end. */
	{ IN("a\n.\nM\r\n"), "a\r\n..\r\nM\r\n", 0, true, false },
	{ IN("a\n.\r\nM\r\n"), "a\r\n..\r\nM\r\n", 0, true, false },
	{ IN("a\r\n.\nM\r\n"), "a\r\n..\r\nM\r\n", 0, true, false },
	{ IN("a\r.\rM\r\n"), "a . M\r\n", 0, false, true },
	{ IN("a\r.\r\nM\r\n"), "a .\r\nM\r\n", 0, false, true },
	{ IN("a\r\n.\rM\r\n"), "a\r\n. M\r\n", 0, false, true },
	{ IN("a\r\n.\r\rM\r\n"), "a\r\n.  M\r\n", 0, false, true },
	{ IN("a\r\n\r.\r\nM\r\n"), "a\r\n .\r\nM\r\n", 0, false, true },
	{ IN("a\r\n.\r\r\nM\r\n"), "a\r\n. \r\nM\r\n", 0, false, true },
	{ IN("a\r\r\n.\r\r\nM\r\n"), "a \r\n. \r\nM\r\n", 0, false, true },
	{ IN("a\n\n.\r\nM\r\n"), "a\r\n\r\n..\r\nM\r\n", 0, true, false },
	{ IN("a\r\n\0.\r\nM\r\n"), "a\r\n .\r\nM\r\n", 0, false, false },
	{ IN("a\r\n.\0\r\nM\r\n"), "a\r\n. \r\nM\r\n", 0, false, false },
	{ IN("a\r\n\0.\rM\r\n"), "a\r\n . M\r\n", 0, false, true },
	{ IN("a\r\n\0.\nM\r\n"), "a\r\n .\r\nM\r\n", 0, true, false },
	{ IN("a\r\0\n.\r\0\nM\r\n"), "a  \r\n.  \r\nM\r\n", 0, true, true },
	{ IN("a\r\n.\r\0M\r\n"), "a\r\n.  M\r\n", 0, false, true },
	{ IN("a\n..\r\nM\r\n"), "a\r\n..\r\nM\r\n", 0, true, false },
	{ IN("a\r..\r\nM\r\n"), "a ..\r\nM\r\n", 0, false, true },
};

struct result {
	struct body body;
	struct buf out;
	size_t taken;
	bool ended;
};

static void feed(struct result *r, struct slice piece)
{
	if (!r->ended)
		r->taken += body_feed(&r->body, piece, &r->out, &r->ended);
}

static void check(const struct body_case *c, size_t cut)
{
	struct result r = { 0 };
	char name[64];

	snprintf(name, sizeof(name), "case %zu cut at %zu", (size_t)(c - cases), cut);
	feed(&r, slice_part(c->in, 0, cut));
	feed(&r, slice_part(c->in, cut, c->in.len));
	if (r.ended != (c->taken > 0) || r.taken != (c->taken > 0 ? c->taken : c->in.len))
		fail_msg("%s: ended %d, taken %zu", name, r.ended, r.taken);
	if (!slice_equal(buf_slice(&r.out), slice_of(c->out)))
		fail_msg("%s: %s", name, buf_text(&r.out));
	if (r.body.saw_bare_lf != c->bare_lf || r.body.saw_bare_cr != c->bare_cr)
		fail_msg("%s: bare LF %d, bare CR %d", name, r.body.saw_bare_lf,
		    r.body.saw_bare_cr);
	buf_clear(&r.out);
}

static void one_sequence_ends_a_message_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++)
			check(&cases[i], cut);
}

/* Every string of these bytes: a reader that takes any line end must find one message in it. */
static void no_string_smuggles(void **state)
{
	static const char bytes[] = { '\r', '\n', '.', '\0', 'a' };
	enum { LENGTH = 7, STRINGS = 5 * 5 * 5 * 5 * 5 * 5 * 5 };
	struct buf out = { 0 };

	(void)state;
	for (unsigned n = 0; n < STRINGS; n++) {
		char in[LENGTH + 2] = "\r\n";
		struct body b = { 0 };
		bool ended;

		for (unsigned i = 0, rest = n; i < LENGTH; i++, rest /= sizeof(bytes))
			in[2 + i] = bytes[rest % sizeof(bytes)];
		buf_reset(&out);
		body_feed(&b, slice_new(in, sizeof(in)), &out, &ended);
		for (size_t i = 0; i < out.len; i++) {
			char before = i > 0 ? out.data[i - 1] : '\n', c = out.data[i];

			assert_true(c != '\0');
			assert_int_equal(c == '\n', before == '\r');
			/* A lone dot would end it. */
			assert_false(before == '\n' && c == '.' && i + 1 < out.len &&
			    out.data[i + 1] == '\r');
		}
	}
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sequence_ends_a_message_however_it_is_cut),
		cmocka_unit_test(no_string_smuggles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
