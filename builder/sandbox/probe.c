#include "builder/sandbox/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/sandbox/probe_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

/* out is shared memory and says beforehand what is tried: a step that kills its process
 * has a name.  That one id has no other owners is known, and no reason to refuse the
 * mode. */
static bool run_step(const struct probe_step *step, struct trial *t, struct probe *out)
{
	struct probe_check *c = &out->checks[out->n];
	struct error err = ERROR_INIT;
	bool owners_known = t->mode == SANDBOX_ONE && !strcmp(step->name, "owners");

	if (out->n == PROBE_CHECKS)
		return false;
	c->name = step->name;
	c->needed = step->needed && !owners_known;
	snprintf(c->text, sizeof(c->text), "the process that tried it was killed");
	out->n++;
	if (!step->run(t, c->text, &err)) {
		c->ok = true;
		return true;
	}
	snprintf(c->text, sizeof(c->text), "%.*s", PROBE_TEXT - 1, err.msg);
	snprintf(c->cure, sizeof(c->cure), "%s", err.hint);
	return !c->needed;
}

static bool run_steps(const struct probe_step *steps, struct trial *t, struct probe *out)
{
	for (; steps->name; steps++)
		if (!run_step(steps, t, out))
			return false;
	return true;
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Process 1 of a pid namespace: what it started ends with it. */
static void run_inner(struct trial *t, struct probe *out)
{
	pid_t pid = fork();

	if (pid < 0) {
		struct probe_check *c = &out->checks[out->n - 1];

		c->ok = false;
		snprintf(c->text, sizeof(c->text), "cannot fork: %s",
			 strerrordesc_np(errno));
		return;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		out->works = run_steps(probe_inner, t, out);
		_exit(0);
	}
	wait_for(pid);
}

/* The files may be of subordinate owners: they are removed inside of the namespace. */
static void run_outer(struct trial *t, struct probe *out)
{
	static const char *const folders[] = {"lower", "place", "upper", "work"};

	umask(022);
	if (run_steps(probe_outer, t, out))
		run_inner(t, out);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		file_remove_tree(t->dir, folders[i], NULL);
}

/* All in memory that is shared with the child. */
static int try_in_child(enum sandbox_mode mode, int dir, struct probe *shared,
			struct error *err)
{
	struct trial t = {.mode = mode, .dir = dir, .root = -1};
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(err, "cannot fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_outer(&t, shared);
		_exit(0);
	}
	wait_for(pid);
	return 0;
}

int probe_mode(enum sandbox_mode mode, int dirfd, struct probe *out, struct error *err)
{
	struct tmpdir *tmp = tmpdir_open(dirfd, err);
	struct probe *shared = MAP_FAILED;
	int rc = -1;

	*out = (struct probe){.mode = mode};
	if (!tmp)
		return -1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		error_errno(err, "cannot share memory with a child");
	} else {
		*shared = *out;
		rc = try_in_child(mode, tmpdir_fd(tmp), shared, err);
		*out = *shared;
		munmap(shared, sizeof(*shared));
	}
	/* what killed its process is fatal, whatever else it would be */
	if (!out->works && out->n && !out->checks[out->n - 1].ok)
		out->checks[out->n - 1].needed = true;
	tmpdir_close(tmp);
	return rc;
}

static const char *const isolation_words[] = {[ISOLATION_AUTO] = "auto",
					      [ISOLATION_ROOT] = "root",
					      [ISOLATION_USERNS] = "userns",
					      [ISOLATION_NONE] = "none"};

int isolation_parse(const char *word)
{
	for (int i = 0; i < (int)(sizeof(isolation_words) / sizeof(*isolation_words));
	     i++)
		if (!strcmp(isolation_words[i], word))
			return i;
	return -1;
}

bool isolation_allows(enum isolation want, enum sandbox_mode mode)
{
	switch (want) {
	case ISOLATION_AUTO:
		return mode != SANDBOX_ROOT || !geteuid();
	case ISOLATION_ROOT:
		return mode == SANDBOX_ROOT;
	case ISOLATION_USERNS:
		return mode != SANDBOX_ROOT;
	case ISOLATION_NONE:
		break;
	}
	return false;
}

/* The check that made a mode fail; NULL when it works. */
static const struct probe_check *failure(const struct probe *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->checks[i].ok && p->checks[i].needed)
			return &p->checks[i];
	return NULL;
}

static const char *cure_of(enum sandbox_mode mode, const struct probe *tried, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct probe_check *c =
			tried[i].mode == mode ? failure(&tried[i]) : NULL;

		if (c)
			return c->cure;
	}
	return "";
}

/* Root is meant to be root; who is not needs least for one id. */
static const char *best_cure(const struct probe *tried, size_t n)
{
	static const enum sandbox_mode order[] = {SANDBOX_ROOT, SANDBOX_ONE,
						  SANDBOX_RANGE};
	const char *cure = "";

	for (size_t i = 0; i < SANDBOX_MODES && !*cure; i++)
		cure = cure_of(order[i], tried, n);
	return cure;
}

int probe_refusal(enum isolation want, const struct probe *tried, size_t n,
		  struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	const char *cure = best_cure(tried, n);

	for (size_t i = 0; i < n; i++) {
		const struct probe_check *c = failure(&tried[i]);

		buf_addf(&text, "%s %s: %s", i ? ";" : "",
			 sandbox_mode_name(tried[i].mode),
			 c ? c->text : "the process that tried it was killed");
	}
	if (want == ISOLATION_AUTO)
		error_set(err, E_SANDBOX, "no isolation works here:%s", text.data);
	else
		error_set(err, E_SANDBOX, "isolation %s does not work here:%s",
			  isolation_words[want], text.data);
	return error_hint(err, "%s", *cure ? cure : "'hod doctor' shows what was tried");
}

/* What a probe needs is next to nothing; without it, it says nothing of the host. */
static bool is_full(int dirfd)
{
	struct statvfs fs;

	return !fstatvfs(dirfd, &fs) && ((uint64_t)fs.f_bavail * fs.f_frsize < 64 << 10 ||
					 (fs.f_files && fs.f_favail < 32));
}

int probe_choose(enum isolation want, int dirfd, enum sandbox_mode *out,
		 struct probe *tried, size_t *n, struct error *err)
{
	*n = 0;
	if (want == ISOLATION_NONE) {
		error_set(err, E_SANDBOX, "isolation none runs no command");
		return error_hint(err, "write --isolation auto");
	}
	for (int mode = 0; mode < SANDBOX_MODES; mode++) {
		struct probe *p = &tried[*n];

		if (!isolation_allows(want, (enum sandbox_mode)mode))
			continue;
		if (probe_mode((enum sandbox_mode)mode, dirfd, p, err) < 0)
			return -1;
		++*n;
		if (p->works) {
			*out = p->mode;
			return 0;
		}
	}
	if (is_full(dirfd)) {
		error_set(err, E_FAILED, "the disk of the image store is full");
		return error_hint(err, "free some space, or inodes");
	}
	return probe_refusal(want, tried, *n, err);
}
