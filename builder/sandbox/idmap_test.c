#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/idmap.h"
#include "builder/sandbox/subid.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

/* What a child saw, in memory that it shares with the test. */
struct seen {
	int rc; /* of idmap_enter */
	struct error err;
	uid_t uid;
	gid_t gid;
	int groups;
	char uid_map[4096], gid_map[4096], setgroups[16];
	bool shared_mounts;
};

static void slurp(const char *path, char *out, size_t cap)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

	out[n > 0 ? n : 0] = '\0';
}

static void look(struct seen *s)
{
	auto_buf struct buf mounts = BUF_INIT;

	s->uid = getuid();
	s->gid = getgid();
	s->groups = getgroups(0, NULL);
	slurp("/proc/self/uid_map", s->uid_map, sizeof(s->uid_map));
	slurp("/proc/self/gid_map", s->gid_map, sizeof(s->gid_map));
	slurp("/proc/self/setgroups", s->setgroups, sizeof(s->setgroups));
	file_read(AT_FDCWD, "/proc/self/mountinfo", (size_t)16 << 20, &mounts, NULL);
	s->shared_mounts = strstr(mounts.data, " shared:") != NULL;
}

/* Runs prepare (its failure is status 1) and idmap_enter in a child; false when the child
 * did not come to the end. */
