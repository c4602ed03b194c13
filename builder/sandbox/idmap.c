#include "builder/sandbox/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/refusal.h"
#include "builder/sandbox/steps_private.h"
#include "builder/sandbox/subid.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define SAID_MAX 1024 /* of what newuidmap says */

const char *sandbox_mode_name(enum sandbox_mode mode)
{
	static const char *const names[SANDBOX_MODES] = {
		[SANDBOX_ROOT] = "root",
		[SANDBOX_RANGE] = "userns",
		[SANDBOX_ONE] = "userns with one id",
	};

	return names[mode];
}

void idmap_release(struct idmap *m)
{
	id_ranges_release(&m->uids);
	id_ranges_release(&m->gids);
}

/* A set-uid program's absolute path: from PATH, then from where systems keep it. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	auto_buf struct buf list = BUF_INIT;
	char *folder, *next;

	buf_addf(&list, "%s:/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin",
		 path ? path : "");
	for (folder = list.data; folder; folder = next) {
		char *file;

		next = strchr(folder, ':');
		if (next)
			*next++ = '\0';
		if (*folder != '/')
			continue;
		file = xasprintf("%s/%s", folder, name);
		if (!access(file, X_OK))
			return file;
		free(file);
	}
	return NULL;
}

int idmap_programs(struct error *err)
{
	static const char *const names[] = {"newuidmap", "newgidmap"};

	for (size_t i = 0; i < 2; i++) {
		auto_free char *file = find_program(names[i]);

		if (file)
			continue;
		error_set(err, E_SANDBOX, "%s is not installed", names[i]);
		return error_hint(err, "install the package uidmap (shadow-utils, "
				       "shadow-uidmap elsewhere)");
	}
	return 0;
}

/* The name of the caller; NULL when it has none. */
static char *user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? xstrdup(pw->pw_name) : NULL;
}

static int no_ranges(const char *name, bool uids, bool gids, struct error *err)
{
	char range[32];
	uint32_t first;

	error_set(err, E_SANDBOX, "user %s has no subordinate ids in %s%s%s",
		  name ? name : "without a name", uids ? "" : SUBUID_FILE,
		  uids || gids ? "" : " and ", gids ? "" : SUBGID_FILE);
	if (!name)
		return error_hint(err,
				  "uid %u needs an entry in /etc/passwd, /etc/subuid and "
				  "/etc/subgid",
				  getuid());
	first = subid_advice();
	snprintf(range, sizeof(range), "%u-%u", first, first + SUBID_COUNT - 1);
	return error_hint(err, "as root: usermod%s%s%s%s %s",
			  uids ? "" : " --add-subuids ", uids ? "" : range,
			  gids ? "" : " --add-subgids ", gids ? "" : range, name);
}

static int find_ranges(struct idmap *m, struct error *err)
{
	struct id_ranges uids = {0}, gids = {0};
	auto_free char *name = user_name();
	int rc = -1;

	if (subid_read(SUBUID_FILE, name, getuid(), &uids, err) < 0 ||
	    subid_read(SUBGID_FILE, name, getuid(), &gids, err) < 0)
		goto out;
	if (!name || !uids.n || !gids.n) {
		no_ranges(name, name && uids.n, name && gids.n, err);
		goto out;
	}
	if (idmap_programs(err) < 0)
		goto out;
	subid_map(geteuid(), &uids, &m->uids);
	subid_map(getegid(), &gids, &m->gids);
	rc = 0;
out:
	id_ranges_release(&uids);
	id_ranges_release(&gids);
	return rc;
}

int idmap_find(struct idmap *m, enum sandbox_mode mode, struct error *err)
{
	*m = (struct idmap){.mode = mode};
	if (mode == SANDBOX_RANGE)
		return find_ranges(m, err);
	if (mode == SANDBOX_ONE) {
		id_ranges_add(&m->uids, 0, geteuid(), 1);
		id_ranges_add(&m->gids, 0, getegid(), 1);
	}
	return 0;
}

static bool has_id(const struct id_ranges *r, uint32_t id)
{
	for (size_t i = 0; i < r->n; i++)
		if (id >= r->v[i].inside && id - r->v[i].inside < r->v[i].count)
			return true;
	return false;
}

bool idmap_has(const struct idmap *m, uint32_t uid, uint32_t gid)
{
	return m->mode == SANDBOX_ROOT ||
	       (has_id(&m->uids, uid) && has_id(&m->gids, gid));
}

static void hash_ranges(struct hash *h, const struct id_ranges *r)
{
	hash_u64(h, r->n);
	for (size_t i = 0; i < r->n; i++) {
		hash_u64(h, r->v[i].inside);
		hash_u64(h, r->v[i].outside);
		hash_u64(h, r->v[i].count);
	}
}

void idmap_text(const struct idmap *m, struct buf *out)
{
	char hex[DIGEST_HEX];
	struct digest d;
	struct hash h;

	if (m->mode != SANDBOX_RANGE) {
		buf_adds(out, m->mode == SANDBOX_ROOT ? "root" : "one");
		return;
	}
	hash_init(&h);
	hash_ranges(&h, &m->uids);
	hash_ranges(&h, &m->gids);
	hash_end(&h, &d);
	buf_addf(out, "range-%.16s", digest_hex(&d, hex));
}

/* newuidmap PID INSIDE OUTSIDE COUNT ...; what it says goes to fd 2. */
__attribute__((noreturn)) static void exec_program(const char *file, pid_t pid,
						   const struct id_ranges *r, int said)
{
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	char *const env[] = {path, locale, NULL};
	auto_strv struct strv argv = STRV_INIT;

	strv_add(&argv, file);
	strv_addf(&argv, "%d", (int)pid);
	for (size_t i = 0; i < r->n; i++) {
		strv_addf(&argv, "%u", r->v[i].inside);
		strv_addf(&argv, "%u", r->v[i].outside);
		strv_addf(&argv, "%u", r->v[i].count);
	}
	if (dup2(said, 1) >= 0 && dup2(said, 2) >= 0)
		execve(file, argv.v, env);
	_exit(127);
}

