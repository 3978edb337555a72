/* SPDX-License-Identifier: ISC */
/*
 * Tasks switch cheaply and often, wait with deadlines, are woken and cancelled, and an overflowing
 * stack ends the process instead of its neighbour's data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/task/task.h"

static int remaining;

/* Runs until as many tasks as were started have called done(). */
static void done(void)
{
	if (--remaining == 0)
		task_stop();
}

static void start(void (*run)(void *), void *arg)
{
	remaining++;
	assert_non_null(task_start("test", run, arg));
}

enum { ROUNDS = 500000 };

static void yield_often(void *arg)
{
	unsigned *count = arg;

	for (int i = 0; i < ROUNDS; i++) {
		++*count;
		task_yield();
	}
	done();
}

static void a_million_switches_arrive(void **state)
{
	unsigned counts[2] = { 0, 0 };

	(void)state;
	start(yield_often, &counts[0]);
	start(yield_often, &counts[1]);
	task_run();
	assert_int_equal(counts[0], ROUNDS);
	assert_int_equal(counts[1], ROUNDS);
}

static void wait_in_vain(void *arg)
{
	int *fds = arg;
	deadline before = clock_now();

	assert_int_equal(task_wait_fd(fds[0], TASK_READ, deadline_after(20 * CLOCK_MS)), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_true(clock_now() - before >= 20 * CLOCK_MS);
	done();
}

static void a_wait_ends_at_its_deadline(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	start(wait_in_vain, fds);
	task_run();
	task_forget_fd(fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void read_five(void *arg)
{
	int *fds = arg;
	char c;

	for (int i = 0; i < 5; i++) {
		assert_int_equal(task_wait_fd(fds[0], TASK_READ, deadline_after(CLOCK_SECOND * 10)),
		    TASK_READ);
		assert_int_equal(read(fds[0], &c, 1), 1);
		assert_int_equal(c, 'a' + i);
	}
	done();
}

static void write_five(void *arg)
{
	int *fds = arg;

	for (int i = 0; i < 5; i++) {
		char c = (char)('a' + i);

		assert_true(task_wait_fd(fds[1], TASK_WRITE, deadline_after(CLOCK_SECOND)) > 0);
		assert_int_equal(write(fds[1], &c, 1), 1);
		assert_int_equal(task_sleep_until(deadline_after(CLOCK_MS)), 0);
	}
	done();
}

static void a_reader_wakes_for_each_byte_and_descriptors_are_reused(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		start(read_five, fds);
		start(write_five, fds);
		task_run();
		for (int i = 0; i < 2; i++) {
			task_forget_fd(fds[i]);
			close(fds[i]);
		}
	}
}

struct cancelling {
	struct task *victim;
	struct task_list list;
	int errors;
};

static void be_cancelled(void *arg)
{
	struct cancelling *c = arg;

	c->victim = task_self();
	assert_int_equal(task_list_wait(&c->list, DEADLINE_NEVER), -1);
	assert_int_equal(errno, ECANCELED);
	/* Later waits fail too. */
	assert_int_equal(task_sleep_until(deadline_after(CLOCK_SECOND * 3600)), -1);
	assert_int_equal(errno, ECANCELED);
	task_uncancel();
	assert_int_equal(task_sleep_until(deadline_after(CLOCK_MS)), 0);
	done();
}

static void cancel_it(void *arg)
{
	struct cancelling *c = arg;

	task_cancel(c->victim);
	done();
}

static void a_cancelled_task_unwinds_by_its_errors(void **state)
{
	struct cancelling c = { 0 };

	(void)state;
	start(be_cancelled, &c);
	start(cancel_it, &c);
	task_run();
	assert_null(c.list.first);
}

struct meeting {
	struct task_list list;
	int woken, late;
};

static void wait_in_list(void *arg)
{
	struct meeting *m = arg;

	if (task_list_wait(&m->list, deadline_after(50 * CLOCK_MS)) == 0)
		m->woken++;
	else if (errno == ETIMEDOUT)
		m->late++;
	done();
}

static void wake_two(void *arg)
{
	struct meeting *m = arg;

	task_list_wake_one(&m->list);
	task_list_wake_one(&m->list);
	done();
}

static void as_many_wake_as_are_called(void **state)
{
	struct meeting m = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++)
		start(wait_in_list, &m);
	start(wake_two, &m);
	task_run();
	assert_int_equal(m.woken, 2);
	assert_int_equal(m.late, 3);
	assert_null(m.list.first);
}

static int fired;

static void count_and_stop(void *arg)
{
	(void)arg;
	fired++;
	task_stop();
}

static void never(void *arg)
{
	(void)arg;
	fail();
}

static void a_timer_fires_once_unless_cleared(void **state)
{
	struct task_timer first = { 0 }, second = { 0 };

	(void)state;
	task_timer_set(&first, deadline_after(5 * CLOCK_MS), never, NULL);
	task_timer_set(&second, deadline_after(10 * CLOCK_MS), count_and_stop, NULL);
	task_timer_clear(&first);
	task_run();
	assert_int_equal(fired, 1);
	assert_null(second.loop_state);
}

static void on_signal(int number, void *arg)
{
	*(int *)arg = number;
	task_stop();
}

static void a_signal_is_told_from_the_loop(void **state)
{
	int got = 0;

	(void)state;
	task_on_signal(SIGUSR1, on_signal, &got);
	kill(getpid(), SIGUSR1);
	task_run();
	assert_int_equal(got, SIGUSR1);
}

static void nothing(void *arg)
{
	(void)arg;
	done();
}

static void thousands_of_tasks_come_and_go(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++)
		start(nothing, NULL);
	assert_int_equal(task_count(), 3000);
	task_run();
	assert_int_equal(task_count(), 0);
}

static void use_16k(void *arg)
{
	volatile char space[16384];

	(void)arg;
	for (size_t i = 0; i < sizeof(space); i += 64)
		space[i] = 1;
	task_yield();
	if (space[64] == 1)
		task_stop();
}

static void the_deepest_stack_is_known(void **state)
{
	(void)state;
	start(use_16k, NULL);
	task_run();
	assert_in_range(task_stack_peak(), 16384, TASK_STACK_SIZE / 2);
}

#ifndef __SANITIZE_ADDRESS__
static volatile int depth = 1000;

static int go_deeper(int left)
{
	volatile char space[1024];

	space[0] = (char)left;
	return left == 0 ? 0 : go_deeper(left - 1) + space[0];
}

static void overflow(void *arg)
{
	(void)arg;
	depth = go_deeper(depth);
	task_stop();
}

static void an_overflow_meets_the_guard_page(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid != -1);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		task_after_fork();
		task_start("overflow", overflow, NULL);
		task_run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_switches_arrive),
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(a_reader_wakes_for_each_byte_and_descriptors_are_reused),
		cmocka_unit_test(a_cancelled_task_unwinds_by_its_errors),
		cmocka_unit_test(as_many_wake_as_are_called),
		cmocka_unit_test(a_timer_fires_once_unless_cleared),
		cmocka_unit_test(a_signal_is_told_from_the_loop),
		cmocka_unit_test(thousands_of_tasks_come_and_go),
		cmocka_unit_test(the_deepest_stack_is_known),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(an_overflow_meets_the_guard_page),
#endif
	};

	task_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
