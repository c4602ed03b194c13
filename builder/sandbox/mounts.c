#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

/* of <sys/mount.h>, which does not go together with <linux/mount.h> */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data);
int umount2(const char *target, int flags);
#define PRIVATE_RECURSIVE ((unsigned long)(1 << 18 | 1 << 14)) /* MS_PRIVATE|MS_REC */
#define DETACH 2                                               /* MNT_DETACH */
#define PROPAGATION_PRIVATE (1 << 18)

int refused(struct error *err, const char *fmt, ...)
{
	int saved = errno;
	char text[ERROR_MSG];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	errno = saved;
	error_errno(err, "%s", text);
	if (err && err->kind != E_INTERRUPTED)
		err->kind = E_SANDBOX;
	errno = saved;
	return -1;
}

int mount_failed(int fs, const char *type, struct buf *why, struct error *err)
{
	int saved = errno;
	auto_buf struct buf all = BUF_INIT;
	char line[1024];
	ssize_t n;

	/* fsopen(2): one message a read, "e " or "w " or "i " before it */
	while ((n = read(fs, line, sizeof(line))) > 0) {
		if (line[n - 1] == '\n')
			n--;
		if (n <= 2)
			continue;
		buf_adds(&all, all.len ? "; " : "");
		buf_add(&all, line + 2, (size_t)n - 2);
	}
	if (why)
		buf_add(why, all.data, all.len);
	errno = saved;
	if (all.len)
		return refused(err, "cannot mount %s (%s)", type, all.data);
	return refused(err, "cannot mount %s", type);
}

int mount_take(int fs, const char *type, uint64_t attrs, struct error *err)
{
	int mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned)attrs);

	return mnt < 0 ? refused(err, "cannot mount %s", type) : mnt;
}

int mount_create(int fs, const char *type, uint64_t attrs, struct buf *why,
		 struct error *err)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mount_failed(fs, type, why, err);
	return mount_take(fs, type, attrs, err);
}

int mount_new(const char *type, const struct mount_option *options, uint64_t attrs,
	      struct error *err)
{
	auto_fd int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	if (fs < 0)
		return refused(err, "cannot mount %s", type);
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", type, 0) < 0)
		return mount_failed(fs, type, NULL, err);
	for (; options && options->key; options++)
		if (syscall(SYS_fsconfig, fs,
			    options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			    options->key, options->value, 0) < 0)
			return mount_failed(fs, type, NULL, err);
	return mount_create(fs, type, attrs, NULL, err);
}

static int move_to(int mnt, int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, mnt, "", dirfd, path,
			    MOVE_MOUNT_F_EMPTY_PATH | flags);
}

int mount_on(int mnt, int target, const char *what, struct error *err)
{
	if (move_to(mnt, target, "", MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return refused(err, "cannot mount %s", what);
	return 0;
}

static int set_attrs(int mnt, unsigned flags, uint64_t attrs, uint64_t clear)
{
	struct mount_attr a = {
		.attr_set = attrs, .attr_clr = clear, .propagation = PROPAGATION_PRIVATE};

	return (int)syscall(SYS_mount_setattr, mnt, "", AT_EMPTY_PATH | flags, &a,
			    sizeof(a));
}

int mount_copy(int dirfd, const char *path, uint64_t attrs, uint64_t clear,
	       struct error *err)
{
	const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
	auto_fd int mnt = (int)syscall(SYS_open_tree, dirfd, path,
				       *path ? flags : flags | AT_EMPTY_PATH);

	if (mnt < 0 || set_attrs(mnt, 0, attrs, clear) < 0)
		return refused(err, "cannot bind %s", *path ? path : "a folder");
	return steal_fd(&mnt);
}

static int loopback_up(struct error *err)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		return 0;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return refused(err, "cannot bring the loopback interface up");
	return 0;
}

int namespaces_enter(int place, bool network, struct error *err)
{
	static const char name[] = "hod", domain[] = "(none)";

	/* unshare translates the working directory into the new mount namespace; a
	 * descriptor stays in the old one, where nothing can be mounted any more */
	if (fchdir(place) < 0)
		return refused(err, "cannot enter the sandbox's folder");
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		    (network ? 0 : CLONE_NEWNET)) < 0) {
		refused(err, "cannot make namespaces");
		return error_hint(err, "this needs root, or a user namespace in which "
				       "mounts are allowed");
	}
	if (unshare(CLONE_NEWCGROUP) < 0 && errno != EINVAL)
		return refused(err, "cannot make a cgroup namespace");
	if (mount(NULL, "/", NULL, PRIVATE_RECURSIVE, NULL) < 0)
		return refused(err, "cannot make mounts private");
	if (sethostname(name, sizeof(name) - 1) < 0 ||
	    setdomainname(domain, sizeof(domain) - 1) < 0)
		return refused(err, "cannot set the host name");
	return network ? 0 : loopback_up(err);
}

