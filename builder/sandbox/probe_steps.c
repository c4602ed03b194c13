/* What a probe tries, one function for each check (hod-isolation(7), DOCTOR). */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/host.h"
#include "builder/sandbox/probe_private.h"
#include "builder/sandbox/refusal.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "builder/sandbox/subid.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define SAY(...) snprintf(text, PROBE_TEXT, __VA_ARGS__)
#define EXEC_STATUS 42

static int step_ids(struct trial *t, char *text, struct error *err)
{
	if (t->mode == SANDBOX_ROOT && geteuid()) {
		error_set(err, E_SANDBOX, "the user is not root");
		return error_hint(err, "run hod as root, as with sudo");
	}
	if (idmap_find(&t->map, t->mode, err) < 0)
		return -1;
	if (t->mode == SANDBOX_ROOT)
		SAY("hod runs as root, all ids are what they are");
	else if (t->mode == SANDBOX_ONE)
		SAY("0 is uid %u, there is no other", t->map.uids.v[0].outside);
	else
		SAY("0 is uid %u, and %u uids and %u gids more", t->map.uids.v[0].outside,
		    id_ranges_count(&t->map.uids) - 1, id_ranges_count(&t->map.gids) - 1);
	return 0;
}

/* A descriptor from before stays in the old mount namespace, whose folders the kernel
 * does not take for an overlay; the working directory moves along. */
static int step_enter(struct trial *t, char *text, struct error *err)
{
	int dir;

	if (fchdir(t->dir) < 0)
		return error_errno(err, "cannot enter a folder of the store");
	if (idmap_enter(&t->map, err) < 0)
		return -1;
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, "cannot open a folder of the store");
	t->dir = dir;
	SAY("%s, its mounts private",
	    t->mode == SANDBOX_ROOT ? "a mount namespace" : "a user namespace");
	return 0;
}

static int make_folder(int at, const char *path, struct error *err)
{
	int fd;

	if (mkdirat(at, path, 0755) < 0 && errno != EEXIST)
		return refused(err, "cannot make a folder in the store");
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? refused(err, "cannot open a folder of the store") : fd;
}

