/* The side of a RUN's child process that hod sees (run_worker.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/run_private.h"
#include "builder/run_worker.h"
#include "builder/sandbox/sandbox.h"
#include "registry/base/alloc.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"

#define TICK_MS 100
#define PATIENCE_TICKS 10
/* How long output may go on after the process is gone. */
#define DRAIN_TICKS 50

struct call {
	const struct run_listener *l;
	pid_t pid;
	int program;               /* a copy of hod: a command must not reach the file */
	int spec, control, output; /* our ends */
	int control_child, output_child; /* the child's, until it was started */
	bool told;                       /* it was asked to stop */
	unsigned waiting;                /* ticks since then */
	bool answered;
	struct run_message last;
};

static int make_pipes(struct call *c, const struct run_spec *spec, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	int pair[2];

	run_spec_write(spec, &text);
	c->spec = memfd_create(RUN_WORKER_NAME, MFD_CLOEXEC);
	if (c->spec < 0)
		return error_errno(err, "cannot make a file in memory");
	if (file_write_all(c->spec, text.data, text.len, err) < 0)
		return -1;
	if (lseek(c->spec, 0, SEEK_SET) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "cannot make a socket");
	c->control = pair[0];
	c->control_child = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	c->output = pair[0];
	c->output_child = pair[1];
	return 0;
}

/* Nothing of the user's environment: the command could read it from /proc/1/environ. PATH
 * is for newuidmap; the rest are settings of libraries. */
static void environment(struct strv *env)
{
	static const char *const kept[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS",
					   "UBSAN_OPTIONS",   "LSAN_OPTIONS",
					   "TSAN_OPTIONS",    "HOD_NO_OPENAT2"};

	strv_add(env,
		 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (getenv(kept[i]))
			strv_addf(env, "%s=%s", kept[i], getenv(kept[i]));
}

/* Below the numbers that it shall have there, a descriptor could be overwritten before
 * its turn: all of ours are moved above them first. */
static int raise_fd(int *fd, struct error *err)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, RUN_OUTPUT_FD + 1);

	if (high < 0)
		return error_errno(err, "cannot duplicate a descriptor");
	close(*fd);
	*fd = high;
	return 0;
}

static int start(struct call *c, struct error *err)
{
	char *const argv[] = {(char[]){RUN_WORKER_NAME}, NULL};
	auto_strv struct strv env = STRV_INIT;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	char program[32];
	int rc;

	if (raise_fd(&c->spec, err) < 0 || raise_fd(&c->program, err) < 0 ||
	    raise_fd(&c->control_child, err) < 0 || raise_fd(&c->output_child, err) < 0)
		return -1;
	environment(&env);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, c->spec, RUN_SPEC_FD);
	posix_spawn_file_actions_adddup2(&files, c->control_child, RUN_CONTROL_FD);
	posix_spawn_file_actions_adddup2(&files, c->output_child, RUN_OUTPUT_FD);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigemptyset(&defaults);
	for (int sig = SIGHUP; sig <= SIGTERM; sig++)
		if (sig != SIGKILL)
			sigaddset(&defaults, sig);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	/* a group of its own: the terminal's Ctrl-C is for hod, which hands it on once */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
						      POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	snprintf(program, sizeof(program), "/proc/self/fd/%d", c->program);
	rc = posix_spawn(&c->pid, program, &files, &attributes, argv, env.v);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	if (!rc)
		return 0;
	c->pid = -1;
	errno = rc;
	error_errno(err, "cannot start hod's own program again");
	if (err)
		err->kind = E_SANDBOX;
	return error_hint(err, "a RUN needs /proc to be mounted");
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void take_message(struct call *c)
{
	struct run_message m;
	ssize_t n = recv(c->control, &m, sizeof(m), 0);

	if (n < 0 && errno == EINTR)
		return;
	if (n != sizeof(m)) {
		close_fd(&c->control);
		return;
	}
	if (m.kind == RUN_RESULT || m.kind == RUN_ERROR) {
		c->answered = true;
		c->last = m;
		return;
	}
	m.text[sizeof(m.text) - 1] = '\0';
	if (c->l && c->l->message)
		c->l->message(c->l->ctx, m.kind, m.text);
}

static void take_output(struct call *c)
{
	char data[16384];
	ssize_t n = read(c->output, data, sizeof(data));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0)
		close_fd(&c->output);
	else if (c->l && c->l->output)
		c->l->output(c->l->ctx, data, (size_t)n);
}

/* Passes on what comes, until both ends are closed. */
static void listen_to(struct call *c)
{
	unsigned quiet = 0;

	while (c->control >= 0 || (c->output >= 0 && quiet < DRAIN_TICKS)) {
		struct pollfd fds[2] = {{.fd = c->output, .events = POLLIN},
					{.fd = c->control, .events = POLLIN}};
		int n = poll(fds, 2, TICK_MS);

		if (interrupt_signal() && !c->told) {
			kill(c->pid, SIGTERM);
			c->told = true;
		}
		if (n <= 0) {
			if (c->told && ++c->waiting == PATIENCE_TICKS)
				log_info("stopping: the command has 10 seconds to end; "
					 "a second signal ends it at once");
			quiet += c->control < 0;
			continue;
		}
		if (fds[0].revents)
			take_output(c);
		if (fds[1].revents)
			take_message(c);
	}
}

static int ended(struct call *c, int status, struct run_result *out, struct error *err)
{
	if (interrupt_check(err) < 0)
		return -1;
	if (c->answered && c->last.kind == RUN_RESULT) {
		*out = c->last.result;
		return 0;
	}
	if (c->answered) {
		if (err)
			*err = c->last.error;
		return -1;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		error_set(err, E_FAILED, "the process that runs the command was killed");
		return error_hint(err, "perhaps for lack of memory");
	}
	if (WIFSIGNALED(status))
		return error_set(err, E_BUG, "the process for RUN ended by SIG%s",
				 sigabbrev_np(WTERMSIG(status)));
	return error_set(err, E_BUG, "the process for RUN ended with status %d",
			 WEXITSTATUS(status));
}

static void call_release(struct call *c)
{
	close_fd(&c->program);
	close_fd(&c->spec);
	close_fd(&c->control);
	close_fd(&c->output);
	close_fd(&c->control_child);
	close_fd(&c->output_child);
}

int run_worker_call(const struct run_spec *spec, const struct run_listener *l,
		    struct run_result *out, struct error *err)
{
	struct call c = {.l = l,
			 .pid = -1,
			 .program = -1,
			 .spec = -1,
			 .control = -1,
			 .output = -1,
			 .control_child = -1,
			 .output_child = -1};
	int status = 0, rc;

	*out = (struct run_result){0};
	c.program = sandbox_program(err);
	rc = c.program < 0 ? -1 : make_pipes(&c, spec, err);
	if (!rc)
		rc = start(&c, err);
	if (!rc) {
		close_fd(&c.control_child);
		close_fd(&c.output_child);
		listen_to(&c);
		while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
			;
		rc = ended(&c, status, out, err);
	}
	call_release(&c);
	return rc;
}
