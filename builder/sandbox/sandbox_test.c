#include "builder/sandbox/sandbox_test.h"

static void a_command_gives_its_status_and_its_output(void **state)
{
	static const struct {
		const char *script;
		int status, signal;
	} cases[] = {
		{"exit 0", 0, 0},
		{"exit 7", 7, 0},
		{"exit 255", 255, 0},
		{"kill -9 $$", 137, SIGKILL},
		{"kill -SEGV $$", 139, SIGSEGV},
	};

	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			struct place p;

			place_open(&p, m);
			assert_int_equal(run(&p, cases[i].script), 0);
			assert_int_equal(p.ran->result.status, cases[i].status);
			assert_int_equal(p.ran->result.signal, cases[i].signal);
			assert_false(p.ran->result.memory_killed);
			place_close(&p);
		}
	says_everywhere("echo out; echo err >&2", "out\nerr\n");
}

static void process_1_cannot_be_looked_into_or_written(void **state)
{
	(void)state;
	says_everywhere("for f in exe environ mem maps fd/0 fd/1; do\n"
			"(: <>/proc/1/$f) 2>/dev/null && echo open $f; done\n"
			"for f in exe cwd root fd/0 fd/1; do\n"
			"busybox readlink /proc/1/$f; done\n"
			"[ $$ != 1 ] && [ $PPID = 1 ]",
			"");
}

/* Beyond what its capabilities forbid: the kernel gives what is not dumpable to its own
 * root (proc(5)), who is nobody in a user namespace. */
static void process_1_is_not_dumpable(void **state)
{
	struct place p;

	(void)state;
	place_open(&p, SANDBOX_ONE);
	says(&p, "busybox stat -c %u /proc/1/environ /proc/$$/environ; :", "65534\n0\n");
	place_close(&p);
}

static void what_is_sent_to_process_1_from_inside_does_nothing(void **state)
{
	(void)state;
	says_everywhere("kill -TERM 1; kill -KILL 1; kill -INT 1; kill -CHLD 1; "
			"busybox sleep 0.1; echo alive",
			"alive\n");
}

static void nothing_of_a_run_lives_on(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;
		char script[200];

		place_open(&p, m);
		snprintf(script, sizeof(script),
			 "busybox setsid busybox sleep 9%d & (busybox setsid busybox "
			 "sleep "
			 "9%d &); echo started",
			 getpid(), getpid());
		says(&p, script, "started\n");
		snprintf(script, sizeof(script), "9%d", getpid());
		assert_false(process_with(script));
		place_close(&p);
	}
}

static void orphans_are_reaped(void **state)
{
	(void)state;
	says_everywhere(
		"for i in 1 2 3 4 5; do (busybox true & busybox true &); done; "
		"busybox sleep 0.3; busybox grep -l Z /proc/[0-9]*/stat 2>/dev/null; :",
		"");
}

static void a_fork_bomb_meets_its_bound_and_is_gone(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.processes = 40;
		/* ten levels: no danger where the bound does not hold */
		assert_int_equal(run(&p, "bomb() { [ $1 -gt 9 ] || { bomb $(($1+1)) | "
					 "bomb $(($1+1)) & busybox sleep 1; }; }; "
					 "bomb 0 2>/dev/null; "
					 "busybox sleep 1; echo end"),
				 0);
		assert_true(p.ran->result.processes_bound);
		if (m == SANDBOX_ROOT)
			assert_true(p.ran->result.processes_met);
		place_close(&p);
	}
}

static void a_bound_on_processes_refuses_to_fork(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.processes = 20;
		assert_int_equal(run(&p, "i=0; while [ $i -lt 40 ]; do busybox sleep 1 & "
					 "i=$((i+1)); done"),
				 0);
		assert_non_null(strstr(p.output.data, "can't fork"));
		place_close(&p);
	}
}

