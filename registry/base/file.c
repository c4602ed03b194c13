#include "registry/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"

/* openat2 is missing (Linux before 5.6, or a seccomp profile that does not know
 * it): walk part by part and refuse links. */
static int open_walk(int dirfd, const char *path, int flags)
{
	auto_free char *copy = xstrdup(path);
	auto_fd int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	char *save = NULL, *part = strtok_r(copy, "/", &save);

	while (part && at >= 0) {
		char *next = strtok_r(NULL, "/", &save);
		int fd;

		if (!strcmp(part, "..")) {
			errno = EXDEV;
			return -1;
		}
		fd = openat(at, part,
			    O_NOFOLLOW | O_CLOEXEC |
				    (next ? O_PATH | O_DIRECTORY : flags),
			    0666);
		if (fd < 0 || !next)
			return fd;
		close(at);
		at = fd;
		part = next;
	}
	return at < 0 ? -1 : openat(at, ".", flags | O_CLOEXEC);
}

int file_open_in(int dirfd, const char *path, int flags, struct error *err)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
			       .mode = flags & O_CREAT ? 0666 : 0,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || (errno == EINTR && !interrupt_signal())));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_walk(dirfd, path, flags);
	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	return (int)fd;
}

static int read_more(int fd, struct buf *out, size_t room, struct error *err)
{
	ssize_t n;

	buf_reserve(out, room);
	n = read(fd, out->data + out->len, room);
	if (n < 0 && errno == EINTR && !interrupt_signal())
		return 1;
	if (n < 0)
		return error_errno(err, "read failed");
	out->len += (size_t)n;
	out->data[out->len] = '\0';
	return n > 0;
}

int file_read_fd(int fd, size_t max, struct buf *out, struct error *err)
{
	size_t start = out->len;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot stat");
	if (S_ISDIR(st.st_mode))
		return error_set(err, E_INPUT, "is a folder");
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
		return error_set(err, E_INPUT, "is larger than %zu bytes", max);
	do {
		size_t room = st.st_size > 0 ? (size_t)st.st_size + 1 : 65536;

		if (room > 1u << 20)
			room = 1u << 20;
		rc = read_more(fd, out, room, err);
		if (rc > 0 && out->len - start > max)
			return error_set(err, E_INPUT, "is larger than %zu bytes", max);
	} while (rc > 0);
	return rc;
}

int file_read(int dirfd, const char *path, size_t max, struct buf *out, struct error *err)
{
	auto_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	if (file_read_fd(fd, max, out, err) < 0)
		return error_wrap(err, "%s", path);
	return 0;
}

int file_write_all(int fd, const void *data, size_t len, struct error *err)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR) {
			if (interrupt_check(err) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return error_errno(err, "write failed");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t file_pread_full(int fd, void *buf, size_t len, uint64_t offset, struct error *err)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n =
			pread(fd, (char *)buf + got, len - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR) {
			if (interrupt_check(err) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return error_errno(err, "read failed");
		if (!n)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int file_mkdirs(int dirfd, const char *path, struct error *err)
{
	auto_free char *copy = xstrdup(path);

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdirat(dirfd, copy, 0755) < 0 && errno != EEXIST)
			return error_errno(err, "cannot make folder %s", copy);
		*p = '/';
	}
	if (mkdirat(dirfd, copy, 0755) < 0 && errno != EEXIST)
		return error_errno(err, "cannot make folder %s", copy);
	return 0;
}

/* One level of a removal: the open folder and the name it has in the one above. */
struct level {
	DIR *dir;
	char *name;
};

#define LEVELS_OPEN 64 /* deeper folders are moved up: each level takes a descriptor */

struct removal {
	struct level *stack;
	size_t n, cap;
	bool lifted;   /* to the first level, since that was read */
	unsigned next; /* the name that the next one gets there */
};

/* A folder that lacks bits gets them, if it is ours. */
static int open_level(int at, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);

	/* EACCES: it is a folder, and no link */
	if (fd < 0 && errno == EACCES && !fchmodat(at, name, 0700, 0))
		fd = openat(at, name, flags);
	return fd;
}

static int unlink_in(int at, const char *name, int flags)
{
	if (!unlinkat(at, name, flags))
		return 0;
	if (errno != EACCES)
		return -1;
	if (!fchmod(at, 0700))
		return unlinkat(at, name, flags);
	errno = EACCES;
	return -1;
}

static int push_level(struct removal *r, int fd, const char *name, struct error *err)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return error_errno(err, "cannot read folder %s", name);
	}
	GROW(r->stack, r->n, r->cap);
	r->stack[r->n++] = (struct level){dir, xstrdup(name)};
	return 0;
}

