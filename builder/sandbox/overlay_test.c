#include "builder/sandbox/sandbox_test.h"

/* Makes n lower folders below dir, each with a file of its number and one in all. */
static void lowers_open(const char *dir, int *fds, size_t n)
{
	shell("cd %s; i=0; while [ $i -lt %zu ]; do mkdir l$i; echo $i >l$i/all; "
	      "echo $i >l$i/f$i; i=$((i+1)); done",
	      dir, n);
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "l%zu", i);
		fds[i] = open_below(dir, name);
		assert_true(fds[i] >= 0);
	}
}

typedef int overlay_fn(enum sandbox_mode, const int *, size_t, int, int, struct buf *,
		       struct error *);

static void check_layers(overlay_fn *overlay, size_t n)
{
	struct place p;
	struct error err = ERROR_INIT;
	auto_free int *fds = xcalloc(n, sizeof(*fds));
	auto_buf struct buf text = BUF_INIT;
	int upper, work, root;
	char last[32];

	place_open(&p, SANDBOX_ROOT);
	lowers_open(p.dir, fds, n);
	upper = open_below(p.dir, "upper");
	work = open_below(p.dir, "work");
	root = overlay(SANDBOX_ROOT, fds, n, upper, work, NULL, &err);
	if (root < 0)
		print_error("%s\n", err.msg);
	assert_true(root >= 0);
	assert_int_equal(file_read(root, "all", 100, &text, NULL), 0);
	assert_string_equal(text.data, "0\n"); /* of the topmost */
	snprintf(last, sizeof(last), "f%zu", n - 1);
	assert_int_equal(faccessat(root, last, F_OK, 0), 0);
	close(root);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	close(upper);
	close(work);
	place_close(&p);
}

static void layers_lie_on_each_other_the_first_on_top(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	check_layers(sandbox_overlay, 3);
	check_layers(sandbox_overlay, OVERLAY_LOWERS);
}

static void older_kernels_take_the_classic_list(void **state)
{
	struct error err = ERROR_INIT;
	int many[200];

	(void)state;
	if (!is_root())
		skip();
	check_layers(overlay_classic, 3);
	check_layers(overlay_classic, 60);
	for (size_t i = 0; i < 200; i++)
		many[i] = 0;
	assert_int_equal(overlay_classic(SANDBOX_ROOT, many, 200, 0, 0, NULL, &err), -1);
}

static void more_layers_than_the_kernel_takes_are_refused(void **state)
{
	struct error err = ERROR_INIT;
	int fds[OVERLAY_LOWERS + 1] = {0};

	(void)state;
	assert_int_equal(
		sandbox_overlay(SANDBOX_ROOT, fds, OVERLAY_LOWERS + 1, 0, 0, NULL, &err),
		-1);
	assert_int_equal(err.kind, E_SANDBOX);
	assert_non_null(strstr(err.msg, "501 layers"));
}

static void a_refused_overlay_gives_the_kernels_words(void **state)
{
	struct error err = ERROR_INIT;
	auto_buf struct buf why = BUF_INIT;
	auto_fd int lower = open("/tmp", O_RDONLY), proc = open("/proc", O_RDONLY);

	(void)state;
	if (!is_root())
		skip();
	assert_int_equal(sandbox_overlay(SANDBOX_ROOT, &lower, 1, proc, proc, &why, &err),
			 -1);
	assert_int_equal(err.kind, E_SANDBOX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_lie_on_each_other_the_first_on_top),
		cmocka_unit_test(older_kernels_take_the_classic_list),
		cmocka_unit_test(more_layers_than_the_kernel_takes_are_refused),
		cmocka_unit_test(a_refused_overlay_gives_the_kernels_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