static void as_many_processes_as_allowed_can_be_made(void **state)
{
	struct place p;

	(void)state;
	if (!is_root())
		skip();
	for (int more = 0; more < 2; more++) {
		place_open(&p, SANDBOX_ROOT);
		p.processes = 10;
		/* the shell is one */
		assert_int_equal(run(&p, more ? "for i in 1 2 3 4 5 6 7 8 9 10; do "
						"busybox sleep 0.2 & done; wait"
					      : "for i in 1 2 3 4 5 6 7 8 9; do "
						"busybox sleep 0.2 & done; wait"),
				 0);
		assert_true(p.ran->result.processes_bound);
		assert_int_equal(p.ran->result.processes_met, more);
		place_close(&p);
	}
}

static void an_interrupt_asks_the_command_to_stop(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.install = true;
		begin(&p, "trap 'echo asked; exit 3' TERM; echo ready; "
			  "while :; do busybox sleep 0.1; done");
		wait_for_output(&p, "ready");
		kill(p.caller, SIGTERM);
		assert_int_equal(finish(&p), -1);
		assert_int_equal(p.ran->err.kind, E_INTERRUPTED);
		assert_non_null(strstr(p.output.data, "asked"));
		place_close(&p);
	}
}

static void a_command_that_does_not_stop_is_killed(void **state)
{
	struct place p;
	char mark[32], script[200];

	(void)state;
	place_open(&p, first_mode());
	p.install = true;
	sandbox_grace_ms = 300;
	snprintf(mark, sizeof(mark), "8%d", getpid());
	snprintf(script, sizeof(script), "trap '' TERM; echo ready; busybox sleep %s",
		 mark);
	begin(&p, script);
	wait_for_output(&p, "ready");
	kill(p.caller, SIGINT);
	assert_int_equal(finish(&p), -1);
	sandbox_grace_ms = 10000;
	assert_int_equal(p.ran->err.kind, E_INTERRUPTED);
	assert_false(process_with(mark));
	place_close(&p);
}

/* Whether the run of this caller has a cgroup. */
static bool group_of(pid_t pid)
{
	char line[128];
	int status = 0;
	pid_t child;

	snprintf(line, sizeof(line),
		 "find /sys/fs/cgroup -name 'hod-run-%d-*' | grep -q .", (int)pid);
	child = fork();
	if (!child) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(1);
	}
	waitpid(child, &status, 0);
	return !status;
}

static void a_killed_caller_takes_everything_along(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;
		char mark[32], script[200];
		int status;
		auto_buf struct buf before = BUF_INIT, after = BUF_INIT;

		place_open(&p, m);
		p.processes = 100;
		file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL);
		snprintf(mark, sizeof(mark), "7%d", getpid());
		snprintf(script, sizeof(script),
			 "busybox setsid busybox sleep %s & echo ready; busybox sleep %s",
			 mark, mark);
		begin(&p, script);
		wait_for_output(&p, "ready");
		assert_true(process_with(mark));
		sandbox_sweep(); /* of a live one: nothing */
		if (m == SANDBOX_ROOT)
			assert_true(group_of(p.caller));
		kill(p.caller, SIGKILL);
		assert_int_equal(waitpid(p.caller, &status, 0), p.caller);
		for (int i = 0; i < 250 && process_with(mark); i++)
			nap();
		assert_false(process_with(mark));
		for (int i = 0; i < 50 && group_of(p.caller); i++) {
			sandbox_sweep();
			nap();
		}
		assert_false(group_of(p.caller));
		file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL);
		assert_string_equal(before.data, after.data);
		place_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_gives_its_status_and_its_output),
		cmocka_unit_test(process_1_cannot_be_looked_into_or_written),
		cmocka_unit_test(process_1_is_not_dumpable),
		cmocka_unit_test(what_is_sent_to_process_1_from_inside_does_nothing),
		cmocka_unit_test(nothing_of_a_run_lives_on),
		cmocka_unit_test(orphans_are_reaped),
		cmocka_unit_test(a_fork_bomb_meets_its_bound_and_is_gone),
		cmocka_unit_test(a_bound_on_processes_refuses_to_fork),
		cmocka_unit_test(as_many_processes_as_allowed_can_be_made),
		cmocka_unit_test(an_interrupt_asks_the_command_to_stop),
		cmocka_unit_test(a_command_that_does_not_stop_is_killed),
		cmocka_unit_test(a_killed_caller_takes_everything_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
