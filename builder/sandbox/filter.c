#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

/*
 * What docker's default profile denies and has led out of containers, or reaches the host
 * as a whole: hod-isolation(7).  A list of what is denied, since one of what is allowed
 * breaks programs that are newer than it.  The capabilities that most of these need are
 * gone as well.
 */
static const char *const denied[] = {
	/* mounts and namespaces */
	"mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount",
	"fspick", "open_tree", "move_mount", "mount_setattr", "unshare", "setns",
	/* the kernel */
	"bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load",
	"create_module", "init_module", "finit_module", "delete_module", "io_uring_setup",
	"io_uring_enter", "io_uring_register", "lookup_dcookie", "nfsservctl", "_sysctl",
	"uselib",
	/* keys, which belong to no namespace */
	"add_key", "request_key", "keyctl",
	/* the machine */
	"syslog", "swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd",
	"settimeofday", "stime", "clock_settime", "clock_settime64", "iopl", "ioperm",
	/* files by handle, past every root (docker's "shocker") */
	"open_by_handle_at"};

static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
				      CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
				      CLONE_NEWNET};

static int add_raw_sockets(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_INET, AF_INET6};
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				  SCMP_A0(SCMP_CMP_EQ, AF_PACKET, 0));

	for (size_t i = 0; !rc && i < 2; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
				      SCMP_A0(SCMP_CMP_EQ, (uint64_t)families[i], 0),
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW));
	return rc;
}

static int add_rules(scmp_filter_ctx ctx, bool host_network)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(denied) / sizeof(*denied); i++) {
		int nr = seccomp_syscall_resolve_name(denied[i]);

		if (nr != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	for (size_t i = 0; !rc && i < sizeof(namespaces) / sizeof(*namespaces); i++)
		rc = seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	/* not of a network namespace: to the hypervisor, or to virtual machines */
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_EQ, AF_VSOCK, 0));
	/* what would read or forge the host's own traffic; in a user namespace the kernel
	 * says the same */
	if (!rc && host_network)
		rc = add_raw_sockets(ctx);
	/* its flags lie in memory, where a filter cannot look; libraries then use clone
	 */
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return rc;
}

/* The 32-bit calls of the same machine have numbers of their own, and the same rules.
 * All others (x32) are missing. */
static int add_architectures(scmp_filter_ctx ctx)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	uint32_t second = 0;

	if (seccomp_arch_native() == SCMP_ARCH_X86_64)
		second = SCMP_ARCH_X86;
	else if (seccomp_arch_native() == SCMP_ARCH_AARCH64)
		second = SCMP_ARCH_ARM;
	if (!rc && second)
		rc = seccomp_arch_add(ctx, second);
	return rc;
}

static int export(scmp_filter_ctx ctx, struct sock_fprog *out, struct error *err)
{
	auto_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	auto_free struct sock_filter *code = NULL;
	struct stat st;
	size_t len;

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0 || fstat(fd, &st) < 0)
		return refused(err, "cannot make the system call filter");
	len = (size_t)st.st_size;
	if (!len || len > BPF_MAXINSNS * sizeof(*code))
		return error_set(err, E_BUG, "a system call filter of %zu bytes", len);
	code = xmalloc(len);
	if (file_pread_full(fd, code, len, 0, err) != (ssize_t)len)
		return -1;
	out->len = (unsigned short)(len / sizeof(*code));
	out->filter = steal_ptr(&code);
	return 0;
}

int filter_make(struct sock_fprog *out, bool host_network, struct error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (!ctx)
		return error_set(err, E_BUG, "cannot make the system call filter");
	rc = add_architectures(ctx);
	if (!rc)
		rc = add_rules(ctx, host_network);
	if (rc) {
		errno = -rc;
		refused(err, "cannot make the system call filter");
	} else {
		rc = export(ctx, out, err);
	}
	seccomp_release(ctx);
	return rc ? -1 : 0;
}

void filter_release(struct sock_fprog *f)
{
	free(f->filter);
	f->filter = NULL;
	f->len = 0;
}

int filter_install(const struct sock_fprog *f, struct error *err)
{
	/* before Linux 5.16 a filter slows down every branch of the process else */
	long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_SPEC_ALLOW, f);

	if (rc < 0 && errno == EINVAL)
		rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, f);
	return rc < 0 ? refused(err, "cannot install the system call filter") : 0;
}

static bool is_architecture_known(uint32_t *arch)
{
#if defined(__x86_64__)
	*arch = AUDIT_ARCH_X86_64;
	return true;
#elif defined(__aarch64__)
	*arch = AUDIT_ARCH_AARCH64;
	return true;
#else
	return false;
#endif
}

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, yes, no) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
/* The low half of an argument, on machines that store it first. */
#define IF_ID(n)                                                      \
	LOAD(args[n]), IF_EQUAL(0, 2, 0), IF_EQUAL(UINT32_MAX, 1, 0), \
		RETURN(SECCOMP_RET_ERRNO | EPERM)

int filter_owners(struct error *err)
{
	uint32_t arch;

	if (!is_architecture_known(&arch))
		return 0;
	struct sock_filter code[] = {
		LOAD(arch),
		IF_EQUAL(arch, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		LOAD(nr),
		IF_EQUAL(SYS_fchownat, 14, 0),
		IF_EQUAL(SYS_fchown, 4, 0),
#ifdef SYS_chown
		IF_EQUAL(SYS_chown, 3, 0),
		IF_EQUAL(SYS_lchown, 2, 0),
#else
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ALLOW),
#endif
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ALLOW),
		IF_ID(1),
		IF_ID(2),
		RETURN(SECCOMP_RET_ALLOW),
		IF_ID(2),
		IF_ID(3),
		RETURN(SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog f = {sizeof(code) / sizeof(*code), code};

	return filter_install(&f, err);
}
