/* SPDX-License-Identifier: ISC */
/*
 * store_load.c - load on the queue's store alone, and on what it is compared with.
 *
 *   store_load store|probe|files DIRECTORY WRITERS SIZE SECONDS
 *   store_load fill DIRECTORY COUNT SIZE
 *   store_load open DIRECTORY
 *
 * store: each writer puts a message, waits for the answer, and ends the message with a status that nobody waits
 * for. probe: the least that group commit can cost: the records of all writers appended by one write to a file of
 * zeros, one fdatasync. files: a file per message: create, write, fsync, rename, fsync of the directory, unlink.
 * Prints one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/store_load.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/queue_id.h"

enum {
	WRITERS_MAX = 1024,
	LATENCIES_MAX = 4 << 20,
	PROBE_FILE = 64 << 20,
	BLOCK = 4096,
	LARGE = 65536
};

struct load {
	const char *directory;
	unsigned writers;
	size_t size;
	deadline start, until; /* what is answered before start is warming up */
	pthread_mutex_t lock;
	unsigned long count, flushes, latency_count;
	float *latency_us; /* of each message; unsorted */
	double cpu_start;
};
static struct load load = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void fail(const char *what)
{
	fprintf(stderr, "store_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A message was answered that was handed in then. With the lock, or in the only thread. */
static void answered(deadline since)
{
	deadline now = clock_now();

	if (now < load.start)
		return;
	if (load.count == 0)
		load.cpu_start = cpu_seconds();
	load.count++;
	if (load.latency_count < LATENCIES_MAX)
		load.latency_us[load.latency_count++] = (float)(now - since) / 1e3F;
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static float percentile(unsigned percent)
{
	if (load.latency_count == 0)
		return 0;
	return load.latency_us[load.latency_count * percent / 100];
}

static void print_result(void)
{
	double seconds = (double)(clock_now() - load.start) / CLOCK_SECOND;

	qsort(load.latency_us, load.latency_count, sizeof(float), compare_floats);
	printf("{\"rate\": %.1f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"flushes\": %.4f, "
	       "\"cpu_us\": %.1f}\n",
	    (double)load.count / seconds, percentile(50), percentile(99),
	    load.count == 0 ? 0 : (double)load.flushes / (double)load.count,
	    load.count == 0 ? 0 : (cpu_seconds() - load.cpu_start) * 1e6 / (double)load.count);
}

/* --- the store ------------------------------------------------------------------------------------ */

static void report(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "store_load: %s\n", text);
}

struct store *load_open(const char *directory)
{
	struct store_options options = { .report = report };
	struct store *store;
	char *why = NULL;

	if (mkdir(directory, 0700) == -1 && errno != EEXIST)
		fail(directory);
	options.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (options.directory == -1)
		fail(directory);
	store = store_open(&options, NULL, NULL, &why);
	if (store == NULL) {
		fprintf(stderr, "store_load: %s: %s\n", directory, why);
		exit(1);
	}
	return store;
}

void load_id(char id[QUEUE_ID_SIZE], int64_t wall_us)
{
	static uint32_t counter;

	queue_id_make(id, wall_us, 1, counter++);
}

void load_wait(struct store *store)
{
	struct pollfd event = { .fd = store_event_fd(store), .events = POLLIN };

	if (poll(&event, 1, -1) == -1 && errno != EINTR)
		fail("poll");
	store_poll(store);
}

struct writer {
	struct store *store;
	char id[QUEUE_ID_SIZE];
	deadline since;
};
static unsigned writing;
static char content[1 << 20];

static void on_put(void *arg, int error);

static void put(struct writer *w)
{
	struct slice address = SLICE("recipient@domain.example"), none = SLICE("");
	uint64_t notify = 0;
	struct store_message s = { .sender = SLICE("sender@sender.example"),
		.address = { &address, 1 },
		.original = { &address, 1 },
		.orcpt = { &none, 1 },
		.notify = { &notify, 1 } };
	int fd;

	s.arrival_us = clock_wall_us();
	load_id(w->id, s.arrival_us);
	s.id = slice_of(w->id);
	w->since = clock_now();
	if (load.size <= LARGE) {
		s.content = slice_new(content, load.size);
	} else {
		fd = store_large_create(w->store, s.id);
		if (fd == -1 || write(fd, content, load.size) != (ssize_t)load.size)
			fail("large content");
		close(fd);
		s.large_size = load.size;
	}
	store_put(w->store, &s, on_put, w);
}

static void on_put(void *arg, int error)
{
	struct writer *w = arg;
	struct store_status delivered = { .state = RCPT_DELIVERED, .dsn = SLICE("2.0.0") };

	if (error != 0) {
		errno = error;
		fail("store_put");
	}
	answered(w->since);
	store_status(w->store, slice_of(w->id), &delivered, 1, 0, NULL, NULL);
	if (clock_now() < load.until)
		put(w);
	else
		writing--;
}

static void run_store(void)
{
	static struct writer writers[WRITERS_MAX];
	struct store_counters before = { 0 }, after;
	struct store *store = load_open(load.directory);
	bool warm = false;

	for (unsigned i = 0; i < load.writers; i++) {
		writers[i].store = store;
		writing++;
		put(&writers[i]);
	}
	while (writing > 0) {
		load_wait(store);
		if (!warm && clock_now() >= load.start) {
			store_counters(store, &before);
			warm = true;
		}
	}
	store_counters(store, &after);
	load.flushes = after.flushes - before.flushes;
	print_result();
	store_close(store);
}

/* --- the probe ------------------------------------------------------------------------------------ */

static void run_probe(void)
{
	size_t record = (load.size + BLOCK - 1) / BLOCK * BLOCK, batch = record * load.writers;
	char *path = mem_printf("%s/probe", load.directory), *zeros = mem_alloc(1 << 20),
	     *data = mem_alloc(batch);
	off_t at = 0, size = batch * 2 > PROBE_FILE ? (off_t)batch * 2 : PROBE_FILE;
	int fd;

	memset(data, 'x', batch);
	if (mkdir(load.directory, 0700) == -1 && errno != EEXIST)
		fail(load.directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		fail(path);
	for (off_t done = 0; done < size; done += 1 << 20)
		if (pwrite(fd, zeros, 1 << 20, done) != 1 << 20)
			fail(path);
	fsync(fd);
	load.start = deadline_after(load.start - clock_now());
	while (clock_now() < load.until) {
		deadline since = clock_now();

		if (at + (off_t)batch > size)
			at = 0;
		if (pwrite(fd, data, batch, at) != (ssize_t)batch || fdatasync(fd) == -1)
			fail(path);
		at += (off_t)batch;
		load.flushes += clock_now() >= load.start;
		for (unsigned i = 0; i < load.writers; i++)
			answered(since);
	}
	print_result();
	unlink(path);
	free(path);
	free(zeros);
	free(data);
}

/* --- a file per message --------------------------------------------------------------------------- */

static void *files_writer(void *arg)
{
	unsigned number = *(unsigned *)arg;
	char *from = mem_printf("%s/new-%u", load.directory, number),
	     *to = mem_printf("%s/message-%u", load.directory, number);
	int directory = open(load.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (clock_now() < load.until) {
		deadline since = clock_now();
		int fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd == -1 || write(fd, content, load.size) != (ssize_t)load.size ||
		    fsync(fd) == -1 || close(fd) == -1 || rename(from, to) == -1 ||
		    fsync(directory) == -1)
			fail(from);
		pthread_mutex_lock(&load.lock);
		answered(since);
		load.flushes += 2 * (clock_now() >= load.start);
		pthread_mutex_unlock(&load.lock);
		unlink(to);
	}
	close(directory);
	free(from);
	free(to);
	return NULL;
}

static void run_files(void)
{
	static pthread_t threads[WRITERS_MAX];
	static unsigned numbers[WRITERS_MAX];

	if (mkdir(load.directory, 0700) == -1 && errno != EEXIST)
		fail(load.directory);
	for (unsigned i = 0; i < load.writers; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, files_writer, &numbers[i]) != 0)
			fail("thread");
	}
	for (unsigned i = 0; i < load.writers; i++)
		pthread_join(threads[i], NULL);
	print_result();
}

/* --- opening -------------------------------------------------------------------------------------- */

static int open_main(const char *directory)
{
	struct store_counters counters;
	deadline start = clock_now();
	struct store *store = load_open(directory);
	double seconds = (double)(clock_now() - start) / CLOCK_SECOND;

	store_counters(store, &counters);
	printf("{\"messages\": %llu, \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
	    (unsigned long long)counters.messages, seconds, cpu_seconds());
	store_close(store);
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------------ */

static int usage(void)
{
	fprintf(stderr,
	    "usage: store_load store|probe|files DIRECTORY WRITERS SIZE SECONDS\n"
	    "       store_load fill DIRECTORY COUNT SIZE\n");
	return 64;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = { { "store", run_store }, { "probe", run_probe }, { "files", run_files } };
	double seconds;

	if (argc == 5 && strcmp(argv[1], "fill") == 0 && strtoul(argv[4], NULL, 10) <= LARGE)
		return fill_main(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "open") == 0)
		return open_main(argv[2]);
	if (argc != 6)
		return usage();
	load.directory = argv[2];
	load.writers = (unsigned)strtoul(argv[3], NULL, 10);
	load.size = strtoul(argv[4], NULL, 10);
	seconds = strtod(argv[5], NULL);
	if (load.writers == 0 || load.writers > WRITERS_MAX || load.size > sizeof(content) ||
	    seconds <= 0)
		return usage();
	load.latency_us = mem_alloc_array(LATENCIES_MAX, sizeof(float));
	memset(content, 'x', sizeof(content));
	load.start = deadline_after((int64_t)(seconds * 0.25 * CLOCK_SECOND));
	load.until = deadline_after((int64_t)(seconds * 1.25 * CLOCK_SECOND));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0) {
			modes[i].run();
			return 0;
		}
	return usage();
}
