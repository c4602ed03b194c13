/*
 * steps_private.h - the steps of sandbox_run, for it and for the probe
 *
 * In the caller: root = sandbox_overlay(), filter_make().  Then in a child that is
 * process 1 of a new pid namespace and still in the caller's other ones, in this order:
 *
 *	namespaces_enter(place, network, &err);
 *	root_attach(root, &err);
 *	mount_proc(root, mode, &err); mount_dev(...); mount_sys(...);
 *	root_pivot(root, &err);
 *	filter_install(&filter, &err);
 *	caps_drop(&err), ids_take(...), caps_take(uid, &err)
 *
 * Functions that return int give -1 and E_SANDBOX where this host refuses, with the text
 * of errno.  The overlay is made before the child leaves the caller's mount namespace
 * because the kernel takes layers of the current one only.
 */
#ifndef HOD_STEPS_PRIVATE_H
#define HOD_STEPS_PRIVATE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "builder/sandbox/sandbox.h"
#include "registry/base/error.h"

/* error_errno with the kind E_SANDBOX. */
int refused(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* overlay.c */
#define OVERLAY_LOWERS 500 /* the kernel's own limit */
/* sandbox_overlay as it is on kernels before 6.7. */
int overlay_classic(enum sandbox_mode mode, const int *lowers, size_t nlowers, int upper,
		    int work, struct buf *why, struct error *err);

/* mounts.c */
struct mount_option {
	const char *key, *value; /* value NULL: a flag */
};
/* A new file system instance as a detached mount; options end with a NULL key.  fd. */
int mount_new(const char *type, const struct mount_option *options, uint64_t attrs,
	      struct error *err);
/* Creates what fs (from fsopen) was told and takes it as a detached mount; mount_take
 * when it was created already.  fs stays yours. */
int mount_create(int fs, const char *type, uint64_t attrs, struct buf *why,
		 struct error *err);
int mount_take(int fs, const char *type, uint64_t attrs, struct error *err);
/* errno as an error, with the kernel's own words in the message and in *why (may be
 * NULL). */
int mount_failed(int fs, const char *type, struct buf *why, struct error *err);
/* Attaches a detached mount on an open file or folder. */
int mount_on(int mnt, int target, const char *what, struct error *err);
/* A detached copy of what lies at path below dirfd, not through a final link, or with an
 * empty path of dirfd itself, with attributes set and cleared on it. */
int mount_copy(int dirfd, const char *path, uint64_t attrs, uint64_t clear,
	       struct error *err);

/* New mount (private), ipc, uts, cgroup and, without network, net namespaces; the working
 * directory is place in the new mount namespace.  Host name "hod", loopback up. */
int namespaces_enter(int place, bool network, struct error *err);
/* Mounts the detached root on the working directory. */
int root_attach(int root, struct error *err);
/* E_INPUT when the root has no such folder, or a link in its place. */
int mount_proc(int root, enum sandbox_mode mode, struct error *err);
int mount_dev(int root, enum sandbox_mode mode, struct error *err); /* devices.c */
/* Once /dev is there. */
int mount_script(int root, const struct sandbox_file *script, struct error *err);
int mount_sys(int root, enum sandbox_mode mode, struct error *err); /* empty if refused */
/* root becomes "/" and the working directory; what was there before is gone. */
int root_pivot(int root, struct error *err);
/* All of it, from namespaces_enter to root_pivot. */
int root_enter(const struct sandbox_spec *spec, int root, struct error *err);

/* filter.c */
/* host_network: the command has it, and so no raw sockets. */
int filter_make(struct sock_fprog *out, bool host_network, struct error *err);
void filter_release(struct sock_fprog *f);
/* For this process and what it starts; needs CAP_SYS_ADMIN, since no_new_privs is off. */
int filter_install(const struct sock_fprog *f, struct error *err);
/* One id: giving a file to another one is EPERM, as for a user without rights; the
 * kernel's own answer, EINVAL, is one that few programs know. */
int filter_owners(struct error *err);

/* privileges.c */
int caps_drop(struct error *err); /* the bounding set: docker's 14 */
int ids_take(const struct sandbox_spec *spec, struct error *err);
int caps_take(uint32_t uid, struct error *err); /* the process's own sets */

/* pids.c */
struct pids {
	char *path;
	int fd;
};
#define PIDS_INIT        \
	{                \
		NULL, -1 \
	}
/* A cgroup that holds at most max processes; -1 where that cannot be had. */
int pids_open(struct pids *p, uint64_t max);
int pids_add(const struct pids *p, pid_t pid);
bool pids_met(const struct pids *p); /* a fork was refused */
void pids_close(struct pids *p);     /* its processes are gone; also when not open */
uint64_t memory_kills(void);         /* of this host, so far */

/* What processes inside tell sandbox_run, one write each (less than PIPE_BUF). */
enum report_kind { REPORT_ERROR, REPORT_RANDOM, REPORT_STATUS };
struct report {
	enum report_kind kind;
	int status; /* as wait gives it */
	struct error err;
};
struct sandbox_start {
	const struct sandbox_spec *spec;
	const struct sock_fprog *filter;
	int root;   /* detached */
	int go;     /* a byte comes when all is prepared outside */
	int report; /* struct report are written here */
};
void report_send(int fd, const struct report *r);
_Noreturn void init_run(const struct sandbox_start *s);    /* process 1 */
_Noreturn void payload_run(const struct sandbox_start *s); /* the command */

/* Between SIGTERM and SIGKILL, for tests. */
extern int sandbox_grace_ms;

#endif
