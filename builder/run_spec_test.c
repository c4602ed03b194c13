#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "builder/run_worker.h"
#include "registry/base/alloc.h"

static void sample(struct run_spec *s)
{
	*s = (struct run_spec){.store = xstrdup("/var/lib/hod"),
			       .isolation = ISOLATION_USERNS,
			       .mode = SANDBOX_RANGE,
			       .time = -5,
			       .keep_mtime = true,
			       .check = true,
			       .level = 9,
			       .nlayers = 2,
			       .nbase = 1,
			       .cwd = xstrdup("/var/task"),
			       .uid = 33,
			       .gid = 4294967294u,
			       .ngroups = 3,
			       .network = true,
			       .processes = UINT64_MAX,
			       .script_name = xstrdup("EOF"),
			       .script = xstrdup("#!/bin/sh\n")};
	s->layers = xcalloc(2, sizeof(*s->layers));
	s->layers[0].size = 1;
	s->layers[1].size = UINT64_MAX;
	memset(&s->layers[1].diff_id, 0xab, sizeof(s->layers[1].diff_id));
	strv_add(&s->argv, "/bin/sh");
	strv_add(&s->argv, "");
	strv_add(&s->argv, "a\nb \xff");
	strv_add(&s->env, "A=\xc3\xa4");
	s->groups = xcalloc(3, sizeof(*s->groups));
	s->groups[2] = 42;
}

static void what_was_written_is_read_back(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct run_spec a, b;
	struct error err = ERROR_INIT;

	(void)state;
	sample(&a);
	run_spec_write(&a, &text);
	assert_int_equal(run_spec_read(&b, text.data, text.len, &err), 0);
	assert_string_equal(b.store, "/var/lib/hod");
	assert_int_equal(b.isolation, ISOLATION_USERNS);
	assert_int_equal(b.mode, SANDBOX_RANGE);
	assert_int_equal(b.time, -5);
	assert_true(b.check && b.keep_mtime && !b.bytecode && !b.probe && b.network);
	assert_int_equal(b.level, 9);
	assert_int_equal(b.nlayers, 2);
	assert_int_equal(b.nbase, 1);
	assert_memory_equal(b.layers, a.layers, 2 * sizeof(*a.layers));
	assert_int_equal(b.argv.n, 3);
	assert_string_equal(b.argv.v[1], "");
	assert_string_equal(b.argv.v[2], "a\nb \xff");
	assert_int_equal(b.env.n, 1);
	assert_string_equal(b.env.v[0], "A=\xc3\xa4");
	assert_string_equal(b.cwd, "/var/task");
	assert_int_equal(b.uid, 33);
	assert_int_equal(b.gid, 4294967294u);
	assert_int_equal(b.ngroups, 3);
	assert_int_equal(b.groups[2], 42);
	assert_true(b.processes == UINT64_MAX);
	assert_string_equal(b.script_name, "EOF");
	assert_string_equal(b.script, "#!/bin/sh\n");
	run_spec_release(&a);
	run_spec_release(&b);
}

static void what_is_cut_or_too_long_is_refused(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct run_spec a, b;

	(void)state;
	sample(&a);
	run_spec_write(&a, &text);
	for (size_t len = 0; len < text.len; len++) {
		struct error err = ERROR_INIT;

		assert_int_equal(run_spec_read(&b, text.data, len, &err), -1);
		assert_int_equal(err.kind, E_BUG);
	}
	buf_addc(&text, 'x');
	assert_int_equal(run_spec_read(&b, text.data, text.len, NULL), -1);
	run_spec_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_back),
		cmocka_unit_test(what_is_cut_or_too_long_is_refused),
	};

	return cmocka_run_group_tests_name("run_spec", tests, NULL, NULL);
}
