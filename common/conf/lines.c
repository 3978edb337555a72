/* SPDX-License-Identifier: ISC */
/*
 * lines.c - logical lines of main.cf and master.cf.
 */
#include "common/conf/lines.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct slice conf_physical_line(struct slice *rest)
{
	ptrdiff_t end = slice_find(*rest, '\n');
	struct slice line = end == -1 ? *rest : slice_part(*rest, 0, (size_t)end + 1);

	*rest = slice_part(*rest, line.len, rest->len);
	return line;
}

static struct slice without_end(struct slice line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

bool conf_says_nothing(struct slice line)
{
	line = slice_trim(line);
	return line.len == 0 || line.data[0] == '#';
}

bool conf_lines_next(struct conf_lines *lines, struct buf *out)
{
	bool started = false;

	buf_reset(out);
	while (lines->rest.len > 0) {
		struct slice after = lines->rest, line = without_end(conf_physical_line(&after));

		if (!conf_says_nothing(line)) {
			if (started && !is_space(line.data[0]))
				break;
			if (!started) {
				lines->number = lines->at + 1;
				lines->stray = is_space(line.data[0]);
				started = true;
			}
			buf_put_slice(out, line);
		}
		lines->rest = after;
		lines->at++;
	}
	return started;
}
