/*
 * sandbox_test.h - runs of a busybox root in every mode that this user can have
 *
 *	place_open(&p, mode); says(&p, "script", "its output"); place_close(&p);
 *
 * Each run is made by a child, the caller of sandbox_run, which enters the mode by hand:
 * these tests do not depend on idmap.c.
 */
#ifndef HOD_SANDBOX_TEST_H
#define HOD_SANDBOX_TEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"

#define BUSYBOX "/bin/busybox"
#define USER 65011       /* an ordinary user of this host, for SANDBOX_ONE */
#define RANGE 1700000000 /* ids of SANDBOX_RANGE begin here */
#define OUTPUT_MAX (1 << 20)

/* What a run gave, in memory shared with the process that made it. */
struct ran {
	int rc;
	struct sandbox_result result;
	struct error err;
};

/* A root with busybox, and all that a run needs. */
struct place {
	char dir[64];
	enum sandbox_mode mode;
	const char *cwd;
	uint32_t uid, gid, groups[2];
	size_t ngroups;
	bool no_network, install, pipe;
	uint64_t processes;
	char *const *argv;
	struct sandbox_file files[1];
	size_t nfiles;
	struct ran *ran;
	struct buf output;
	pid_t caller; /* while it runs */
};

static inline bool is_root(void)
{
	return !geteuid();
}

/* The modes that this user can try: all as root. */
static inline enum sandbox_mode first_mode(void)
{
	return is_root() ? SANDBOX_ROOT : SANDBOX_ONE;
}

static inline uint32_t outer_id(enum sandbox_mode mode)
{
	if (!is_root() || mode == SANDBOX_ROOT)
		return geteuid();
	return mode == SANDBOX_RANGE ? RANGE : USER;
}

/* On error ends the test. */
static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void shell(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-ec", line, (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		print_error("%s\n", line);
	assert_int_equal(status, 0);
}

static inline void place_open(struct place *p, enum sandbox_mode mode)
{
	memset(p, 0, sizeof(*p));
	p->mode = mode;
	p->cwd = "/";
	p->output = (struct buf)BUF_INIT;
	snprintf(p->dir, sizeof(p->dir), "/tmp/sandbox_test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	shell("cd %s; mkdir lower upper work place; umask 022; cd lower; "
	      "mkdir -p bin proc sys dev etc tmp; cp " BUSYBOX " bin; "
	      "ln bin/busybox bin/sh; chmod 1777 tmp; echo image >etc/resolv.conf; "
	      "ln -s /etc/away away",
	      p->dir);
	if (is_root())
		shell("chown -R %u:%u %s", outer_id(mode), outer_id(mode), p->dir);
	p->ran = mmap(NULL, sizeof(*p->ran), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p->ran, MAP_FAILED);
}

static inline void place_close(struct place *p)
{
	/* work/work has no mode at all */
	shell("chmod -R u+rwx %s/work; rm -rf %s", p->dir, p->dir);
	munmap(p->ran, sizeof(*p->ran));
	buf_release(&p->output);
}

static inline void write_map(pid_t pid, const char *file, uint32_t outside,
			     uint32_t count)
{
	char path[64], text[64];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	n = snprintf(text, sizeof(text), "0 %u %u\n", outside, count);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		_exit(90);
	close(fd);
}

/* The calling process enters the mode's namespaces, by hand. */
static inline void enter_mode(enum sandbox_mode mode)
{
	uint32_t id = outer_id(mode);
	pid_t me = getpid(), writer;
	int ready[2], fd;
	char c;

	if (mode == SANDBOX_ROOT)
		return;
	if (is_root() && mode == SANDBOX_ONE &&
	    (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)))
		_exit(91);
	prctl(PR_SET_DUMPABLE, 1);
	if (pipe(ready))
		_exit(92);
	writer = mode == SANDBOX_RANGE ? fork() : -1;
	if (!writer) { /* still real root, outside */
		close(ready[1]);
		if (read(ready[0], &c, 1) == 1) {
			write_map(me, "uid_map", id, 65536);
			write_map(me, "gid_map", id, 65536);
		}
		_exit(0);
	}
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(93);
	if (mode == SANDBOX_RANGE) {
		if (write(ready[1], "", 1) != 1 || waitpid(writer, NULL, 0) != writer)
			_exit(94);
	} else {
		fd = open("/proc/self/setgroups", O_WRONLY);
		if (fd < 0 || write(fd, "deny", 4) != 4)
			_exit(95);
		close(fd);
		write_map(me, "uid_map", id, 1);
		write_map(me, "gid_map", id, 1);
	}
	close(ready[0]);
	close(ready[1]);
	if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
		_exit(96);
}