static int make_file(int at, const char *path, struct error *err)
{
	auto_fd int fd = openat(
		at, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	return fd < 0 ? refused(err, "cannot make a file") : 0;
}

/* The folders of an overlay, and what lies in the lower one. */
static int step_folders(struct trial *t, char *text, struct error *err)
{
	static const char *const lower[] = {"dev", "old", "proc", "sys"};
	char name[HOST_TEXT];

	if ((t->lower = make_folder(t->dir, "lower", err)) < 0 ||
	    (t->upper = make_folder(t->dir, "upper", err)) < 0 ||
	    (t->work = make_folder(t->dir, "work", err)) < 0 ||
	    (t->place = make_folder(t->dir, "place", err)) < 0)
		return host_hint_filesystem(err, t->dir);
	for (size_t i = 0; i < sizeof(lower) / sizeof(*lower); i++) {
		auto_fd int fd = make_folder(t->lower, lower[i], err);

		if (fd < 0)
			return -1;
	}
	if (make_file(t->lower, "old/file", err) < 0 ||
	    make_file(t->lower, "owned", err) < 0)
		return host_hint_filesystem(err, t->dir);
	host_filesystem(t->dir, name);
	SAY("folders in the store, which is on %s", name);
	return 0;
}

/* Root may be that of a user namespace which has no other ids.  With one id it is known
 * beforehand and no reason to refuse the mode. */
static int step_owners(struct trial *t, char *text, struct error *err)
{
	int errnum;

	if (t->mode == SANDBOX_ONE) {
		error_set(err, E_SANDBOX,
			  "no other owners: chown and useradd fail in a command");
		return error_hint(err, "subordinate ids give a command other owners");
	}
	if (!fchownat(t->lower, "owned", 1, 1, AT_SYMLINK_NOFOLLOW)) {
		SAY("files can be given to other users");
		return 0;
	}
	errnum = errno;
	refused(err, "cannot give a file to user 1");
	return errnum == EINVAL ? error_wrap(err, "hod's user namespace has too few ids")
				: host_hint_filesystem(err, t->dir);
}

/* A folder of the lower layer replaced and one renamed: what fails where an overlay in
 * a user namespace lacks its attributes. */
static int change_overlay(int root, struct error *err)
{
	struct stat st;

	if (make_file(root, "new", err) < 0)
		return -1;
	if (fchmodat(root, "owned", 0600, 0) < 0)
		return refused(err, "overlay: cannot change a mode");
	if (unlinkat(root, "old/file", 0) < 0 || unlinkat(root, "old", AT_REMOVEDIR) < 0)
		return refused(err, "overlay: cannot remove a folder");
	if (mkdirat(root, "old", 0755) < 0)
		return refused(err, "overlay: cannot replace a folder");
	if (!fstatat(root, "old/file", &st, AT_SYMLINK_NOFOLLOW))
		return error_set(err, E_SANDBOX,
				 "overlay: a removed file is still there");
	if (mkdirat(root, "a", 0755) < 0 || renameat(root, "a", root, "b") < 0)
		return refused(err, "overlay: cannot rename a folder");
	return 0;
}

static int hint_overlay(struct trial *t, int errnum, struct error *err)
{
	if (errnum == ENODEV)
		return error_hint(err, "as root: modprobe overlay");
	if (t->mode != SANDBOX_ROOT && host_kernel_before(5, 11))
		return error_hint(err, "an overlay in a user namespace needs Linux 5.11");
	if (errnum == EPERM || errnum == EACCES || errnum == ENOSYS)
		return refusal_mount(err, errnum);
	return host_hint_filesystem(err, t->dir);
}

static int step_overlay(struct trial *t, char *text, struct error *err)
{
	struct error why = ERROR_INIT;

	t->root = sandbox_overlay(t->mode, &t->lower, 1, t->upper, t->work, NULL, &why);
	if (t->root >= 0 && !change_overlay(t->root, &why)) {
		SAY("an overlay, with a folder replaced and one renamed");
		return 0;
	}
	if (!why.hint[0])
		hint_overlay(t, why.sys_errno, &why);
	if (err)
		*err = why;
	return -1;
}

static int step_processes(struct trial *t, char *text, struct error *err)
{
	struct pids p = PIDS_INIT;

	if (t->mode != SANDBOX_ROOT) {
		SAY("RLIMIT_NPROC bounds the number of processes");
		return 0;
	}
	if (pids_open(&p, 16) < 0) {
		error_set(err, E_SANDBOX,
			  "no bound on the number of processes: no cgroup of "
			  "the pids controller can be made");
		return error_hint(err,
				  "mount /sys/fs/cgroup so that it can be written to");
	}
	pids_close(&p);
	SAY("a cgroup bounds the number of processes");
	return 0;
}

/* The next fork is process 1: after the overlay, which may need one of its own. */
static int step_pid(struct trial *t, char *text, struct error *err)
{
	int errnum;

	(void)t;
	if (!unshare(CLONE_NEWPID)) {
		SAY("a pid namespace");
		return 0;
	}
	errnum = errno;
	refused(err, "cannot make a pid namespace");
	return refusal_mount(err, errnum);
}

/* A hint where the step that failed had none. */
static int add_hint(struct error *err)
{
	return err && !err->hint[0] ? refusal_mount(err, err->sys_errno) : -1;
}

static int step_mount(struct trial *t, char *text, struct error *err)
{
	if (namespaces_enter(t->place, true, err) < 0 || root_attach(t->root, err) < 0)
		return add_hint(err);
	SAY("namespaces of its own, with the overlay mounted");
	return 0;
}

static int step_proc(struct trial *t, char *text, struct error *err)
{
	if (!mount_proc(t->root, t->mode, err)) {
		SAY("a /proc of its own");
		return 0;
	}
	if (!err || err->sys_errno != EPERM || t->mode == SANDBOX_ROOT)
		return add_hint(err);
	return error_hint(err,
			  "parts of /proc are hidden here, as in containers: start the "
			  "container with --security-opt systempaths=unconfined "
			  "(podman: unmask=ALL)");
}

static int step_dev(struct trial *t, char *text, struct error *err)
{
	if (mount_dev(t->root, t->mode, err) < 0)
		return add_hint(err);
	SAY("a small /dev with the host's devices");
	return 0;
}

/* stat(2): what mount_sys could not have leaves the folder empty. */
static int step_sys(struct trial *t, char *text, struct error *err)
{
	struct stat st;

	if (mount_sys(t->root, t->mode, err) < 0)
		return add_hint(err);
	if (fstatat(t->root, "sys/kernel", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, E_SANDBOX, "/sys is empty: the host refuses it");
	SAY("the host's /sys, read-only");
	return 0;
}

static int step_pivot(struct trial *t, char *text, struct error *err)
{
	struct stat st;

	if (root_pivot(t->root, err) < 0)
		return err && err->sys_errno == EINVAL && !err->hint[0]
			       ? error_hint(err,
					    "the host's root is an initramfs, or hod is "
					    "in a chroot")
			       : add_hint(err);
	if (stat("/new", &st) < 0 || !stat("/owned/..", &st))
		return error_set(err, E_SANDBOX, "the root is not the overlay's");
	SAY("the overlay is the root, the host's is gone");
	return 0;
}

static int step_network(struct trial *t, char *text, struct error *err)
{
	(void)t;
	if (unshare(CLONE_NEWNET) < 0) {
		refused(err, "no network namespace, so no --network=none");
		return error_hint(err, "as root: sysctl user.max_net_namespaces=15000");
	}
	SAY("a network namespace, for --network=none");
	return 0;
}

static int step_addresses(struct trial *t, char *text, struct error *err)
{
	(void)t;
	if (personality(ADDR_NO_RANDOMIZE) < 0) {
		refused(err, "addresses stay random (ADDR_NO_RANDOMIZE)");
		return error_hint(err, "a container's system call filter refuses it; "
				       "digests of what old Pythons write may differ");
	}
	SAY("addresses are not random");
	return 0;
}

/* Without the filter this call would do. */
static int step_filter(struct trial *t, char *text, struct error *err)
{
	struct sock_fprog filter = {0};
	int rc;

	(void)t;
	if (filter_make(&filter, true, err) < 0)
		return -1;
	rc = filter_install(&filter, err);
	filter_release(&filter);
	if (rc < 0)
		return err && !err->hint[0]
			       ? error_hint(err, "the kernel needs CONFIG_SECCOMP_FILTER")
			       : -1;
	if (!unshare(CLONE_NEWUTS))
		return error_set(err, E_SANDBOX, "a system call filter has no effect");
	if (caps_drop(err) < 0)
		return -1;
	SAY("a system call filter, and docker's capabilities");
	return 0;
}

#if defined(__x86_64__)
#define EXEC_MACHINE EM_X86_64
/* mov edi, 42; mov eax, exit; syscall */
static const unsigned char exec_code[] = {0xbf, EXEC_STATUS, 0, 0, 0,    0xb8,
					  60,   0,           0, 0, 0x0f, 0x05};
#elif defined(__aarch64__)
#define EXEC_MACHINE EM_AARCH64
/* mov x0, 42; mov x8, exit; svc 0 */
static const unsigned char exec_code[] = {0x40, 0x05, 0x80, 0xd2, 0xa8, 0x0b,
					  0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};
#endif

/* elf(5): a program of one segment, since the root has no other. */
static int write_program(const char *path, struct error *err)
{
#ifdef EXEC_MACHINE
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr segment;
		unsigned char code[sizeof(exec_code)];
	} p = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				     ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_EXEC,
			 .e_machine = EXEC_MACHINE,
			 .e_version = EV_CURRENT,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1},
		.segment = {.p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_vaddr = 0x400000,
			    .p_align = 0x10000},
	};
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	p.head.e_entry = p.segment.p_vaddr + sizeof(p.head) + sizeof(p.segment);
	p.segment.p_filesz = p.segment.p_memsz =
		sizeof(p.head) + sizeof(p.segment) + sizeof(p.code);
	memcpy(p.code, exec_code, sizeof(p.code));
	if (fd < 0)
		return refused(err, "cannot write a program");
	return file_write_all(fd, &p, p.segment.p_filesz, err);
