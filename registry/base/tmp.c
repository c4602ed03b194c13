/* Temporary files (file.h).  DIR/tmp/ID/ belongs to one process, which holds a
 * lock on DIR/tmp/ID.lock as long as it lives; who gets that lock knows that
 * the owner is gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define LOCK_SUFFIX ".lock"
#define ID_DIGITS 16

struct tmpdir {
	int parent; /* DIR/tmp */
	int fd;     /* DIR/tmp/ID */
	int lock;
	char id[ID_DIGITS + 1];
	atomic_uint next;
};

/* Only names that make_own gives: the folder may be anybody's, with a tmp and locks of
 * its own. */
static bool is_lock(const char *name)
{
	return strspn(name, "0123456789abcdef") == ID_DIGITS &&
	       !strcmp(name + ID_DIGITS, LOCK_SUFFIX);
}

/* Removes what dead processes left.  Trouble is not an error: the next one may sweep. */
static void sweep(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d))) {
		auto_fd int lock = -1;
		auto_free char *id = NULL;

		if (!is_lock(e->d_name))
			continue;
		lock = openat(parent, e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
			continue;
		id = xstrndup(e->d_name, ID_DIGITS);
		if (!file_remove_tree(parent, id, NULL))
			unlinkat(parent, e->d_name, 0);
	}
	closedir(d);
}

/* A lock that still has its name: a sweeper may remove the file between our
 * open and our flock. */
static int take_lock(int parent, const char *name)
{
	struct stat ours, named;
	int fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &ours) &&
	    !fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) &&
	    ours.st_ino == named.st_ino)
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

static int make_own(struct tmpdir *t, struct error *err)
{
	for (int tries = 0; tries < 100; tries++) {
		uint64_t r = 0;
		char name[sizeof(t->id) + sizeof(LOCK_SUFFIX)];

		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			continue;
		snprintf(t->id, sizeof(t->id), "%016llx", (unsigned long long)r);
		snprintf(name, sizeof(name), "%s%s", t->id, LOCK_SUFFIX);
		t->lock = take_lock(t->parent, name);
		if (t->lock >= 0)
			break;
		if (errno != EEXIST)
			return error_errno(err, "cannot make a lock in tmp");
	}
	if (t->lock < 0)
		return error_set(err, E_FAILED, "cannot make a lock in tmp");
	if (mkdirat(t->parent, t->id, 0700) < 0)
		return error_errno(err, "cannot make a folder in tmp");
	t->fd = openat(t->parent, t->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->fd < 0 ? error_errno(err, "cannot open a folder in tmp") : 0;
}

struct tmpdir *tmpdir_open(int dirfd, struct error *err)
{
	struct tmpdir *t = xcalloc(1, sizeof(*t));

	t->parent = t->fd = t->lock = -1;
	if (mkdirat(dirfd, "tmp", 0755) < 0 && errno != EEXIST) {
		error_errno(err, "cannot make tmp");
	} else {
		t->parent = openat(dirfd, "tmp",
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (t->parent < 0)
			error_errno(err, "cannot open tmp");
	}
	if (t->parent >= 0) {
		sweep(t->parent);
		if (!make_own(t, err))
			return t;
	}
	tmpdir_close(t);
	return NULL;
}

void tmpdir_close(struct tmpdir *t)
{
	char name[sizeof(t->id) + sizeof(LOCK_SUFFIX)];

	if (!t)
		return;
	if (t->lock >= 0) {
		snprintf(name, sizeof(name), "%s%s", t->id, LOCK_SUFFIX);
		file_remove_tree(t->parent, t->id, NULL);
		unlinkat(t->parent, name, 0);
		close(t->lock);
	}
	if (t->fd >= 0)
		close(t->fd);
	if (t->parent >= 0)
		close(t->parent);
	free(t);
}

int tmpdir_fd(const struct tmpdir *t)
{
	return t->fd;
}

int tmpdir_folder(struct tmpdir *t, char name[static 32], struct error *err)
{
	int fd;

	snprintf(name, 32, "%u", atomic_fetch_add(&t->next, 1));
	if (mkdirat(t->fd, name, 0700) < 0)
		return error_errno(err, "cannot make a temporary folder");
	fd = openat(t->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "cannot open a temporary folder") : fd;
}

int tmp_open(struct tmp *t, struct tmpdir *dir, struct error *err)
{
	t->dir = dir;
	snprintf(t->name, sizeof(t->name), "%u", atomic_fetch_add(&dir->next, 1));
	t->fd = openat(dir->fd, t->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (t->fd < 0)
		return error_errno(err, "cannot make a temporary file");
	return 0;
}

int tmp_commit(struct tmp *t, int dirfd, const char *name, bool durable,
	       struct error *err)
{
	int rc = 0;

	if (durable && fdatasync(t->fd) < 0)
		rc = error_errno(err, "cannot sync %s", name);
	else if (renameat(t->dir->fd, t->name, dirfd, name) < 0)
		rc = error_errno(err, "cannot rename to %s", name);
	if (rc < 0) {
		tmp_abort(t);
		return rc;
	}
	close(t->fd);
	t->fd = -1;
	if (durable && fsync(dirfd) < 0)
		return error_errno(err, "cannot sync the folder of %s", name);
	return 0;
}

void tmp_abort(struct tmp *t)
{
	if (t->fd < 0)
		return;
	close(t->fd);
	t->fd = -1;
	unlinkat(t->dir->fd, t->name, 0);
}

int file_replace(struct tmpdir *dir, int dirfd, const char *name, const void *data,
		 size_t len, bool durable, struct error *err)
{
	auto_tmp struct tmp t = TMP_INIT;

	if (tmp_open(&t, dir, err) < 0 || file_write_all(t.fd, data, len, err) < 0)
		return error_wrap(err, "%s", name);
	return tmp_commit(&t, dirfd, name, durable, err);
}
