#include "builder/sandbox/sandbox_test.h"

static void a_command_that_cannot_be_executed_is_126_or_127(void **state)
{
	static const struct {
		const char *name;
		int status;
	} cases[] = {
		{"nothing", 127},
		{"/bin/nothing", 127},
		{"/etc/resolv.conf", 126},
		{"/etc", 126},
		{"", 127},
		{"/bin/noloader", 127},
		{"/bin/bad", 126},
		{"busybox", 0},
	};
	struct place p;

	(void)state;
	place_open(&p, first_mode());
	shell("cd %s/lower/bin; printf '#!/none\\n' >noloader; echo text >bad; "
	      "chmod 755 noloader bad",
	      p.dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *const argv[] = {(char *)cases[i].name, NULL};

		shell("chmod -R u+rwx %s/work; rm -rf %s/work %s/upper; "
		      "mkdir %s/work %s/upper",
		      p.dir, p.dir, p.dir, p.dir, p.dir);
		p.argv = argv;
		assert_int_equal(run(&p, NULL), 0);
		if (p.ran->result.status != cases[i].status)
			print_error("%s\n", cases[i].name);
		assert_int_equal(p.ran->result.status, cases[i].status);
	}
	place_close(&p);
}

/* Scripts end in ":" where the shell would otherwise become the last command. */
static void the_environment_is_exactly_what_was_given(void **state)
{
	(void)state;
	says_everywhere("busybox tr '\\0' '\\n' </proc/$$/environ; :",
			"PATH=/none:/bin\nONE=1\n");
}

static void no_process_that_is_seen_shows_the_callers_environment(void **state)
{
	const char *path = getenv("PATH");

	(void)state;
	if (!path)
		fail_msg("there is no PATH to look for");
	for (enum sandbox_mode m = first_mode(); path && m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		assert_int_equal(run(&p, "busybox cat /proc/[0-9]*/environ; :"), 0);
		assert_null(memmem(p.output.data, p.output.len, path, strlen(path)));
		assert_non_null(memmem(p.output.data, p.output.len, "ONE=1", 5));
		place_close(&p);
	}
}

static void capabilities_are_dockers(void **state)
{
	(void)state;
	/* docker run debian grep Cap /proc/self/status */
	says_everywhere("busybox grep -E 'Cap|NoNew|Seccomp:' /proc/self/status",
			"CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
			"CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
			"CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
}

static void a_user_has_its_ids_its_groups_and_no_capabilities(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	for (enum sandbox_mode m = SANDBOX_ROOT; m <= SANDBOX_RANGE; m++) {
		struct place p;

		place_open(&p, m);
		p.uid = 1000;
		p.gid = 1001;
		p.groups[0] = 2000;
		p.groups[1] = 2001;
		p.ngroups = 2;
		says(&p, "busybox grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status",
		     "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\n"
		     "Groups:\t1001 2000 2001 \nCapInh:\t0000000000000000\n"
		     "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
		     "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
		place_close(&p);
	}
}

static void a_user_can_open_its_output(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.pipe = true;
		p.uid = p.gid = m == SANDBOX_ONE ? 0 : 1000;
		says(&p, "echo one >/dev/stdout; echo two >/dev/stderr; echo three",
		     "one\ntwo\nthree\n");
		place_close(&p);
	}
}

static void root_has_no_groups_of_the_caller(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		/* its own, where groups can be set at all */
		says(&p, "busybox grep Groups /proc/self/status",
		     m == SANDBOX_ONE ? "Groups:\t \n" : "Groups:\t0 \n");
		place_close(&p);
	}
}

