#include "builder/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"

int sandbox_grace_ms = 10000;

_Static_assert(sizeof(struct report) <= 4096, "a pipe takes it in one piece");

/* user_namespaces(7): lines "inside outside count" */
static bool is_mapped(const char *map, uint32_t id, uint32_t *outside)
{
	for (const char *line = map; line && *line; line = strchr(line, '\n')) {
		char *at = NULL;
		uint64_t inside = strtoull(line, &at, 10), out = strtoull(at, &at, 10);
		uint64_t count = strtoull(at, &at, 10);

		if (id >= inside && id - inside < count) {
			*outside = (uint32_t)(out + (id - inside));
			return true;
		}
		line += *line == '\n';
	}
	return false;
}

/* The spec's ids are some of this user namespace; who is root of it outside. */
static int ids_check(const struct sandbox_spec *spec, uint32_t *outer, struct error *err)
{
	auto_buf struct buf uids = BUF_INIT, gids = BUF_INIT;
	uint32_t out, group = spec->gid;
	size_t i = 0;
	bool ok;

	if (file_read(AT_FDCWD, "/proc/self/uid_map", 1 << 20, &uids, err) < 0 ||
	    file_read(AT_FDCWD, "/proc/self/gid_map", 1 << 20, &gids, err) < 0)
		return -1;
	is_mapped(uids.data, 0, outer);
	while ((ok = is_mapped(gids.data, group, &out)) && i < spec->ngroups)
		group = spec->groups[i++];
	if (!is_mapped(uids.data, spec->uid, &out))
		error_set(err, E_SANDBOX, "there is no user %" PRIu32 " in this sandbox",
			  spec->uid);
	else if (!ok)
		error_set(err, E_SANDBOX, "there is no group %" PRIu32 " in this sandbox",
			  group);
	else
		return 0;
	return error_hint(err, "it would take subordinate ids (/etc/subuid, /etc/subgid "
			       "and newuidmap), or root");
}

struct run {
	const struct sandbox_spec *spec;
	struct sandbox_result *out;
	struct pids pids;
	pid_t pid;     /* process 1 */
	int report;    /* of what happens inside */
	sigset_t mask; /* as the caller had it */
	bool done;     /* there is a status */
	int status;
	int64_t until; /* SIGKILL then; 0: not asked to stop */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Asks the command to stop when there was an interrupt, and ends it when it does not.
 * How long to wait for it; -1: for ever. */
static int64_t stop_ms(struct run *r)
{
	int64_t left;

	if (!interrupt_signal())
		return -1;
	if (!r->until) {
		/* SIGHUP: hod itself is gone (hod-isolation(7)) */
		r->until =
			now_ms() + (interrupt_signal() == SIGHUP ? 0 : sandbox_grace_ms);
		kill(r->pid, SIGTERM);
	}
	left = r->until - now_ms();
	if (left > 0)
		return left;
	kill(r->pid, SIGKILL);
	return 1000;
}

static void wait_report(struct run *r)
{
	struct pollfd p = {.fd = r->report, .events = POLLIN};
	int n;

	do {
		int64_t ms = stop_ms(r);
		struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

		n = ppoll(&p, 1, ms < 0 ? NULL : &t, &r->mask);
	} while (n <= 0);
}

/* Until all processes that could write reports are gone, process 1 the last of them.  -1
 * with the first error from inside. */
static int follow(struct run *r, struct error *err)
{
	int rc = 0;

	for (;;) {
		struct report got;
		ssize_t n;

		wait_report(r);
		n = read(r->report, &got, sizeof(got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(got))
			return rc;
		switch (got.kind) {
		case REPORT_RANDOM:
			r->out->addresses_random = true;
			break;
		case REPORT_STATUS:
			r->done = true;
			r->status = got.status;
			break;
		default:
			if (!rc && err)
				*err = got.err;
			rc = -1;
		}
	}
}

/* A child with a pid namespace, of which it is process 1; all else is still the
 * caller's.  fork(3) knows no flags, and unshare(2) would change the caller. */
static pid_t fork_init(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
}

static int start(struct run *r, const struct sock_fprog *filter, int root,
		 struct error *err)
{
	int go[2], report[2];
	auto_fd int go_r = -1, go_w = -1, report_r = -1, report_w = -1;
	struct sandbox_start s;

	/* no pipe: a write to a process 1 that is gone would be a SIGPIPE */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		return error_errno(err, "cannot make a pair of sockets");
	go_r = go[0];
	go_w = go[1];
	if (pipe2(report, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	report_r = report[0];
	report_w = report[1];
	s = (struct sandbox_start){r->spec, filter, root, go_r, report_w};
	r->pid = fork_init();
	if (r->pid < 0) {
		refused(err, "cannot make a pid namespace");
		return error_hint(err, "this needs root, or a user namespace");
	}
	if (!r->pid) {
		close(go_w);
		close(report_r);
		init_run(&s);
	}
	if (r->pids.fd >= 0 && !pids_add(&r->pids, r->pid))
		r->out->processes_bound = true;
	send(go_w, "", 1, MSG_NOSIGNAL); /* when it is gone, the report says why */
	r->report = steal_fd(&report_r);
	return 0;
}

static int outcome(const struct run *r, uint64_t kills, struct error *err)
{
	struct sandbox_result *out = r->out;

	out->memory_killed = memory_kills() > kills;
	if (!r->done) {
		error_set(err, E_FAILED, "the sandbox was killed");
		return out->memory_killed ? error_hint(err, "the host ran out of memory")
					  : -1;
	}
	if (WIFSIGNALED(r->status)) {
		out->signal = WTERMSIG(r->status);
		out->status = 128 + out->signal;
	} else {
		out->status = WEXITSTATUS(r->status);
	}
	/* others of this host may be the ones that were killed */
	if (out->status != 128 + SIGKILL)
		out->memory_killed = false;
	return 0;
}

/* Signals reach this process only while it waits, so that none is missed. */
static int run_blocked(struct run *r, const struct sock_fprog *filter, int *root,
		       struct error *err)
{
	uint64_t kills = memory_kills();
	int rc = start(r, filter, *root, err);

	if (rc < 0)
		return -1;
	/* the root goes with the last process, not with this one */
	close(steal_fd(root));
	rc = follow(r, err);
	close(r->report);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->out->processes_met = pids_met(&r->pids);
	if (interrupt_check(err) < 0)
		return -1;
	return rc < 0 ? -1 : outcome(r, kills, err);
}

int sandbox_run(const struct sandbox_spec *spec, struct sandbox_result *out,
		struct error *err)
{
	struct run r = {.spec = spec, .out = out, .pids = PIDS_INIT, .report = -1};
	struct sock_fprog filter = {0};
	auto_fd int root = -1;
	uint32_t outer = 0;
	sigset_t signals;
	int rc;

	*out = (struct sandbox_result){0};
	if (ids_check(spec, &outer, err) < 0 || interrupt_check(err) < 0)
		return -1;
	root = sandbox_overlay(spec->mode, spec->lowers, spec->nlowers, spec->upper,
			       spec->work, NULL, err);
	if (root < 0 || filter_make(&filter, spec->network, err) < 0)
		return -1;
	if (spec->processes)
		pids_open(&r.pids, spec->processes + 1); /* process 1 */
	/* real root has no RLIMIT_NPROC, under whatever name */
	out->processes_bound = spec->processes && spec->mode != SANDBOX_ROOT && outer;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &r.mask);
	rc = run_blocked(&r, &filter, &root, err);
	sigprocmask(SIG_SETMASK, &r.mask, NULL);
	pids_close(&r.pids);
	filter_release(&filter);
	return rc;
}
