/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a message's file. What is read must be what a writer could have written: written again and
 * read again it is the same message. A checksum is hard to hit, so the right one is put behind each input.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "admin/message_file.h"
#include "common/base/io.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* A file of the input; with its checksum, when `seal`. */
static int file_of(const uint8_t *data, size_t size, bool seal)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	char hex[SHA256_DIGEST_STRING_LENGTH];
	SHA2_CTX all;

	must(fd != -1 && io_write_all(fd, data, size) == 0);
	if (seal) {
		SHA256Init(&all);
		SHA256Update(&all, data, size);
		must(dprintf(fd, "sha256 64:%s\n", SHA256End(&all, hex)) > 0);
	}
	return fd;
}

static bool same(const struct message_file *a, const struct message_file *b)
{
	const struct store_message *x = &a->loaded.message, *y = &b->loaded.message;
	bool is = slice_equal(x->id, y->id) && slice_equal(x->sender, y->sender) &&
	    slice_equal(x->envelope, y->envelope) && slice_equal(x->content, y->content) &&
	    x->address.count == y->address.count && x->arrival_us == y->arrival_us &&
	    x->large_size == y->large_size && a->loaded.held == b->loaded.held &&
	    memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;

	for (size_t i = 0; is && i < x->address.count; i++)
		is = slice_equal(x->address.items[i], y->address.items[i]) &&
		    slice_equal(a->loaded.reason[i], b->loaded.reason[i]) &&
		    a->loaded.state[i] == b->loaded.state[i];
	return is;
}

static void write_and_read_again(struct message_file *first)
{
	int fd = memfd_create("again", MFD_CLOEXEC);
	FILE *out = fdopen(dup(fd), "w");
	struct message_file second;
	const char *why;

	must(out != NULL && message_file_write(out, &first->loaded, &why) && fclose(out) == 0);
	must(message_file_read(fd, &second, &why) && same(first, &second));
	message_file_clear(&second);
	close(fd);
}

static void run(const uint8_t *data, size_t size, bool seal)
{
	int fd = file_of(data, size, seal);
	struct message_file file;
	const char *why = NULL;

	if (message_file_read(fd, &file, &why) && file.loaded.message.large_size == 0)
		write_and_read_again(&file);
	else
		must(why != NULL || file.loaded.message.large_size > 0);
	message_file_clear(&file);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(data, size, false);
	run(data, size, true);
	return 0;
}