int root_attach(int root, struct error *err)
{
	if (move_to(root, AT_FDCWD, ".", 0) < 0)
		return refused(err, "cannot mount the root");
	return 0;
}

/* A folder of the root, which must not be a link to another one. */
static int root_folder(int root, const char *name, struct error *err)
{
	int fd = file_open_in(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, err);

	if (fd < 0 && err)
		err->kind = E_INPUT;
	return fd < 0 ? error_wrap(err, "/%s of the image is no folder", name) : fd;
}

/* Over a file: /dev/null, of our own /dev.  Over a folder: an empty one.  Missing is
 * fine. */
static int mask(int root, int dirfd, const char *path, struct error *err)
{
	static const struct mount_option empty[] = {{"mode", "0555"}, {NULL, NULL}};
	const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	auto_fd int target = openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int mnt = -1, dev = -1;
	struct stat st;

	if (target < 0)
		return errno == ENOENT ? 0 : refused(err, "cannot open %s", path);
	if (fstat(target, &st) < 0)
		return refused(err, "cannot stat %s", path);
	if (S_ISDIR(st.st_mode)) {
		mnt = mount_new("tmpfs", empty, attrs | MOUNT_ATTR_NODEV, err);
	} else {
		dev = root_folder(root, "dev", err);
		mnt = dev < 0 ? -1 : mount_copy(dev, "null", attrs, 0, err);
	}
	return mnt < 0 ? -1 : mount_on(mnt, target, path, err);
}

static int read_only(int dirfd, const char *path, struct error *err)
{
	const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC;
	auto_fd int target = openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int mnt = -1;

	if (target < 0)
		return errno == ENOENT ? 0 : refused(err, "cannot open %s", path);
	mnt = mount_copy(target, "", attrs, 0, err);
	return mnt < 0 ? -1 : mount_on(mnt, target, path, err);
}

/* What lets real root look into or change the host, as docker has it.  In a user
 * namespace these files belong to nobody. */
