/* Attributes, and folders opened without following a symlink (unpack.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/rootfs/unpack_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

#define PROBE ".hod-probe"

int unpack_failed(struct unpack *u, const char *what, const struct node *n,
		  struct error *err)
{
	auto_buf struct buf path = BUF_INIT;
	uint64_t written = atomic_load(&u->written);
	int why = errno;

	tree_path(n, &path);
	if (why == ENOSPC || why == EDQUOT) {
		uint64_t rest = u->need > written ? u->need - written : 0;

		error_set(err, E_FAILED,
			  "cannot %s /%s: the disk is full; about %llu MB more are "
			  "needed",
			  what, path.data, (unsigned long long)(rest / 1000000 + 1));
		return error_hint(err, "free some space where hod keeps its images");
	}
	errno = why;
	error_errno(err, "cannot %s /%s", what, path.data);
	/* E_MISSING is for a blob that has to be fetched. */
	if (err && err->kind == E_MISSING)
		err->kind = E_FAILED;
	return -1;
}

int unpack_name_ok(const struct node *n, struct error *err)
{
	const char *s = n->name;

	if (n->name_len > 0 && strlen(s) == n->name_len && !strchr(s, '/') &&
	    strcmp(s, ".") != 0 && strcmp(s, "..") != 0)
		return 0;
	return error_set(err, E_CORRUPT, "\"%s\" cannot name a path", s);
}

bool unpack_has_device(const struct unpack_options *o, const struct node *n)
{
	/* Linux has 12 and 20 bits; 0:0 is overlay's mark of a removed path. */
	return o->devices && n->major < 1u << 12 && n->minor < 1u << 20 &&
	       (n->type == NODE_BLOCK || n->major != 0 || n->minor != 0);
}

bool unpack_has_owner(const struct unpack_options *o, const struct node *n)
{
	return o->owners &&
	       (!o->has_owner || o->has_owner(o->ctx, n->attrs.uid, n->attrs.gid));
}

int unpack_probe(struct unpack *u, struct error *err)
{
	struct stat st;

	/* No set-group-id bit and no default ACL, which new files would inherit. */
	fremovexattr(u->root, "system.posix_acl_default");
	fremovexattr(u->root, "system.posix_acl_access");
	if (fchmod(u->root, 0700) < 0)
		return unpack_failed(u, "set the mode of", tree_root(u->tree), err);
	auto_fd int fd =
		openat(u->root, PROBE,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0777);
	if (fd < 0 || fstat(fd, &st) < 0 || unlinkat(u->root, PROBE, 0) < 0)
		return unpack_failed(u, "write to", tree_root(u->tree), err);
	u->uid = st.st_uid;
	u->gid = st.st_gid;
	u->mask = st.st_mode & 0777;
	return 0;
}

/* One that this file system or the kernel does not take is left out: which
 * they are differs from host to host, and the tree has it all the same. */
static void set_xattr(int fd, const struct node *n, const struct xattr *x)
{
	if (fsetxattr(fd, x->name, x->value, x->len, 0) < 0)
		log_debug("%s: attribute %s is left out: %s", n->name, x->name,
			  strerrordesc_np(errno));
}

static void set_user_xattrs(int fd, const struct node *n)
{
	const struct xattrs *x = n->attrs.xattrs;

	for (size_t i = 0; x && i < x->n; i++)
		if (xattr_is_kept(x->v[i].name) &&
		    strcmp(x->v[i].name, XATTR_CAPABILITY) != 0)
			set_xattr(fd, n, &x->v[i]);
}

static void set_capability(int fd, const struct node *n)
{
	const struct xattrs *x = n->attrs.xattrs;

	for (size_t i = 0; x && i < x->n; i++)
		if (strcmp(x->v[i].name, XATTR_CAPABILITY) == 0)
			set_xattr(fd, n, &x->v[i]);
}

static bool wants_owner(const struct unpack *u, const struct node *n)
{
	return (n->attrs.uid != u->uid || n->attrs.gid != u->gid) &&
	       unpack_has_owner(u->o, n);
}