#else
	(void)path, (void)err;
	return 0;
#endif
}

/* Also makes a process in the pid namespace. */
static int step_exec(struct trial *t, char *text, struct error *err)
{
	char name[] = "/program";
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	int status = 0;
	pid_t pid;

	(void)t;
	if (write_program(name, err) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return refused(err, "cannot fork");
	if (!pid) {
#ifdef EXEC_MACHINE
		execve(name, argv, envp);
		_exit(errno == EXEC_STATUS ? 1 : errno);
#else
		_exit(argv[0] == name && !envp[0] ? EXEC_STATUS : 1);
#endif
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXEC_STATUS) {
		SAY("a program ran");
		return 0;
	}
	if (!WIFEXITED(status))
		return error_set(err, E_SANDBOX, "a program was killed by signal %d",
				 WTERMSIG(status));
	errno = WEXITSTATUS(status);
	refused(err, "cannot execute a program of the overlay");
	return error_hint(err,
			  "a security module, such as AppArmor or SELinux, refuses it");
}

const struct probe_step probe_outer[] = {
	{"ids", true, step_ids},         {"namespace", true, step_enter},
	{"folders", true, step_folders}, {"owners", true, step_owners},
	{"overlay", true, step_overlay}, {"processes", false, step_processes},
	{"pid", true, step_pid},         {0},
};

const struct probe_step probe_inner[] = {
	{"mount", true, step_mount},
	{"dev", true, step_dev},
	{"proc", true, step_proc},
	{"sys", false, step_sys},
	{"pivot", true, step_pivot},
	{"network", false, step_network},
	{"addresses", false, step_addresses},
	{"filter", true, step_filter},
	{"exec", true, step_exec},
	{0},
};