/* Reads to the end and keeps the first SAID_MAX bytes, without the last line break. */
static void read_said(int fd, char said[static SAID_MAX])
{
	char rest[256];
	size_t len = 0;

	for (;;) {
		bool full = len == SAID_MAX - 1;
		ssize_t n = full ? read(fd, rest, sizeof(rest))
				 : read(fd, said + len, SAID_MAX - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += full ? 0 : (size_t)n;
	}
	said[len] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

static int run_program(const char *name, pid_t pid, const struct id_ranges *r,
		       struct error *err)
{
	auto_free char *file = find_program(name);
	auto_fd int from = -1;
	char said[SAID_MAX];
	int fds[2], status = 0;
	pid_t child;

	if (!file)
		return idmap_programs(err);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	from = fds[0];
	child = fork();
	if (!child)
		exec_program(file, pid, r, fds[1]);
	close(fds[1]);
	if (child < 0)
		return error_errno(err, "cannot fork");
	read_said(from, said);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	error_set(err, E_SANDBOX, "%s failed%s%s", file, *said ? ": " : "", said);
	return refusal_idmap_program(err, file, said);
}

/* What the process outside answers; smaller than PIPE_BUF, so written at once. */
struct answer {
	int rc;
	struct error err;
};

/* Runs outside of the new namespace: only there newuidmap has its rights.  Ends when the
 * other end is closed: then there is no namespace. */
__attribute__((noreturn)) static void serve_maps(const struct idmap *m, pid_t pid, int go,
						 int done)
{
	struct answer a = {0};
	char byte;

	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go, &byte, 1) != 1)
		_exit(0);
	a.rc = run_program("newuidmap", pid, &m->uids, &a.err);
	if (!a.rc)
		a.rc = run_program("newgidmap", pid, &m->gids, &a.err);
	file_write_all(done, &a, sizeof(a), NULL);
	_exit(0);
}

static int read_answer(int fd, struct error *err)
{
	struct answer a;
	ssize_t n;

	do
		n = read(fd, &a, sizeof(a));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(a))
		return error_set(err, E_SANDBOX, "the process that maps ids was killed");
	if (a.rc && err)
		*err = a.err;
	return a.rc;
}

static int new_userns(struct error *err)
{
	int errnum;

	if (!unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return 0;
	errnum = errno;
	refused(err, "cannot make a user namespace");
	return refusal_userns(err, errnum);
}

/* The maps are written from outside while this process waits in the namespace. */
static int enter_range(const struct idmap *m, struct error *err)
{
	auto_fd int go_out = -1, done_in = -1;
	pid_t self = getpid(), server;
	int go[2], done[2], rc;

	if (pipe2(go, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	go_out = go[1];
	if (pipe2(done, O_CLOEXEC) < 0) {
		close(go[0]);
		return error_errno(err, "cannot make a pipe");
	}
	done_in = done[0];
	server = fork();
	if (!server) {
		close(go[1]);
		serve_maps(m, self, go[0], done[1]);
	}
	close(go[0]);
	close(done[1]);
	if (server < 0)
		return error_errno(err, "cannot fork");
	rc = new_userns(err);
	if (!rc)
		rc = file_write_all(go_out, "g", 1, err);
	if (!rc)
		rc = read_answer(done_in, err);
	close(steal_fd(&go_out));
	while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
		;
	return rc;
}

static int write_proc(const char *path, const char *text, struct error *err)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	int errnum;

	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		return 0;
	errnum = errno;
	refused(err, "cannot write %s", path);
	return refusal_userns(err, errnum);
}

/* user_namespaces(7): who has no rights outside may map his own ids only, and the gid
 * only after setgroups is forbidden for ever. */
static int enter_one(const struct idmap *m, struct error *err)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1\n", m->uids.v[0].outside);
	snprintf(gid, sizeof(gid), "0 %u 1\n", m->gids.v[0].outside);
	/* what real root can drop is gone before nobody can */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return error_errno(err, "setgroups");
	if (new_userns(err) < 0 || write_proc("/proc/self/setgroups", "deny", err) < 0 ||
	    write_proc("/proc/self/uid_map", uid, err) < 0)
		return -1;
	return write_proc("/proc/self/gid_map", gid, err);
}

static int become_root(enum sandbox_mode mode, struct error *err)
{
	if (setresgid(0, 0, 0) < 0)
		return refused(err, "cannot become gid 0 of the user namespace");
	if (mode == SANDBOX_RANGE && setgroups(0, NULL) < 0)
		return refused(err, "cannot drop supplementary groups");
	if (setresuid(0, 0, 0) < 0)
		return refused(err, "cannot become uid 0 of the user namespace");
	return 0;
}

int idmap_enter(const struct idmap *m, struct error *err)
{
	int errnum;

	if (m->mode == SANDBOX_ROOT) {
		if (unshare(CLONE_NEWNS) < 0) {
			errnum = errno;
			refused(err, "cannot make a mount namespace");
			return refusal_mount(err, errnum);
		}
	} else if ((m->mode == SANDBOX_RANGE ? enter_range(m, err) : enter_one(m, err)) <
			   0 ||
		   become_root(m->mode, err) < 0) {
		return -1;
	}
	if (!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 0;
	errnum = errno;
	refused(err, "cannot make mounts private");
	return refusal_mount(err, errnum);
}
