#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

static int top; /* a folder of this test's own */
static char *top_path;

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	umask(022);
	top_path = xasprintf("%s/file_test.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(top);
	file_remove_tree(AT_FDCWD, top_path, NULL);
	free(top_path);
	return 0;
}

static void put(const char *path, const char *text)
{
	int fd = openat(top, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool there(const char *path)
{
	return !faccessat(top, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void an_open_in_a_folder_stays_in_it(void **state)
{
	static const struct {
		const char *path;
		bool opens;
	} table[] = {
		{"in/file", true},        {"in/../in/file", true},
		{"../../in/file", true},  {"link-inside", true},
		{"link-up", true},        {"link-out", false},
		{"link-absolute", false}, {"/in/file", true},
		{"none", false},
	};

	(void)state;
	assert_int_equal(file_mkdirs(top, "root/in", NULL), 0);
	put("root/in/file", "x");
	put("secret", "y");
	assert_int_equal(symlinkat("in/file", top, "root/link-inside"), 0);
	assert_int_equal(symlinkat("../../../in/file", top, "root/link-up"), 0);
	assert_int_equal(symlinkat("../secret", top, "root/link-out"), 0);
	assert_int_equal(symlinkat("/etc/passwd", top, "root/link-absolute"), 0);
	int root = openat(top, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct error err = ERROR_INIT;
		int fd = file_open_in(root, table[i].path, O_RDONLY, &err);

		if ((fd >= 0) != table[i].opens)
			fail_msg("%s: %s", table[i].path, fd < 0 ? err.msg : "opened");
		if (fd >= 0)
			close(fd);
	}
	close(root);
}

static void a_file_over_the_limit_is_refused(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	put("ten", "0123456789");
	assert_int_equal(file_read(top, "ten", 10, &b, &err), 0);
	assert_string_equal(b.data, "0123456789");
	assert_int_equal(file_read(top, "ten", 9, &b, &err), -1);
	assert_int_equal(err.kind, E_INPUT);
	assert_int_equal(file_read(top, "none", 9, &b, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
}

static void a_replaced_file_is_the_old_or_the_new_one(void **state)
{
	struct tmpdir *t = tmpdir_open(top, NULL);
	auto_buf struct buf b = BUF_INIT;
	struct stat st;

	(void)state;
	assert_non_null(t);
	put("f", "old");
	assert_int_equal(file_replace(t, top, "f", "new", 3, true, NULL), 0);
	assert_int_equal(file_read(top, "f", 10, &b, NULL), 0);
	assert_string_equal(b.data, "new");
	assert_int_equal(fstatat(top, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* into a folder that is not there: nothing stays behind */
	assert_int_equal(file_replace(t, top, "no/f", "new", 3, false, NULL), -1);
	tmpdir_close(t);
	assert_true(there("tmp"));
	assert_int_equal(unlinkat(top, "tmp", AT_REMOVEDIR), 0);
}

/* A process that was killed leaves its temporaries; the next one removes them, but
 * neither those of a living process nor what is not hod's. */
static void what_the_dead_left_is_swept_and_nothing_else(void **state)
{
	struct tmpdir *mine;
	struct tmp file = TMP_INIT;
	int ready[2], status;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct tmpdir *t = tmpdir_open(top, NULL);

		if (!t || tmp_open(&file, t, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(file_mkdirs(top, "tmp/yarn", NULL), 0);
	put("tmp/yarn/kept", "x");
	put("tmp/yarn.lock", "");
	put("tmp/...lock", "");
	put("tmp/..lock", "");
	put("precious", "x");
	mine = tmpdir_open(top, NULL); /* while the other lives */
	assert_non_null(mine);
	tmpdir_close(mine);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	mine = tmpdir_open(top, NULL);
	assert_non_null(mine);
	tmpdir_close(mine);
	assert_true(there("precious"));
	assert_true(there("tmp/yarn/kept"));
	assert_int_equal(file_remove_tree(top, "tmp/yarn", NULL), 0);
	assert_int_equal(unlinkat(top, "tmp/yarn.lock", 0), 0);
	assert_int_equal(unlinkat(top, "tmp/...lock", 0), 0);
	assert_int_equal(unlinkat(top, "tmp/..lock", 0), 0);
	assert_int_equal(unlinkat(top, "tmp", AT_REMOVEDIR),
			 0); /* nothing else is left */
}

static void a_tree_goes_with_all_that_is_in_it_and_no_link_is_followed(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs(top, "gone/a/b/c", NULL), 0);
	assert_int_equal(file_mkdirs(top, "stays", NULL), 0);
	put("stays/file", "x");
	put("gone/a/file", "x");
	assert_int_equal(symlinkat("../stays", top, "gone/link"), 0);
	assert_int_equal(fchmodat(top, "gone/a/b", 0500, 0), 0);
	assert_int_equal(file_remove_tree(top, "gone", NULL), 0);
	assert_false(there("gone"));
	assert_true(there("stays/file"));
	assert_int_equal(file_remove_tree(top, "gone", NULL), 0);
}

static void a_lock_waits_for_its_holder(void **state)
{
	struct error err = ERROR_INIT;
	int held = file_lock(top, "lock", &err), status;
	pid_t pid;

	(void)state;
	assert_true(held >= 0);
	pid = fork();
	if (!pid) {
		close(held); /* a copy of the descriptor holds the lock as well */
		int fd = file_lock(top, "lock", NULL);

		_exit(fd >= 0 && there("released") ? 0 : 1);
	}
	usleep(50000);
	put("released", "");
	close(held);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* As an ordinary user, who needs the bits: */
static void in_child_as_user(void (*check)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!geteuid() &&
		    (fchown(top, 4321, 4321) < 0 || setgid(4321) < 0 || setuid(4321) < 0))
			_exit(99);
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void remove_closed_folders(void)
{
	if (mkdirat(top, "t", 0755) || mkdirat(top, "t/ro", 0755) ||
	    mkdirat(top, "t/ro/sub", 0755) || mkdirat(top, "t/none", 0) ||
	    symlinkat("ro", top, "t/ro/sub/link") || fchmodat(top, "t/ro/sub", 0555, 0) ||
	    fchmodat(top, "t/ro", 0500, 0) || fchmodat(top, "t", 0, 0))
		_exit(1);
	if (file_remove_tree(top, "t", NULL) < 0 || there("t"))
		_exit(2);
}

static void folders_without_permission_bits_are_removed_too(void **state)
{
	(void)state;
	in_child_as_user(remove_closed_folders);
}

static void sweep_as_user(void)
{
	struct tmpdir *t = tmpdir_open(top, NULL);

	if (!t)
		_exit(1);
	tmpdir_close(t);
	if (!there("tmp/0123456789abcdef/in/file"))
		_exit(2);
}

/* What a RUN with subordinate ids left is removed inside its user namespace. */
static void
what_the_dead_left_under_other_owners_waits_for_who_can_remove_it(void **state)
{
	struct error err = ERROR_INIT;
	struct tmpdir *t;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(top, "tmp", 0755), 0);
	assert_int_equal(mkdirat(top, "tmp/0123456789abcdef", 0755), 0);
	assert_int_equal(mkdirat(top, "tmp/0123456789abcdef/in", 0755), 0);
	put("tmp/0123456789abcdef/in/file", "");
	put("tmp/0123456789abcdef.lock", "");
	assert_int_equal(fchownat(top, "tmp", 4321, 4321, 0), 0);
	assert_int_equal(fchownat(top, "tmp/0123456789abcdef", 4321, 4321, 0), 0);
	assert_int_equal(fchownat(top, "tmp/0123456789abcdef.lock", 4321, 4321, 0), 0);
	in_child_as_user(sweep_as_user);
	t = tmpdir_open(top, &err);
	assert_non_null(t);
	assert_false(there("tmp/0123456789abcdef"));
	assert_false(there("tmp/0123456789abcdef.lock"));
	tmpdir_close(t);
}

static void a_tree_deeper_than_there_are_descriptors_is_removed(void **state)
{
	auto_fd int at = -1;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(mkdirat(top, "deep", 0755), 0);
	put("deep/0.lifted", "");
	at = openat(top, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 1500; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		assert_int_equal(symlinkat("d", at, "l"), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(file_remove_tree(top, "deep", &err), 0);
	assert_false(there("deep"));
}

static void a_temporary_folder_is_new_and_goes_with_the_directory(void **state)
{
	char a[32], b[32];
	struct error err = ERROR_INIT;
	struct tmpdir *t = tmpdir_open(top, &err);

	(void)state;
	assert_non_null(t);
	auto_fd int one = tmpdir_folder(t, a, &err);
	auto_fd int two = tmpdir_folder(t, b, &err);

	assert_true(one >= 0 && two >= 0);
	assert_string_not_equal(a, b);
	assert_int_equal(mkdirat(tmpdir_fd(t), a, 0700), -1);
	assert_int_equal(mkdirat(one, "x", 0), 0);
	tmpdir_close(t);
	assert_int_equal(unlinkat(top, "tmp", AT_REMOVEDIR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			folders_without_permission_bits_are_removed_too, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_the_dead_left_under_other_owners_waits_for_who_can_remove_it,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_tree_deeper_than_there_are_descriptors_is_removed, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_temporary_folder_is_new_and_goes_with_the_directory, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_open_in_a_folder_stays_in_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_file_over_the_limit_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_replaced_file_is_the_old_or_the_new_one,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_the_dead_left_is_swept_and_nothing_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_tree_goes_with_all_that_is_in_it_and_no_link_is_followed,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_lock_waits_for_its_holder, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
