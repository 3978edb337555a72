/* SPDX-License-Identifier: ISC */
/*
 * replay.c - drives a fuzz target without libFuzzer. With files as arguments it runs these inputs: how a
 * failure is looked at. Without, it runs the target's seeds and a few thousand inputs made of them, the
 * same ones each time: how `make check` keeps the targets alive. The input that kills the target is
 * left in PROGRAM.failed.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS = 3000, SEEDS_MAX = 32, INPUT_MAX = 4096, CHANGES_MAX = 8, PIECE_MAX = 40 };

struct input {
	uint8_t data[INPUT_MAX];
	size_t size;
};

static struct input seeds[SEEDS_MAX], current;
static size_t seeds_count;
static char failed_path[4096];
static uint64_t state = 1;

static size_t below(size_t limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(state >> 33) % limit;
}

static void keep_input(int signal_number)
{
	int fd = open(failed_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	signal(signal_number, SIG_DFL);
	if (fd != -1 && write(fd, current.data, current.size) == (ssize_t)current.size)
		dprintf(STDERR_FILENO, "replay: the input is in %s\n", failed_path);
	raise(signal_number);
}

static void run_current(void)
{
	/* A copy of its exact size: a sanitizer sees a byte too many. */
	uint8_t *copy = malloc(current.size + (current.size == 0));

	if (copy == NULL)
		err(1, "no memory");
	memcpy(copy, current.data, current.size);
	LLVMFuzzerTestOneInput(copy, current.size);
	free(copy);
}

static void read_input(const char *path, struct input *in)
{
	FILE *file = fopen(path, "r");

	if (file == NULL)
		err(1, "%s", path);
	in->size = fread(in->data, 1, sizeof(in->data), file);
	fclose(file);
}

static void read_seeds(const char *directory)
{
	struct dirent **names;
	int count = scandir(directory, &names, NULL, alphasort);
	char *path;

	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.' && seeds_count < SEEDS_MAX) {
			if (asprintf(&path, "%s/%s", directory, names[i]->d_name) == -1)
				err(1, "no memory");
			read_input(path, &seeds[seeds_count++]);
			free(path);
		}
		free(names[i]);
	}
	if (count != -1)
		free(names);
	if (seeds_count == 0)
		seeds_count = 1; /* an empty one */
}

/* Puts a piece of some seed before the byte at `at`. */
static void insert_piece(size_t at)
{
	const struct input *from = &seeds[below(seeds_count)];
	size_t start = below(from->size + 1), len = below(PIECE_MAX);

	if (len > from->size - start)
		len = from->size - start;
	if (len > INPUT_MAX - current.size)
		len = INPUT_MAX - current.size;
	memmove(current.data + at + len, current.data + at, current.size - at);
	memcpy(current.data + at, from->data + start, len);
	current.size += len;
}

static void change_current(void)
{
	static const char telling[] = "\r\n\t \"\\<>()[]{}@:;,|/$=%!+-.'#\f\177\200\377";
	size_t at = below(current.size + 1), len = below(PIECE_MAX);

	switch (below(5)) {
	case 0:
		insert_piece(at);
		return;
	case 1:
		len = len > current.size - at ? current.size - at : len;
		memmove(current.data + at, current.data + at + len, current.size - at - len);
		current.size -= len;
		return;
	case 2:
		if (at < current.size)
			current.data[at] ^= (uint8_t)(1u << below(8));
		return;
	case 3:
		if (at < current.size)
			current.data[at] = (uint8_t)below(256);
		return;
	default:
		/* With its zero byte. */
		if (at < current.size)
			current.data[at] = (uint8_t)telling[below(sizeof(telling))];
	}
}

static void run_made_up(const char *program)
{
	const char *name = strrchr(program, '/');
	char directory[4096];

	snprintf(directory, sizeof(directory), "tests/fuzz/seeds/%s",
	    name != NULL ? name + 1 : program);
	read_seeds(directory);
	for (size_t i = 0; i < INPUTS; i++) {
		current = seeds[i % seeds_count];
		for (size_t changes = i < seeds_count ? 0 : 1 + below(CHANGES_MAX); changes > 0;
		     changes--)
			change_current();
		run_current();
	}
	printf("replay: %d inputs\n", INPUTS);
}

int main(int argc, char **argv)
{
	static const int deaths[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

	snprintf(failed_path, sizeof(failed_path), "%s.failed", argv[0]);
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
		signal(deaths[i], keep_input);
	for (int i = 1; i < argc; i++) {
		read_input(argv[i], &current);
		run_current();
	}
	if (argc == 1)
		run_made_up(argv[0]);
	return 0;
}
