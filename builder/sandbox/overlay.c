#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* fsconfig(2) takes no longer string. */
#define FSCONFIG_STRING 255

static int set(int fs, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

/* By a path and not by descriptor (Linux 6.13): the kernel shows in /proc/mounts what it
 * was given, and a command shall see no folder names of the host. */
static int set_folder(int fs, const char *key, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return set(fs, FSCONFIG_SET_STRING, key, path);
}

/*
 * What the kernel's configuration may have switched on would leave marks in the upper
 * folder that are no changes, follow marks of a lower one, or take a folder for busy of
 * which the last use is just ending.  In a user namespace userxattr implies some of it;
 * without it removing a folder fails.  volatile: no fsync, the upper folder is of use
 * only when the command has ended.
 */
static int set_options(int fs, enum sandbox_mode mode, struct error *err)
{
	static const struct mount_option options[] = {
		{"source", "overlay"}, {"volatile", NULL},  {"index", "off"},
		{"xino", "off"},       {"userxattr", NULL}, {"redirect_dir", "nofollow"},
		{"metacopy", "off"},
	};
	const size_t both = 4;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const struct mount_option *o = &options[i];
		bool nested = !strcmp(o->key, "userxattr");

		if (i >= both && nested != (mode != SANDBOX_ROOT))
			continue;
		if (set(fs, o->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o->key,
			o->value) < 0)
			return refused(err, "overlay refuses the option %s", o->key);
	}
	return 0;
}

static int overlay_open(enum sandbox_mode mode, int upper, int work, struct error *err)
{
	auto_fd int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

	if (fs < 0) {
		refused(err, "cannot make an overlay file system");
		if (errno == ENODEV)
			error_hint(err, "load the kernel's module: modprobe overlay");
		else if (errno == ENOSYS)
			error_hint(err, "Linux 5.12 or newer is needed");
		return -1;
	}
	if (set_options(fs, mode, err) < 0)
		return -1;
	if (set_folder(fs, "upperdir", upper) < 0 || set_folder(fs, "workdir", work) < 0)
		return refused(err, "overlay refuses the folder for changes");
	return steal_fd(&fs);
}

/* Paths in the classic list are taken relative to the working directory: in a child,
 * since this process must not leave its own.  "11:12:13" is all that fits in there.
 * Older kernels look at it only when the file system is created. */
static int create_classic(int fs, const char *list)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (!pid) {
		int rc = chdir("/proc/self/fd");

		if (!rc)
			rc = set(fs, FSCONFIG_SET_STRING, "lowerdir", list);
		if (!rc)
			rc = set(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
		_exit(rc ? errno & 0xff : 0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	return errno ? -1 : 0;
}

int overlay_classic(enum sandbox_mode mode, const int *lowers, size_t nlowers, int upper,
		    int work, struct buf *why, struct error *err)
{
	auto_fd int fs = overlay_open(mode, upper, work, err);
	auto_buf struct buf list = BUF_INIT;

	if (fs < 0)
		return -1;
	for (size_t i = 0; i < nlowers; i++)
		buf_addf(&list, "%s%d", i ? ":" : "", lowers[i]);
	if (list.len > FSCONFIG_STRING) {
		error_set(err, E_SANDBOX, "%zu layers are too many for this kernel",
			  nlowers);
		return error_hint(err, "Linux 6.7 or newer takes %d", OVERLAY_LOWERS);
	}
	if (create_classic(fs, list.data) < 0)
		return mount_failed(fs, "overlay", why, err);
	return mount_take(fs, "overlay", MOUNT_ATTR_NODEV, err);
}

int sandbox_overlay(enum sandbox_mode mode, const int *lowers, size_t nlowers, int upper,
		    int work, struct buf *why, struct error *err)
{
	auto_fd int fs = -1;
	size_t i;

	if (!nlowers || nlowers > OVERLAY_LOWERS)
		return error_set(err, E_SANDBOX,
				 "an overlay of %zu layers: it can have 1 to %d", nlowers,
				 OVERLAY_LOWERS);
	fs = overlay_open(mode, upper, work, err);
	if (fs < 0)
		return -1;
	for (i = 0; i < nlowers; i++)
		if (set_folder(fs, "lowerdir+", lowers[i]) < 0)
			break;
	if (i == nlowers && !set(fs, FSCONFIG_CMD_CREATE, NULL, NULL))
		return mount_take(fs, "overlay", MOUNT_ATTR_NODEV, err);
	/* lowerdir+ is of Linux 6.7; before 6.5 only the creation tells */
	if (errno == EINVAL)
		return overlay_classic(mode, lowers, nlowers, upper, work, why, err);
	return mount_failed(fs, "overlay", why, err);
}
