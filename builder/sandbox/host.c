#include "builder/sandbox/host.h"

#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "builder/sandbox/refusal.h"
#include "builder/sandbox/subid.h"
#include "registry/base/error.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* statfs(2); those that <linux/magic.h> lacks by number. */
static const struct {
	long type;
	const char *name;
} filesystems[] = {
	{EXT4_SUPER_MAGIC, "ext4"},
	{XFS_SUPER_MAGIC, "xfs"},
	{BTRFS_SUPER_MAGIC, "btrfs"},
	{TMPFS_MAGIC, "tmpfs"},
	{OVERLAYFS_SUPER_MAGIC, "overlay"},
	{NFS_SUPER_MAGIC, "nfs"},
	{FUSE_SUPER_MAGIC, "fuse"},
	{V9FS_MAGIC, "9p"},
	{F2FS_SUPER_MAGIC, "f2fs"},
	{MSDOS_SUPER_MAGIC, "vfat"},
	{CEPH_SUPER_MAGIC, "ceph"},
	{RAMFS_MAGIC, "ramfs"},
	{SQUASHFS_MAGIC, "squashfs"},
	{ECRYPTFS_SUPER_MAGIC, "ecryptfs"},
	{0x2fc12fc1, "zfs"},
	{0xca451a4e, "bcachefs"},
	{0xff534d42, "cifs"},
};

void host_filesystem(int fd, char out[static HOST_TEXT])
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0) {
		snprintf(out, HOST_TEXT, "unknown");
		return;
	}
	for (size_t i = 0; i < COUNT(filesystems); i++)
		if (filesystems[i].type == (long)(unsigned)st.f_type) {
			snprintf(out, HOST_TEXT, "%s", filesystems[i].name);
			return;
		}
	snprintf(out, HOST_TEXT, "0x%lx", (long)(unsigned)st.f_type);
}

bool host_kernel_before(unsigned major, unsigned minor)
{
	struct utsname u;
	unsigned have_major, have_minor;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &have_major, &have_minor) != 2)
		return false;
	return have_major < major || (have_major == major && have_minor < minor);
}

int host_hint_filesystem(struct error *err, int fd)
{
	char name[HOST_TEXT];

	host_filesystem(fd, name);
	if (!strcmp(name, "overlay"))
		return error_hint(err,
				  "the store is on overlay, as most of a container is, "
				  "and overlays do not stack: put --root (HOD_ROOT) on "
				  "a volume or a tmpfs");
	if (!strcmp(name, "tmpfs") && host_kernel_before(6, 6))
		return error_hint(err,
				  "tmpfs keeps what a user namespace needs since Linux "
				  "6.6: put --root (HOD_ROOT) on ext4, xfs or btrfs");
	return error_hint(
		err,
		"put --root (HOD_ROOT) on ext4, xfs, btrfs or a tmpfs; it is on "
		"%s",
		name);
}

static void read_user(struct host *h)
{
	const struct passwd *pw = getpwuid(getuid());
	struct id_ranges uids = {0}, gids = {0};

	if (pw)
		snprintf(h->user, sizeof(h->user), "%s", pw->pw_name);
	subid_read(SUBUID_FILE, h->user, getuid(), &uids, NULL);
	subid_read(SUBGID_FILE, h->user, getuid(), &gids, NULL);
	h->subuids = id_ranges_count(&uids);
	h->subgids = id_ranges_count(&gids);
	id_ranges_release(&uids);
	id_ranges_release(&gids);
}

void host_read(struct host *h, int dirfd)
{
	const uint32_t action = SECCOMP_RET_ERRNO;
	struct utsname u = {0};
	long abi;

	*h = (struct host){.euid = geteuid()};
	uname(&u);
	snprintf(h->kernel, sizeof(h->kernel), "%s", u.release);
	snprintf(h->machine, sizeof(h->machine), "%s", u.machine);
	h->seccomp = !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
	h->filtered = prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER;
	h->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
		      LANDLOCK_CREATE_RULESET_VERSION);
	h->landlock = abi > 0 ? (int)abi : 0;
	h->user_namespaces = refusal_sysctl("/proc/sys/user/max_user_namespaces");
	h->programs = !idmap_programs(NULL);
	read_user(h);
	host_filesystem(dirfd, h->filesystem);
}
