#include "builder/sandbox/sandbox_test.h"

#include <sys/socket.h>

/* In a child under the filter: what call says, as errno. */
static int under_filter(long (*call)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sock_fprog filter;
		struct error err = ERROR_INIT;
		long rc;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* not root, maybe */
		if (filter_make(&filter, true, &err) < 0 ||
		    filter_install(&filter, &err) < 0)
			_exit(255);
		rc = call();
		if (rc == 0)
			_exit(0);
		_exit(rc < 0 ? errno : 254);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static long call_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0);
}

static long call_clone(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) ? -1
										   : 0;
}

static long call_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static long call_clock(void)
{
	const struct timespec now = {.tv_sec = -1};

	return clock_settime(CLOCK_REALTIME, &now); /* else EINVAL */
}

static long call_keyctl(void)
{
	return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static long call_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) < 0 ? -1 : 0;
}

static long call_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? -1 : 0;
}

static long call_packet(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, 0) < 0 ? -1 : 0;
}

static long call_raw(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1) < 0 ? -1 : 0;
}

static long call_udp(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 &&
			       socket(AF_INET, SOCK_DGRAM, 0) < 0
		       ? -1
		       : 0;
}

static long call_syslog(void)
{
	return syscall(SYS_syslog, 10, NULL, 0) < 0 ? -1 : 0;
}

static long call_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

#ifdef __x86_64__
static long call_x32(void)
{
	return syscall(0x40000000 | SYS_getppid);
}

/* mount is 21 of the 32-bit calls; a kernel without them ends the process. */
static long call_mount_32(void)
{
	long rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(21), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = (int)-rc;
	return (int)rc;
}

static long call_getppid_32(void)
{
	long rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(64)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)rc > 0 ? 0 : -1;
}
#endif

static void the_filter_denies_and_lets_the_rest_pass(void **state)
{
	(void)state;
	assert_int_equal(under_filter(call_fork), 0);
	assert_int_equal(under_filter(call_clone3), ENOSYS);
	assert_int_equal(under_filter(call_clone), EPERM);
	assert_int_equal(under_filter(call_unshare), EPERM);
	assert_int_equal(under_filter(call_keyctl), EPERM);
	assert_int_equal(under_filter(call_clock), EPERM);
	assert_int_equal(under_filter(call_vsock), EPERM);
	assert_int_equal(under_filter(call_packet), EPERM);
	assert_int_equal(under_filter(call_raw), EPERM);
	assert_int_equal(under_filter(call_udp), 0);
	assert_int_equal(under_filter(call_unix), 0);
	assert_int_equal(under_filter(call_syslog), EPERM);
#ifdef __x86_64__
	assert_int_equal(under_filter(call_x32), ENOSYS);
	if (under_filter(call_getppid_32) == 0) /* this kernel has 32-bit calls */
		assert_int_equal(under_filter(call_mount_32), EPERM);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_denies_and_lets_the_rest_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
