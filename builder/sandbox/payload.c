#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int stdio(const struct sandbox_spec *spec, struct error *err)
{
	auto_fd int out = fcntl(spec->output, F_DUPFD_CLOEXEC, 3);
	auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (out < 0 || null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0)
		return refused(err, "cannot set the command's output");
	/* so that another user can open /dev/stdout, as in docker; a host may refuse it
	 */
	if (!fstat(out, &st) && S_ISFIFO(st.st_mode))
		(void)!fchown(out, spec->uid, spec->gid);
	return 0;
}

/* One folder of the way to cwd, made when it is missing. */
static int enter(int root, int above, const char *path, const struct sandbox_spec *spec)
{
	const char *name = strrchr(path, '/');
	int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	auto_fd int fd = file_open_in(root, path, O_PATH | O_DIRECTORY, NULL);

	name = name ? name + 1 : path;
	if (fd >= 0 || errno != ENOENT)
		return steal_fd(&fd);
	if (mkdirat(above, name, 0755) < 0)
		return -1;
	fd = openat(above, name, flags);
	if (fd < 0 || fchown(fd, spec->uid, spec->gid) < 0)
		return -1;
	return steal_fd(&fd);
}

static int working_folder(const struct sandbox_spec *spec, struct error *err)
{
	auto_free char *path = xstrdup(spec->cwd + strspn(spec->cwd, "/"));
	auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char here[2];
	char *end = path;

	while (*end && at >= 0) {
		char was;
		int fd;

		end += strcspn(end, "/");
		was = *end;
		*end = '\0';
		fd = enter(root, at, path, spec);
		*end = was;
		end += strspn(end, "/");
		if (fd < 0) {
			error_errno(err, "cannot make the working folder %s", spec->cwd);
			if (err)
				err->kind = E_INPUT;
			return -1;
		}
		close(at);
		at = fd;
	}
	if (at < 0 || fchdir(at) < 0)
		return refused(err, "cannot enter %s", spec->cwd);
	/* "(unreachable)" is how the kernel names what lies outside the root */
	if (!getcwd(here, sizeof(here)) && errno == ERANGE)
		return 0;
	return *here == '/' ? 0 : error_set(err, E_INPUT, "%s is outside", spec->cwd);
}

static int limit(int what, const char *name, rlim_t soft, rlim_t hard, struct error *err)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0)
		return refused(err, "cannot read the limit %s", name);
	if (hard > l.rlim_max)
		hard = l.rlim_max; /* no one can raise it */
	l.rlim_max = hard;
	l.rlim_cur = soft < hard ? soft : hard;
	if (setrlimit(what, &l) < 0)
		return refused(err, "cannot set the limit %s", name);
	return 0;
}

static int limits(const struct sandbox_spec *spec, struct error *err)
{
	if (limit(RLIMIT_NOFILE, "nofile", 1024, 524288, err) < 0 ||
	    limit(RLIMIT_CORE, "core", 0, 0, err) < 0)
		return -1;
	/* from it follows where the kernel puts mappings */
	if (limit(RLIMIT_STACK, "stack", (rlim_t)8 << 20, RLIM_INFINITY, err) < 0)
		return -1;
	if (spec->mode == SANDBOX_ROOT || !spec->processes)
		return 0;
	return limit(RLIMIT_NPROC, "nproc", spec->processes, spec->processes, err);
}

/* All that needs rights first; the filter while there is still CAP_SYS_ADMIN. */
static int confine(const struct sandbox_start *s, struct report *r)
{
	const struct sandbox_spec *spec = s->spec;

	if (stdio(spec, &r->err) < 0 || working_folder(spec, &r->err) < 0 ||
	    limits(spec, &r->err) < 0)
		return -1;
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return refused(&r->err, "close_range failed");
	if (personality(PER_LINUX | ADDR_NO_RANDOMIZE) < 0) {
		r->kind = REPORT_RANDOM;
		report_send(s->report, r);
	}
	if (filter_install(s->filter, &r->err) < 0 ||
	    (spec->mode == SANDBOX_ONE && filter_owners(&r->err) < 0) ||
	    caps_drop(&r->err) < 0 || ids_take(spec, &r->err) < 0)
		return -1;
	return caps_take(spec->uid, &r->err);
}

static const char *env_path(char *const *envp)
{
	for (; *envp; envp++)
		if (!strncmp(*envp, "PATH=", 5))
			return *envp + 5;
	return DEFAULT_PATH;
}

/* Tries one file; returns only when it could not be started.  The errno that matters:
 * one that is there and cannot be executed beats one that is not there. */
static void try_exec(const char *path, const struct sandbox_spec *spec, int *why)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		errno = EACCES;
	else
		execve(path, spec->argv, spec->envp);
	if (errno != ENOENT && errno != ENOTDIR)
		*why = errno;
	else if (!lstat(path, &st))
		*why = ELIBBAD; /* the file is there, its interpreter is not */
}

static void search(const struct sandbox_spec *spec, int *why)
{
	const char *p = env_path(spec->envp);

	for (;;) {
		size_t len = strcspn(p, ":");
		auto_buf struct buf path = BUF_INIT;

		buf_add(&path, p, len);
		buf_addf(&path, "%s%s", len ? "/" : "./", spec->argv[0]);
		try_exec(path.data, spec, why);
		/* what is no permission matter is the file that was meant */
		if (*why != ENOENT && *why != EACCES)
			return;
		if (!p[len])
			return;
		p += len + 1;
	}
}

/* As a shell: 127 when there is no such command, else 126. */
static int execute(const struct sandbox_spec *spec)
{
	const char *name = spec->argv[0] ? spec->argv[0] : "";
	int why = ENOENT;

	if (strchr(name, '/'))
		try_exec(name, spec, &why);
	else if (*name)
		search(spec, &why);
	if (why == ELIBBAD)
		dprintf(2, "%s: its interpreter or loader is missing\n", name);
	else if (why == ENOENT)
		dprintf(2, "%s: not found\n", name);
	else
		dprintf(2, "%s: %s\n", name, strerrordesc_np(why));
	return why == ENOENT || why == ELIBBAD ? 127 : 126;
}

_Noreturn void payload_run(const struct sandbox_start *s)
{
	struct report r = {0};
	sigset_t none;

	setsid();
	umask(022);
	if (confine(s, &r) < 0) {
		r.kind = REPORT_ERROR;
		report_send(s->report, &r);
		_exit(1);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(execute(s->spec));
}
