#include "builder/sandbox/sandbox_test.h"

static void a_copy_of_the_program_cannot_be_changed(void **state)
{
	struct error err = ERROR_INIT;
	auto_fd int fd = sandbox_program(&err), out = -1;
	struct stat copy, own;
	char path[32];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &copy), 0);
	assert_int_equal(stat("/proc/self/exe", &own), 0);
	assert_int_equal(copy.st_size, own.st_size);
	assert_int_equal(faccessat(fd, "", X_OK, AT_EMPTY_PATH), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	out = open(path, O_WRONLY);
	assert_true(out < 0 || write(out, "x", 1) < 0);
	assert_true(truncate(path, 0) < 0);
	shell("cmp /proc/%d/exe /proc/%d/fd/%d", getpid(), getpid(), fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_of_the_program_cannot_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