static inline int open_below(const char *dir, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_RDONLY | O_DIRECTORY); /* to be leaked, if it can be */
}

static inline _Noreturn void caller_main(struct place *p, char *const *argv, int output)
{
	char *const envp[] = {(char *)"PATH=/none:/bin", (char *)"ONE=1", NULL};
	int lower;
	struct sandbox_spec spec = {.mode = p->mode, .lowers = &lower, .nlowers = 1};

	char text[4096];
	int ends[2];
	ssize_t n;

	if (p->install)
		interrupt_install();
	enter_mode(p->mode);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing */
	if (pipe(ends))
		_exit(97);
	lower = open_below(p->dir, "lower");
	spec.upper = open_below(p->dir, "upper");
	spec.work = open_below(p->dir, "work");
	spec.place = open_below(p->dir, "place");
	spec.argv = argv;
	spec.envp = envp;
	spec.cwd = p->cwd;
	spec.uid = p->uid;
	spec.gid = p->gid;
	spec.groups = p->groups;
	spec.ngroups = p->ngroups;
	spec.network = !p->no_network;
	spec.processes = p->processes;
	spec.files = p->files;
	spec.nfiles = p->nfiles;
	spec.output = p->pipe ? ends[1] : output;
	p->ran->rc = sandbox_run(&spec, &p->ran->result, &p->ran->err);
	if (p->pipe) {
		close(spec.output);
		while ((n = read(ends[0], text, sizeof(text))) > 0)
			if (write(output, text, (size_t)n) != n)
				_exit(98);
	}
	_exit(0);
}

static inline int output_open(const struct place *p, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/output", p->dir);
	return open(path, flags | O_CLOEXEC, 0666);
}

static inline void begin(struct place *p, const char *script)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	int output = output_open(p, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC);

	assert_true(output >= 0);
	assert_int_equal(fchmod(output, 0666), 0);
	memset(p->ran, 0, sizeof(*p->ran));
	p->caller = fork();
	assert_true(p->caller >= 0);
	if (!p->caller)
		caller_main(p, p->argv ? p->argv : argv, output);
	close(output);
}

static inline void read_output(struct place *p)
{
	int fd = output_open(p, O_RDONLY);

	buf_reset(&p->output);
	assert_int_equal(file_read_fd(fd, OUTPUT_MAX, &p->output, NULL), 0);
	close(fd);
}

static inline int finish(struct place *p)
{
	int status;

	assert_int_equal(waitpid(p->caller, &status, 0), p->caller);
	assert_int_equal(status, 0);
	read_output(p);
	return p->ran->rc;
}

static inline int run(struct place *p, const char *script)
{
	begin(p, script);
	return finish(p);
}

/* The script ends with 0 and writes text. */
static inline void says(struct place *p, const char *script, const char *text)
{
	if (run(p, script) < 0)
		print_error("%s (%s)\n", p->ran->err.msg, p->ran->err.hint);
	assert_int_equal(p->ran->rc, 0);
	assert_string_equal(p->output.data, text);
	assert_int_equal(p->ran->result.status, 0);
}

/* In every mode, with a root of its own. */
static inline void says_everywhere(const char *script, const char *text)
{
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		says(&p, script, text);
		place_close(&p);
	}
}

static inline bool process_with(const char *text)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	bool found = false;

	while (!found && (e = readdir(d))) {
		auto_buf struct buf line = BUF_INIT;
		char path[300];

		if (*e->d_name < '0' || *e->d_name > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		if (file_read(AT_FDCWD, path, 1 << 20, &line, NULL) < 0)
			continue;
		found = memmem(line.data, line.len, text, strlen(text)) != NULL;
	}
	closedir(d);
	return found;
}

static inline void nap(void)
{
	const struct timespec t = {.tv_nsec = 20000000};

	nanosleep(&t, NULL);
}

static inline void wait_for_output(struct place *p, const char *text)
{
	for (int i = 0; i < 500; i++) {
		read_output(p);
		if (strstr(p->output.data, text))
			return;
		nap();
	}
	fail_msg("no %s: %s", text, p->output.data);
}

#endif