/* Moves a folder from far down to the first level, where it is found again. */
static int lift(struct removal *r, int from, const char *name, struct error *err)
{
	int to = dirfd(r->stack[0].dir);

	r->lifted = true;
	for (;;) {
		auto_free char *fresh = xasprintf("%u.lifted", r->next++);

		/* a folder that moves is written to: its `..` */
		if (!renameat(from, name, to, fresh) ||
		    (errno == EACCES && !fchmod(from, 0700) && !fchmod(to, 0700) &&
		     !fchmodat(from, name, 0700, 0) && !renameat(from, name, to, fresh)))
			return 0;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return error_errno(err, "cannot move folder %s", name);
	}
}

static int unlink_or_enter(struct removal *r, const char *name, struct error *err)
{
	int at = dirfd(r->stack[r->n - 1].dir), fd;

	if (!unlink_in(at, name, 0))
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return errno == ENOENT ? 0 : error_errno(err, "cannot remove %s", name);
	if (r->n == LEVELS_OPEN)
		return lift(r, at, name, err);
	fd = open_level(at, name);
	if (fd < 0)
		return error_errno(err, "cannot open folder %s", name);
	return push_level(r, fd, name, err);
}

/* Removes the innermost folder, which was read to its end. */
static int remove_level(struct removal *r, int top, struct error *err)
{
	struct level *l = &r->stack[r->n - 1];
	int at = r->n > 1 ? dirfd(r->stack[r->n - 2].dir) : top;

	if (r->n == 1 && r->lifted) {
		r->lifted = false;
		rewinddir(l->dir);
		return 0;
	}
	if (unlink_in(at, l->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_errno(err, "cannot remove %s", l->name);
	closedir(l->dir);
	free(l->name);
	r->n--;
	return 0;
}

int file_remove_tree(int at, const char *path, struct error *err)
{
	struct removal r = {0};
	int rc, fd = open_level(at, path);

	if (fd < 0) {
		if (errno == ENOENT || !unlinkat(at, path, 0))
			return 0;
		return error_errno(err, "cannot remove %s", path);
	}
	rc = push_level(&r, fd, path, err);
	while (r.n && !rc) {
		struct dirent *e = readdir(r.stack[r.n - 1].dir);

		if (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")))
			continue;
		rc = e ? unlink_or_enter(&r, e->d_name, err) : remove_level(&r, at, err);
	}
	while (r.n) {
		closedir(r.stack[--r.n].dir);
		free(r.stack[r.n].name);
	}
	free(r.stack);
	return rc;
}

int file_lock(int dirfd, const char *name, struct error *err)
{
	auto_fd int fd =
		openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool told = false;
	long long waited = 0;

	if (fd < 0)
		return error_errno(err, "cannot open lock %s", name);
	/* asked again and again, so that a wait can be told of and interrupted */
	for (long wait = 1000000; flock(fd, LOCK_EX | LOCK_NB) < 0;) {
		struct timespec pause = {.tv_nsec = wait};

		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(err, "cannot lock %s", name);
		if (interrupt_check(err) < 0)
			return -1;
		nanosleep(&pause, NULL);
		waited += wait;
		if (wait < 32000000)
			wait *= 2;
		if (waited > 2000000000 && !told)
			log_info("waiting for another process that holds %s", name);
		told = waited > 2000000000;
	}
	return steal_fd(&fd);
}
