/*
 * sandbox.h - one command, isolated
 *
 * sandbox_run starts a command in namespaces of its own (mount, pid, ipc, uts, cgroup;
 * net without the network), on an overlay of folders that is its root, with docker's
 * default capabilities and a system call filter, and waits until it and everything
 * that it started is gone.  hod-isolation(7) says what a command sees.
 *
 * The caller is a process with one thread, either real root or already inside
 * a user namespace (idmap.h); it keeps its own namespaces.  Nothing is left when
 * sandbox_run returns, nor when the caller is killed: process 1 of the
 * sandbox dies with it and takes the rest along.
 *
 * Everything in the root is hostile: it is entered by descriptors only, and no path of it
 * is resolved outside.
 */
#ifndef HOD_SANDBOX_H
#define HOD_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/sandbox/idmap.h"

struct error;

/* A file that the command sees, read-only, in place of what the root has there. */
struct sandbox_file {
	const char *path; /* relative to the root; a regular file there */
	const void *data;
	size_t len;
};

struct sandbox_spec {
	enum sandbox_mode mode;
	/* The root: folders, the topmost first, at least one (O_PATH or O_RDONLY); these
	 * and the next opened in the caller's present mount namespace: after idmap_enter.
	 */
	const int *lowers;
	size_t nlowers;
	int upper, work; /* empty folders of one file system: changes, overlay's own */
	int place; /* an empty folder; the root is mounted on it, seen by nobody else */
	const struct sandbox_file *files;
	size_t nfiles;
	/* NULL, or a program that the command finds as /dev/pipes/PATH, 0755 */
	const struct sandbox_file *script;
	/* The command. */
	char *const *argv; /* argv[0] without a slash is looked for in PATH of envp */
	char *const *envp;
	const char *cwd; /* absolute; made, 0755 and the user's, when it is missing */
	uint32_t uid, gid;
	const uint32_t *groups; /* supplementary ones only */
	size_t ngroups;
	bool network;       /* the host's; else a loopback of its own */
	uint64_t processes; /* at most so many; 0: no bound */
	int output;         /* stdout and stderr; stdin is /dev/null */
};

struct sandbox_result {
	int status;           /* 0 to 255; 128 + signal */
	int signal;           /* that ended the command, or 0 */
	bool processes_bound; /* the bound on processes could be set */
	bool processes_met;   /* ... and a fork was refused for it; a user namespace alone
			       * (RLIMIT_NPROC) cannot tell */
	bool memory_killed;   /* the kernel killed it for lack of memory, probably */
	bool addresses_random; /* the host refused ADDR_NO_RANDOMIZE */
};

/* 0 when the command ran, whatever its status (126 and 127 as a shell gives them: not
 * executable, not found).  -1: it could not be started (E_SANDBOX: this host refuses
 * something, or the user's ids are none of this mode's, with a hint; E_INPUT: the root's
 * /proc, /sys or /dev is no folder, or the working folder cannot be made) or
 * E_INTERRUPTED: then the command got SIGTERM, and after 10 seconds SIGKILL (at once when
 * the interrupt is SIGHUP: nobody waits any more). */
int sandbox_run(const struct sandbox_spec *spec, struct sandbox_result *out,
		struct error *err);

/* Mounts the overlay of lowers, upper and work (new mount API, volatile, userxattr inside
 * a user namespace) and returns a descriptor of the detached mount; -1.  In *why, when
 * not NULL, the kernel's own words on a failure.  All folders must have been opened in
 * the mount namespace that the caller is in now (after idmap_enter). */
struct buf;
int sandbox_overlay(enum sandbox_mode mode, const int *lowers, size_t nlowers, int upper,
		    int work, struct buf *why, struct error *err);

/* A sealed copy of this program in memory, to start the process from that will call
 * sandbox_run: a command can get hold of the file that its process ran before it (a
 * script that begins with "#!/proc/self/exe"), and write to it where it may.  An fd for
 * posix_spawn of /proc/self/fd/N; -1. */
int sandbox_program(struct error *err);

/* Removes what killed runs left that is no file: cgroups of processes that are gone. */
void sandbox_sweep(void);

#endif