static void with_one_id_another_user_is_refused_with_a_hint(void **state)
{
	struct place p;

	(void)state;
	place_open(&p, SANDBOX_ONE);
	for (int i = 0; i < 3; i++) {
		p.uid = i == 0 ? 1000 : 0;
		p.gid = i == 1 ? 1000 : 0;
		p.groups[0] = 27;
		p.ngroups = i == 2;
		assert_int_equal(run(&p, "exit 0"), -1);
		assert_int_equal(p.ran->err.kind, E_SANDBOX);
		assert_non_null(strstr(p.ran->err.msg, i == 0   ? "user 1000"
						       : i == 1 ? "group 1000"
								: "group 27"));
		assert_non_null(strstr(p.ran->err.hint, "/etc/subuid"));
	}
	place_close(&p);
}

static void with_one_id_giving_a_file_away_is_not_permitted(void **state)
{
	struct place p;

	(void)state;
	place_open(&p, SANDBOX_ONE);
	says(&p,
	     "busybox touch /f; for to in 5:5 :5 5 0:0 :0; do\n"
	     "busybox chown $to /f 2>/dev/null && echo $to; done; busybox chown 5 /f "
	     "2>&1; true",
	     "0:0\n:0\nchown: /f: Operation not permitted\n");
	place_close(&p);
}

static void the_working_folder_is_made_for_the_user(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;
		char text[64];

		place_open(&p, m);
		p.uid = m == SANDBOX_ONE ? 0 : 1000;
		p.cwd = "/a//b/c/";
		snprintf(text, sizeof(text), "/a/b/c\n755:%u /a\n755:%u /a/b/c\n", p.uid,
			 p.uid);
		says(&p, "busybox pwd; busybox stat -c '%a:%u %n' /a /a/b/c", text);
		place_close(&p);
	}
}

static void the_working_folder_is_never_outside(void **state)
{
	static const struct {
		const char *cwd, *pwd; /* NULL: refused */
	} cases[] = {
		{"/proc/self/fd/3", NULL}, {"/proc/self/fd/7", NULL},
		{"/proc/1/root", NULL},    {"/proc/1/cwd", NULL},
		{"/../../..", "/\n"},      {"/up/etc", "/etc\n"},
		{"/away", NULL}, /* a dangling link */
		{"/bin/sh", NULL},         {"/bin/sh/x", NULL},
	};

	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			struct place p;

			place_open(&p, m);
			shell("ln -s ../../../.. %s/lower/up", p.dir);
			p.cwd = cases[i].cwd;
			if (cases[i].pwd) {
				says(&p, "busybox pwd", cases[i].pwd);
			} else {
				assert_int_equal(run(&p, "busybox pwd"), -1);
				assert_int_equal(p.ran->err.kind, E_INPUT);
			}
			place_close(&p);
		}
}

static void limits_umask_and_names_are_always_the_same(void **state)
{
	(void)state;
	says_everywhere("umask; ulimit -Sn; ulimit -Sc; ulimit -Hc; ulimit -Ss; "
			"busybox hostname; busybox cat /proc/self/personality",
			"0022\n1024\n0\n0\n8192\nhod\n00040000\n");
	says_everywhere(
		"[ $(ulimit -Hn) -le 524288 ]; "
		"busybox awk '$2==0||1{print $3}' /proc/self/uid_map | busybox wc -l | "
		"busybox tr -d ' '",
		"1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_cannot_be_executed_is_126_or_127),
		cmocka_unit_test(the_environment_is_exactly_what_was_given),
		cmocka_unit_test(no_process_that_is_seen_shows_the_callers_environment),
		cmocka_unit_test(capabilities_are_dockers),
		cmocka_unit_test(a_user_has_its_ids_its_groups_and_no_capabilities),
		cmocka_unit_test(a_user_can_open_its_output),
		cmocka_unit_test(root_has_no_groups_of_the_caller),
		cmocka_unit_test(with_one_id_another_user_is_refused_with_a_hint),
		cmocka_unit_test(with_one_id_giving_a_file_away_is_not_permitted),
		cmocka_unit_test(the_working_folder_is_made_for_the_user),
		cmocka_unit_test(the_working_folder_is_never_outside),
		cmocka_unit_test(limits_umask_and_names_are_always_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
