/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as what a notice is made of: the content of the message, its texts, a file of templates. The
 * notice is in wire form, no text of others makes a line of its own, and the content is returned unchanged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounce/bounce.h"
#include "common/base/io.h"
#include "common/service/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf *defaults;

struct conf *service_conf(void)
{
	return defaults;
}

int service_config_directory(void)
{
	return -1;
}

static void begin(void)
{
	defaults = conf_defaults("/etc/gatepost");
	bounce_settings = (struct bounce_settings){
		.myhostname = "mx.example",
		.bounce_template_file = "",
		.bounce_size_limit = 50000,
		.enable_threaded_bounces = true,
	};
	words_open();
}

static void check_templates(struct slice text)
{
	struct template_reader r = { .rest = text };
	struct template_draft d;
	enum template_next next;
	char *why;

	while ((next = template_next(&r, &d, &why)) != TEMPLATE_END) {
		if (next == TEMPLATE_FOUND && (d.kind == 0 || d.text == NULL || *d.text == '\0'))
			abort();
		if ((next == TEMPLATE_WRONG) != (why != NULL) || r.wrong_line == 0)
			abort();
		free(why);
		template_draft_clear(&d);
	}
}

/* Lines end with CRLF, there is no other CR or LF, none is too long, and each dot in front has another. */
static void check_wire(struct slice text)
{
	while (text.len > 0) {
		ptrdiff_t end = slice_find(text, '\n');
		struct slice line = slice_part(text, 0, (size_t)end);

		if (end < 1 || end > 998 || line.data[end - 1] != '\r' ||
		    memchr(line.data, '\r', (size_t)end - 1) != NULL ||
		    (line.data[0] == '.' && line.data[1] != '.'))
			abort();
		text = slice_part(text, (size_t)end + 1, text.len);
	}
}

static size_t count_of(struct slice text, const char *what)
{
	const char *at = text.data, *end = text.data + text.len;
	size_t count = 0;

	for (; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL; at++)
		count++;
	return count;
}

/* Whatever the file says, there is a template for each kind. */
static void check_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("templates", MFD_CLOEXEC);
	struct templates t;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd == -1 || io_write_all(fd, data, size) == -1)
		abort();
	template_read(defaults, AT_FDCWD, path, size % 2 == 0, NULL, NULL, &t);
	close(fd);
	for (size_t kind = NOTICE_FAILURE; kind <= NOTICE_VERIFY; kind++)
		if (*t.of[kind].text == '\0' || *t.of[kind].charset == '\0')
			abort();
	template_clear(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_new(data, size), half = slice_part(all, 0, size / 2),
		     rest = slice_part(all, size / 2, size);
	struct notice_rcpt rcpt = { half, rest, half, SLICE("5.0.0"), rest, half, rest, 0 };
	struct notice_list list = { .items = &rcpt, .count = 1, .total = 2 };
	struct msg_notice about = { .id = SLICE("ID"), .sender = SLICE("a@b"), .envid = rest };
	struct notice n = { .about = &about, .list = &list, .to = half, .now_us = 1 };
	struct buf out = { 0 };
	struct returned r;

	if (defaults == NULL)
		begin();
	check_templates(all);
	check_file(data, size);
	n.content = (struct message_content){ all, -1, 0, size };
	for (about.kind = NOTICE_FAILURE; about.kind <= NOTICE_VERIFY; about.kind++) {
		n.headers_only = about.kind != NOTICE_FAILURE;
		if (!returned_measure(&n, &r) || r.size > size ||
		    (!n.headers_only && r.size != size))
			abort();
		buf_reset(&out);
		compose_head(&n, r.is_8bit, &out);
		check_wire(buf_slice(&out));
		/* Found once each, at the start of a line. */
		if (count_of(buf_slice(&out), "\r\n--ID.1/mx.example\r\n") != 3 ||
		    count_of(buf_slice(&out), "\r\nAction: ") != 1 ||
		    count_of(buf_slice(&out), "\r\nStatus: ") != 1)
			abort();
	}
	buf_clear(&out);
	return 0;
}