mode_t unpack_first_mode(const struct node *n)
{
	mode_t mode = n->attrs.mode & 0777;

	/* user.* attributes need write permission, folders are still to be filled. */
	if (n->type == NODE_DIR)
		return mode | 0700;
	return n->attrs.xattrs ? mode | 0200 : mode;
}

int unpack_finish(struct unpack *u, int fd, const struct node *n, mode_t made,
		  struct error *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = n->mtime}};

	if (wants_owner(u, n) && fchown(fd, n->attrs.uid, n->attrs.gid) < 0)
		return unpack_failed(u, "set the owner of", n, err);
	set_user_xattrs(fd, n);
	if (n->attrs.mode != made && fchmod(fd, n->attrs.mode) < 0)
		return unpack_failed(u, "set the mode of", n, err);
	/* A change of the owner would have removed it. */
	if (n->type == NODE_FILE)
		set_capability(fd, n);
	if (futimens(fd, times) < 0)
		return unpack_failed(u, "set the time of", n, err);
	return 0;
}

int unpack_finish_at(struct unpack *u, int dirfd, const struct node *n, mode_t made,
		     struct error *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = n->mtime}};

	if (wants_owner(u, n) &&
	    fchownat(dirfd, n->name, n->attrs.uid, n->attrs.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, "set the owner of", n, err);
	if (n->type != NODE_SYMLINK && n->attrs.mode != made &&
	    fchmodat(dirfd, n->name, n->attrs.mode, 0) < 0)
		return unpack_failed(u, "set the mode of", n, err);
	if (utimensat(dirfd, n->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, "set the time of", n, err);
	return 0;
}

int unpack_attributes(int fd, const struct node *n, bool owner, struct error *err)
{
	const struct xattrs *x = n->attrs.xattrs;

	if (owner && fchown(fd, n->attrs.uid, n->attrs.gid) < 0)
		return error_errno(err, "cannot set the owner");
	if (fchmod(fd, n->attrs.mode) < 0)
		return error_errno(err, "cannot set the mode");
	for (size_t i = 0; x && i < x->n; i++)
		if (xattr_is_kept(x->v[i].name) &&
		    (n->type == NODE_FILE ||
		     strcmp(x->v[i].name, XATTR_CAPABILITY) != 0) &&
		    fsetxattr(fd, x->v[i].name, x->v[i].value, x->v[i].len, 0) < 0)
			return error_errno(err, "attribute %s", x->v[i].name);
	return 0;
}

void open_folder_close(struct open_folder *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->dir = NULL;
	buf_release(&f->path);
}

/* Part by part: where openat2 is missing (Linux before 5.6, a seccomp profile that does
 * not know it), and for paths beyond PATH_MAX. */
static int open_parts(int root, char *path)
{
	auto_fd int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	char *save = NULL;

	for (char *part = strtok_r(path, "/", &save); part && at >= 0;
	     part = strtok_r(NULL, "/", &save)) {
		int fd = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return -1;
		close(at);
		at = fd;
	}
	return steal_fd(&at);
}

static int open_beneath(struct unpack *u, char *path, size_t len)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS};
	long fd;

	if (len >= PATH_MAX || atomic_load(&u->no_openat2))
		return open_parts(u->root, path);
	do
		fd = syscall(SYS_openat2, u->root, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		return (int)fd;
	atomic_store(&u->no_openat2, true);
	return open_parts(u->root, path);
}

int open_folder_of(struct unpack *u, struct open_folder *f, const struct node *dir,
		   struct error *err)
{
	if (!dir->parent)
		return u->root;
	if (f->dir == dir)
		return f->fd;
	if (f->fd >= 0)
		close(f->fd);
	f->dir = NULL;
	buf_reset(&f->path);
	tree_path(dir, &f->path);
	f->fd = open_beneath(u, f->path.data, f->path.len);
	if (f->fd < 0)
		return unpack_failed(u, "open folder", dir, err);
	f->dir = dir;
	return f->fd;
}
