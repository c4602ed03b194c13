#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/steps_private.h"
#include "registry/base/error.h"

void report_send(int fd, const struct report *r)
{
	while (write(fd, r, sizeof(*r)) < 0 && errno == EINTR)
		;
}

static _Noreturn void fail(const struct sandbox_start *s, struct report *r)
{
	r->kind = REPORT_ERROR;
	report_send(s->report, r);
	_exit(1);
}

/* The signals that are waited for stay blocked; all others have their default effect,
 * which on process 1 is none. */
static void signals_reset(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&sa.sa_mask);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		sigaction(sig, &sa, NULL);
}

/* Nothing of the caller may be held here: it would stay open as long as the command
 * runs, its output among it. */
static void close_others(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		if (fd != keep)
			dup2(null, fd);
	if (keep > 3)
		close_range(3, (unsigned)keep - 1, 0);
	close_range(keep < 3 ? 3 : (unsigned)keep + 1, ~0U, 0);
}

/* Asked to stop from outside (process number 0 in here); what a process inside sends is
 * its own affair. */
static void forward(const siginfo_t *info, pid_t payload)
{
	if (info->si_signo != SIGTERM || info->si_pid)
		return;
	if (kill(-payload, SIGTERM) < 0)
		kill(payload, SIGTERM); /* it is no leader yet */
}

/* A process that made its parent trace it (PTRACE_TRACEME) has stopped for a signal, and
 * goes on with that as if it had not.  The SIGTRAP is of execve, or as good as that. */
static void let_go(pid_t pid, int sig)
{
	ptrace(PTRACE_DETACH, pid, NULL, (uintptr_t)(sig == SIGTRAP ? 0 : sig));
}

static int serve(pid_t payload)
{
	sigset_t wanted;
	siginfo_t info;
	int status;
	pid_t pid;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	for (;;) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (WIFSTOPPED(status))
				let_go(pid, WSTOPSIG(status));
			else if (pid == payload)
				return status;
		}
		if (sigwaitinfo(&wanted, &info) > 0)
			forward(&info, payload);
	}
}

/*
 * Process 1 has all rights of the caller, so no one may look into it: it is not
 * dumpable, which makes /proc/1 and its exe link belong to the kernel's root and need
 * CAP_SYS_PTRACE.  It never runs anything but this code.
 */
_Noreturn void init_run(const struct sandbox_start *s)
{
	struct report r = {0};
	pid_t payload;
	char go;

	signals_reset();
	/* before the wait for go: when the caller dies earlier, its end of the pipe does
	 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		refused(&r.err, "prctl failed");
		fail(s, &r);
	}
	if (read(s->go, &go, 1) != 1)
		_exit(1);
	setsid();
	umask(022);
	if (root_enter(s->spec, s->root, &r.err) < 0)
		fail(s, &r);
	payload = fork();
	if (payload < 0) {
		refused(&r.err, "cannot start a process");
		fail(s, &r);
	}
	if (!payload)
		payload_run(s);
	close_others(s->report);
	r.kind = REPORT_STATUS;
	r.status = serve(payload);
	report_send(s->report, &r);
	_exit(0); /* and the kernel ends all others */
}