static int mask_proc(int root, int proc, struct error *err)
{
	static const char *const masked[] = {"acpi",        "asound", "interrupts",
					     "kcore",       "keys",   "latency_stats",
					     "sched_debug", "scsi",   "timer_list",
					     "timer_stats"};
	static const char *const fixed[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};

	for (size_t i = 0; i < sizeof(masked) / sizeof(*masked); i++)
		if (mask(root, proc, masked[i], err) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (read_only(proc, fixed[i], err) < 0)
			return -1;
	return 0;
}

int mount_proc(int root, enum sandbox_mode mode, struct error *err)
{
	auto_fd int target = root_folder(root, "proc", err);
	auto_fd int mnt = -1;

	if (target < 0)
		return -1;
	mnt = mount_new("proc", NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (mnt < 0) {
		if (errno == EPERM && mode != SANDBOX_ROOT)
			error_hint(err,
				   "parts of /proc are covered, as in containers: "
				   "start the outer one with systempaths=unconfined");
		return -1;
	}
	return mount_on(mnt, target, "/proc", err);
}

int mount_sys(int root, enum sandbox_mode mode, struct error *err)
{
	const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC;
	auto_fd int target = root_folder(root, "sys", err);
	auto_fd int mnt = -1;

	if (target < 0)
		return -1;
	/* allowed to who owns the network namespace; else the host's, of which only all
	 * can be had */
	mnt = mount_new("sysfs", NULL, attrs, NULL);
	if (mnt < 0) {
		mnt = (int)syscall(SYS_open_tree, AT_FDCWD, "/sys",
				   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (mnt < 0 || set_attrs(mnt, AT_RECURSIVE, attrs, 0) < 0)
			return 0;
	}
	if (mount_on(mnt, target, "/sys", err) < 0)
		return -1;
	if (mode != SANDBOX_ROOT)
		return 0;
	if (mask(root, mnt, "firmware", err) < 0)
		return -1;
	return mask(root, mnt, "devices/virtual/powercap", err);
}

/* The files in a file system of their own.  It lies below the root's mount, since only
 * what is attached can be bound. */
static int files_make(const struct sandbox_spec *spec, struct error *err)
{
	static const struct mount_option options[] = {{"mode", "0755"}, {NULL, NULL}};
	auto_fd int mnt = mount_new("tmpfs", options, MOUNT_ATTR_NODEV, err);

	if (mnt < 0 || root_attach(mnt, err) < 0)
		return -1;
	for (size_t i = 0; i < spec->nfiles; i++) {
		char name[24];
		auto_fd int fd = -1;

		snprintf(name, sizeof(name), "%zu", i);
		fd = openat(mnt, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || fchmod(fd, 0644) < 0)
			return refused(err, "cannot make %s", spec->files[i].path);
		if (file_write_all(fd, spec->files[i].data, spec->files[i].len, err) < 0)
			return -1;
	}
	return steal_fd(&mnt);
}

static int files_bind(const struct sandbox_spec *spec, int root, int files,
		      struct error *err)
{
	const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC;

	for (size_t i = 0; i < spec->nfiles; i++) {
		const char *path = spec->files[i].path;
		auto_fd int target = file_open_in(root, path, O_PATH, err);
		auto_fd int mnt = -1;
		char name[24];
		struct stat st;

		if (target < 0 || fstat(target, &st) < 0 || !S_ISREG(st.st_mode))
			return error_set(err, E_INPUT, "/%s of the image is no file",
					 path);
		snprintf(name, sizeof(name), "%zu", i);
		mnt = mount_copy(files, name, attrs, 0, err);
		if (mnt < 0 || mount_on(mnt, target, path, err) < 0)
			return -1;
	}
	return 0;
}

int root_pivot(int root, struct error *err)
{
	if (fchdir(root) < 0)
		return refused(err, "cannot enter the root");
	/* the old root ends up on the new one, and goes */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return refused(err, "pivot_root failed");
	if (umount2(".", DETACH) < 0)
		return refused(err, "cannot leave the old root");
	if (chdir("/") < 0)
		return refused(err, "cannot enter the root");
	return 0;
}

int root_enter(const struct sandbox_spec *spec, int root, struct error *err)
{
	auto_fd int files = -1, proc = -1;

	if (namespaces_enter(spec->place, spec->network, err) < 0)
		return -1;
	files = files_make(spec, err);
	if (files < 0 || root_attach(root, err) < 0 ||
	    files_bind(spec, root, files, err) < 0)
		return -1;
	if (mount_dev(root, spec->mode, err) < 0 ||
	    mount_proc(root, spec->mode, err) < 0 || mount_sys(root, spec->mode, err) < 0)
		return -1;
	if (spec->script && mount_script(root, spec->script, err) < 0)
		return -1;
	if (spec->mode == SANDBOX_ROOT) {
		proc = root_folder(root, "proc", err);
		if (proc < 0 || mask_proc(root, proc, err) < 0)
			return -1;
	}
	return root_pivot(root, err);
}
