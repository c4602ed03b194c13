#include "builder/sandbox/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"

#define MAX_USER_NAMESPACES "/proc/sys/user/max_user_namespaces"
#define MAX_MNT_NAMESPACES "/proc/sys/user/max_mnt_namespaces"
#define USERNS_CLONE "/proc/sys/kernel/unprivileged_userns_clone"         /* Debian */
#define APPARMOR "/proc/sys/kernel/apparmor_restrict_unprivileged_userns" /* Ubuntu */

long refusal_sysctl(const char *path)
{
	char text[32];
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *end;
	long value;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

/* proc(5): "Seccomp:\t2" for a process with a filter, as in most containers. */
static bool is_filtered(void)
{
	return prctl(PR_GET_SECCOMP) == 2;
}

/* Sure only of a root that is no mount point; a chroot to one looks like any root. */
static bool is_chroot(void)
{
	struct statx st;

	return !statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &st) &&
	       st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
	       !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int hint_apparmor(struct error *err)
{
	return error_hint(err, "AppArmor restricts user namespaces: give hod's program a "
			       "profile with `userns,`, or as root: "
			       "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
}

static int hint_container(struct error *err)
{
	return error_hint(err, "a system call filter, as containers have, refuses it: "
			       "start the container with --privileged or "
			       "--security-opt seccomp=unconfined");
}

static int hint_limits(struct error *err)
{
	if (refusal_sysctl(MAX_MNT_NAMESPACES) == 0)
		return error_hint(err, "mount namespaces are switched off: as root: "
				       "sysctl user.max_mnt_namespaces=15000");
	return error_hint(err, "%s: as root: sysctl user.max_user_namespaces=15000",
			  refusal_sysctl(MAX_USER_NAMESPACES) == 0
				  ? "user namespaces are switched off"
				  : "there are too many user namespaces here or outside");
}

int refusal_userns(struct error *err, int errnum)
{
	if (errnum == ENOSPC)
		return hint_limits(err);
	if (errnum == EUSERS)
		return error_hint(err, "user namespaces are nested too deeply");
	if (errnum == EINVAL || errnum == ENOSYS)
		return error_hint(err, "this kernel has no user namespaces "
				       "(CONFIG_USER_NS)");
	if (refusal_sysctl(USERNS_CLONE) == 0)
		return error_hint(err, "user namespaces are switched off: as root: "
				       "sysctl kernel.unprivileged_userns_clone=1");
	if (refusal_sysctl(APPARMOR) > 0)
		return hint_apparmor(err);
	if (is_chroot())
		return error_hint(err, "the kernel makes no user namespace inside a "
				       "chroot: run hod outside of it");
	if (is_filtered())
		return hint_container(err);
	return error_hint(err, "a security module, or a chroot around hod, refuses user "
			       "namespaces; root outside needs none");
}

int refusal_mount(struct error *err, int errnum)
{
	if (errnum == ENOSPC)
		return hint_limits(err);
	if (errnum == ENOSYS || is_filtered())
		return hint_container(err);
	if (refusal_sysctl(APPARMOR) > 0)
		return hint_apparmor(err);
	/* mount(2): EINVAL, since the root of a chroot may be no mount point */
	if (errnum == EINVAL || is_chroot())
		return error_hint(err,
				  "hod cannot isolate inside a chroot: run it outside");
	return error_hint(err, "a security module, or a lack of CAP_SYS_ADMIN, refuses "
			       "mounts: in a container, start it with --privileged");
}

/* Can the program at path do what its user cannot? */
static bool has_privilege(const char *path)
{
	struct stat st;

	return (!stat(path, &st) && st.st_mode & S_ISUID && !st.st_uid) ||
	       getxattr(path, "security.capability", NULL, 0) > 0;
}

int refusal_idmap_program(struct error *err, const char *path, const char *text)
{
	struct statvfs fs;

	if (strstr(text, "not allowed"))
		return error_hint(err, "/etc/subuid or /etc/subgid does not give this "
				       "user the ids any more");
	if (strstr(text, "user name"))
		return error_hint(err, "%s needs an entry for this user in /etc/passwd",
				  path);
	if (!geteuid())
		return refusal_userns(err, EPERM);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return error_hint(err,
				  "no_new_privs is set, so %s has no rights: "
				  "Kubernetes calls it allowPrivilegeEscalation",
				  path);
	if (!statvfs(path, &fs) && fs.f_flag & ST_NOSUID)
		return error_hint(err, "%s is on a file system mounted nosuid", path);
	if (!has_privilege(path))
		return error_hint(err, "as root: chmod u+s %s", path);
	return refusal_userns(err, EPERM);
}
