#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* docker's default ones */
static const int kept[] = {
	CAP_CHOWN,      CAP_DAC_OVERRIDE,     CAP_FOWNER,  CAP_FSETID,      CAP_KILL,
	CAP_SETGID,     CAP_SETUID,           CAP_SETPCAP, CAP_MKNOD,       CAP_NET_RAW,
	CAP_SYS_CHROOT, CAP_NET_BIND_SERVICE, CAP_SETFCAP, CAP_AUDIT_WRITE,
};

static uint64_t kept_set(void)
{
	uint64_t set = 0;

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		set |= (uint64_t)1 << kept[i];
	return set;
}

int caps_drop(struct error *err)
{
	uint64_t set = kept_set();

	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(set >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return refused(err, "cannot drop capability %d", cap);
	return 0;
}

int ids_take(const struct sandbox_spec *spec, struct error *err)
{
	auto_free gid_t *groups = xcalloc(spec->ngroups + 1, sizeof(*groups));
	size_t n = 0;

	/* the first one too: else a program that changes its group would leave it, and
	 * what the group is denied (CVE-2022-36109) */
	groups[n++] = spec->gid;
	for (size_t i = 0; i < spec->ngroups; i++)
		if (spec->groups[i] != spec->gid)
			groups[n++] = spec->groups[i];
	/* a user namespace with one id may not change groups at all */
	if (setgroups(n, groups) < 0 &&
	    (spec->mode != SANDBOX_ONE || spec->ngroups || errno != EPERM))
		return refused(err, "cannot set the user's groups");
	if (setresgid(spec->gid, spec->gid, spec->gid) < 0)
		return refused(err, "cannot become group %u", spec->gid);
	if (setresuid(spec->uid, spec->uid, spec->uid) < 0)
		return refused(err, "cannot become user %u", spec->uid);
	return 0;
}

/* As docker does it: root has its capabilities, another user none, and can get them by
 * what the bounding set allows only (sudo). */
int caps_take(uint32_t uid, struct error *err)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};
	uint64_t set = uid ? 0 : kept_set();

	if (syscall(SYS_capget, &header, data) < 0)
		return refused(err, "cannot read capabilities");

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 &&
	    errno != EINVAL)
		return refused(err, "cannot clear ambient capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(set >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return refused(err, "cannot set capabilities");
	return 0;
}
