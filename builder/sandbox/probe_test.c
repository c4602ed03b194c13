#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/host.h"
#include "builder/sandbox/probe.h"
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
	top_path = xasprintf("%s/probe_test.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	int rc;

	(void)state;
	close(top);
	rc = file_remove_tree(AT_FDCWD, top_path, NULL);
	free(top_path);
	return rc;
}

static void the_words_of_isolation(void **state)
{
	(void)state;
	assert_int_equal(isolation_parse("auto"), ISOLATION_AUTO);
	assert_int_equal(isolation_parse("root"), ISOLATION_ROOT);
	assert_int_equal(isolation_parse("userns"), ISOLATION_USERNS);
	assert_int_equal(isolation_parse("none"), ISOLATION_NONE);
	assert_int_equal(isolation_parse(""), -1);
	assert_int_equal(isolation_parse("Root"), -1);
	assert_int_equal(isolation_parse("rootless"), -1);
}

static void what_each_wish_allows(void **state)
{
	(void)state;
	assert_int_equal(isolation_allows(ISOLATION_AUTO, SANDBOX_ROOT), !geteuid());
	assert_true(isolation_allows(ISOLATION_AUTO, SANDBOX_RANGE));
	assert_true(isolation_allows(ISOLATION_AUTO, SANDBOX_ONE));
	assert_true(isolation_allows(ISOLATION_ROOT, SANDBOX_ROOT));
	assert_false(isolation_allows(ISOLATION_ROOT, SANDBOX_ONE));
	assert_false(isolation_allows(ISOLATION_USERNS, SANDBOX_ROOT));
	assert_true(isolation_allows(ISOLATION_USERNS, SANDBOX_RANGE));
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++)
		assert_false(isolation_allows(ISOLATION_NONE, (enum sandbox_mode)mode));
}

/* Entries of a folder, without . and .. */
static size_t entries(const char *path)
{
	int fd = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0;

	if (!d) {
		fail();
		return 0;
	}
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void namespaces(struct buf *out)
{
	static const char *const names[] = {"user", "mnt", "pid_for_children",
					    "uts",  "net", "ipc"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[64], link[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, link, sizeof(link));
		buf_add(out, link, n > 0 ? (size_t)n : 0);
	}
}

static void a_probe_leaves_nothing_and_changes_nothing(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++) {
		auto_buf struct buf before = BUF_INIT, after = BUF_INIT;
		struct probe p;

		namespaces(&before);
		assert_int_equal(probe_mode((enum sandbox_mode)mode, top, &p, NULL), 0);
		namespaces(&after);
		assert_string_equal(before.data, after.data);
		assert_int_equal(entries("tmp"), 0);
		assert_int_equal(entries("."), 1);
	}
}

static void a_mode_works_when_all_that_is_needed_is_there(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++) {
		struct probe p;
		size_t failed = 0;

		assert_int_equal(probe_mode((enum sandbox_mode)mode, top, &p, NULL), 0);
		assert_true(p.n > 0 && p.n <= PROBE_CHECKS);
		for (size_t i = 0; i < p.n; i++) {
			assert_true(p.checks[i].text[0] != '\0');
			assert_true(p.checks[i].name[0] != '\0');
			failed += !p.checks[i].ok && p.checks[i].needed;
		}
		assert_int_equal(failed, p.works ? 0 : 1);
		/* the one that failed is the last */
		assert_int_equal(p.checks[p.n - 1].ok, p.works);
		if (p.works)
			assert_string_equal(p.checks[p.n - 1].name, "exec");
	}
}

static void the_first_mode_that_works_is_chosen(void **state)
{
	struct probe tried[SANDBOX_MODES];
	struct error err = ERROR_INIT;
	enum sandbox_mode mode;
	size_t n;

	(void)state;
	if (probe_choose(ISOLATION_AUTO, top, &mode, tried, &n, &err) < 0) {
		assert_int_equal(err.kind, E_SANDBOX);
		assert_true(err.hint[0] != '\0');
		return;
	}
	assert_true(n > 0);
	assert_int_equal(tried[n - 1].mode, mode);
	assert_true(tried[n - 1].works);
	for (size_t i = 0; i + 1 < n; i++)
		assert_false(tried[i].works);
}

static void none_runs_nothing(void **state)
{
	struct probe tried[SANDBOX_MODES];
	struct error err = ERROR_INIT;
	enum sandbox_mode mode;
	size_t n = 9;

	(void)state;
	assert_int_equal(probe_choose(ISOLATION_NONE, top, &mode, tried, &n, &err), -1);
	assert_int_equal(err.kind, E_SANDBOX);
	assert_int_equal(n, 0);
}

/* Runs f in a child; its status: 0 as it should be, 1 not, 2 cannot be tried here. */
static int in_child(int (*f)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int put(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int choose_without_namespaces(void)
{
	struct probe tried[SANDBOX_MODES];
	struct error err = ERROR_INIT;
	enum sandbox_mode mode;
	char map[64];
	size_t n;

	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (unshare(CLONE_NEWUSER) < 0 || put("/proc/self/uid_map", map) < 0 ||
	    put("/proc/sys/user/max_user_namespaces", "0") < 0)
		return 2;
	return probe_choose(ISOLATION_AUTO, top, &mode, tried, &n, &err) < 0 &&
			       err.kind == E_SANDBOX &&
			       strstr(err.hint, "max_user_namespaces")
		       ? 0
		       : 1;
}

static void where_nothing_works_the_cure_is_the_hint(void **state)
{
	(void)state;
	assert_int_not_equal(in_child(choose_without_namespaces), 1);
}

static int probe_on_an_overlay(void)
{
	struct probe p;
	auto_fd int fd = -1;
	const struct probe_check *last;
	char name[HOST_TEXT];

	if (geteuid() || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", top_path, "tmpfs", 0, NULL) < 0 || chdir(top_path) < 0 ||
	    mkdir("lower", 0755) < 0 || mkdir("upper", 0755) < 0 ||
	    mkdir("work", 0755) < 0 || mkdir("merged", 0755) < 0 ||
	    mount("none", "merged", "overlay", 0,
		  "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		return 2;
	fd = open("merged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	host_filesystem(fd, name);
	if (strcmp(name, "overlay") != 0 || probe_mode(SANDBOX_ROOT, fd, &p, NULL) < 0)
		return 1;
	last = &p.checks[p.n - 1];
	return !p.works && !strcmp(last->name, "overlay") && !last->ok &&
			       strstr(last->cure, "volume")
		       ? 0
		       : 1;
}

static void a_store_on_an_overlay_is_named_with_its_cure(void **state)
{
	(void)state;
	assert_int_not_equal(in_child(probe_on_an_overlay), 1);
}

static void a_folder_that_cannot_be_written_is_an_error(void **state)
{
	auto_fd int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = ERROR_INIT;
	struct probe p;

	(void)state;
	assert_int_equal(probe_mode(SANDBOX_ONE, fd, &p, &err), -1);
	assert_int_not_equal(err.kind, E_NONE);
	assert_false(p.works);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_of_isolation),
		cmocka_unit_test(what_each_wish_allows),
		cmocka_unit_test_setup_teardown(
			a_probe_leaves_nothing_and_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_mode_works_when_all_that_is_needed_is_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_mode_that_works_is_chosen,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_runs_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(where_nothing_works_the_cure_is_the_hint,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_store_on_an_overlay_is_named_with_its_cure, set_up, tear_down),
		cmocka_unit_test(a_folder_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
