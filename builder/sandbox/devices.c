#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

static const struct device {
	const char *name;
	unsigned minor, major;
} devices[] = {
	{"null", 3, 1},   {"zero", 5, 1},    {"full", 7, 1},
	{"random", 8, 1}, {"urandom", 9, 1}, {"tty", 0, 5},
};

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	{"ptmx", "pts/ptmx"},
};

static int bind_on(int dev, const char *name, int mnt, struct error *err)
{
	auto_fd int target = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (target < 0)
		return refused(err, "cannot open /dev/%s", name);
	return mount_on(mnt, target, name, err);
}

/* The host's node.  Read-only, which does not concern what is written to the device: its
 * mode and owner must not be changed from inside. */
static int bind_host(int dev, const struct device *d, struct error *err)
{
	char path[32];
	auto_fd int mnt = -1, file = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", d->name);
	mnt = mount_copy(AT_FDCWD, path,
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0,
			 err);
	if (mnt < 0)
		return -1;
	if (fstat(mnt, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(d->major, d->minor))
		return error_set(err, E_SANDBOX, "%s of this host is not that device",
				 path);
	file = openat(dev, d->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (file < 0)
		return refused(err, "cannot make %s", path);
	return bind_on(dev, d->name, mnt, err);
}

/*
 * Real root may make a node of its own, whose mode a command may change.  All of /dev is
 * nodev, since a command can make nodes as well, and has no device cgroup above it as in
 * docker: only these may be opened, each bound on itself without nodev.
 */
static int make_device(int dev, const struct device *d, enum sandbox_mode mode,
		       struct error *err)
{
	auto_fd int mnt = -1;

	if (mode != SANDBOX_ROOT)
		return bind_host(dev, d, err);
	if (mknodat(dev, d->name, S_IFCHR | 0666, makedev(d->major, d->minor)) < 0)
		return errno == EPERM ? bind_host(dev, d, err)
				      : refused(err, "cannot make /dev/%s", d->name);
	if (fchmodat(dev, d->name, 0666, 0) < 0)
		return refused(err, "cannot make /dev/%s", d->name);
	mnt = mount_copy(dev, d->name, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			 MOUNT_ATTR_NODEV, err);
	return mnt < 0 ? -1 : bind_on(dev, d->name, mnt, err);
}

/* Mounts fs on a new folder of /dev. */
static int mount_below(int dev, const char *name, int mnt, struct error *err)
{
	auto_fd int target = -1;

	if (mkdirat(dev, name, 0755) < 0)
		return refused(err, "cannot make /dev/%s", name);
	target = openat(dev, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return refused(err, "cannot open /dev/%s", name);
	return mount_on(mnt, target, name, err);
}

static int mount_pts(int dev, enum sandbox_mode mode, struct error *err)
{
	/* 5 is the group tty; with one id there is no other group than 0 */
	static const struct mount_option one[] = {{"newinstance", NULL},
						  {"ptmxmode", "0666"},
						  {"mode", "0620"},
						  {NULL, NULL}};
	static const struct mount_option many[] = {{"newinstance", NULL},
						   {"ptmxmode", "0666"},
						   {"mode", "0620"},
						   {"gid", "5"},
						   {NULL, NULL}};
	auto_fd int mnt = mount_new("devpts", mode == SANDBOX_ONE ? one : many,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);

	return mnt < 0 ? -1 : mount_below(dev, "pts", mnt, err);
}

static int mount_shm(int dev, struct error *err)
{
	static const struct mount_option options[] = {
		{"mode", "1777"}, {"size", "64m"}, {NULL, NULL}};
	const uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	auto_fd int mnt = mount_new("tmpfs", options, attrs, err);
	auto_fd int queues = -1;

	if (mnt < 0 || mount_below(dev, "shm", mnt, err) < 0)
		return -1;
	queues = mount_new("mqueue", NULL, attrs, NULL); /* not in every kernel */
	return queues < 0 ? 0 : mount_below(dev, "mqueue", queues, err);
}

int mount_dev(int root, enum sandbox_mode mode, struct error *err)
{
	static const struct mount_option options[] = {
		{"mode", "0755"}, {"size", "64k"}, {NULL, NULL}};
	auto_fd int target =
		file_open_in(root, "dev", O_PATH | O_DIRECTORY | O_NOFOLLOW, err);
	auto_fd int dev = -1;

	if (target < 0) {
		if (err)
			err->kind = E_INPUT;
		return error_wrap(err, "/dev of the image is no folder");
	}
	dev = mount_new("tmpfs", options,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (dev < 0 || mount_on(dev, target, "/dev", err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		if (make_device(dev, &devices[i], mode, err) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return refused(err, "cannot make /dev/%s", links[i].name);
	if (mount_pts(dev, mode, err) < 0)
		return -1;
	return mount_shm(dev, err);
}

/* A file system of its own, since /dev is noexec; a read-only view of it covers it when
 * the file is written. */
int mount_script(int root, const struct sandbox_file *script, struct error *err)
{
	static const struct mount_option options[] = {{"mode", "0755"}, {NULL, NULL}};
	const uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	auto_fd int dev =
		file_open_in(root, "dev", O_PATH | O_DIRECTORY | O_NOFOLLOW, err);
	auto_fd int mnt = dev < 0 ? -1 : mount_new("tmpfs", options, attrs, err);
	auto_fd int view = -1, fd = -1;

	if (mnt < 0 || mount_below(dev, "pipes", mnt, err) < 0)
		return -1;
	fd = openat(mnt, script->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return refused(err, "cannot make /dev/pipes/%s", script->path);
	if (file_write_all(fd, script->data, script->len, err) < 0)
		return -1;
	view = mount_copy(mnt, "", attrs | MOUNT_ATTR_RDONLY, 0, err);
	return view < 0 ? -1 : mount_on(view, mnt, "/dev/pipes", err);
}