static bool enter(enum sandbox_mode mode, int (*prepare)(void), struct seen *out)
{
	struct seen *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	assert_ptr_not_equal(s, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct idmap m = {0};

		if (prepare && prepare() < 0)
			_exit(1);
		s->rc = idmap_find(&m, mode, &s->err);
		if (!s->rc)
			s->rc = idmap_enter(&m, &s->err);
		look(s);
		idmap_release(&m);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	*out = *s;
	munmap(s, sizeof(*s));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void assert_refused(const struct seen *s, const char *hint)
{
	assert_int_equal(s->rc, -1);
	assert_int_equal(s->err.kind, E_SANDBOX);
	assert_non_null(strstr(s->err.hint, hint));
}

/* The numbers of a map as the kernel shows it, single blanks between them. */
static void assert_map(const char *map, const char *want)
{
	auto_buf struct buf text = BUF_INIT;
	unsigned long a, b, c;
	int len;

	for (; sscanf(map, "%lu %lu %lu\n%n", &a, &b, &c, &len) == 3; map += len)
		buf_addf(&text, "%s%lu %lu %lu", text.len ? "," : "", a, b, c);
	assert_string_equal(text.data, want);
}

static void a_map_has_what_lies_in_its_ranges(void **state)
{
	struct idmap m = {.mode = SANDBOX_RANGE};

	(void)state;
	id_ranges_add(&m.uids, 0, 1000, 1);
	id_ranges_add(&m.uids, 1, 100000, 10);
	id_ranges_add(&m.gids, 0, 1000, 1);
	id_ranges_add(&m.gids, 1, 200000, 5);
	assert_true(idmap_has(&m, 0, 0));
	assert_true(idmap_has(&m, 10, 5));
	assert_false(idmap_has(&m, 11, 5));
	assert_false(idmap_has(&m, 10, 6));
	idmap_release(&m);
	m.mode = SANDBOX_ROOT;
	assert_true(idmap_has(&m, 4294967294, 4294967294));
}

static void text_of(struct idmap *m, uint32_t first, struct buf *out)
{
	*m = (struct idmap){.mode = SANDBOX_RANGE};
	id_ranges_add(&m->uids, 0, 1000, 1);
	id_ranges_add(&m->uids, 1, first, 10);
	id_ranges_add(&m->gids, 0, 1000, 1);
	idmap_text(m, out);
	idmap_release(m);
}

static void the_text_tells_maps_apart(void **state)
{
	auto_buf struct buf a = BUF_INIT, b = BUF_INIT, c = BUF_INIT, one = BUF_INIT;
	struct idmap m;

	(void)state;
	text_of(&m, 100000, &a);
	text_of(&m, 100000, &b);
	text_of(&m, 100001, &c);
	assert_string_equal(a.data, b.data);
	assert_string_not_equal(a.data, c.data);
	assert_int_equal(strncmp(a.data, "range-", 6), 0);
	assert_int_equal(strspn(a.data + 6, "0123456789abcdef"), strlen(a.data) - 6);
	assert_int_equal(idmap_find(&m, SANDBOX_ONE, NULL), 0);
	idmap_text(&m, &one);
	assert_string_equal(one.data, "one");
	idmap_release(&m);
}

static void with_one_id_the_user_is_0_and_nobody_else_is_there(void **state)
{
	struct seen s;
	char uid[64], gid[64];

	(void)state;
	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	assert_true(enter(SANDBOX_ONE, NULL, &s));
	if (s.rc < 0) { /* this host forbids it, and says so */
		assert_refused(&s, "");
		assert_true(s.err.hint[0] != '\0');
		return;
	}
	assert_int_equal(s.uid, 0);
	assert_int_equal(s.gid, 0);
	assert_map(s.uid_map, uid);
	assert_map(s.gid_map, gid);
	assert_string_equal(s.setgroups, "deny\n");
	assert_false(s.shared_mounts);
}

static void real_root_keeps_its_ids_and_gets_private_mounts(void **state)
{
	struct seen s;
	char before[4096];

	(void)state;
	slurp("/proc/self/uid_map", before, sizeof(before));
	assert_true(enter(SANDBOX_ROOT, NULL, &s));
	if (geteuid()) {
		assert_refused(&s, "");
		return;
	}
	if (s.rc < 0)
		return; /* root of a container */
	assert_string_equal(s.uid_map, before);
	assert_false(s.shared_mounts);
}

/* A file with this text in place of another one, in a mount namespace of its own. */
static int replace(const char *path, const char *text)
{
	char name[] = "/tmp/idmap_test.XXXXXX";
	int fd = mkstemp(name), rc;

	if (fd < 0 || fchmod(fd, 0644) < 0 ||
	    write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	rc = mount(name, path, NULL, MS_BIND, NULL);
	close(fd);
	unlink(name);
	return rc;
}

static int replace_both(const char *uids, const char *gids)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return replace(SUBUID_FILE, uids) < 0 || replace(SUBGID_FILE, gids) < 0 ? -1 : 0;
}

static int two_ranges(void)
{
	static const gid_t group = 12;

	setgroups(1, &group);
	return replace_both("root:300000:1000\nrubbish\n0:400000:500\n",
			    "root:300000:65536\n");
}

static int no_gids(void)
{
	return replace_both("root:300000:65536\n", "other:300000:65536\n");
}

static int no_name(void)
{
	static const gid_t group = 54321;

	if (replace_both("54321:300000:65536\nhod:1:1\n", "54321:300000:65536\n") < 0)
		return -1;
	return setgroups(1, &group) < 0 || setresgid(group, group, group) < 0 ||
			       setresuid(54321, 54321, 54321) < 0
		       ? -1
		       : 0;
}

/* Where this is not root, or a container, files cannot be put in place of others. */
static bool can_replace(void)
{
	struct seen s;

	return !geteuid() && !access(SUBUID_FILE, F_OK) && !access(SUBGID_FILE, F_OK) &&
	       enter(SANDBOX_ROOT, two_ranges, &s) && !idmap_programs(NULL);
}

static void ranges_follow_the_user_in_their_order(void **state)
{
	struct seen s;

	(void)state;
	if (!can_replace()) { /* with what the host has */
		assert_true(enter(SANDBOX_RANGE, NULL, &s));
		if (s.rc < 0)
			assert_refused(&s, "");
		else
			assert_string_equal(s.setgroups, "allow\n");
		return;
	}
	assert_true(enter(SANDBOX_RANGE, two_ranges, &s));
	assert_string_equal(s.err.msg, "");
	assert_int_equal(s.rc, 0);
	assert_map(s.uid_map, "0 0 1,1 300000 1000,1001 400000 500");
	assert_map(s.gid_map, "0 0 1,1 300000 65536");
	assert_string_equal(s.setgroups, "allow\n");
	assert_int_equal(s.groups, 0);
	assert_int_equal(s.uid, 0);
	assert_int_equal(s.gid, 0);
	assert_false(s.shared_mounts);
}

static void what_is_missing_is_named_with_its_cure(void **state)
{
	struct seen s;

	(void)state;
	if (!can_replace())
		return;
	assert_true(enter(SANDBOX_RANGE, no_gids, &s));
	assert_refused(&s, "usermod --add-subgids ");
	assert_null(strstr(s.err.hint, "subuids"));
	assert_non_null(strstr(s.err.msg, SUBGID_FILE));
	assert_null(strstr(s.err.msg, SUBUID_FILE));
	/* a number without a name in /etc/passwd: newuidmap would refuse it */
	assert_true(enter(SANDBOX_RANGE, no_name, &s));
	assert_refused(&s, "/etc/passwd");
}

static int no_programs(void)
{
	/* the only ones that are found lie below these */
	return replace_both("root:300000:65536\n", "root:300000:65536\n") < 0 ||
			       mount("none", "/usr/bin", "tmpfs", 0, NULL) < 0 ||
			       setenv("PATH", "relative::/nonexistent", 1) < 0
		       ? -1
		       : 0;
}

static void missing_programs_are_named_with_their_package(void **state)
{
	struct seen s;

	(void)state;
	if (!can_replace())
		return;
	assert_true(enter(SANDBOX_RANGE, no_programs, &s));
	assert_refused(&s, "uidmap");
	assert_string_equal(s.err.msg, "newuidmap is not installed");
}

static int put(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* In a user namespace in which no further one is allowed. */
static int forbid_namespaces(void)
{
	char map[64];

	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	return unshare(CLONE_NEWUSER) < 0 || put("/proc/self/uid_map", map) < 0 ||
			       put("/proc/sys/user/max_user_namespaces", "0") < 0
		       ? -1
		       : 0;
}

static void a_limit_of_no_namespaces_is_named(void **state)
{
	struct seen s;

	(void)state;
	if (!enter(SANDBOX_ONE, forbid_namespaces, &s))
		return; /* this host allows not even the first one */
	assert_refused(&s, "sysctl user.max_user_namespaces");
	assert_int_equal(s.err.sys_errno, ENOSPC);
}

static int go_into_a_chroot(void)
{
	if (chroot("/usr") < 0 || chdir("/") < 0)
		return -1;
	return 0;
}

static void a_chroot_is_named(void **state)
{
	struct seen s;

	(void)state;
	if (!enter(SANDBOX_ONE, go_into_a_chroot, &s))
		return; /* not root */
	assert_int_equal(s.rc, -1);
	assert_int_equal(s.err.kind, E_SANDBOX);
	assert_non_null(strstr(s.err.hint, "inside a chroot"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_has_what_lies_in_its_ranges),
		cmocka_unit_test(the_text_tells_maps_apart),
		cmocka_unit_test(with_one_id_the_user_is_0_and_nobody_else_is_there),
		cmocka_unit_test(real_root_keeps_its_ids_and_gets_private_mounts),
		cmocka_unit_test(ranges_follow_the_user_in_their_order),
		cmocka_unit_test(what_is_missing_is_named_with_its_cure),
		cmocka_unit_test(missing_programs_are_named_with_their_package),
		cmocka_unit_test(a_limit_of_no_namespaces_is_named),
		cmocka_unit_test(a_chroot_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
